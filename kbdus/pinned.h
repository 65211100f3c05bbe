/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_PINNED_H
#define KBDUS_PINNED_H

#include <linux/types.h>

struct mm_struct;
struct page;

/**
 * struct kbdus_pinned - memory of a driver that stays where it is
 * @memory: where the module finds it
 * @page_count: how much it is
 * @mm: where it is accounted
 * @pages: what it consists of, whatever the driver maps there later
 */
struct kbdus_pinned {
	void *memory;
	unsigned long page_count;
	struct mm_struct *mm;
	struct page *pages[];
};

struct kbdus_pinned *kbdus_pinned_create(u64 address, size_t size);
void kbdus_pinned_free(struct kbdus_pinned *pinned);

#endif
