/* SPDX-License-Identifier: MIT */

/*
 * backing.c: the file or block device behind a loop device.
 *
 * Data goes past the page cache (O_DIRECT) where the backing allows it: clients
 * have a cache of their own in front of the device, and a second one behind it
 * would only hold the same pages once more. Each operation is tried in the best
 * way first and falls back where a file system or disk does not know it: data
 * through the cache, zeroing by writing zeros. Discarding is a hint and may have
 * no effect. Everything is retried after a signal and continued after a short
 * transfer.
 */

#include "backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* Aligned for O_DIRECT; not const, as it would take up space in the program. */
static char zeros[256 << 10] __attribute__((aligned(4096)));

static int zero_range(int fd, int mode, uint64_t offset, uint64_t size)
{
	int result;

	do
		result = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, size);
	while (result != 0 && errno == EINTR);
	return result == 0 ? 0 : errno;
}

static bool is_unsupported(int error)
{
	/* EINVAL: the backing has larger blocks than this range minds. */
	return error == EOPNOTSUPP || error == ENOSYS || error == ENODEV ||
	       error == ENOTTY || error == EINVAL;
}

/* A partition has no queue of its own, its disk is the folder above. */
static bool block_device_can_discard(dev_t device)
{
	static const char *const files[] = { "queue", "../queue" };
	unsigned long long size = 0;

	for (int i = 0; i < 2; i++) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path),
			 "/sys/dev/block/%u:%u/%s/discard_max_bytes",
			 major(device), minor(device), files[i]);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &size) != 1)
			size = 0;
		fclose(file);
		break;
	}
	return size > 0;
}

static int inspect_block_device(struct backing *backing, dev_t device)
{
	int is_read_only = 0;

	if (ioctl(backing->fd, BLKGETSIZE64, &backing->size) != 0)
		return errno;
	if (ioctl(backing->fd, BLKROGET, &is_read_only) == 0 && is_read_only)
		backing->is_read_only = true;
	backing->is_block_device = true;
	backing->can_discard = block_device_can_discard(device);
	return 0;
}

static int inspect_file(struct backing *backing, uint64_t present_size,
			uint64_t wanted_size)
{
	backing->size = present_size;
	if (wanted_size > present_size && !backing->is_read_only) {
		if (ftruncate(backing->fd, wanted_size) != 0)
			return errno;
		backing->size = wanted_size;
	}
	/* Beyond the end there is nothing that this could change. */
	backing->can_discard =
		!backing->is_read_only &&
		zero_range(backing->fd, FALLOC_FL_PUNCH_HOLE,
			   (backing->size + 4095) & ~UINT64_C(4095), 4096) == 0;
	return 0;
}

int backing_open(struct backing *backing, const char *path, bool read_only,
		 uint64_t size)
{
	int create = size > 0 ? O_CREAT : 0;
	struct stat status;
	int error;

	*backing = (struct backing){ .fd = -1, .direct_fd = -1 };
	if (!read_only)
		backing->fd = open(path, O_RDWR | O_CLOEXEC | create, 0600);
	if (read_only || (backing->fd < 0 && (errno == EACCES ||
					      errno == EPERM ||
					      errno == EROFS))) {
		backing->fd = open(path, O_RDONLY | O_CLOEXEC);
		backing->is_read_only = true;
	}
	if (backing->fd < 0)
		return errno;
	if (fstat(backing->fd, &status) != 0)
		error = errno;
	else if (S_ISBLK(status.st_mode))
		error = inspect_block_device(backing, status.st_rdev);
	else if (S_ISREG(status.st_mode))
		error = inspect_file(backing, status.st_size, size);
	else
		error = S_ISDIR(status.st_mode) ? EISDIR : ENOTBLK;
	if (error != 0)
		close(backing->fd);
	return error;
}

/* Returns what O_DIRECT needs by trying, or 0 if nothing will do. */
static uint32_t try_alignments(int fd)
{
	uint32_t alignment = 0;
	void *buffer;

	if (posix_memalign(&buffer, 4096, 4096) != 0)
		return 0;
	for (uint32_t size = 512; size <= 4096 && alignment == 0; size *= 2)
		if (pread(fd, buffer, size, 0) >= 0)
			alignment = size;
	free(buffer);
	return alignment;
}

/* The same by asking, where the kernel (6.1 and later) knows; or -1. */
static int64_t ask_alignment(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
	    (status.stx_mask & STATX_DIOALIGN)) {
		if (status.stx_dio_mem_align > 4096)
			return 0;
		return status.stx_dio_offset_align;
	}
#else
	(void)fd;
#endif
	return -1;
}

void backing_open_direct(struct backing *backing, const char *path)
{
	int mode = backing->is_read_only ? O_RDONLY : O_RDWR;
	int64_t alignment;
	int block_size;

	backing->direct_fd = open(path, mode | O_DIRECT | O_CLOEXEC);
	if (backing->direct_fd < 0)
		return;
	alignment = ask_alignment(backing->direct_fd);
	if (alignment < 0 && backing->is_block_device &&
	    ioctl(backing->direct_fd, BLKSSZGET, &block_size) == 0)
		alignment = block_size;
	if (alignment < 0)
		alignment = try_alignments(backing->direct_fd);
	if (alignment > 0) {
		backing->direct_alignment = alignment;
		return;
	}
	close(backing->direct_fd);
	backing->direct_fd = -1;
}

static int choose_fd(struct backing *backing)
{
	return __atomic_load_n(&backing->is_direct, __ATOMIC_RELAXED) ?
		       backing->direct_fd :
		       backing->fd;
}

/*
 * Judge the result of one transfer with `fd`. Returns whether to try once more,
 * or sets `*error`.
 */
static bool must_retry(struct backing *backing, int fd, ssize_t count,
		       int *error)
{
	if (count > 0)
		return true;
	if (count < 0 && errno == EINTR)
		return true;
	if (count < 0 && errno == EINVAL && fd == backing->direct_fd) {
		__atomic_store_n(&backing->is_direct, false, __ATOMIC_RELAXED);
		return true;
	}
	/* Nothing read: somebody has cut the file off. */
	*error = count == 0 ? EIO : errno;
	return false;
}

int backing_read(struct backing *backing, char *buffer, uint64_t offset,
		 uint32_t size)
{
	int error;

	while (size > 0) {
		int fd = choose_fd(backing);
		ssize_t count = pread(fd, buffer, size, offset);

		if (!must_retry(backing, fd, count, &error))
			return error;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return 0;
}

static ssize_t write_some(int fd, const char *buffer, uint64_t offset,
			  uint32_t size, int flags)
{
	struct iovec vector = { (void *)buffer, size };

	return flags ? pwritev2(fd, &vector, 1, offset, flags) :
		       pwrite(fd, buffer, size, offset);
}

int backing_write(struct backing *backing, const char *buffer, uint64_t offset,
		  uint32_t size, bool is_durable)
{
	int flags = is_durable ? RWF_DSYNC : 0;
	int error;

	while (size > 0) {
		int fd = choose_fd(backing);
		ssize_t count = write_some(fd, buffer, offset, size, flags);

		if (count < 0 && flags &&
		    (errno == EOPNOTSUPP || errno == ENOSYS)) {
			flags = 0;
			continue;
		}
		if (!must_retry(backing, fd, count, &error))
			return error;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return is_durable && !flags ? backing_flush(backing) : 0;
}

static int write_zeros(struct backing *backing, uint64_t offset, uint32_t size)
{
	int error = 0;

	while (size > 0 && error == 0) {
		uint32_t part = size < sizeof(zeros) ? size : sizeof(zeros);

		error = backing_write(backing, zeros, offset, part, false);
		offset += part;
		size -= part;
	}
	return error;
}

int backing_zero(struct backing *backing, uint64_t offset, uint32_t size,
		 bool may_unmap)
{
	int error = EOPNOTSUPP;

	if (may_unmap)
		error = zero_range(backing->fd, FALLOC_FL_PUNCH_HOLE, offset,
				   size);
	if (is_unsupported(error))
		error = zero_range(backing->fd, FALLOC_FL_ZERO_RANGE, offset,
				   size);
	if (is_unsupported(error))
		error = write_zeros(backing, offset, size);
	return error;
}

int backing_discard(struct backing *backing, uint64_t offset, uint32_t size)
{
	uint64_t range[2] = { offset, size };
	int error;

	if (backing->is_block_device)
		error = ioctl(backing->fd, BLKDISCARD, range) == 0 ? 0 : errno;
	else
		error = zero_range(backing->fd, FALLOC_FL_PUNCH_HOLE, offset,
				   size);
	return is_unsupported(error) || error == EINTR ? 0 : error;
}

int backing_flush(struct backing *backing)
{
	int result;

	do
		result = fdatasync(backing->fd);
	while (result != 0 && errno == EINTR);
	return result == 0 ? 0 : errno;
}
