// SPDX-License-Identifier: GPL-2.0-only
/*
 * puller.c: the driver's side of the inverter.
 *
 * session.c says who the puller of a device is, and asks it to leave; a protocol takes
 * requests and notifications for it and gives its answers back (reply.c). It may wait
 * for them, or be called when they come (see kbdus_puller). A request is handed over in
 * two steps each way, with the copy in between, so that nothing is held while memory is
 * copied, and so that a request can be taken away from a driver that is gone meanwhile.
 * One that a driver did not answer goes back to its place in the queue, so that the next
 * driver sees the order that the first one saw.
 */
#include <linux/ktime.h>

#include "disk.h"
#include "inverter.h"
#include "slot.h"

/**
 * kbdus_inverter_attach() - makes somebody the one who takes requests
 * @inv: the inverter, which has no puller
 * @puller: the new one, zeroed but for its functions
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

	/* What belongs to a puller is freed after an RCU grace period. */
	rcu_read_lock();
	if (puller->revoke)
		puller->revoke(puller);
	rcu_read_unlock();
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

/**
 * kbdus_inverter_has_notification() - whether there is one to be taken
 * @inv: the inverter
 * @puller: who asks
 *
 * Context: any; needs no lock. Who takes looks again.
 *
 * Return: true if there seems to be one.
 */
bool kbdus_inverter_has_notification(const struct kbdus_inverter *inv,
				     const struct kbdus_puller *puller)
{
	if (READ_ONCE(inv->puller) != puller)
		return true;
	if (READ_ONCE(puller->owes_available))
		return true;
	return READ_ONCE(puller->is_leaving) &&
	       (!READ_ONCE(puller->owes_flush) ||
		!READ_ONCE(inv->with_driver_now));
}

/* Whether a puller may have requests: not one that leaves, or is gone. */
static bool puller_is_present(const struct kbdus_inverter *inv,
			      const struct kbdus_puller *puller)
{
	lockdep_assert_held(&inv->lock);
	return inv->puller == puller && !puller->is_leaving;
}

/* Whether a puller that asks now gets something. Racy; take looks again. */
static bool inverter_has_item(const struct kbdus_inverter *inv,
			      const struct kbdus_puller *puller)
{
	return kbdus_inverter_has_notification(inv, puller) ||
	       (!READ_ONCE(puller->is_leaving) &&
		!list_empty_careful(&inv->queued));
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

static bool inverter_pick_notification(struct kbdus_inverter *inv,
				       struct kbdus_puller *puller,
				       struct kbdus_item *item)
{
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
	return puller->is_leaving && inverter_pick_farewell(inv, puller, item);
}

/* Describes the next request as the next hand-over will; takes nothing yet. */
static struct kbdus_slot *inverter_peek(struct kbdus_inverter *inv,
					struct kbdus_item *item)
{
	struct kbdus_slot *slot;

	slot = list_first_entry_or_null(&inv->queued, struct kbdus_slot, link);
	if (!slot)
		return NULL;
	*item = (struct kbdus_item){
		.type = slot->type,
		.handle = kbdus_slot_handle(inv, slot, inv->next_handover),
		.rq = slot->rq,
	};
	return slot;
}

static void inverter_hand_out(struct kbdus_inverter *inv,
			      struct kbdus_slot *slot)
{
	slot->handover = inv->next_handover++;
	kbdus_slot_dequeue(inv, slot);
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_OUTBOUND, 0);
}

static bool inverter_pick_request(struct kbdus_inverter *inv,
				  struct kbdus_puller *puller,
				  struct kbdus_item *item)
{
	struct kbdus_slot *slot;

	if (!puller_is_present(inv, puller))
		return false;
	slot = inverter_peek(inv, item);
	if (slot)
		inverter_hand_out(inv, slot);
	return slot;
}

static bool inverter_pick(struct kbdus_inverter *inv,
			  struct kbdus_puller *puller, struct kbdus_item *item)
{
	bool found = inverter_pick_notification(inv, puller, item) ||
		     inverter_pick_request(inv, puller, item);

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

/**
 * kbdus_inverter_take_notification() - takes a notification if there is one
 * @inv: the inverter
 * @puller: who asks
 * @item: what it got
 *
 * Return: true if there was one. It always arrives: nothing is to be committed.
 */
bool kbdus_inverter_take_notification(struct kbdus_inverter *inv,
				      struct kbdus_puller *puller,
				      struct kbdus_item *item)
{
	bool found;

	if (!kbdus_inverter_has_notification(inv, puller))
		return false;
	spin_lock(&inv->lock);
	found = inverter_pick_notification(inv, puller, item);
	spin_unlock(&inv->lock);
	return found;
}

static void slot_deliver(struct kbdus_inverter *inv, struct kbdus_slot *slot)
{
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, 0);
	inv->with_driver_now++;
	inv->statistics.delivered++;
}

/**
 * kbdus_inverter_take_requests() - takes requests as long as there is room for them
 * @inv: the inverter
 * @puller: who asks
 * @admit: whether there is room for the next one, and if so makes use of it
 * @data: for @admit
 *
 * Those that are taken are OUTBOUND then, see kbdus_inverter_take(); the others
 * WITH_DRIVER.
 */
void kbdus_inverter_take_requests(struct kbdus_inverter *inv,
				  struct kbdus_puller *puller,
				  kbdus_admit_fn *admit, void *data)
{
	enum kbdus_admission admission;
	struct kbdus_slot *slot;
	struct kbdus_item item;

	spin_lock(&inv->lock);
	while (puller_is_present(inv, puller)) {
		slot = inverter_peek(inv, &item);
		admission = slot ? admit(data, &item) : KBDUS_NO_ROOM;
		if (admission == KBDUS_NO_ROOM)
			break;
		inverter_hand_out(inv, slot);
		if (admission == KBDUS_DELIVERED)
			slot_deliver(inv, slot);
	}
	spin_unlock(&inv->lock);
}

/* Whether the driver has the request now. */
static bool slot_commit_take(struct kbdus_inverter *inv,
			     struct kbdus_puller *puller,
			     struct kbdus_slot *slot, struct list_head *ended)
{
	if (slot->is_cut) {
		kbdus_slot_enqueue(inv, slot, -ECANCELED);
		kbdus_slot_cut_now(inv, slot, ended);
		return false;
	}
	if (!puller_is_present(inv, puller)) {
		kbdus_slot_enqueue(inv, slot, -ESHUTDOWN);
		return false;
	}
	slot_deliver(inv, slot);
	return true;
}

/**
 * kbdus_inverter_commit_takes() - hands requests over to the driver
 * @inv: the inverter
 * @puller: who took them
 * @items: what it took; @rq is made NULL of those that the driver does not get: they
 *	were cut or taken back while they were being copied
 * @count: how many
 *
 * A puller that was asked to leave meanwhile gets none: the flush that it makes may
 * be under way.
 *
 * Return: how many the driver gets. If not all, kbdus_inverter_reannounce() is to
 * follow, unless @puller itself takes what there is.
 */
unsigned int kbdus_inverter_commit_takes(struct kbdus_inverter *inv,
					 struct kbdus_puller *puller,
					 struct kbdus_item *items,
					 unsigned int count)
{
	unsigned int committed = 0;
	unsigned int i;
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	for (i = 0; i < count; i++) {
		if (slot_commit_take(inv, puller,
				     kbdus_slot_of_item(inv, &items[i]), &ended))
			committed++;
		else
			items[i].rq = NULL;
	}
	spin_unlock(&inv->lock);
	if (unlikely(committed < count))
		kbdus_slot_end_requests(&ended);
	return committed;
}

/**
 * kbdus_inverter_commit_take() - hands one item over to the driver
 * @inv: the inverter
 * @puller: who took it
 * @item: what it took
 *
 * As kbdus_inverter_commit_takes().
 *
 * Return: whether the driver has it now. If not the puller asks again. Notifications
 * always arrive.
 */
bool kbdus_inverter_commit_take(struct kbdus_inverter *inv,
				struct kbdus_puller *puller,
				const struct kbdus_item *item)
{
	struct kbdus_item copy = *item;

	if (!item->rq)
		return true;
	if (kbdus_inverter_commit_takes(inv, puller, &copy, 1))
		return true;
	kbdus_inverter_reannounce(inv);
	return false;
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
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	if (item->rq) {
		slot = kbdus_slot_of_item(inv, item);
		kbdus_slot_enqueue(inv, slot, error);
		if (slot->is_cut)
			kbdus_slot_cut_now(inv, slot, &ended);
	} else {
		notification_return(inv, puller, item);
	}
	spin_unlock(&inv->lock);
	kbdus_slot_end_requests(&ended);
	kbdus_inverter_reannounce(inv);
}
