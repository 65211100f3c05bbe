// SPDX-License-Identifier: GPL-2.0-only
/*
 * inverter.c: turns requests that the block layer pushes into requests that a
 * driver can pull.
 *
 * device.c puts requests in, one protocol takes them out and answers them. The
 * inverter owns a request from put until it ends it, whoever holds it meanwhile
 * (the states and who may change them: states.h). All state changes go through
 * request_set_state() under inv->lock; requests are ended after the lock was
 * dropped. A request that a driver did not answer goes back to its place in the
 * queue, so that the next driver sees the order that the first one saw.
 *
 * Knows nothing of user memory: that is payload.c.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "client.h"
#include "device.h"
#include "inverter.h"
#include "status.h"
#include "trace.h"

/*
 * A handle is the number of a hand-over above the tag. No two hand-overs have
 * the same number, so a handle never matches anything but the hand-over that it
 * was made for.
 */
#define HANDLE_TAG_BITS 16

static u64 handle_make(const struct kbdus_inverter *inv,
		       const struct kbdus_slot *slot)
{
	return slot->handover << HANDLE_TAG_BITS | (slot - inv->slots);
}

/*
 * An event for each arrow of the table. Where several end in the same state the
 * event itself looks at where the request comes from, if it is enabled at all.
 */
static void request_trace(const struct kbdus_inverter *inv,
			  const struct kbdus_slot *slot,
			  enum kbdus_request_state state, int error)
{
	switch (state) {
	case KBDUS_REQUEST_FREE:
		trace_kbdus_request_finished(inv, slot, error);
		trace_kbdus_request_cancelled(inv, slot, error);
		break;
	case KBDUS_REQUEST_QUEUED:
		trace_kbdus_request_queued(inv, slot, error);
		trace_kbdus_request_requeued(inv, slot, error);
		break;
	case KBDUS_REQUEST_OUTBOUND:
		trace_kbdus_request_taken(inv, slot, error);
		break;
	case KBDUS_REQUEST_WITH_DRIVER:
		trace_kbdus_request_delivered(inv, slot, error);
		trace_kbdus_request_unanswered(inv, slot, error);
		break;
	case KBDUS_REQUEST_INBOUND:
		trace_kbdus_request_answered(inv, slot, error);
		break;
	}
}

/*
 * The slot describes the request, also if it is about to be free: @error, 0 or a
 * negative errno, says why it goes back or how it ends.
 */
static void request_set_state(struct kbdus_inverter *inv,
			      struct kbdus_slot *slot,
			      enum kbdus_request_state state, int error)
{
	lockdep_assert_held(&inv->lock);
	kbdus_assert_may_follow(request, slot->state, state);
	request_trace(inv, slot, state, error);
	slot->state = state;
}

static struct kbdus_slot *slot_of(struct kbdus_inverter *inv,
				  struct request *rq)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	lockdep_assert_held(&inv->lock);
	return cmd->slot;
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
	inv->waits_for_successor = config->orphan_timeout_ms;
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

/*
 * Puts a request back to its place in the order of arrival; @error says why the
 * driver does not have it.
 */
static void request_enqueue(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			    int error)
{
	struct kbdus_slot *other;

	request_set_state(inv, slot, KBDUS_REQUEST_QUEUED, error);
	inv->queued_now++;
	/* What goes back is older than nearly everything that waits. */
	list_for_each_entry(other, &inv->queued, link) {
		if (other->sequence > slot->sequence) {
			list_add_tail(&slot->link, &other->link);
			return;
		}
	}
	list_add_tail(&slot->link, &inv->queued);
}

static void request_dequeue(struct kbdus_inverter *inv, struct kbdus_slot *slot)
{
	list_del_init(&slot->link);
	inv->queued_now--;
}

/*
 * Who waits is woken up one at a time, by a token that goes from hand to hand: a
 * request that comes to an empty queue wakes up the first, and everybody who looks
 * and leaves requests behind wakes up the next. A burst of requests so wakes up only
 * as many as find something to do.
 *
 * The token cannot get lost. Nobody goes to sleep but who saw the queue empty when he
 * could already be seen to wait, so whoever sleeps while there are requests did so
 * before the first of them came, and that one woke up somebody. He looks, whatever
 * he gets then, even if others took everything or if he is to leave; or the queue is
 * empty again, and the next request finds it so.
 */
static void inverter_wake_next(struct kbdus_inverter *inv)
{
	lockdep_assert_held(&inv->lock);
	/* Orders what was queued before looking for who sleeps. */
	if (wq_has_sleeper(&inv->wait))
		wake_up(&inv->wait);
}

/* Told to whoever is leaving: nothing is held any more, it may flush. */
static void with_driver_drop(struct kbdus_inverter *inv)
{
	if (!--inv->with_driver_now && inv->puller && inv->puller->owes_flush)
		wake_up_all(&inv->wait);
}

/*
 * Takes a request away from whoever holds it; the caller ends it, with @error,
 * after dropping the lock. The slot must be QUEUED or WITH_DRIVER.
 */
static struct request *request_cut(struct kbdus_inverter *inv,
				   struct kbdus_slot *slot, int error)
{
	struct request *rq = slot->rq;
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	if (slot->state == KBDUS_REQUEST_QUEUED)
		request_dequeue(inv, slot);
	else
		with_driver_drop(inv);
	request_set_state(inv, slot, KBDUS_REQUEST_FREE, error);
	slot->rq = NULL;
	slot->is_cut = false;
	cmd->slot = NULL;
	return rq;
}

static bool slot_is_copying(const struct kbdus_slot *slot)
{
	return slot->state == KBDUS_REQUEST_OUTBOUND ||
	       slot->state == KBDUS_REQUEST_INBOUND;
}

/* Remembers to cut a request whose copy is under way. */
static void slot_cut_later(struct kbdus_slot *slot, blk_status_t status)
{
	slot->is_cut = true;
	slot->cut_status = status;
}

static void request_chain(struct list_head *list, struct request *rq)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	list_add_tail(&cmd->end_link, list);
}

static void requests_end(struct list_head *list, blk_status_t status, int error)
{
	struct kbdus_command *cmd, *next;

	/* The commands' memory may be used for new requests right away. */
	list_for_each_entry_safe(cmd, next, list, end_link)
		kbdus_device_end_request(blk_mq_rq_from_pdu(cmd), status,
					 error);
}

/**
 * kbdus_inverter_put() - hands a request in
 * @inv: the inverter
 * @rq: the request, not started yet
 *
 * Context: may be called from the block layer's dispatch, does not sleep.
 *
 * Return: BLK_STS_OK, and the request is the inverter's; or why it is refused.
 */
blk_status_t kbdus_inverter_put(struct kbdus_inverter *inv, struct request *rq)
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
		/* No reply is for it before it is handed over, late ones least. */
		slot->handover = 0;
		slot->sequence = inv->next_sequence++;
		slot->arrival = jiffies;
		cmd->slot = slot;
		/* Before anybody can see it, so that nobody ends it earlier. */
		blk_mq_start_request(rq);
		request_set_state(inv, slot, KBDUS_REQUEST_QUEUED, 0);
		is_first = list_empty(&inv->queued);
		list_add_tail(&slot->link, &inv->queued);
		inv->queued_now++;
		inv->statistics.requests++;
		/* Under the lock: whoever comes second relies on it. */
		if (is_first)
			inverter_wake_next(inv);
	}
	spin_unlock(&inv->lock);
	return status;
}

/* Whether a request whose time is over goes on waiting for a successor. */
static bool request_may_wait(const struct kbdus_inverter *inv)
{
	return !inv->puller && inv->waits_for_successor && !inv->is_expired &&
	       !inv->is_terminated;
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

	spin_lock(&inv->lock);
	slot = slot_of(inv, rq);
	if (!slot) {
		spin_unlock(&inv->lock);
		return BLK_EH_DONE;
	}
	if (request_may_wait(inv)) {
		spin_unlock(&inv->lock);
		return BLK_EH_RESET_TIMER;
	}
	if (slot_is_copying(slot)) {
		slot_cut_later(slot, BLK_STS_TIMEOUT);
		spin_unlock(&inv->lock);
		return BLK_EH_RESET_TIMER;
	}
	request_cut(inv, slot, -ETIMEDOUT);
	inv->statistics.timed_out++;
	spin_unlock(&inv->lock);

	kbdus_device_end_request(rq, BLK_STS_TIMEOUT, -ETIMEDOUT);
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

	spin_lock(&inv->lock);
	slot = slot_of(inv, rq);
	if (slot && slot_is_copying(slot)) {
		slot_cut_later(slot, BLK_STS_IOERR);
		slot = NULL;
	} else if (slot) {
		request_cut(inv, slot, -EINTR);
		inv->statistics.cancelled++;
	}
	spin_unlock(&inv->lock);

	if (slot)
		kbdus_device_end_request(rq, BLK_STS_IOERR, -EINTR);
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
 * Cuts everything that is QUEUED, and if @with_driver what is WITH_DRIVER, onto
 * a list; copies under way are cut when they are over.
 */
static unsigned int requests_cut(struct kbdus_inverter *inv, bool with_driver,
				 blk_status_t status, int error,
				 struct list_head *list)
{
	struct kbdus_slot *slot;
	unsigned int count = 0;

	for (slot = inv->slots; slot < inv->slots + inv->depth; slot++) {
		if (slot->state == KBDUS_REQUEST_OUTBOUND) {
			slot_cut_later(slot, status);
		} else if (slot->state == KBDUS_REQUEST_QUEUED ||
			   (slot->state == KBDUS_REQUEST_WITH_DRIVER &&
			    with_driver)) {
			request_chain(list, request_cut(inv, slot, error));
			count++;
		}
	}
	return count;
}

/**
 * kbdus_inverter_terminate() - fails every request, now and from now on
 * @inv: the inverter
 *
 * Needs nothing of the driver. A second call does nothing.
 */
void kbdus_inverter_terminate(struct kbdus_inverter *inv)
{
	LIST_HEAD(list);

	spin_lock(&inv->lock);
	inv->is_terminated = true;
	if (inv->puller) {
		inv->puller->is_leaving = true;
		inv->puller->owes_flush = false;
		inv->puller->owes_available = false;
	}
	inv->statistics.terminated +=
		requests_cut(inv, true, BLK_STS_IOERR, -ENODEV, &list);
	spin_unlock(&inv->lock);

	wake_up_all(&inv->wait);
	requests_end(&list, BLK_STS_IOERR, -ENODEV);
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
	LIST_HEAD(list);

	spin_lock(&inv->lock);
	if (!inv->puller && !inv->is_terminated) {
		inv->is_expired = true;
		inv->statistics.timed_out +=
			requests_cut(inv, false, BLK_STS_TIMEOUT, -ETIMEDOUT,
				     &list);
	}
	spin_unlock(&inv->lock);

	requests_end(&list, BLK_STS_TIMEOUT, -ETIMEDOUT);
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

/**
 * kbdus_inverter_attach() - makes somebody the one who takes requests
 * @inv: the inverter, which has no puller
 * @puller: the new one, zeroed
 */
void kbdus_inverter_attach(struct kbdus_inverter *inv,
			   struct kbdus_puller *puller)
{
	spin_lock(&inv->lock);
	WARN_ON_ONCE(inv->puller);
	inv->puller = puller;
	inv->is_expired = false;
	inv->statistics.sessions++;
	puller->owes_available = inv->is_available;
	puller->is_leaving = inv->is_terminated;
	if (inv->gap_start)
		inv->statistics.last_gap_ns = ktime_get_ns() - inv->gap_start;
	inv->gap_start = 0;
	inv->orphan_start = 0;
	spin_unlock(&inv->lock);
}

/**
 * kbdus_inverter_stop() - asks the one who takes requests to leave
 * @inv: the inverter
 * @puller: who is to leave; nothing happens if it is not the present one
 * @flush: tell it to flush, once it holds nothing any more
 *
 * What it holds it may still answer.
 */
void kbdus_inverter_stop(struct kbdus_inverter *inv,
			 struct kbdus_puller *puller, bool flush)
{
	spin_lock(&inv->lock);
	if (inv->puller == puller && !puller->is_leaving) {
		puller->is_leaving = true;
		puller->owes_flush = flush && inv->supports_flush;
		inv->gap_start = ktime_get_ns();
	}
	spin_unlock(&inv->lock);
	wake_up_all(&inv->wait);
}

/**
 * kbdus_inverter_detach() - takes everything back from a puller that is gone
 * @inv: the inverter
 * @puller: who is gone; nothing happens if it is not the present one
 *
 * What it was given and did not answer goes back to the head of the queue. If
 * one of its threads is copying, that ends by itself (see the commit functions).
 */
void kbdus_inverter_detach(struct kbdus_inverter *inv,
			   struct kbdus_puller *puller)
{
	struct kbdus_slot *slot;

	spin_lock(&inv->lock);
	if (inv->puller != puller) {
		spin_unlock(&inv->lock);
		return;
	}
	for (slot = inv->slots; slot < inv->slots + inv->depth; slot++) {
		if (slot->state != KBDUS_REQUEST_WITH_DRIVER)
			continue;
		inv->with_driver_now--;
		request_enqueue(inv, slot, -ESHUTDOWN);
		inv->statistics.requeued++;
	}
	puller->is_leaving = true;
	puller->owes_flush = false;
	inv->puller = NULL;
	inv->orphan_start = ktime_get_ns();
	if (!inv->gap_start)
		inv->gap_start = inv->orphan_start;
	spin_unlock(&inv->lock);
	/* Threads of a puller that was cut off learn that it is over. */
	wake_up_all(&inv->wait);
}

/* Whether a puller that asks now gets something. Racy; take looks again. */
static bool inverter_has_item(const struct kbdus_inverter *inv,
			      const struct kbdus_puller *puller)
{
	if (READ_ONCE(inv->puller) != puller)
		return true;
	if (READ_ONCE(puller->owes_available))
		return true;
	if (READ_ONCE(puller->is_leaving))
		return !READ_ONCE(puller->owes_flush) ||
		       !READ_ONCE(inv->with_driver_now);
	return !list_empty_careful(&inv->queued);
}

/* What a leaving puller gets: the flush once everything is answered. */
static bool inverter_pick_farewell(struct kbdus_inverter *inv,
				   struct kbdus_puller *puller,
				   struct kbdus_item *item)
{
	if (!puller->owes_flush) {
		item->type = KBDUS_REQUEST_TYPE_TERMINATE;
		return true;
	}
	if (inv->with_driver_now)
		return false;
	puller->owes_flush = false;
	item->type = KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE;
	/* The others, who waited for this, get TERMINATE. */
	wake_up_all(&inv->wait);
	return true;
}

static bool inverter_pick_any(struct kbdus_inverter *inv,
			      struct kbdus_puller *puller,
			      struct kbdus_item *item)
{
	struct kbdus_slot *slot;

	*item = (struct kbdus_item){ 0 };
	if (inv->puller != puller) {
		item->type = KBDUS_REQUEST_TYPE_TERMINATE;
		return true;
	}
	/* Also before it leaves: a driver whose device never came would wait until
	 * that is gone, but somebody else may be serving it. */
	if (puller->owes_available) {
		puller->owes_available = false;
		item->type = KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE;
		return true;
	}
	if (puller->is_leaving)
		return inverter_pick_farewell(inv, puller, item);

	slot = list_first_entry_or_null(&inv->queued, struct kbdus_slot, link);
	if (!slot)
		return false;
	request_dequeue(inv, slot);
	slot->handover = inv->next_handover++;
	request_set_state(inv, slot, KBDUS_REQUEST_OUTBOUND, 0);
	item->rq = slot->rq;
	item->handle = handle_make(inv, slot);
	item->type = kbdus_device_request_type(slot->rq);
	return true;
}

static bool inverter_pick(struct kbdus_inverter *inv,
			  struct kbdus_puller *puller, struct kbdus_item *item)
{
	bool found = inverter_pick_any(inv, puller, item);

	if (!list_empty(&inv->queued))
		inverter_wake_next(inv);
	return found;
}

/**
 * kbdus_inverter_take() - waits for something to do
 * @inv: the inverter
 * @puller: who asks
 * @item: what it got
 *
 * A request is OUTBOUND then: the caller copies it out without waiting for
 * anything and calls one of the two functions below. It must not be cut until
 * then, which keeps the request's pages valid.
 *
 * Context: sleeps, interruptibly.
 *
 * Return: 0, or -EINTR with nothing taken.
 */
int kbdus_inverter_take(struct kbdus_inverter *inv, struct kbdus_puller *puller,
			struct kbdus_item *item)
{
	bool found;

	do {
		if (wait_event_interruptible_exclusive(
			    inv->wait, inverter_has_item(inv, puller)))
			return -EINTR;
		spin_lock(&inv->lock);
		found = inverter_pick(inv, puller, item);
		spin_unlock(&inv->lock);
	} while (!found);
	return 0;
}

/**
 * kbdus_inverter_try_take() - takes something to do if there is something
 * @inv: the inverter
 * @puller: who asks
 * @item: what it got
 *
 * As kbdus_inverter_take(), but does not wait. Return: whether there is an item.
 */
bool kbdus_inverter_try_take(struct kbdus_inverter *inv,
			     struct kbdus_puller *puller,
			     struct kbdus_item *item)
{
	bool found;

	spin_lock(&inv->lock);
	found = inverter_pick(inv, puller, item);
	spin_unlock(&inv->lock);
	return found;
}

static struct kbdus_slot *slot_of_item(struct kbdus_inverter *inv,
				       const struct kbdus_item *item)
{
	return &inv->slots[item->handle & (BIT(HANDLE_TAG_BITS) - 1)];
}

/*
 * Ends a request that was to be cut while it was being copied, whose slot is
 * WITH_DRIVER or QUEUED now. Drops the lock.
 */
static void request_cut_now(struct kbdus_inverter *inv, struct kbdus_slot *slot)
	__releases(&inv->lock)
{
	blk_status_t status = slot->cut_status;
	struct request *rq;
	int error = -EINTR;

	if (status == BLK_STS_TIMEOUT) {
		inv->statistics.timed_out++;
		error = -ETIMEDOUT;
	} else if (inv->is_terminated) {
		inv->statistics.terminated++;
		error = -ENODEV;
	} else {
		inv->statistics.cancelled++;
	}
	rq = request_cut(inv, slot, error);
	spin_unlock(&inv->lock);
	kbdus_device_end_request(rq, status, error);
}

/**
 * kbdus_inverter_commit_take() - hands a request over to the driver
 * @inv: the inverter
 * @puller: who took it
 * @item: what it took
 *
 * A puller that was asked to leave meanwhile does not get it: the flush that it
 * makes may be under way.
 *
 * Return: whether the driver has it now. If not, it was cut or taken back while
 * it was being copied, and the puller asks again. Notifications always arrive.
 */
bool kbdus_inverter_commit_take(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item)
{
	struct kbdus_slot *slot;
	bool is_present;

	if (!item->rq)
		return true;
	slot = slot_of_item(inv, item);
	spin_lock(&inv->lock);
	is_present = inv->puller == puller && !puller->is_leaving;
	if (slot->is_cut) {
		request_enqueue(inv, slot, -ECANCELED);
		request_cut_now(inv, slot);
		return false;
	}
	if (is_present) {
		request_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, 0);
		inv->with_driver_now++;
		inv->statistics.delivered++;
	} else {
		request_enqueue(inv, slot, -ESHUTDOWN);
	}
	spin_unlock(&inv->lock);
	if (!is_present)
		wake_up(&inv->wait);
	return is_present;
}

/* A notification that did not arrive is owed again. */
static void notification_return(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item)
{
	if (inv->puller != puller)
		return;
	if (item->type == KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE)
		puller->owes_available = !inv->is_terminated;
	else if (item->type == KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE)
		puller->owes_flush = !inv->is_terminated;
}

/**
 * kbdus_inverter_abort_take() - puts back what could not be copied
 * @inv: the inverter
 * @puller: who took it
 * @item: what it took
 * @error: why, as a negative errno, for those who trace
 */
void kbdus_inverter_abort_take(struct kbdus_inverter *inv,
			       struct kbdus_puller *puller,
			       const struct kbdus_item *item, int error)
{
	struct kbdus_slot *slot;

	spin_lock(&inv->lock);
	if (!item->rq) {
		notification_return(inv, puller, item);
		spin_unlock(&inv->lock);
		wake_up(&inv->wait);
		return;
	}
	slot = slot_of_item(inv, item);
	request_enqueue(inv, slot, error);
	if (slot->is_cut) {
		request_cut_now(inv, slot);
		return;
	}
	spin_unlock(&inv->lock);
	wake_up(&inv->wait);
}

/**
 * kbdus_inverter_begin_reply() - finds the request that a reply is for
 * @inv: the inverter
 * @puller: who answers
 * @handle: what the reply names
 * @item: the request, INBOUND from now on
 *
 * The caller copies the reply in without waiting for anything and calls one of
 * the two functions below.
 *
 * Return: 0; -ESTALE if the request no longer waits for an answer by @puller;
 * -EINVAL if the handle names nothing that can be answered now.
 */
int kbdus_inverter_begin_reply(struct kbdus_inverter *inv,
			       struct kbdus_puller *puller, u64 handle,
			       struct kbdus_item *item)
{
	u64 tag = handle & (BIT(HANDLE_TAG_BITS) - 1);
	u64 handover = handle >> HANDLE_TAG_BITS;
	struct kbdus_slot *slot;
	int ret = 0;

	spin_lock(&inv->lock);
	if (tag >= inv->depth || !handover || handover >= inv->next_handover) {
		ret = -EINVAL;
		goto out;
	}
	slot = &inv->slots[tag];
	if (inv->puller != puller || slot->handover != handover ||
	    slot->state == KBDUS_REQUEST_FREE) {
		ret = -ESTALE;
	} else if (slot->state != KBDUS_REQUEST_WITH_DRIVER) {
		/* Not handed over yet, or another thread is answering it. */
		ret = -EINVAL;
	} else {
		request_set_state(inv, slot, KBDUS_REQUEST_INBOUND, 0);
		item->rq = slot->rq;
		item->handle = handle;
		item->type = kbdus_device_request_type(slot->rq);
	}
out:
	if (ret == -EINVAL)
		inv->statistics.bad_replies++;
	else if (ret)
		inv->statistics.late_replies++;
	spin_unlock(&inv->lock);
	return ret;
}

/**
 * kbdus_inverter_commit_reply() - ends a request with the driver's answer
 * @inv: the inverter
 * @item: the request
 * @error: 0 or what went wrong, a negative errno as the driver means it
 *
 * The answer counts even if the request was to be cut meanwhile.
 */
void kbdus_inverter_commit_reply(struct kbdus_inverter *inv,
				 const struct kbdus_item *item, int error)
{
	struct kbdus_slot *slot = slot_of_item(inv, item);
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(item->rq);

	spin_lock(&inv->lock);
	request_set_state(inv, slot, KBDUS_REQUEST_FREE, error);
	slot->rq = NULL;
	slot->is_cut = false;
	cmd->slot = NULL;
	with_driver_drop(inv);
	if (error)
		inv->statistics.failed++;
	else
		inv->statistics.succeeded++;
	spin_unlock(&inv->lock);

	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		kbdus_device_end_request(item->rq, BLK_STS_OK,
					 kbdus_status_ioctl_error(error));
	else
		kbdus_device_end_request(item->rq, kbdus_status_block(error),
					 0);
}

/**
 * kbdus_inverter_abort_reply() - leaves a request whose answer was bad
 * @inv: the inverter
 * @puller: who answered
 * @item: the request, which stays with the driver if it is still the present one
 * @error: why, as a negative errno, for those who trace
 */
void kbdus_inverter_abort_reply(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item, int error)
{
	struct kbdus_slot *slot = slot_of_item(inv, item);

	spin_lock(&inv->lock);
	request_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, error);
	if (slot->is_cut || inv->is_terminated) {
		if (!slot->is_cut)
			slot_cut_later(slot, BLK_STS_IOERR);
		request_cut_now(inv, slot);
		return;
	}
	if (inv->puller != puller) {
		inv->with_driver_now--;
		request_enqueue(inv, slot, -ESHUTDOWN);
		inv->statistics.requeued++;
	}
	spin_unlock(&inv->lock);
	wake_up(&inv->wait);
}
