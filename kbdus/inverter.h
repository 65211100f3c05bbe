/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_INVERTER_H
#define KBDUS_INVERTER_H

#include <linux/blk-mq.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "states.h"

struct kbdus_client_ioctl;
struct kbdus_slot;

/**
 * struct kbdus_command - what the module keeps beside each block request
 * @slot: what holds the request, or NULL; inverter lock
 * @ioctl: the client's ioctl if this is one; fixed while the request lives
 * @end_link: for whoever took the request away and is about to end it
 * @status: likewise, how it ends
 * @error: likewise, how it ends if it is a client's ioctl
 *
 * It is the request's private area, which is zeroed when the queue is made. For
 * an ioctl it also outlives the request's stay in a slot, so that its client can
 * find out what became of it.
 */
struct kbdus_command {
	struct kbdus_slot *slot;
	struct kbdus_client_ioctl *ioctl;
	struct list_head end_link;
	blk_status_t status;
	int error;
};

/**
 * struct kbdus_puller - who takes requests out of an inverter: one per session
 * @push: takes requests as soon as they are there, in the context of whoever put
 *	them in, in an RCU section: does not sleep. NULL if threads of the driver
 *	come for them. Fixed while attached
 * @linger: like @push, by a client that may look for the answer for a short time. NULL
 *	if there is no such thing. Fixed while attached
 * @poll: looks for answers; returns how many there were. In an RCU section: does not
 *	sleep. NULL if there is no such thing. Fixed while attached
 * @revoke: the requests that it has are about to be taken away: answers that were given
 *	already count, and what the driver can be kept from beginning it is kept from.
 *	In an RCU section: does not sleep. NULL if there is no such thing. Fixed while
 *	attached
 * @is_leaving: gets no more requests; inverter lock
 * @owes_flush: is to be told to flush before it leaves; inverter lock
 * @owes_available: is to be told that the device is available; inverter lock
 */
struct kbdus_puller {
	void (*push)(struct kbdus_puller *puller);
	void (*linger)(struct kbdus_puller *puller);
	unsigned int (*poll)(struct kbdus_puller *puller);
	void (*revoke)(struct kbdus_puller *puller);
	bool is_leaving;
	bool owes_flush;
	bool owes_available;
};

/**
 * struct kbdus_slot - the place of one request, indexed by its tag
 * @rq: the request; valid unless the slot is free
 * @state: enum kbdus_request_state
 * @is_cut: end the request with @cut_status as soon as the copy is over
 * @cut_status: see @is_cut
 * @handover: number of the present hand-over of the request, see the handle
 * @sequence: number of the request, in the order of arrival
 * @arrival: when it arrived, in jiffies
 * @type: of the request
 * @link: in the queue, if QUEUED
 *
 * All under the inverter lock, except that whoever is copying may use @rq.
 */
struct kbdus_slot {
	struct request *rq;
	enum kbdus_request_state state;
	bool is_cut;
	blk_status_t cut_status;
	u64 handover;
	u64 sequence;
	unsigned long arrival;
	enum kbdus_request_type type;
	struct list_head link;
};

/**
 * struct kbdus_inverter - the requests of one device
 * @config: the device's
 * @lock: guards everything below
 * @depth: number of slots; fixed
 * @supports_flush: a leaving driver is to flush first; fixed
 * @puller: who may take requests; NULL if the device has no driver
 * @attach_time: when @puller, or the last one, was attached, in jiffies
 * @is_available: the device is available to clients
 * @is_expired: no driver came in time, fail requests
 * @is_terminated: the device is over, fail requests
 * @queued: requests to be taken, oldest first
 * @wait: pullers that found nothing, waiting exclusively
 * @next_handover: of the next hand-over; all lower ones were used
 * @next_sequence: of the next request to arrive
 * @queued_now: length of @queued
 * @with_driver_now: requests WITH_DRIVER or INBOUND
 * @gap_start: when the last puller took no more, or 0
 * @orphan_start: when the last puller went, or 0
 * @statistics: the counters
 * @rcu: for freeing it
 * @slots: one for each tag
 */
struct kbdus_inverter {
	const struct kbdus_device_config *config;
	spinlock_t lock;
	unsigned int depth;
	bool supports_flush;
	struct kbdus_puller *puller;
	unsigned long attach_time;
	bool is_available;
	bool is_expired;
	bool is_terminated;
	struct list_head queued;
	wait_queue_head_t wait;
	u64 next_handover;
	u64 next_sequence;
	u32 queued_now;
	u32 with_driver_now;
	u64 gap_start;
	u64 orphan_start;
	struct kbdus_device_statistics statistics;
	struct rcu_head rcu;
	struct kbdus_slot slots[];
};

/**
 * struct kbdus_item - what a puller got
 * @type: what it is
 * @handle: names it in the reply; 0 for a notification
 * @rq: the request; NULL for a notification
 */
struct kbdus_item {
	enum kbdus_request_type type;
	u64 handle;
	struct request *rq;
};

/* Lifetime. */
struct kbdus_inverter *
kbdus_inverter_create(const struct kbdus_device_config *config);
void kbdus_inverter_destroy(struct kbdus_inverter *inv);
size_t kbdus_inverter_memory(const struct kbdus_inverter *inv);

/* The device's side: push. */
blk_status_t kbdus_inverter_put(struct kbdus_inverter *inv, struct request *rq,
				enum kbdus_request_type type);
void kbdus_inverter_push(struct kbdus_inverter *inv);
void kbdus_inverter_push_and_linger(struct kbdus_inverter *inv);
unsigned int kbdus_inverter_poll(struct kbdus_inverter *inv);
enum blk_eh_timer_return kbdus_inverter_time_out(struct kbdus_inverter *inv,
						 struct request *rq);
void kbdus_inverter_cancel(struct kbdus_inverter *inv, struct request *rq);
void kbdus_inverter_set_available(struct kbdus_inverter *inv);
void kbdus_inverter_terminate(struct kbdus_inverter *inv);
void kbdus_inverter_expire(struct kbdus_inverter *inv);
void kbdus_inverter_get_statistics(struct kbdus_inverter *inv,
				   struct kbdus_device_info *info);

/* The session's side: who pulls. */
void kbdus_inverter_attach(struct kbdus_inverter *inv,
			   struct kbdus_puller *puller);
void kbdus_inverter_stop(struct kbdus_inverter *inv,
			 struct kbdus_puller *puller, bool flush);
void kbdus_inverter_detach(struct kbdus_inverter *inv,
			   struct kbdus_puller *puller);

/**
 * enum kbdus_admission - what a protocol does with a request
 * @KBDUS_NO_ROOM: nothing; it stays where it is
 * @KBDUS_TAKEN: takes it, to copy what it carries
 * @KBDUS_DELIVERED: gives it to the driver, as it carries nothing
 */
enum kbdus_admission {
	KBDUS_NO_ROOM,
	KBDUS_TAKEN,
	KBDUS_DELIVERED,
};

/**
 * kbdus_admit_fn - looks whether a protocol has room for a request
 * @data: the protocol's
 * @item: the request, with the handle that it will have
 *
 * Context: called under the inverter lock, so that the driver must not see yet what it
 * is given.
 */
typedef enum kbdus_admission kbdus_admit_fn(void *data,
					    const struct kbdus_item *item);

/* The protocol's side: pull. */
void kbdus_inverter_reannounce(struct kbdus_inverter *inv);
int kbdus_inverter_take(struct kbdus_inverter *inv, struct kbdus_puller *puller,
			struct kbdus_item *item);
bool kbdus_inverter_try_take(struct kbdus_inverter *inv,
			     struct kbdus_puller *puller,
			     struct kbdus_item *item);
bool kbdus_inverter_commit_take(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item);
void kbdus_inverter_abort_take(struct kbdus_inverter *inv,
			       struct kbdus_puller *puller,
			       const struct kbdus_item *item, int error);

/* The same for protocols that have their own way of waiting, and for many at a time. */
bool kbdus_inverter_has_notification(const struct kbdus_inverter *inv,
				     const struct kbdus_puller *puller);
bool kbdus_inverter_take_notification(struct kbdus_inverter *inv,
				      struct kbdus_puller *puller,
				      struct kbdus_item *item);
void kbdus_inverter_take_requests(struct kbdus_inverter *inv,
				  struct kbdus_puller *puller,
				  kbdus_admit_fn *admit, void *data);
unsigned int kbdus_inverter_commit_takes(struct kbdus_inverter *inv,
					 struct kbdus_puller *puller,
					 struct kbdus_item *items,
					 unsigned int count);

/* The protocol's side: answer (reply.c). */
int kbdus_inverter_begin_reply(struct kbdus_inverter *inv,
			       struct kbdus_puller *puller, u64 handle,
			       struct kbdus_item *item);
void kbdus_inverter_begin_replies(struct kbdus_inverter *inv,
				  struct kbdus_puller *puller,
				  struct kbdus_item *items, unsigned int count);
void kbdus_inverter_count_bad_replies(struct kbdus_inverter *inv,
				      unsigned int count);
void kbdus_inverter_commit_reply(struct kbdus_inverter *inv,
				 const struct kbdus_item *item, int error);
void kbdus_inverter_commit_replies(struct kbdus_inverter *inv,
				   const struct kbdus_item *items,
				   const int *errors, unsigned int count);
void kbdus_inverter_abort_reply(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item, int error);

#endif
