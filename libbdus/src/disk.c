/* SPDX-License-Identifier: MIT */

/*
 * disk.c: what the kernel says of block devices, whoever makes them.
 *
 * Called by backends whose devices are not our module's, with the path of a node.
 * Questions go to sysfs alone: those that go to the device may be passed on to its
 * driver, which may never answer. Owns nothing, no locks, and nothing but flushing
 * takes memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define SYSFS_PATH_SIZE 192

/* Open a file of the device's directory. Negative if there is none. */
int libbdus_disk_open(const char *path, const char *attribute, int flags)
{
	const char *slash = strrchr(path, '/');
	char sysfs_path[SYSFS_PATH_SIZE];

	snprintf(sysfs_path, sizeof(sysfs_path), "/sys/block/%s/%s",
		 slash ? slash + 1 : path, attribute);
	return open(sysfs_path, flags | O_CLOEXEC);
}

/* Read the first line of such a file. False if there is none. */
bool libbdus_disk_read(const char *path, const char *attribute, char *text,
		       size_t size)
{
	const int fd = libbdus_disk_open(path, attribute, O_RDONLY);
	ssize_t length;

	if (fd < 0)
		return false;
	length = read(fd, text, size - 1);
	close(fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return true;
}

/* Whether the kernel has the device. */
bool libbdus_disk_exists(const char *path)
{
	const int fd = libbdus_disk_open(path, "", O_PATH);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Get the numbers of the node. False, and nothing is written, if there is no device. */
bool libbdus_disk_get_numbers(const char *path, uint32_t *major,
			      uint32_t *minor)
{
	uint32_t numbers[2];
	char text[32];

	if (!libbdus_disk_read(path, "dev", text, sizeof(text)) ||
	    sscanf(text, "%" SCNu32 ":%" SCNu32, &numbers[0], &numbers[1]) != 2)
		return false;
	*major = numbers[0];
	*minor = numbers[1];
	return true;
}

/* Count the requests that were answered so far. */
uint64_t libbdus_disk_count_answered(const char *path)
{
	uint64_t reads = 0, writes = 0, discards = 0, flushes = 0;
	char text[512];

	if (libbdus_disk_read(path, "stat", text, sizeof(text)))
		sscanf(text,
		       "%" SCNu64 " %*u %*u %*u %" SCNu64
		       " %*u %*u %*u %*u %*u %*u %" SCNu64
		       " %*u %*u %*u %" SCNu64,
		       &reads, &writes, &discards, &flushes);
	return reads + writes + discards + flushes;
}

/* Count those that were not. */
uint32_t libbdus_disk_count_waiting(const char *path)
{
	uint32_t reads = 0, writes = 0;
	char text[64];

	if (libbdus_disk_read(path, "inflight", text, sizeof(text)))
		sscanf(text, "%" SCNu32 " %" SCNu32, &reads, &writes);
	return reads + writes;
}

static struct libbdus_outcome flush(const void *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return (struct libbdus_outcome){ .error = errno };
	return (struct libbdus_outcome){ .error = 0 };
}

/* Like fsync(2) on the device. */
int libbdus_disk_flush(const char *path)
{
	const struct libbdus_task task = {
		.run = flush,
		.argument = path,
		.fds = { -1, -1, -1, -1, -1, -1 },
	};
	struct libbdus_outcome outcome;
	struct libbdus_child child;
	int ret;

	ret = libbdus_child_start(&task, &child);
	if (!ret)
		ret = libbdus_child_end(&child, &outcome);
	if (ret)
		return ret;
	if (outcome.error) {
		return libbdus_error_with_errno(outcome.error,
						"Failed to flush %s", path);
	}
	return 0;
}
