// SPDX-License-Identifier: GPL-2.0-only
/*
 * pinned.c: memory of a driver that the module uses as its own, for payload.
 *
 * Called by protocols when a session begins and ends, off the path of requests. The
 * pages are pinned, accounted as locked memory of the driver, and mapped in the kernel:
 * from then on it does not matter to the module what the driver does with its address
 * space. Its own pages it may write to at any time. Owns the pins and the kernel's
 * mapping. No locks.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "pinned.h"

/* Pins all of it or nothing. */
static int pin(struct kbdus_pinned *pinned, unsigned long address)
{
	unsigned long done = 0;
	int ret;

	while (done < pinned->page_count) {
		ret = pin_user_pages_fast(address + (done << PAGE_SHIFT),
					  pinned->page_count - done,
					  FOLL_WRITE | FOLL_LONGTERM,
					  pinned->pages + done);
		if (ret <= 0) {
			unpin_user_pages(pinned->pages, done);
			/* What cannot be pinned is no better than nothing. */
			return ret == -ENOMEM || ret == -EINTR ? ret : -EFAULT;
		}
		done += ret;
		cond_resched();
	}
	return 0;
}

static int pinned_map(struct kbdus_pinned *pinned, unsigned long address)
{
	int ret = pin(pinned, address);

	if (ret)
		return ret;
	pinned->memory =
		vmap(pinned->pages, pinned->page_count, VM_MAP, PAGE_KERNEL);
	if (pinned->memory)
		return 0;
	unpin_user_pages(pinned->pages, pinned->page_count);
	return -ENOMEM;
}

/**
 * kbdus_pinned_create() - takes hold of memory of the current process
 * @address: where it begins, a multiple of the page size
 * @size: bytes, a positive multiple of the page size
 *
 * Context: sleeps; no lock of ours is held.
 *
 * Return: the memory; -EFAULT if it is not all there, cannot be written or cannot be
 * pinned for long, as the pages of a file; -ENOMEM if it is more than the process may
 * lock or the kernel is out of memory; -EINTR if a fatal signal came.
 */
struct kbdus_pinned *kbdus_pinned_create(u64 address, size_t size)
{
	void __user *start = u64_to_user_ptr(address);
	unsigned long page_count = size >> PAGE_SHIFT;
	struct kbdus_pinned *pinned;
	int ret;

	if ((u64)(unsigned long)start != address || !access_ok(start, size))
		return ERR_PTR(-EFAULT);
	pinned = kvzalloc(struct_size(pinned, pages, page_count),
			  GFP_KERNEL_ACCOUNT);
	if (!pinned)
		return ERR_PTR(-ENOMEM);
	pinned->page_count = page_count;
	pinned->mm = current->mm;
	ret = account_locked_vm(pinned->mm, page_count, true);
	if (ret)
		goto out_free;
	ret = pinned_map(pinned, (unsigned long)start);
	if (ret)
		goto out_account;
	/* The driver's address space may be gone before its control file is. */
	mmgrab(pinned->mm);
	return pinned;

out_account:
	account_locked_vm(pinned->mm, page_count, false);
out_free:
	kvfree(pinned);
	return ERR_PTR(ret);
}

/**
 * kbdus_pinned_free() - lets go of the memory
 * @pinned: the memory, which nobody uses any more
 *
 * Context: sleeps.
 */
void kbdus_pinned_free(struct kbdus_pinned *pinned)
{
	vunmap(pinned->memory);
	unpin_user_pages_dirty_lock(pinned->pages, pinned->page_count, true);
	account_locked_vm(pinned->mm, pinned->page_count, false);
	mmdrop(pinned->mm);
	kvfree(pinned);
}
