/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_SLOT_H
#define KBDUS_SLOT_H

#include "inverter.h"

void kbdus_slot_set_state(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			  enum kbdus_request_state state, int error);
void kbdus_slot_enqueue(struct kbdus_inverter *inv, struct kbdus_slot *slot,
			int error);
void kbdus_slot_dequeue(struct kbdus_inverter *inv, struct kbdus_slot *slot);
void kbdus_slot_wake_next(struct kbdus_inverter *inv);
struct request *kbdus_slot_release(struct kbdus_inverter *inv,
				   struct kbdus_slot *slot, int error);

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

#endif
