/* SPDX-License-Identifier: GPL-2.0-only */
/* memory.h: pages, mappings, and the memory of user space. */
#ifndef KBDUS_COMPAT_MEMORY_H
#define KBDUS_COMPAT_MEMORY_H

#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

/* Nobody else can see the flags of a mapping that is being made. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#undef vm_flags_set
#undef vm_flags_clear
#define vm_flags_set(vma, flags) ((void)((vma)->vm_flags |= (flags)))
#define vm_flags_clear(vma, flags) ((void)((vma)->vm_flags &= ~(flags)))
#endif

/* For pages that are to be mapped. What is accounted could not be, in a process that has
 * a memory control group. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
#define KBDUS_GFP_MAPPED GFP_KERNEL
#else
#define KBDUS_GFP_MAPPED GFP_KERNEL_ACCOUNT
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
static inline size_t kbdus_fault_in_writeable(char __user *memory, size_t size)
{
	return fault_in_pages_writeable(memory, size) ? size : 0;
}

static inline size_t kbdus_fault_in_readable(const char __user *memory,
					     size_t size)
{
	return fault_in_pages_readable(memory, size) ? size : 0;
}
#define fault_in_writeable kbdus_fault_in_writeable
#define fault_in_readable kbdus_fault_in_readable
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
static inline void *kbdus_bvec_kmap_local(struct bio_vec *bv)
{
	return kmap_atomic(bv->bv_page) + bv->bv_offset;
}
#define bvec_kmap_local kbdus_bvec_kmap_local
#undef kunmap_local
#define kunmap_local kunmap_atomic
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#undef ITER_SOURCE
#undef ITER_DEST
#define ITER_SOURCE WRITE
#define ITER_DEST READ
#endif

/* An iterator without a vector behind it; if it has to have one, that lives as long as
 * the calling function. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
#define import_ubuf(direction, memory, size, iter)                             \
	import_single_range(direction, memory, size,                           \
			    __builtin_alloca(sizeof(struct iovec)), iter)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
static inline int kbdus_import_ubuf(int direction, void __user *memory,
				    size_t size, struct iov_iter *iter)
{
	if (!access_ok(memory, size))
		return -EFAULT;
	iov_iter_ubuf(iter, direction, memory, size);
	return 0;
}
#define import_ubuf kbdus_import_ubuf
#endif

/*
 * Pages of a file may not be pinned for long to be written to, as the file system would
 * not know when that happens. Whoever maps something else meanwhile spoils his own file.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
static inline bool kbdus_mapping_is_written_back(const struct vm_area_struct *vma)
{
	const struct inode *inode;

	if (!vma->vm_file || !(vma->vm_flags & VM_SHARED))
		return false;
	inode = vma->vm_file->f_mapping->host;
	return S_ISBLK(inode->i_mode) ||
	       inode->i_sb->s_bdi->capabilities & BDI_CAP_WRITEBACK;
}

static inline bool kbdus_memory_may_be_pinned(unsigned long start,
					      unsigned long end)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool ok = true;

	mmap_read_lock(mm);
	while (ok && (vma = find_vma(mm, start)) && vma->vm_start < end) {
		ok = !kbdus_mapping_is_written_back(vma);
		start = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return ok;
}

static inline int kbdus_pin_user_pages_fast(unsigned long start, int count,
					    unsigned int flags,
					    struct page **pages)
{
	unsigned long size = (unsigned long)count << PAGE_SHIFT;

	if (!kbdus_memory_may_be_pinned(start, start + size))
		return -EFAULT;
	return pin_user_pages_fast(start, count, flags, pages);
}
#define pin_user_pages_fast kbdus_pin_user_pages_fast
#endif

#endif
