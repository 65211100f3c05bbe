/* SPDX-License-Identifier: MIT */

/* uring.h: see uring.c. */

#ifndef DRIVERS_LOOP_URING_H
#define DRIVERS_LOOP_URING_H

#include "backing.h"
#include "driver.h"

/**
 * Be the driver of a device with that backing, without callbacks for its requests.
 * Returns one of DRIVER_EXIT_...; or -1 if that is not possible here, for whatever
 * reason, and nothing has been done.
 */
int uring_serve(const struct driver_run *run, struct backing *backing);

#endif
