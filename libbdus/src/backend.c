/* SPDX-License-Identifier: MIT */

/*
 * backend.c: what makes the block devices of this process.
 *
 * The only place that knows which backends there are. run.c gets one here and
 * talks to it through struct libbdus_backend alone.
 */

#include "internal.h"

const struct libbdus_backend *libbdus_backend_choose(void)
{
	return &libbdus_backend_kbdus;
}
