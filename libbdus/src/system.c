/* SPDX-License-Identifier: MIT */

/*
 * system.c: what is asked of the system in many places: the time, and the end of a
 * descriptor. Nothing but system calls, so that it is for children, too.
 */

#include <time.h>
#include <unistd.h>

#include "internal.h"

/* By a clock that nobody sets. */
uint64_t libbdus_now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t libbdus_now_ms(void)
{
	return libbdus_now_ns() / 1000000;
}

/* Wait a little, where the kernel has nothing to wait for. False if a signal came
 * meanwhile. */
bool libbdus_pause(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	return !nanosleep(&pause, NULL);
}

/* Close a descriptor, if there is one. There is none afterwards. */
void libbdus_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
