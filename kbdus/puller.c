// SPDX-License-Identifier: GPL-2.0-only
/*
 * puller.c: the driver's side of the inverter.
 *
 * session.c says who the puller of a device is, and asks it to leave; a protocol takes
 * requests and notifications for it and gives its answers back. A request is handed
 * over in two steps each way, with the copy in between, so that nothing is held while
 * memory is copied, and so that a request can be taken away from a driver that is gone
 * meanwhile. One that a driver did not answer goes back to its place in the queue, so
 * that the next driver sees the order that the first one saw.
 *
 * Trusts nothing that names a request: see the handle.
 */
#include <linux/ktime.h>

#include "disk.h"
#include "inverter.h"
#include "slot.h"
#include "status.h"

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
	inv->attach_time = jiffies;
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
		kbdus_slot_enqueue(inv, slot, -ESHUTDOWN);
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
	kbdus_slot_dequeue(inv, slot);
	slot->handover = inv->next_handover++;
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_OUTBOUND, 0);
	item->rq = slot->rq;
	item->handle = handle_make(inv, slot);
	item->type = kbdus_disk_request_type(slot->rq);
	return true;
}

static bool inverter_pick(struct kbdus_inverter *inv,
			  struct kbdus_puller *puller, struct kbdus_item *item)
{
	bool found = inverter_pick_any(inv, puller, item);

	if (!list_empty(&inv->queued))
		kbdus_slot_wake_next(inv);
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
 * As kbdus_inverter_take(), but does not wait.
 *
 * Return: true if there was something.
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

static struct kbdus_slot *item_slot(struct kbdus_inverter *inv,
				    const struct kbdus_item *item)
{
	return &inv->slots[item->handle & (BIT(HANDLE_TAG_BITS) - 1)];
}

/*
 * Ends a request that was to be cut while it was being copied, whose slot is
 * WITH_DRIVER or QUEUED now. Drops the lock.
 */
static void slot_cut_now(struct kbdus_inverter *inv, struct kbdus_slot *slot)
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
	rq = kbdus_slot_release(inv, slot, error);
	spin_unlock(&inv->lock);
	kbdus_disk_end_request(rq, status, error);
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
	slot = item_slot(inv, item);
	spin_lock(&inv->lock);
	is_present = inv->puller == puller && !puller->is_leaving;
	if (slot->is_cut) {
		kbdus_slot_enqueue(inv, slot, -ECANCELED);
		slot_cut_now(inv, slot);
		return false;
	}
	if (is_present) {
		kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, 0);
		inv->with_driver_now++;
		inv->statistics.delivered++;
	} else {
		kbdus_slot_enqueue(inv, slot, -ESHUTDOWN);
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
	slot = item_slot(inv, item);
	kbdus_slot_enqueue(inv, slot, error);
	if (slot->is_cut) {
		slot_cut_now(inv, slot);
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
		kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_INBOUND, 0);
		item->rq = slot->rq;
		item->handle = handle;
		item->type = kbdus_disk_request_type(slot->rq);
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
	spin_lock(&inv->lock);
	kbdus_slot_release(inv, item_slot(inv, item), error);
	if (error)
		inv->statistics.failed++;
	else
		inv->statistics.succeeded++;
	spin_unlock(&inv->lock);

	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		kbdus_disk_end_request(item->rq, BLK_STS_OK,
				       kbdus_status_ioctl_error(error));
	else
		kbdus_disk_end_request(item->rq, kbdus_status_block(error), 0);
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
	struct kbdus_slot *slot = item_slot(inv, item);

	spin_lock(&inv->lock);
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, error);
	if (slot->is_cut || inv->is_terminated) {
		if (!slot->is_cut)
			kbdus_slot_cut_later(slot, BLK_STS_IOERR);
		slot_cut_now(inv, slot);
		return;
	}
	if (inv->puller != puller) {
		inv->with_driver_now--;
		kbdus_slot_enqueue(inv, slot, -ESHUTDOWN);
		inv->statistics.requeued++;
	}
	spin_unlock(&inv->lock);
	wake_up(&inv->wait);
}
