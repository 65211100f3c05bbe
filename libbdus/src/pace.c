/* SPDX-License-Identifier: MIT */

/*
 * pace.c: how many replies may wait for each other before the module looks at them.
 *
 * Looking at them takes a system call, whose cost is shared by all that it is made
 * for; the first of them waits for as long as the others are served. So it depends on
 * how fast callbacks are, which is measured here. A protocol calls in at the beginning
 * and at the end of a batch, i.e. of what a worker serves between two system calls. A
 * pace belongs to one worker, and there are no locks.
 *
 * The limit falls at once and rises step by step, as it does little harm for a while if
 * it is too low, but if it is too high that is for all replies of a batch.
 */

#include "internal.h"

/* How long replies may wait for others. Several times what a system call takes, and
 * little beside what any storage does. */
#define BUDGET_NS 30000

/* A system call among so many requests costs each of them next to nothing. */
#define MOST 32

/* Before the first batch. There is room for so many replies. */
void libbdus_pace_init(struct libbdus_pace *pace, uint32_t room)
{
	*pace = (struct libbdus_pace){
		/* Nothing is known yet. */
		.limit = 1,
		.highest = room < MOST ? room : MOST,
	};
}

/*
 * Callbacks follow, and nothing is waited for between them. Reading the clock is not
 * free either: if the limit could not be higher, that is done once in some requests.
 */
void libbdus_pace_begin(struct libbdus_pace *pace)
{
	if (pace->limit < pace->highest || pace->unmeasured >= MOST)
		pace->began_at = libbdus_now_ns();
}

/* How many requests can be served in the budget, if it took so long for some. */
static uint64_t affordable(uint64_t taken_ns, uint32_t requests)
{
	return (uint64_t)BUDGET_NS * requests / (taken_ns ? taken_ns : 1);
}

static uint32_t clamp(uint64_t value, uint32_t lowest, uint32_t highest)
{
	if (value < lowest)
		return lowest;
	return value < highest ? (uint32_t)value : highest;
}

/* So many requests were served since. Does no harm if nothing had begun. */
void libbdus_pace_end(struct libbdus_pace *pace, uint32_t requests)
{
	const uint64_t began_at = pace->began_at;
	uint32_t next = 2 * pace->limit;

	pace->began_at = 0;
	if (requests == 0 || !began_at) {
		pace->unmeasured += requests;
		return;
	}

	if (next > pace->highest)
		next = pace->highest;
	pace->limit = clamp(affordable(libbdus_now_ns() - began_at, requests), 1,
			    next);
	pace->unmeasured = 0;
}
