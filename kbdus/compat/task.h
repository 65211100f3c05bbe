/* SPDX-License-Identifier: GPL-2.0-only */
/* task.h: threads, and what is the same for all kinds of numbers. */
#ifndef KBDUS_COMPAT_TASK_H
#define KBDUS_COMPAT_TASK_H

#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline int kbdus_kthread_stop_put(struct task_struct *thread)
{
	int ret = kthread_stop(thread);

	put_task_struct(thread);
	return ret;
}
#undef kthread_stop_put
#define kthread_stop_put kbdus_kthread_stop_put
#endif

/* How threads are scheduled cannot be said exactly by a module. They do without. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#define sched_setattr_nocheck(thread, attributes) ((void)(attributes))
#endif

/* Bounds may be of another type. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#undef clamp
#define clamp(value, low, high) clamp_t(typeof(value), value, low, high)
#endif

#endif
