// SPDX-License-Identifier: GPL-2.0-only
/*
 * reply.c: the driver's answers on their way through the inverter.
 *
 * A protocol begins a reply, which claims the request so that nobody takes it away
 * while payload is copied, and commits or aborts it. What ends a request is put in a
 * list under the lock and ended after it was dropped. The first half of a request's
 * way is puller.c.
 *
 * Trusts nothing that names a request: see the handle (slot.h).
 */
#include "disk.h"
#include "inverter.h"
#include "slot.h"
#include "status.h"

/* Claims the request that a handle names, if it is one that @puller may answer. */
static int slot_begin_reply(struct kbdus_inverter *inv,
			    struct kbdus_puller *puller, u64 handle,
			    struct kbdus_item *item)
{
	u64 tag = handle & (BIT(KBDUS_HANDLE_TAG_BITS) - 1);
	u64 handover = handle >> KBDUS_HANDLE_TAG_BITS;
	struct kbdus_slot *slot;

	if (tag >= inv->depth || !handover || handover >= inv->next_handover)
		return -EINVAL;
	slot = &inv->slots[tag];
	if (inv->puller != puller || slot->handover != handover ||
	    slot->state == KBDUS_REQUEST_FREE)
		return -ESTALE;
	/* Not handed over yet, or another thread is answering it. */
	if (slot->state != KBDUS_REQUEST_WITH_DRIVER)
		return -EINVAL;
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_INBOUND, 0);
	item->rq = slot->rq;
	item->handle = handle;
	item->type = slot->type;
	return 0;
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
	int ret;

	spin_lock(&inv->lock);
	ret = slot_begin_reply(inv, puller, handle, item);
	if (ret == -EINVAL)
		inv->statistics.bad_replies++;
	else if (ret)
		inv->statistics.late_replies++;
	spin_unlock(&inv->lock);
	return ret;
}

/**
 * kbdus_inverter_begin_replies() - finds the requests that replies are for
 * @inv: the inverter
 * @puller: who answers
 * @items: of each @handle, one that was handed out, is looked at; the others are
 *	filled in. @rq is NULL if the request no longer waits for an answer by @puller
 * @count: how many
 *
 * As kbdus_inverter_begin_reply().
 */
void kbdus_inverter_begin_replies(struct kbdus_inverter *inv,
				  struct kbdus_puller *puller,
				  struct kbdus_item *items, unsigned int count)
{
	unsigned int i;

	spin_lock(&inv->lock);
	for (i = 0; i < count; i++) {
		if (slot_begin_reply(inv, puller, items[i].handle, &items[i])) {
			items[i].rq = NULL;
			inv->statistics.late_replies++;
		}
	}
	spin_unlock(&inv->lock);
}

/**
 * kbdus_inverter_count_bad_replies() - notes replies that name nothing
 * @inv: the inverter
 * @count: how many
 *
 * For protocols that do not ask the inverter what a reply is about.
 */
void kbdus_inverter_count_bad_replies(struct kbdus_inverter *inv,
				      unsigned int count)
{
	spin_lock(&inv->lock);
	inv->statistics.bad_replies += count;
	spin_unlock(&inv->lock);
}

static void slot_commit_reply(struct kbdus_inverter *inv,
			      const struct kbdus_item *item, int error,
			      struct list_head *ended)
{
	blk_status_t status = kbdus_status_block(error);

	if (error)
		inv->statistics.failed++;
	else
		inv->statistics.succeeded++;
	if (item->type == KBDUS_REQUEST_TYPE_IOCTL) {
		status = BLK_STS_OK;
		error = kbdus_status_ioctl_error(error);
	}
	kbdus_slot_release(inv, kbdus_slot_of_item(inv, item), status, error,
			   ended);
}

/**
 * kbdus_inverter_commit_replies() - ends requests with the driver's answers
 * @inv: the inverter
 * @items: the requests; those without @rq are left out
 * @errors: of each, 0 or what went wrong, a negative errno as the driver means it
 * @count: how many
 *
 * An answer counts even if the request was to be cut meanwhile.
 */
void kbdus_inverter_commit_replies(struct kbdus_inverter *inv,
				   const struct kbdus_item *items,
				   const int *errors, unsigned int count)
{
	unsigned int i;
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	for (i = 0; i < count; i++) {
		if (items[i].rq)
			slot_commit_reply(inv, &items[i], errors[i], &ended);
	}
	spin_unlock(&inv->lock);
	kbdus_slot_end_requests(&ended);
}

/**
 * kbdus_inverter_commit_reply() - ends one request with the driver's answer
 * @inv: the inverter
 * @item: the request
 * @error: 0 or what went wrong, a negative errno as the driver means it
 *
 * As kbdus_inverter_commit_replies().
 */
void kbdus_inverter_commit_reply(struct kbdus_inverter *inv,
				 const struct kbdus_item *item, int error)
{
	kbdus_inverter_commit_replies(inv, item, &error, 1);
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
	struct kbdus_slot *slot = kbdus_slot_of_item(inv, item);
	LIST_HEAD(ended);

	spin_lock(&inv->lock);
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_WITH_DRIVER, error);
	if (slot->is_cut || inv->is_terminated) {
		if (!slot->is_cut)
			kbdus_slot_cut_later(slot, BLK_STS_IOERR);
		kbdus_slot_cut_now(inv, slot, &ended);
	} else if (inv->puller != puller) {
		inv->with_driver_now--;
		kbdus_slot_enqueue(inv, slot, -ESHUTDOWN);
		inv->statistics.requeued++;
	}
	spin_unlock(&inv->lock);
	kbdus_slot_end_requests(&ended);
	kbdus_inverter_reannounce(inv);
}
