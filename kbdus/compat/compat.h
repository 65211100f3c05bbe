/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h: the only place, with what it includes, that may test a kernel version.
 * Forced into every file of the module, which is written against the newest kernel;
 * what an older one lacks is defined here under its new name. README.md has a line
 * per shim. Headers that an older kernel lacks are below include/, where the compiler
 * looks for them last.
 */
#ifndef KBDUS_COMPAT_H
#define KBDUS_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "kbdus needs Linux 5.10 or later: older block layers were never tested"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "kbdus was not tested with Linux 7.4 or later: raise the bound in compat.h and run the tests"
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

/* Events remember what their strings are copies of. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define KBDUS_ASSIGN_STR(field, string) __assign_str(field, string)
#else
#define KBDUS_ASSIGN_STR(field, string) __assign_str(field)
#endif

#include "block.h"
#include "memory.h"
#include "task.h"

#endif
