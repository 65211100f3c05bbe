// SPDX-License-Identifier: GPL-2.0-only
/*
 * slot.c: the states of requests, and the queue of those that wait.
 *
 * Called by the two sides of the inverter, inverter.c and puller.c, which hold its
 * lock. All changes of state go through kbdus_slot_set_state(); what they mean, and who
 * may make them, is in states.h. A request is ended in two steps, as nothing may be ended
 * under the lock: it is released to a list, and callers end that after they have dropped
 * the lock.
 */
#include "disk.h"
#include "inverter.h"
#include "slot.h"

/**
 * kbdus_slot_enqueue() - puts a request back to its place in the order of arrival
 * @inv: the inverter, locked
 * @slot: of the request
 * @error: why the driver does not have it, a negative errno
 */
void kbdus_slot_enqueue(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			int error)
{
	struct kbdus_slot *other;

	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_QUEUED, error);
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

/**
 * kbdus_slot_dequeue() - takes a request out of the queue
 * @inv: the inverter, locked
 * @slot: of the request, which is QUEUED and is about to be something else
 */
void kbdus_slot_dequeue(struct kbdus_inverter *inv, struct kbdus_slot *slot)
{
	list_del_init(&slot->link);
	inv->queued_now--;
}

/**
 * kbdus_slot_wake_next() - wakes up a puller, as there are requests for it
 * @inv: the inverter, locked
 *
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
void kbdus_slot_wake_next(struct kbdus_inverter *inv)
{
	lockdep_assert_held(&inv->lock);
	/* Orders what was queued before looking for who sleeps. */
	if (wq_has_sleeper(&inv->wait))
		wake_up(&inv->wait);
}

/*
 * The driver has one less. If it is leaving it may flush once it has none.
 */
static void with_driver_drop(struct kbdus_inverter *inv)
{
	if (!--inv->with_driver_now && inv->puller && inv->puller->owes_flush)
		wake_up_all(&inv->wait);
}

/**
 * kbdus_slot_release() - takes a request away from whoever holds it
 * @inv: the inverter, locked
 * @slot: of the request, in any state in which it is not being copied out
 * @status: how the request ends, unless it is a client's ioctl
 * @error: how, if it is, and for those who trace: 0 or a negative errno
 * @ended: where the request is put, for kbdus_slot_end_requests()
 */
void kbdus_slot_release(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			blk_status_t status, int error, struct list_head *ended)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(slot->rq);

	if (slot->state == KBDUS_REQUEST_QUEUED)
		kbdus_slot_dequeue(inv, slot);
	else
		with_driver_drop(inv);
	kbdus_slot_set_state(inv, slot, KBDUS_REQUEST_FREE, error);
	slot->rq = NULL;
	slot->is_cut = false;
	cmd->slot = NULL;
	cmd->status = status;
	cmd->error = error;
	list_add_tail(&cmd->end_link, ended);
}

/**
 * kbdus_slot_cut_now() - releases a request that was to be cut once it was copied
 * @inv: the inverter, locked
 * @slot: of the request, which is cut, and WITH_DRIVER or QUEUED now
 * @ended: as for kbdus_slot_release()
 */
void kbdus_slot_cut_now(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			struct list_head *ended)
{
	blk_status_t status = slot->cut_status;
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
	kbdus_slot_release(inv, slot, status, error, ended);
}

/**
 * kbdus_slot_end_requests() - ends requests towards their clients
 * @ended: those that were released, which nobody else can see any more
 *
 * Context: no spinlock held.
 */
void kbdus_slot_end_requests(struct list_head *ended)
{
	bool are_several = !list_empty(ended) && !list_is_singular(ended);
	struct kbdus_command *cmd, *next;
	DEFINE_IO_COMP_BATCH(batch);
	struct request *rq;

	/* The commands' memory may be used for new requests right away. */
	list_for_each_entry_safe(cmd, next, ended, end_link) {
		rq = blk_mq_rq_from_pdu(cmd);
		if (!are_several ||
		    !kbdus_disk_end_later(rq, cmd->status, &batch))
			kbdus_disk_end_request(rq, cmd->status, cmd->error);
	}
	if (batch.complete)
		batch.complete(&batch);
}
