// SPDX-License-Identifier: GPL-2.0-only
/*
 * misbehave.c: does what the runner must notice. Loading it with how=... does
 * that and then fails with EAGAIN, so that it never stays loaded.
 */

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>

static char *how = "";
module_param(how, charp, 0);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void lock_both(struct mutex *outer, struct mutex *inner)
{
	mutex_lock(outer);
	mutex_lock(inner);
	mutex_unlock(inner);
	mutex_unlock(outer);
}

static void write_behind(size_t size)
{
	char *buffer = kmalloc(size, GFP_KERNEL);

	if (buffer) {
		OPTIMIZER_HIDE_VAR(size);
		buffer[size] = 1;
		kfree(buffer);
	}
}

static int __init misbehave_init(void)
{
	if (!strcmp(how, "warn")) {
		WARN(1, "as asked\n");
	} else if (!strcmp(how, "complain")) {
		pr_warn("misbehave: a complaint\n");
	} else if (!strcmp(how, "oops")) {
		*(volatile int *)8 = 1;
	} else if (!strcmp(how, "overrun")) {
		write_behind(24);
	} else if (!strcmp(how, "deadlock")) {
		lock_both(&first, &second);
		lock_both(&second, &first);
	} else if (!strcmp(how, "hang")) {
		/* Uninterruptible, and not over before anybody gives up. */
		msleep(1000 * 1000);
	}
	return -EAGAIN;
}
module_init(misbehave_init);

MODULE_DESCRIPTION("Does what a test runner must notice");
MODULE_LICENSE("GPL");
