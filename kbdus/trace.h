/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h: the tracepoints: one for each arrow of the three machines of
 * states.h, fired by the machines' setters and nowhere else. Their names and
 * fields are interface: kbdus(4) describes them.
 *
 * An event that is switched off costs an instruction that does nothing: what it
 * tells, and whether it is meant at all (TP_CONDITION), is found out behind that.
 * All run under the lock of the machine, before the state changes.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kbdus

#if !defined(KBDUS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KBDUS_TRACE_H

#include <linux/blk-mq.h>
#include <linux/pid.h>
#include <linux/tracepoint.h>

#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "names.h"
#include "session.h"

/* Programs that read raw events cannot know the values otherwise. */
#undef NAME
#undef LAST_NAME
#define NAME(value, name) TRACE_DEFINE_ENUM(value);
#define LAST_NAME(value, name) TRACE_DEFINE_ENUM(value);

KBDUS_REQUEST_STATE_NAMES
KBDUS_REQUEST_TYPE_NAMES
KBDUS_DEVICE_STATE_NAMES
KBDUS_SESSION_STATE_NAMES

#undef NAME
#undef LAST_NAME
#define NAME(value, name) { value, name },
#define LAST_NAME(value, name) { value, name }

DECLARE_EVENT_CLASS(kbdus_request,
	TP_PROTO(const struct kbdus_inverter *inv,
		 const struct kbdus_slot *slot, int error),
	TP_ARGS(inv, slot, error),
	TP_STRUCT__entry(
		__field(u64, device)
		__field(u32, queue)
		__field(u32, tag)
		__field(u64, sequence)
		__field(u64, offset)
		__field(u32, length)
		__field(u32, type)
		__field(u64, handover)
		__field(u32, from)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->device = inv->config->seqnum;
		__entry->queue = slot->rq->mq_hctx->queue_num;
		__entry->tag = slot - inv->slots;
		__entry->sequence = slot->sequence;
		__entry->type = slot->type;
		__entry->offset = kbdus_disk_request_offset(slot->rq);
		__entry->length = kbdus_disk_request_length(slot->rq);
		__entry->handover = slot->handover;
		__entry->from = slot->state;
		__entry->error = error;
	),
	TP_printk("device=%llu queue=%u tag=%u sequence=%llu type=%s offset=%llu length=%u handover=%llu from=%s error=%d",
		  __entry->device, __entry->queue, __entry->tag,
		  __entry->sequence,
		  __print_symbolic(__entry->type, KBDUS_REQUEST_TYPE_NAMES),
		  __entry->offset, __entry->length, __entry->handover,
		  __print_symbolic(__entry->from, KBDUS_REQUEST_STATE_NAMES),
		  __entry->error)
);

#undef REQUEST_EVENT
#define REQUEST_EVENT(name)                                                    \
	DEFINE_EVENT(kbdus_request, kbdus_request_##name,                      \
		TP_PROTO(const struct kbdus_inverter *inv,                     \
			 const struct kbdus_slot *slot, int error),            \
		TP_ARGS(inv, slot, error))

#undef REQUEST_EVENT_IF
#define REQUEST_EVENT_IF(name, condition)                                      \
	DEFINE_EVENT_CONDITION(kbdus_request, kbdus_request_##name,            \
		TP_PROTO(const struct kbdus_inverter *inv,                     \
			 const struct kbdus_slot *slot, int error),            \
		TP_ARGS(inv, slot, error), TP_CONDITION(condition))

REQUEST_EVENT_IF(queued, slot->state == KBDUS_REQUEST_FREE);
REQUEST_EVENT(taken);
REQUEST_EVENT_IF(delivered, slot->state == KBDUS_REQUEST_OUTBOUND);
REQUEST_EVENT(answered);
REQUEST_EVENT_IF(finished, slot->state == KBDUS_REQUEST_INBOUND);
REQUEST_EVENT_IF(cancelled, slot->state != KBDUS_REQUEST_INBOUND);
REQUEST_EVENT_IF(requeued, slot->state != KBDUS_REQUEST_FREE);
REQUEST_EVENT_IF(unanswered, slot->state == KBDUS_REQUEST_INBOUND);

TRACE_EVENT(kbdus_device_state,
	TP_PROTO(const struct kbdus_device *device, enum kbdus_device_state to,
		 const char *cause),
	TP_ARGS(device, to, cause),
	TP_STRUCT__entry(
		__field(u64, device)
		__field(u32, from)
		__field(u32, to)
		__string(cause, cause)
	),
	TP_fast_assign(
		__entry->device = device->config.seqnum;
		__entry->from = device->state;
		__entry->to = to;
		KBDUS_ASSIGN_STR(cause, cause);
	),
	TP_printk("device=%llu from=%s to=%s cause=%s", __entry->device,
		  __print_symbolic(__entry->from, KBDUS_DEVICE_STATE_NAMES),
		  __print_symbolic(__entry->to, KBDUS_DEVICE_STATE_NAMES),
		  __get_str(cause))
);

TRACE_EVENT(kbdus_session_state,
	TP_PROTO(const struct kbdus_session *session,
		 enum kbdus_session_state to, const char *cause),
	TP_ARGS(session, to, cause),
	TP_STRUCT__entry(
		__field(u64, device)
		__field(s32, driver)
		__string(protocol, session->protocol_config.name)
		__field(u32, from)
		__field(u32, to)
		__string(cause, cause)
	),
	TP_fast_assign(
		__entry->device = session->device->config.seqnum;
		__entry->driver = pid_nr(session->pid);
		KBDUS_ASSIGN_STR(protocol,
				 session->protocol_config.name);
		__entry->from = session->state;
		__entry->to = to;
		KBDUS_ASSIGN_STR(cause, cause);
	),
	TP_printk("device=%llu driver=%d protocol=%s from=%s to=%s cause=%s",
		  __entry->device, __entry->driver, __get_str(protocol),
		  __print_symbolic(__entry->from, KBDUS_SESSION_STATE_NAMES),
		  __print_symbolic(__entry->to, KBDUS_SESSION_STATE_NAMES),
		  __get_str(cause))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
