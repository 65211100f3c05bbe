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

#endif
