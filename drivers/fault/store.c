/* SPDX-License-Identifier: MIT */

/*
 * store.c: where a fault device keeps its data.
 *
 * In memory, which dies with the driver, or in a file, where a successor finds
 * all that was written before, whether or not it was flushed.
 */

#include "store.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One of the two is there once store_prepare() has succeeded. */
static int fd = -1;
static struct memory *memory;

int store_open_file(const char *path)
{
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? errno : 0;
}

uint64_t store_file_size(void)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 ? status.st_size : 0;
}

int store_prepare(uint64_t size)
{
	if (fd >= 0) {
		if (store_file_size() >= size)
			return 0;
		return ftruncate(fd, size) == 0 ? 0 : errno;
	}
	memory = memory_create(size);
	return memory ? 0 : errno;
}

int store_read(char *buffer, uint64_t offset, uint32_t size)
{
	if (memory) {
		memory_read(memory, buffer, offset, size);
		return 0;
	}
	while (size > 0) {
		ssize_t count = pread(fd, buffer, size, offset);

		if (count == 0)
			return EIO;
		if (count < 0 && errno != EINTR)
			return errno;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return 0;
}

int store_write(const char *buffer, uint64_t offset, uint32_t size)
{
	if (memory)
		return memory_write(memory, buffer, offset, size);
	while (size > 0) {
		ssize_t count = pwrite(fd, buffer, size, offset);

		if (count < 0 && errno != EINTR)
			return errno;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return 0;
}

int store_clear(uint64_t offset, uint32_t size, bool may_unmap)
{
	int mode = may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
	static const char zeros[4096];
	int error = 0;

	if (memory) {
		memory_clear(memory, offset, size);
		return 0;
	}
	if (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, size) == 0)
		return 0;
	while (size > 0 && error == 0) {
		uint32_t part = size < sizeof(zeros) ? size : sizeof(zeros);

		error = store_write(zeros, offset, part);
		offset += part;
		size -= part;
	}
	return error;
}

int store_flush(void)
{
	return memory || fdatasync(fd) == 0 ? 0 : errno;
}
