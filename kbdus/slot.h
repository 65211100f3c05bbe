/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_SLOT_H
#define KBDUS_SLOT_H

#include "inverter.h"
#include "trace.h"

void kbdus_slot_enqueue(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			int error);
void kbdus_slot_dequeue(struct kbdus_inverter *inv, struct kbdus_slot *slot);
void kbdus_slot_wake_next(struct kbdus_inverter *inv);
void kbdus_slot_release(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			blk_status_t status, int error, struct list_head *ended);
void kbdus_slot_cut_now(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			struct list_head *ended);
void kbdus_slot_end_requests(struct list_head *ended);

/*
 * A handle is the number of a hand-over above the tag. No two hand-overs have the
 * same number, so a handle never matches anything but the hand-over that it was
 * made for.
 */
#define KBDUS_HANDLE_TAG_BITS 16

static inline u64 kbdus_slot_handle(const struct kbdus_inverter *inv,
				    const struct kbdus_slot *slot, u64 handover)
{
	return handover << KBDUS_HANDLE_TAG_BITS | (slot - inv->slots);
}

/* The slot that a handle of our own names. */
static inline struct kbdus_slot *kbdus_slot_of_item(struct kbdus_inverter *inv,
						    const struct kbdus_item *item)
{
	return &inv->slots[item->handle & (BIT(KBDUS_HANDLE_TAG_BITS) - 1)];
}

/**
 * kbdus_slot_cut_later() - has a request end as soon as the copy under way is over
 * @slot: of the request, OUTBOUND or INBOUND
 * @status: how it ends, unless the copy was that of an answer and succeeds
 *
 * Context: the inverter lock is held. A second call replaces the status.
 */
static inline void kbdus_slot_cut_later(struct kbdus_slot *slot,
					blk_status_t status)
{
	slot->is_cut = true;
	slot->cut_status = status;
}

/*
 * An event for each arrow of the table. Where several end in the same state the
 * event itself looks at where the request comes from, if it is enabled at all. As the
 * state is a constant, nothing but the event of its arrows is left of this.
 */
static __always_inline void
kbdus_slot_trace(const struct kbdus_inverter *inv,
		 const struct kbdus_slot *slot, enum kbdus_request_state state,
		 int error)
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

/**
 * kbdus_slot_set_state() - the one way by which a request's state changes
 * @inv: the inverter, locked
 * @slot: describes the request, also if it is about to be free
 * @state: the new state
 * @error: 0 or a negative errno: why the request goes back, or how it ends
 */
static __always_inline void
kbdus_slot_set_state(struct kbdus_inverter *inv, struct kbdus_slot *slot,
		     enum kbdus_request_state state, int error)
{
	lockdep_assert_held(&inv->lock);
	kbdus_assert_may_follow(request, slot->state, state);
	kbdus_slot_trace(inv, slot, state, error);
	slot->state = state;
}

#endif
