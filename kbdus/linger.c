// SPDX-License-Identifier: GPL-2.0-only
/*
 * linger.c: whether a client looks for the answer to its request before it sleeps.
 *
 * A client that has one request at a time sleeps until it is answered, and to be woken
 * up costs both sides more than what a quick driver does for a request. If a driver
 * answers that fast, the client does better to look for the answer itself, where it put
 * the request in. A protocol asks here whether that is worth while.
 *
 * It is not if there are other requests: those who make many at a time have better
 * things to do. But as long as clients look, one request seems to follow another even if
 * more would have been made meanwhile. So now and then none looks for a while. Nor is it
 * if the driver takes its time, or has no processor to run on: when several clients have
 * looked in vain, each that does so after them puts the next attempt off for longer.
 */
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/time64.h>

#include "linger.h"

/* What must have been seen of requests before anybody looks. */
#define ENOUGH_ALONE 16

/* How often clients look until that must be seen again. */
#define MOST_LOOKS 512

/* How often in succession they may do so in vain. */
#define TOLERATED_MISSES 2
#define MOST_MISSES (TOLERATED_MISSES + 6)

/* How many requests must have been alone before a client looks. */
static u32 linger_threshold(const struct kbdus_linger *linger)
{
	u32 misses = READ_ONCE(linger->misses);

	if (misses <= TOLERATED_MISSES)
		return ENOUGH_ALONE;
	return ENOUGH_ALONE << (misses - TOLERATED_MISSES);
}

static void linger_reset(struct kbdus_linger *linger)
{
	WRITE_ONCE(linger->alone, 0);
	WRITE_ONCE(linger->looked, 0);
}

/**
 * kbdus_linger_init() - nothing is known yet
 * @linger: what will be
 * @longest_us: for how long a client may look, in microseconds; 0 if not at all
 */
void kbdus_linger_init(struct kbdus_linger *linger, u32 longest_us)
{
	*linger = (struct kbdus_linger){
		.longest_ns = longest_us * NSEC_PER_USEC,
	};
}

/**
 * kbdus_linger_begin() - a request was made: is its client to look for the answer?
 * @linger: what is known of the requests before
 * @is_alone: there is no other
 *
 * Context: whoever makes the request; does not sleep.
 *
 * Return: whether it should, and then kbdus_linger_end() is called.
 */
bool kbdus_linger_begin(struct kbdus_linger *linger, bool is_alone)
{
	u32 alone = READ_ONCE(linger->alone);
	u32 looked = READ_ONCE(linger->looked);

	if (!linger->longest_ns)
		return false;
	if (!is_alone || looked >= MOST_LOOKS) {
		linger_reset(linger);
		return false;
	}
	if (alone < linger_threshold(linger)) {
		WRITE_ONCE(linger->alone, alone + 1);
		return false;
	}
	WRITE_ONCE(linger->looked, looked + 1);
	return num_online_cpus() > 1;
}

/**
 * kbdus_linger_end() - a client has looked
 * @linger: what is known
 * @has_found: in time
 */
void kbdus_linger_end(struct kbdus_linger *linger, bool has_found)
{
	u32 misses = READ_ONCE(linger->misses);

	if (has_found) {
		if (misses)
			WRITE_ONCE(linger->misses, 0);
		return;
	}
	misses = min(misses + 1, (u32)MOST_MISSES);
	WRITE_ONCE(linger->misses, misses);
	if (misses > TOLERATED_MISSES)
		linger_reset(linger);
}

/**
 * kbdus_linger_may_go_on() - whether there is time left to look
 * @linger: what is known
 * @began_at: local_clock() when the client began
 *
 * Return: false if it has been long enough, or something else wants to run.
 */
bool kbdus_linger_may_go_on(const struct kbdus_linger *linger, u64 began_at)
{
	return !need_resched() && local_clock() - began_at < linger->longest_ns;
}
