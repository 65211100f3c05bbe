// SPDX-License-Identifier: GPL-2.0-only
/*
 * inverter.c: turns requests that the block layer pushes into requests that a
 * driver can pull.
 *
 * device.c puts requests in, one protocol takes them out and answers them. The
 * inverter owns a request from put until it ends it, whoever holds it meanwhile
 * (the states and who may change them: states.h). Here is its life, and the side
 * of those who put requests in and of the clock; the driver's side is puller.c and
 * reply.c, and what all do with a request's state slot.c. Everything happens under
 * inv->lock, but requests are ended after it was dropped.
 *
 * Knows nothing of user memory: that is payload.c.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "client.h"
#include "disk.h"
#include "inverter.h"
#include "slot.h"

static struct kbdus_slot *slot_of(struct kbdus_inverter *inv,
				  struct request *rq)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	lockdep_assert_held(&inv->lock);
	return cmd->slot;
}

static bool slot_is_copying(const struct kbdus_slot *slot)
{
	return slot->state == KBDUS_REQUEST_OUTBOUND ||
	       slot->state == KBDUS_REQUEST_INBOUND;
}

/**
 * kbdus_inverter_create() - makes the inverter of a device
 * @config: the device's configuration, which lives as long as the device; its
 *	seqnum need not be there before the first request is
 *
 * Return: the inverter, without a puller; NULL if there is no memory.
 */
struct kbdus_inverter *
kbdus_inverter_create(const struct kbdus_device_config *config)
{
	unsigned int depth = config->max_outstanding_requests;
	struct kbdus_inverter *inv;
	unsigned int i;

	inv = kvzalloc(struct_size(inv, slots, depth), GFP_KERNEL);
	if (!inv)
		return NULL;

	spin_lock_init(&inv->lock);
	init_waitqueue_head(&inv->wait);
	INIT_LIST_HEAD(&inv->queued);
	inv->config = config;
	inv->depth = depth;
	inv->supports_flush = config->operations & KBDUS_OP(FLUSH);
	inv->next_handover = 1;
	for (i = 0; i < depth; i++)
		INIT_LIST_HEAD(&inv->slots[i].link);
	return inv;
}

/**
 * kbdus_inverter_destroy() - frees an inverter that has no requests any more
 * @inv: the inverter
 *
 * Whoever put the last request in may still be dropping the lock while the driver
 * has already answered it; the block layer does that in an RCU section.
 */
void kbdus_inverter_destroy(struct kbdus_inverter *inv)
{
	kvfree_rcu(inv, rcu);
}

/**
 * kbdus_inverter_memory() - what the requests of a device take
 * @inv: the inverter
 *
 * Context: any; needs no lock.
 *
 * Return: bytes, those of the block layer's requests included.
 */
size_t kbdus_inverter_memory(const struct kbdus_inverter *inv)
{
	size_t request = sizeof(struct request) + sizeof(struct kbdus_command);

	return struct_size(inv, slots, inv->depth) + inv->depth * request;
}

/**
 * kbdus_inverter_push() - has requests taken that were put in
 * @inv: the inverter
 *
 * Nothing happens if threads of the driver come for them: they were woken up.
 *
 * Context: does not sleep; no spinlock held.
 */
void kbdus_inverter_push(struct kbdus_inverter *inv)
{
	struct kbdus_puller *puller;

	/* A puller that is detached stays valid for as long. */
	rcu_read_lock();
	puller = READ_ONCE(inv->puller);
	if (puller && puller->push)
		puller->push(puller);
	rcu_read_unlock();
}

/**
 * kbdus_inverter_push_and_linger() - the same for a client that waits for the answer
 * @inv: the inverter
 *
 * It may have been answered on return, if that was soon enough.
 *
 * Context: that of the client; does not sleep; no spinlock held.
 */
void kbdus_inverter_push_and_linger(struct kbdus_inverter *inv)
{
	struct kbdus_puller *puller;

	/* As above. */
	rcu_read_lock();
	puller = READ_ONCE(inv->puller);
	if (puller && puller->linger)
		puller->linger(puller);
	else if (puller && puller->push)
		puller->push(puller);
	rcu_read_unlock();
}

/**
 * kbdus_inverter_poll() - looks for answers, on behalf of a client that polls
 * @inv: the inverter
 *
 * Context: does not sleep; no spinlock held.
 *
 * Return: how many requests were ended; 0 if the protocol cannot look for answers.
 */
unsigned int kbdus_inverter_poll(struct kbdus_inverter *inv)
{
	struct kbdus_puller *puller;
	unsigned int answered = 0;

	/* As above. */
	rcu_read_lock();
	puller = READ_ONCE(inv->puller);
	if (puller && puller->poll)
		answered = puller->poll(puller);
	rcu_read_unlock();
	return answered;
}

/**
 * kbdus_inverter_reannounce() - has requests taken that were put back
 * @inv: the inverter
 *
 * Whoever is the puller now may have looked before that.
 *
 * Context: does not sleep; no spinlock held.
 */
void kbdus_inverter_reannounce(struct kbdus_inverter *inv)
{
	wake_up(&inv->wait);
	kbdus_inverter_push(inv);
}

/* Under the lock, as whoever comes second relies on the first having done it. */
static void inverter_announce(struct kbdus_inverter *inv)
{
	lockdep_assert_held(&inv->lock);
	if (!inv->puller || !inv->puller->push)
		kbdus_slot_wake_next(inv);
}

/**
 * kbdus_inverter_put() - hands a request in
 * @inv: the inverter
 * @rq: the request, not started yet
 * @type: what it is
 *
 * kbdus_inverter_push() is to follow, once for any number of requests.
 *
 * Context: may be called from the block layer's dispatch, does not sleep.
 *
 * Return: BLK_STS_OK, and the request is the inverter's; or why it is refused.
 */
blk_status_t kbdus_inverter_put(struct kbdus_inverter *inv, struct request *rq,
				enum kbdus_request_type type)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);
	struct kbdus_slot *slot = &inv->slots[rq->tag];
	blk_status_t status = BLK_STS_OK;
	bool is_first;

	spin_lock(&inv->lock);
	if (WARN_ON_ONCE(slot->state != KBDUS_REQUEST_FREE)) {
		status = BLK_STS_IOERR;
	} else if (inv->is_terminated) {
		status = BLK_STS_IOERR;
		inv->statistics.terminated++;
		if (cmd->ioctl)
			kbdus_client_ioctl_set_error(cmd->ioctl, -ENODEV);
	} else if (inv->is_expired) {
		status = BLK_STS_TIMEOUT;
		inv->statistics.timed_out++;
	} else if (cmd->ioctl && kbdus_client_ioctl_is_cancelled(cmd->ioctl)) {
		status = BLK_STS_IOERR;
		inv->statistics.cancelled++;
	} else {
		slot->rq = rq;
		slot->type = type;
		/* No reply is for it before it is handed over, late ones least. */
		slot->handover = 0;
		slot->sequence = inv->next_sequence++;
		slot->arrival = jiffies;
		cmd->slot = slot;
		/* Before anybody can see it, so that nobody ends it earlier. */
		blk_mq_start_request(rq);
		kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_QUEUED, 0);
		is_first = list_empty(&inv->queued);
		list_add_tail(&slot->link, &inv->queued);
		inv->queued_now++;
		inv->statistics.requests++;
		if (is_first)
			inverter_announce(inv);
	}
	spin_unlock(&inv->lock);
	return status;
}

/*
 * How long a request may still wait, in jiffies; none if its time is over. It has all
 * of the time with each driver: one that has just come is not to lose what it has only
 * now been given. While there is no driver the device's clock counts, not this.
 */
static unsigned long request_time_left(const struct kbdus_inverter *inv,
				       const struct kbdus_slot *slot)
{
	unsigned long timeout = slot->rq->q->rq_timeout;
	unsigned long start = slot->arrival;

	if (inv->is_expired || inv->is_terminated)
		return 0;
	if (!inv->puller)
		return timeout;
	if (time_after(inv->attach_time, start))
		start = inv->attach_time;
	if (time_after_eq(jiffies, start + timeout))
		return 0;
	return start + timeout - jiffies;
}

/**
 * kbdus_inverter_time_out() - ends a request that nobody answered in time
 * @inv: the inverter
 * @rq: the request
 *
 * Return: BLK_EH_DONE if the request has been or is being ended,
 * BLK_EH_RESET_TIMER if it may go on.
 */
enum blk_eh_timer_return kbdus_inverter_time_out(struct kbdus_inverter *inv,
						 struct request *rq)
{
	struct kbdus_slot *slot;
	LIST_HEAD(ended);
	unsigned long left;

	spin_lock(&inv->lock);
	slot = slot_of(inv, rq);
	if (!slot) {
		spin_unlock(&inv->lock);
		return BLK_EH_DONE;
	}
	left = request_time_left(inv, slot);
	if (left) {
		rq->timeout = left;
		spin_unlock(&inv->lock);
		return BLK_EH_RESET_TIMER;
	}
	if (slot_is_copying(slot)) {
		kbdus_slot_cut_later(slot, BLK_STS_TIMEOUT);
		spin_unlock(&inv->lock);
		return BLK_EH_RESET_TIMER;
	}
	kbdus_slot_release(inv, slot, BLK_STS_TIMEOUT, -ETIMEDOUT, &ended);
	inv->statistics.timed_out++;
	spin_unlock(&inv->lock);

	/* If it was the first for which there was no room, the next may have some. */
	kbdus_inverter_push(inv);
	kbdus_slot_end_requests(&ended);
	return BLK_EH_DONE;
}

/**
 * kbdus_inverter_cancel() - gives up a request whose client was interrupted
 * @inv: the inverter
 * @rq: a client's ioctl, marked as cancelled, which the caller still holds
 *
 * The request ends at once or when the copy under way is over; if it has not
 * been put in yet it will be refused.
 */
void kbdus_inverter_cancel(struct kbdus_inverter *inv, struct request *rq)
{
	struct kbdus_slot *slot;
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	slot = slot_of(inv, rq);
	if (slot && slot_is_copying(slot)) {
		kbdus_slot_cut_later(slot, BLK_STS_IOERR);
	} else if (slot) {
		kbdus_slot_release(inv, slot, BLK_STS_IOERR, -EINTR, &ended);
		inv->statistics.cancelled++;
	}
	spin_unlock(&inv->lock);

	/* As above. */
	kbdus_inverter_push(inv);
	kbdus_slot_end_requests(&ended);
}

/**
 * kbdus_inverter_set_available() - tells the driver that clients can come
 * @inv: the inverter
 */
void kbdus_inverter_set_available(struct kbdus_inverter *inv)
{
	spin_lock(&inv->lock);
	inv->is_available = true;
	if (inv->puller && !inv->is_terminated)
		inv->puller->owes_available = true;
	spin_unlock(&inv->lock);
	wake_up_all(&inv->wait);
}

/*
 * Cuts everything that is QUEUED, and if @with_driver what is WITH_DRIVER, to
 * @ended; copies under way are cut when they are over.
 */
static unsigned int requests_cut(struct kbdus_inverter *inv, bool with_driver,
				 blk_status_t status, int error,
				 struct list_head *ended)
{
	struct kbdus_slot *slot;
	unsigned int count = 0;

	for (slot = inv->slots; slot < inv->slots + inv->depth; slot++) {
		if (slot->state == KBDUS_REQUEST_OUTBOUND) {
			kbdus_slot_cut_later(slot, status);
		} else if (slot->state == KBDUS_REQUEST_QUEUED ||
			   (slot->state == KBDUS_REQUEST_WITH_DRIVER &&
			    with_driver)) {
			kbdus_slot_release(inv, slot, status, error, ended);
			count++;
		}
	}
	return count;
}

static void inverter_revoke(struct kbdus_inverter *inv)
{
	struct kbdus_puller *puller;

	/* A puller that is detached stays valid for as long. */
	rcu_read_lock();
	puller = READ_ONCE(inv->puller);
	if (puller && puller->revoke)
		puller->revoke(puller);
	rcu_read_unlock();
}

/**
 * kbdus_inverter_terminate() - fails every request, now and from now on
 * @inv: the inverter
 *
 * Needs nothing of the driver. A second call does nothing.
 */
void kbdus_inverter_terminate(struct kbdus_inverter *inv)
{
	LIST_HEAD(ended);

	inverter_revoke(inv);
	spin_lock(&inv->lock);
	inv->is_terminated = true;
	if (inv->puller) {
		inv->puller->is_leaving = true;
		inv->puller->owes_flush = false;
		inv->puller->owes_available = false;
	}
	inv->statistics.terminated +=
		requests_cut(inv, true, BLK_STS_IOERR, -ENODEV, &ended);
	spin_unlock(&inv->lock);

	wake_up_all(&inv->wait);
	kbdus_slot_end_requests(&ended);
}

/**
 * kbdus_inverter_expire() - gives up waiting for a successor
 * @inv: the inverter
 *
 * Waiting requests fail, and so do later ones until somebody attaches. Does
 * nothing if somebody has attached meanwhile.
 */
void kbdus_inverter_expire(struct kbdus_inverter *inv)
{
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	if (!inv->puller && !inv->is_terminated) {
		inv->is_expired = true;
		inv->statistics.timed_out +=
			requests_cut(inv, false, BLK_STS_TIMEOUT, -ETIMEDOUT,
				     &ended);
	}
	spin_unlock(&inv->lock);

	kbdus_slot_end_requests(&ended);
}

/**
 * kbdus_inverter_get_statistics() - reads the counters and who serves
 * @inv: the inverter
 * @info: its statistics and service are filled in
 */
void kbdus_inverter_get_statistics(struct kbdus_inverter *inv,
				   struct kbdus_device_info *info)
{
	spin_lock(&inv->lock);
	info->statistics = inv->statistics;
	info->statistics.queued_now = inv->queued_now;
	info->statistics.with_driver_now = inv->with_driver_now;
	if (inv->is_terminated)
		info->service = KBDUS_SERVICE_STATE_NONE;
	else if (inv->is_expired)
		info->service = KBDUS_SERVICE_STATE_EXPIRED;
	else if (!inv->puller)
		info->service = KBDUS_SERVICE_STATE_ORPHAN;
	else if (inv->puller->is_leaving)
		info->service = KBDUS_SERVICE_STATE_LEAVING;
	else
		info->service = KBDUS_SERVICE_STATE_SERVED;
	if (!inv->puller && inv->orphan_start)
		info->statistics.orphaned_ns =
			ktime_get_ns() - inv->orphan_start;
	spin_unlock(&inv->lock);
}
