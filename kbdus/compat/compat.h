/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h: the only place that may test a kernel version. Forced into every
 * file of the module, which is written against the newest kernel; what an older
 * one lacks is defined here under its new name. README.md has a line per shim.
 */
#ifndef KBDUS_COMPAT_H
#define KBDUS_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "kbdus needs Linux 6.12 or later: queue limits are set atomically"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "kbdus was not tested with Linux 7.4 or later: raise the bound in compat.h and run the tests"
#endif

/* What ends a request is also told of the batch that it is part of. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define KBDUS_END_IO(name, rq, status) \
	enum rq_end_io_ret name(struct request *rq, blk_status_t status)
#else
#define KBDUS_END_IO(name, rq, status) \
	enum rq_end_io_ret name(struct request *rq, blk_status_t status, \
				const struct io_comp_batch *batch)
#endif

/*
 * Kernels may be built to zero all that is on the stack. A large structure of which
 * little is used, on the path of every request, goes without.
 */
#if __has_attribute(uninitialized)
#define KBDUS_UNINITIALIZED __attribute__((uninitialized))
#else
#define KBDUS_UNINITIALIZED
#endif

/* Requests are merged unless that is switched off. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define KBDUS_MQ_F_MERGE BLK_MQ_F_SHOULD_MERGE
#else
#define KBDUS_MQ_F_MERGE 0
#endif

#endif
