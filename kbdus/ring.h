/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_RING_H
#define KBDUS_RING_H

#include <linux/atomic.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "inverter.h"
#include "linger.h"

struct kbdus_pinned;
struct kbdus_session;

/**
 * enum kbdus_loan_state - who has what a request was lent
 * @KBDUS_LOAN_FREE: nobody
 * @KBDUS_LOAN_NEW: whoever is copying the request out; the driver cannot answer yet
 * @KBDUS_LOAN_OUT: the driver
 * @KBDUS_LOAN_IN: whoever is copying the reply in
 */
enum kbdus_loan_state {
	KBDUS_LOAN_FREE,
	KBDUS_LOAN_NEW,
	KBDUS_LOAN_OUT,
	KBDUS_LOAN_IN,
};

/**
 * struct kbdus_loan - an id and payload memory, and the request that they are lent to
 * @state: enum kbdus_loan_state
 * @next_free: the next id that is free, if this one is
 * @type: of the request
 * @length: of its range, or its command
 * @offset: of its range
 * @is_polled: its client polls
 * @inverter_handle: the inverter's name of it
 * @handle: the driver's: the number of the hand-over, above the id
 * @first_page: of the payload memory
 * @page_count: may be 0
 *
 * Ring lock; but unless it is FREE all but @state is fixed.
 *
 * It ends when the driver answers, not when the request does: a driver that takes too
 * long may be reading or writing payload, which must not be another request's.
 */
struct kbdus_loan {
	enum kbdus_loan_state state;
	u32 next_free;
	u32 type;
	u32 length;
	u64 offset;
	bool is_polled;
	u64 inverter_handle;
	u64 handle;
	u32 first_page;
	u32 page_count;
};

/**
 * struct kbdus_ring - what a session of the protocol "ring" has
 * @session: whose it is; valid as long as the ring
 * @inv: of its device
 * @memory: what the driver shares
 * @size: of @memory
 * @submission: in @memory: what the module says
 * @requests: behind that: its entries
 * @driver: in @memory: what the driver has taken, which it may change at any time
 * @channels: in @memory: the completion rings; the same holds
 * @channel_stride: bytes from one to the next
 * @payload: in @memory, or the driver's own; the same holds
 * @pinned: the driver's own memory, or NULL
 * @entry_count: of all rings, a power of two; also the number of ids
 * @channel_count: of completion rings
 * @page_count: of @payload
 * @looking: threads of the driver that are in here and look for requests before they
 *	sleep
 * @linger: whether clients are to look for answers
 * @lock: guards everything below
 * @is_closed: takes nothing any more
 * @is_starved: requests wait because there was no id or payload memory for them
 * @next: counts the entries of the submission ring that were written
 * @tail: those that were published, which is what @submission says
 * @heads: of each channel's completion ring, how much was looked at
 * @first_free: an id that is free, or @entry_count
 * @loan_count: how many are not
 * @page_map: which pages of @payload are lent
 * @watch_interval: see @watch, in jiffies
 * @watch: looks at the completion rings now and then, as long as anything is lent
 * @free_work: frees the ring once nobody can be pushing any more
 * @loans: of each id
 */
struct kbdus_ring {
	struct kbdus_session *session;
	struct kbdus_inverter *inv;
	void *memory;
	size_t size;
	struct kbdusring_submission *submission;
	struct kbdusring_request *requests;
	struct kbdusring_driver *driver;
	void *channels;
	u32 channel_stride;
	void *payload;
	struct kbdus_pinned *pinned;
	u32 entry_count;
	u32 channel_count;
	u32 page_count;
	atomic_t looking;
	struct kbdus_linger linger;

	spinlock_t lock;
	bool is_closed;
	bool is_starved;
	u32 next;
	u32 tail;
	u32 heads[KBDUSRING_MAX_CHANNELS];
	u32 first_free;
	u32 loan_count;
	unsigned long *page_map;
	unsigned long watch_interval;
	struct delayed_work watch;
	struct rcu_work free_work;
	struct kbdus_loan loans[];
};

int kbdus_ring_init(void);
void kbdus_ring_exit(void);

/* Lifetime. */
int kbdus_ring_adjust(const struct kbdus_device_config *device,
		      struct kbdus_protocol_config *config);
struct kbdus_ring *kbdus_ring_create(struct kbdus_session *session,
				     const struct kbdus_protocol_config *config,
				     work_func_t watch);
void kbdus_ring_revoke(struct kbdus_ring *ring);
void kbdus_ring_close(struct kbdus_ring *ring);
void kbdus_ring_free(struct kbdus_ring *ring);

/* Clients that look for answers, without a lock. */
void kbdus_ring_add_reaper(struct kbdus_ring *ring);
void kbdus_ring_remove_reaper(struct kbdus_ring *ring);
bool kbdus_ring_has_reply(const struct kbdus_ring *ring);

/* Under the ring lock. */
bool kbdus_ring_lend(struct kbdus_ring *ring, const struct kbdus_item *item,
		     u32 *id);
void kbdus_ring_reclaim(struct kbdus_ring *ring, u32 id);
void kbdus_ring_submit(struct kbdus_ring *ring, u32 id);
void kbdus_ring_publish(struct kbdus_ring *ring);
bool kbdus_ring_next_reply(struct kbdus_ring *ring, u32 channel,
			   struct kbdusring_reply *reply);
bool kbdus_ring_find_loan(struct kbdus_ring *ring,
			  const struct kbdusring_reply *reply, u32 *id);
void kbdus_ring_begin_watch(struct kbdus_ring *ring);
void kbdus_ring_end_watch(struct kbdus_ring *ring, bool has_found);

/**
 * kbdus_ring_payload() - the payload memory that a request was lent
 * @ring: the ring
 * @id: of the loan, which is not free
 * @room: its size is put there
 *
 * Context: any; needs no lock.
 *
 * Return: the memory, page-aligned, into which the driver may be writing.
 */
static inline void *kbdus_ring_payload(const struct kbdus_ring *ring, u32 id,
				       size_t *room)
{
	const struct kbdus_loan *loan = &ring->loans[id];

	*room = (size_t)loan->page_count << PAGE_SHIFT;
	return ring->payload + ((size_t)loan->first_page << PAGE_SHIFT);
}

/**
 * kbdus_ring_has_request() - whether the driver has left requests untaken
 * @ring: the ring
 *
 * Context: any; needs no lock. What the driver says may be a lie, and serves for
 * nothing but to decide whether it is to wait.
 *
 * Return: true if it seems so.
 */
static inline bool kbdus_ring_has_request(const struct kbdus_ring *ring)
{
	return READ_ONCE(ring->driver->head) != READ_ONCE(ring->tail);
}

/**
 * kbdus_ring_count_wanted() - how many threads should come for new requests
 * @ring: the ring
 * @count: requests that were published since
 *
 * Context: any; needs no lock, but a full barrier behind what was published. If the
 * driver lies it is its own requests that wait, until the watch looks.
 *
 * Return: how many should be woken up, of those that wait.
 */
static inline u32 kbdus_ring_count_wanted(const struct kbdus_ring *ring,
					  u32 count)
{
	u32 attentive = READ_ONCE(ring->driver->attentive) +
			atomic_read(&ring->looking);
	u32 untaken = READ_ONCE(ring->tail) - READ_ONCE(ring->driver->head);

	if (!attentive)
		return count;
	return untaken / KBDUSRING_ATTENTION >= attentive ? 1 : 0;
}

#endif
