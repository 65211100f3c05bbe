/* SPDX-License-Identifier: MIT */

/*
 * spin.c: how long to look for a request before sleeping.
 *
 * Who sleeps must be woken up, which takes both sides several times what it takes to
 * serve a request: so it is worth while to look again and again if the next one comes
 * soon, and a waste if it does not. Whether it does is measured here: a protocol says
 * how long each wait was, and asks for how long to look at the next. That is bounded,
 * and nothing where there is only one processor, as clients could not go on meanwhile.
 * A spin belongs to one worker, and there are no locks.
 */

#include <sched.h>

#include "internal.h"

/* If nothing was said. What clients take between two requests is less, where they wait
 * for each; and a processor that idles for longer takes its time to come back. */
#define DEFAULT_LONGEST_NS 50000

/* Whatever is said. */
#define LONGEST_US 10000

static bool has_several_processors(void)
{
	cpu_set_t processors;

	/* There may be more than fit into the set: several, then. */
	return sched_getaffinity(0, sizeof(processors), &processors) ||
	       CPU_COUNT(&processors) > 1;
}

/* The longest time for which workers look, of what was said in the attributes. */
uint64_t libbdus_spin_longest(uint32_t spin_time_us)
{
	if (spin_time_us == BDUS_NO_SPINNING || !has_several_processors())
		return 0;
	if (!spin_time_us)
		return DEFAULT_LONGEST_NS;
	return (uint64_t)(spin_time_us < LONGEST_US ? spin_time_us :
						      LONGEST_US) * 1000;
}

/* Before the first wait. */
void libbdus_spin_init(struct libbdus_spin *spin, uint64_t longest_ns)
{
	*spin = (struct libbdus_spin){ .longest_ns = longest_ns };
}

/*
 * A wait is over, however much of it was spent looking. If it was one that looking would
 * have been long enough for, the next may be another; else looking is given up step by
 * step, as a single pause does not mean that there are more.
 */
void libbdus_spin_learn(struct libbdus_spin *spin, uint64_t waited_ns)
{
	if (waited_ns <= spin->longest_ns)
		spin->budget_ns = spin->longest_ns;
	else
		spin->budget_ns /= 2;
	/* Too little to see anything. */
	if (spin->budget_ns < spin->longest_ns / 8)
		spin->budget_ns = 0;
}
