// SPDX-License-Identifier: GPL-2.0-only
/*
 * shared.c: memory that a session shares with its driver, for the protocols that
 * do. They own it, and free it with vfree() when no mapping is left: mappings hold
 * the control file.
 *
 * Off the path of requests. The driver may write to what is mapped at any time.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "shared.h"

/**
 * kbdus_shared_alloc() - makes memory that can be mapped
 * @size: bytes, a multiple of the page size
 *
 * It is the driver's own, as it were, so it is accounted, and if there is not enough
 * nobody else is killed for it.
 *
 * Context: sleeps.
 *
 * Return: the memory, zeroed; NULL if there is none.
 */
void *kbdus_shared_alloc(size_t size)
{
	return __vmalloc(size, KBDUS_GFP_MAPPED | __GFP_ZERO | __GFP_NOWARN |
				       __GFP_RETRY_MAYFAIL);
}

/*
 * Puts pages of the memory in a mapping. Pages that somebody holds for I/O when the
 * mapping goes stay until they let go of them.
 */
static int map_pages(struct vm_area_struct *vma, char *memory)
{
	unsigned long address;
	int ret = 0;

	for (address = vma->vm_start; !ret && address < vma->vm_end;
	     address += PAGE_SIZE, memory += PAGE_SIZE)
		ret = vm_insert_page(vma, address, vmalloc_to_page(memory));
	return ret;
}

/**
 * kbdus_shared_map() - maps the memory, or a part of it
 * @vma: the mapping, whose offset counts from the beginning of the memory
 * @memory: of kbdus_shared_alloc()
 * @size: its size
 *
 * All pages are put in at once, so that a driver that is touching them waits for no
 * memory; there are none behind them, so the mapping must not grow.
 *
 * Context: the caller's mmap lock is held for writing.
 *
 * Return: 0, -EINVAL if the mapping is private or reaches too far, or -ENOMEM.
 */
int kbdus_shared_map(struct vm_area_struct *vma, void *memory, size_t size)
{
	unsigned long pages = size >> PAGE_SHIFT;

	if (!(vma->vm_flags & VM_MAYSHARE) || vma->vm_pgoff >= pages ||
	    vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	return map_pages(vma, memory + (vma->vm_pgoff << PAGE_SHIFT));
}
