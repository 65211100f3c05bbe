/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_SHARED_H
#define KBDUS_SHARED_H

#include <linux/types.h>

struct vm_area_struct;

void *kbdus_shared_alloc(size_t size);
int kbdus_shared_map(struct vm_area_struct *vma, void *memory, size_t size);

#endif
