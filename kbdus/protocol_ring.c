// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol_ring.c: the protocol "ring". Requests are put in memory that the driver
 * shares as soon as clients make them, and replies are taken from there.
 *
 * Clients push: in the context of whoever put a request in, it is taken from the
 * inverter, what it carries is copied, and the driver can see it; it is woken up only
 * if it sleeps. The driver calls to have replies looked at, any number at a time, and
 * to wait. It need not if clients look themselves: those that poll, and for a short time
 * those that have one request at a time. Replies are also looked at by a watch, so that
 * nothing is held up by a thread of the driver that has answered one request and is stuck
 * with the next, and once more when the session ends.
 *
 * What is in the memory, and what of that is trusted: ring.c. Requests go through here
 * in batches; the ring lock is held to take them and to write their entries, not while
 * they are copied.
 */
#include <linux/blk-mq.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/sched/clock.h>
#include <linux/wait.h>

#include "device.h"
#include "inverter.h"
#include "payload.h"
#include "protocol.h"
#include "ring.h"
#include "session.h"
#include "shared.h"
#include "status.h"

/* As many as are worth one round of locks, and fit on a stack that is deep already. */
#define BATCH_SIZE 16

/**
 * struct batch - requests on their way to the driver or back
 * @ring: whose
 * @delivered: requests that the driver got because there was nothing to be copied
 * @count: how many others
 * @ids: what they were lent
 * @items: what they are to the inverter
 * @errors: how the driver answered them, if it did
 */
struct batch {
	struct kbdus_ring *ring;
	unsigned int delivered;
	unsigned int count;
	u32 ids[BATCH_SIZE];
	struct kbdus_item items[BATCH_SIZE];
	int errors[BATCH_SIZE];
};

/* Takes a request if there is room for it. */
static enum kbdus_admission batch_admit(void *data,
					const struct kbdus_item *item)
{
	struct batch *batch = data;
	u32 id;

	if (batch->count == BATCH_SIZE ||
	    !kbdus_ring_lend(batch->ring, item, &id))
		return KBDUS_NO_ROOM;
	/* None overtakes those that are still to be copied. */
	if (!batch->count && !kbdus_payload_request_size(item)) {
		kbdus_ring_submit(batch->ring, id);
		batch->delivered++;
		return KBDUS_DELIVERED;
	}
	batch->ids[batch->count] = id;
	batch->items[batch->count++] = *item;
	return KBDUS_TAKEN;
}

static void batch_take(struct batch *batch)
{
	struct kbdus_ring *ring = batch->ring;

	batch->delivered = 0;
	batch->count = 0;
	spin_lock(&ring->lock);
	if (!ring->is_closed) {
		ring->is_starved = false;
		kbdus_inverter_take_requests(ring->inv, &ring->session->puller,
					     batch_admit, batch);
	}
	if (batch->delivered) {
		kbdus_ring_publish(ring);
		kbdus_ring_begin_watch(ring);
	}
	spin_unlock(&ring->lock);
}

static void batch_copy_out(const struct batch *batch)
{
	unsigned int i;
	void *payload;
	size_t room;

	for (i = 0; i < batch->count; i++) {
		payload = kbdus_ring_payload(batch->ring, batch->ids[i], &room);
		kbdus_payload_export(&batch->items[i], payload, room);
	}
}

/* Returns how many the driver can see now; the others were taken back. */
static unsigned int batch_submit(const struct batch *batch)
{
	struct kbdus_ring *ring = batch->ring;
	unsigned int submitted = 0;
	unsigned int i;

	spin_lock(&ring->lock);
	for (i = 0; i < batch->count; i++) {
		if (batch->items[i].rq && !ring->is_closed) {
			kbdus_ring_submit(ring, batch->ids[i]);
			submitted++;
		} else {
			kbdus_ring_reclaim(ring, batch->ids[i]);
		}
	}
	kbdus_ring_publish(ring);
	kbdus_ring_begin_watch(ring);
	spin_unlock(&ring->lock);
	return submitted;
}

/* One thread for each request, as far as there are any that wait and are wanted. */
static void ring_wake(struct kbdus_ring *ring, unsigned int count)
{
	if (!count)
		return;
	/* Orders what was published before looking for who sleeps, or says he will. */
	smp_mb();
	count = kbdus_ring_count_wanted(ring, count);
	if (count && waitqueue_active(&ring->inv->wait))
		wake_up_nr(&ring->inv->wait, count);
}

/* Gives the driver all requests that wait, as far as there is room for them. */
static void ring_push(struct kbdus_ring *ring)
{
	struct kbdus_puller *puller = &ring->session->puller;
	KBDUS_UNINITIALIZED struct batch batch;
	unsigned int submitted;
	bool is_refused = false;

	batch.ring = ring;
	do {
		batch_take(&batch);
		ring_wake(ring, batch.delivered);
		if (!batch.count)
			break;
		batch_copy_out(&batch);
		if (kbdus_inverter_commit_takes(ring->inv, puller, batch.items,
						batch.count) < batch.count)
			is_refused = true;
		submitted = batch_submit(&batch);
		ring_wake(ring, submitted);
		/* What was taken back may have been what others lacked. */
	} while (batch.count == BATCH_SIZE || submitted < batch.count);

	/* A successor may have looked before something was put back. */
	if (is_refused && READ_ONCE(ring->inv->puller) != puller)
		kbdus_inverter_reannounce(ring->inv);
}

/* NULL if the session, or at least its ring, is ending. */
static struct kbdus_ring *ring_of(struct kbdus_puller *puller)
{
	struct kbdus_session *session =
		container_of(puller, struct kbdus_session, puller);

	return READ_ONCE(session->protocol_data);
}

static void puller_push(struct kbdus_puller *puller)
{
	struct kbdus_ring *ring = ring_of(puller);

	if (ring)
		ring_push(ring);
}

/* Returns how many of the replies were none. */
static unsigned int batch_collect(struct batch *batch, u32 channel)
{
	struct kbdus_ring *ring = batch->ring;
	/* The driver may go on writing, as quickly as this goes on reading. */
	unsigned int most = ring->entry_count;
	struct kbdusring_reply reply;
	unsigned int bad = 0;
	u32 id;

	batch->count = 0;
	spin_lock(&ring->lock);
	while (batch->count < BATCH_SIZE && most-- &&
	       kbdus_ring_next_reply(ring, channel, &reply)) {
		if (!kbdus_ring_find_loan(ring, &reply, &id)) {
			bad++;
			continue;
		}
		batch->ids[batch->count] = id;
		batch->items[batch->count].handle =
			ring->loans[id].inverter_handle;
		batch->errors[batch->count] =
			kbdus_status_from_wire(reply.error);
		batch->count++;
	}
	spin_unlock(&ring->lock);
	return bad;
}

/* Late replies were answered already. */
static void batch_copy_in(const struct batch *batch)
{
	unsigned int i;
	void *payload;
	size_t room;

	for (i = 0; i < batch->count; i++) {
		if (!batch->items[i].rq || batch->errors[i])
			continue;
		payload = kbdus_ring_payload(batch->ring, batch->ids[i], &room);
		kbdus_payload_import(&batch->items[i], payload, room);
	}
}

/* Returns whether requests have been waiting for what they get now. */
static bool batch_reclaim(const struct batch *batch)
{
	struct kbdus_ring *ring = batch->ring;
	unsigned int i;
	bool is_starved;

	spin_lock(&ring->lock);
	for (i = 0; i < batch->count; i++)
		kbdus_ring_reclaim(ring, batch->ids[i]);
	is_starved = ring->is_starved;
	spin_unlock(&ring->lock);
	return is_starved;
}

/* Ends what was answered, but first lets those have its place who wait for it. */
static void batch_answer(struct batch *batch)
{
	struct kbdus_ring *ring = batch->ring;

	kbdus_inverter_begin_replies(ring->inv, &ring->session->puller,
				     batch->items, batch->count);
	batch_copy_in(batch);
	if (batch_reclaim(batch))
		kbdus_inverter_push(ring->inv);
	kbdus_inverter_commit_replies(ring->inv, batch->items, batch->errors,
				      batch->count);
}

/**
 * struct reaped - what there was in completion rings
 * @answered: requests
 * @bad: replies that were none
 */
struct reaped {
	unsigned int answered;
	unsigned int bad;
};

/* Looks at the replies in one completion ring. */
static void ring_reap(struct kbdus_ring *ring, u32 channel,
		      struct reaped *reaped)
{
	KBDUS_UNINITIALIZED struct batch batch;
	unsigned int bad;

	batch.ring = ring;
	do {
		bad = batch_collect(&batch, channel);
		if (batch.count)
			batch_answer(&batch);
		if (bad)
			kbdus_inverter_count_bad_replies(ring->inv, bad);
		reaped->answered += batch.count;
		reaped->bad += bad;
	} while (batch.count == BATCH_SIZE);
}

static void ring_reap_all(struct kbdus_ring *ring, struct reaped *reaped)
{
	u32 channel;

	for (channel = 0; channel < ring->channel_count; channel++)
		ring_reap(ring, channel, reaped);
}

/* How often to look before the clock is looked at. */
#define LOOKS 16

/*
 * Looks for a reply, or until nothing is with the driver. Returns whether that was soon
 * enough; the reply is still there.
 */
static bool ring_linger(const struct kbdus_ring *ring)
{
	u64 began_at = local_clock();
	int i;

	do {
		for (i = 0; i < LOOKS; i++) {
			if (kbdus_ring_has_reply(ring) ||
			    !READ_ONCE(ring->loan_count))
				return true;
			cpu_relax();
		}
	} while (kbdus_linger_may_go_on(&ring->linger, began_at));
	return false;
}

/* Whether the request that was just put in is the only one. */
static bool ring_is_idle(const struct kbdus_ring *ring)
{
	return !READ_ONCE(ring->loan_count) &&
	       READ_ONCE(ring->inv->queued_now) == 1;
}

static void puller_linger(struct kbdus_puller *puller)
{
	struct kbdus_ring *ring = ring_of(puller);
	struct reaped reaped = { 0 };
	bool has_found;

	if (!ring)
		return;
	if (!kbdus_linger_begin(&ring->linger, ring_is_idle(ring))) {
		ring_push(ring);
		return;
	}
	kbdus_ring_add_reaper(ring);
	ring_push(ring);
	has_found = ring_linger(ring);
	kbdus_ring_remove_reaper(ring);
	if (kbdus_ring_has_reply(ring))
		ring_reap_all(ring, &reaped);
	kbdus_linger_end(&ring->linger, has_found);
}

static unsigned int puller_poll(struct kbdus_puller *puller)
{
	struct kbdus_ring *ring = ring_of(puller);
	struct reaped reaped = { 0 };

	if (ring && kbdus_ring_has_reply(ring))
		ring_reap_all(ring, &reaped);
	return reaped.answered;
}

/* What was answered counts; what was not begun is not to be. */
static void puller_revoke(struct kbdus_puller *puller)
{
	struct kbdus_ring *ring = ring_of(puller);
	struct reaped reaped = { 0 };

	if (!ring)
		return;
	ring_reap_all(ring, &reaped);
	kbdus_ring_revoke(ring);
}

static void ring_watch(struct work_struct *work)
{
	struct kbdus_ring *ring = container_of(to_delayed_work(work),
					       struct kbdus_ring, watch);
	struct reaped reaped = { 0 };

	ring_reap_all(ring, &reaped);
	/* Those who were going to look have not. */
	if (kbdus_ring_has_request(ring))
		wake_up(&ring->inv->wait);
	spin_lock(&ring->lock);
	kbdus_ring_end_watch(ring, reaped.answered);
	spin_unlock(&ring->lock);
}

static int protocol_ring_open(struct kbdus_session *session,
			      struct kbdus_protocol_config *config)
{
	struct kbdus_ring *ring;
	int ret;

	ret = kbdus_ring_adjust(&session->device->config, config);
	if (ret)
		return ret;
	ring = kbdus_ring_create(session, config, ring_watch);
	if (IS_ERR(ring))
		return PTR_ERR(ring);
	/* Means nothing to anybody else. */
	config->payload_address = 0;
	WRITE_ONCE(session->protocol_data, ring);
	session->puller.push = puller_push;
	session->puller.linger = puller_linger;
	session->puller.poll = puller_poll;
	session->puller.revoke = puller_revoke;
	return 0;
}

/* Requests may have been waiting before there was a driver. */
static void protocol_ring_start(struct kbdus_session *session)
{
	kbdus_inverter_push(session->device->inverter);
}

static void protocol_ring_close(struct kbdus_session *session)
{
	struct kbdus_ring *ring = session->protocol_data;
	struct reaped reaped = { 0 };

	kbdus_ring_close(ring);
	ring_reap_all(ring, &reaped);
	WRITE_ONCE(session->protocol_data, NULL);
	kbdus_ring_free(ring);
}

static int protocol_ring_map(struct kbdus_session *session,
			     struct vm_area_struct *vma)
{
	const struct kbdus_ring *ring = session->protocol_data;
	unsigned long driver_offset = session->protocol_config.driver_offset;

	if (vma->vm_pgoff < driver_offset >> PAGE_SHIFT) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	return kbdus_shared_map(vma, ring->memory, ring->size);
}

static long notification_result(enum kbdus_request_type type)
{
	switch (type) {
	case KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE:
		return KBDUSRING_ENTERED_AVAILABLE;
	case KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE:
		return KBDUSRING_ENTERED_FLUSH_AND_TERMINATE;
	default:
		return KBDUSRING_ENTERED_TERMINATE;
	}
}

/* Says what there is to be told of, without waiting. */
static long ring_look(struct kbdus_ring *ring)
{
	struct kbdus_item item;

	if (kbdus_inverter_take_notification(ring->inv, &ring->session->puller,
					     &item))
		return notification_result(item.type);
	return KBDUSRING_ENTERED_REQUESTS;
}

/* Waits until there is something to do. */
static long ring_wait(struct kbdus_ring *ring)
{
	struct kbdus_puller *puller = &ring->session->puller;
	struct kbdus_inverter *inv = ring->inv;
	struct kbdus_item item;

	for (;;) {
		if (wait_event_interruptible_exclusive(
			    inv->wait,
			    kbdus_ring_has_request(ring) ||
				    kbdus_inverter_has_notification(inv,
								    puller)))
			return -EINTR;
		if (kbdus_inverter_take_notification(inv, puller, &item))
			return notification_result(item.type);
		if (kbdus_ring_has_request(ring))
			return KBDUSRING_ENTERED_REQUESTS;
	}
}

static long ring_enter(struct kbdus_ring *ring, unsigned long argument)
{
	unsigned long channel =
		argument & ~(unsigned long)(KBDUSRING_ENTER_WAIT |
					    KBDUSRING_ENTER_NOTIFIED);
	struct reaped reaped = { 0 };

	if (channel >= ring->channel_count)
		return -EINVAL;
	/* What clients ask for once they have their answers is not for others: this
	 * thread looks before it sleeps. */
	atomic_inc(&ring->looking);
	ring_reap(ring, array_index_nospec(channel, ring->channel_count),
		  &reaped);
	atomic_dec(&ring->looking);
	if (reaped.bad)
		return -EINVAL;
	if (argument & KBDUSRING_ENTER_WAIT)
		return ring_wait(ring);
	if (argument & KBDUSRING_ENTER_NOTIFIED)
		return ring_look(ring);
	return KBDUSRING_ENTERED_REQUESTS;
}

/* Requests that nobody has taken, and notifications; there is always room for replies. */
static __poll_t protocol_ring_poll(struct kbdus_session *session,
				   struct file *file, poll_table *table)
{
	struct kbdus_ring *ring = session->protocol_data;

	poll_wait(file, &ring->inv->wait, table);
	/* Pairs with wq_has_sleeper(): whoever puts something in from now on wakes. */
	smp_mb();
	if (kbdus_ring_has_request(ring) ||
	    kbdus_inverter_has_notification(ring->inv, &session->puller))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

/* The argument is a number; no pointer goes through here. */
static long protocol_ring_call(struct kbdus_session *session,
			       unsigned int command, void __user *argument)
{
	if (command != KBDUSRING_IOCTL_ENTER)
		return -ENOTTY;
	return ring_enter(session->protocol_data, (unsigned long)argument);
}

static const unsigned int protocol_ring_commands[] = {
	KBDUSRING_IOCTL_ENTER,
	0,
};

const struct kbdus_protocol kbdus_protocol_ring = {
	.name = KBDUSRING_PROTOCOL_NAME,
	.commands = protocol_ring_commands,
	.open = protocol_ring_open,
	.start = protocol_ring_start,
	.close = protocol_ring_close,
	.call = protocol_ring_call,
	.map = protocol_ring_map,
	.poll = protocol_ring_poll,
};
