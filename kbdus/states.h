/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * states.h: the page to read first. The three state machines of the module and
 * the order of its locks. A new state or lock starts here.
 *
 * Each machine has one setter, which asserts the lock that guards it, checks the
 * change against the table below in debug builds, and fires a tracepoint, so
 * that no change can be missed (trace.h):
 *
 *   request   kbdus_slot_set_state()      slot.h       inverter lock
 *   device    device_set_state()          device.c     device lock
 *   session   session_set_state()         session.c    device lock
 *
 * All states can be read in debugfs, too (debugfs.c).
 *
 * Locks, outermost first. No path takes one while it holds one further down.
 *
 *   disk->open_mutex    the block layer's; held around open() and release()
 *   session->attaching  one attempt to attach per control file at a time
 *   registry lock       who exists; nothing slow is done under it
 *   device->lock        state of one device, who its driver is
 *   ring->lock          what a session shares with its driver; a spinlock
 *   inverter->lock      states of its requests; a spinlock
 *
 * No user memory, no sleep and no completion of a request under the last two.
 *
 * del_gendisk() and add_disk() wait for requests and take open_mutex: they are
 * called by work items that hold none of our locks. Nor does anybody who makes or
 * removes files in debugfs, whose directories have locks as well.
 */
#ifndef KBDUS_STATES_H
#define KBDUS_STATES_H

#include <linux/bits.h>
#include <linux/types.h>

#include "kbdus.h"

/*
 * A request, from the moment the block layer hands it over. Its owner is the
 * only one who may touch it; the name of the state says who that is.
 *
 *                put          take            commit_take
 *        FREE ---------> QUEUED ---> OUTBOUND ----------> WITH_DRIVER
 *         ^               |  ^          |                   |  ^   |
 *         |<--------------'  '----------'                   |  |   | begin_reply
 *         |      cut            abort_take                  |  |   v
 *         |                  ^                              |  INBOUND
 *         |                  '------------------------------'    |  |
 *         |<-- cut -------------- requeue (driver gone) -'       |  |
 *         |<------------------- commit_reply --------------------'  |
 *                                      abort_reply: to WITH_DRIVER -'
 *
 * "Cut" is a time-out, the termination of the device or an interrupted client.
 * The copying states OUTBOUND and INBOUND are never cut: they cannot wait for
 * anything (see payload.c) and look for a cut themselves when they end.
 *
 * The events of the arrows, kbdus_request_...
 *
 *   put           queued        begin_reply    answered     cut       cancelled
 *   take          taken         abort_reply    unanswered
 *   commit_take   delivered     commit_reply   finished
 *   abort_take    requeued      requeue        requeued
 */
enum kbdus_request_state {
	KBDUS_REQUEST_FREE,
	KBDUS_REQUEST_QUEUED,
	KBDUS_REQUEST_OUTBOUND,
	KBDUS_REQUEST_WITH_DRIVER,
	KBDUS_REQUEST_INBOUND,
};

static inline bool kbdus_request_state_may_follow(enum kbdus_request_state from,
						  enum kbdus_request_state to)
{
	static const u8 next[] = {
		[KBDUS_REQUEST_FREE] = BIT(KBDUS_REQUEST_QUEUED),
		[KBDUS_REQUEST_QUEUED] = BIT(KBDUS_REQUEST_OUTBOUND) |
					 BIT(KBDUS_REQUEST_FREE),
		[KBDUS_REQUEST_OUTBOUND] = BIT(KBDUS_REQUEST_WITH_DRIVER) |
					   BIT(KBDUS_REQUEST_QUEUED),
		[KBDUS_REQUEST_WITH_DRIVER] = BIT(KBDUS_REQUEST_INBOUND) |
					      BIT(KBDUS_REQUEST_QUEUED) |
					      BIT(KBDUS_REQUEST_FREE),
		[KBDUS_REQUEST_INBOUND] = BIT(KBDUS_REQUEST_FREE) |
					  BIT(KBDUS_REQUEST_WITH_DRIVER),
	};

	return next[from] & BIT(to);
}

/*
 * A device; the states are public (kbdus.h).
 *
 *   INITIALIZED ---> AVAILABLE ---> TERMINATED
 *        |                              ^
 *        '------------------------------'
 *
 * Inside AVAILABLE, clients cannot see whether there is a driver at present.
 */
static inline bool kbdus_device_state_may_follow(enum kbdus_device_state from,
						 enum kbdus_device_state to)
{
	static const u8 next[] = {
		[KBDUS_DEVICE_STATE_INITIALIZED] =
			BIT(KBDUS_DEVICE_STATE_AVAILABLE) |
			BIT(KBDUS_DEVICE_STATE_TERMINATED),
		[KBDUS_DEVICE_STATE_AVAILABLE] =
			BIT(KBDUS_DEVICE_STATE_TERMINATED),
		[KBDUS_DEVICE_STATE_TERMINATED] = 0,
	};

	return next[from] & BIT(to);
}

/*
 * A session, i.e. a control file.
 *
 *          create, attach          stop             close
 *    OPEN ----------------> ATTACHED ---> STOPPING -------> CLOSED
 *                              |        close: a crash, unless marked   ^
 *                              '------------ successful before ---------'
 *
 * One that is closed while it is OPEN is freed as it is: it has no device.
 * CLOSED is also the state of a session that was cut off because it did not
 * leave in time, or whose protocol saw the end or the nonsense of its driver
 * (kbdus_session_fail): its control file is still open but means nothing any more.
 */
enum kbdus_session_state {
	KBDUS_SESSION_OPEN,
	KBDUS_SESSION_ATTACHED,
	KBDUS_SESSION_STOPPING,
	KBDUS_SESSION_CLOSED,
};

static inline bool kbdus_session_state_may_follow(enum kbdus_session_state from,
						  enum kbdus_session_state to)
{
	static const u8 next[] = {
		[KBDUS_SESSION_OPEN] = BIT(KBDUS_SESSION_ATTACHED),
		[KBDUS_SESSION_ATTACHED] = BIT(KBDUS_SESSION_STOPPING) |
					   BIT(KBDUS_SESSION_CLOSED),
		[KBDUS_SESSION_STOPPING] = BIT(KBDUS_SESSION_CLOSED),
		[KBDUS_SESSION_CLOSED] = 0,
	};

	return next[from] & BIT(to);
}

/**
 * kbdus_assert_may_follow() - warns of a change of state that the table lacks
 * @machine: request, device or session
 * @from: the present state
 * @to: the next one
 *
 * In debug builds only: the setters are hot. For nobody but them.
 */
#ifdef KBDUS_DEBUG
#define kbdus_assert_may_follow(machine, from, to) \
	WARN_ON_ONCE(!kbdus_##machine##_state_may_follow(from, to))
#else
#define kbdus_assert_may_follow(machine, from, to) do { } while (0)
#endif

#endif
