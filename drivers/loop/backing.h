/* SPDX-License-Identifier: MIT */

/* backing.h: see backing.c. */

#ifndef DRIVERS_LOOP_BACKING_H
#define DRIVERS_LOOP_BACKING_H

#include <stdbool.h>
#include <stdint.h>

/** A regular file or block device that holds the data of a device. */
struct backing {
	/** Through the page cache. */
	int fd;
	/** The same with O_DIRECT; -1 if that is not possible. */
	int direct_fd;
	/** What offsets and sizes on `direct_fd` must be multiples of. */
	uint32_t direct_alignment;
	/** Whether to use `direct_fd`; see backing_read(). Atomic. */
	bool is_direct;
	bool is_block_device;
	bool is_read_only;
	bool can_discard;
	uint64_t size;
};

/**
 * Opens `path`, read-only if asked to or if it cannot be written. If `size` is
 * not 0, a missing file is created and a shorter one is extended. Returns 0 or
 * an errno value.
 */
int backing_open(struct backing *backing, const char *path, bool read_only,
		 uint64_t size);

/** Opens the second descriptor, if that is possible at all. */
void backing_open_direct(struct backing *backing, const char *path);

/**
 * The operations of a device, to be called by any number of threads. Ranges are
 * within the backing and buffers aligned to pages. All return 0 or an errno
 * value. Where O_DIRECT turns out to be refused, they do without from then on.
 * @{
 */
int backing_read(struct backing *backing, char *buffer, uint64_t offset,
		 uint32_t size);
/** With `is_durable`, the data is on stable storage when it returns. */
int backing_write(struct backing *backing, const char *buffer, uint64_t offset,
		  uint32_t size, bool is_durable);
int backing_zero(struct backing *backing, uint64_t offset, uint32_t size,
		 bool may_unmap);
int backing_discard(struct backing *backing, uint64_t offset, uint32_t size);
int backing_flush(struct backing *backing);
/** @} */

#endif
