/* SPDX-License-Identifier: MIT */

/*
 * manage_fuse.c: what the backend "fuse" adds to manage_recorded.c.
 *
 * Who ends a device ends the connection first: from then on nothing can wait for the
 * driver, and the rest needs only the kernel. What is left then is the loop device, on
 * which everything fails. Owns nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuse.h"

/* How long to wait for those that have a device open for a moment, like udev. */
#define REMOVE_TIMEOUT_MS 2000

/*
 * Open a file of the connection of a device. Its number may have passed to another
 * file system: so the file is opened first, which is bound to the connection of
 * that moment, and then there must be somebody who has kept ours alive since
 * before: the loop device or, by its descriptor of the mount, the driver. Negative
 * if the connection is gone.
 */
static int open_connection(const struct libbdus_record *record,
			   const char *file, int flags)
{
	const int fd = libbdus_fuse_open_connection(
		record->numbers[LIBBDUS_FUSE_CONNECTION], file, flags);
	char name[LIBBDUS_RECORD_NAME_SIZE];
	struct libbdus_record now;

	if (fd < 0)
		return fd;
	libbdus_record_name(record, name);
	if (libbdus_loop_is_backed_by(record->path, name) ||
	    (!libbdus_record_read(record->device.seqnum, &now) &&
	     now.is_driven))
		return fd;
	close(fd);
	return -ENOENT;
}

/* The device is destroyed with its driver in any case. */
static void abort_device(const struct libbdus_record *record)
{
	int fd = open_connection(record, "abort", O_WRONLY);

	if (fd >= 0)
		libbdus_fuse_abort(fd);
	libbdus_close(&fd);
}

static uint32_t count_waiting(const struct libbdus_record *record)
{
	const int fd = open_connection(record, "waiting", O_RDONLY);
	char text[32] = "";
	ssize_t length;

	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	return length > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static bool has_device(const struct libbdus_record *record)
{
	char name[LIBBDUS_RECORD_NAME_SIZE];

	libbdus_record_name(record, name);
	return libbdus_loop_is_backed_by(record->path, name);
}

/* Remove the loop device, which somebody else may have got meanwhile. False if clients
 * have it open for longer than that. */
static bool remove_loop(const struct libbdus_record *record,
			uint64_t timeout_ms)
{
	const uint32_t number = record->numbers[LIBBDUS_FUSE_LOOP];
	const uint64_t end = libbdus_now_ms() + timeout_ms;

	for (;;) {
		if (!has_device(record) &&
		    (libbdus_loop_is_bound(record->path) ||
		     libbdus_loop_remove(number) != -EBUSY))
			return true;
		if (libbdus_now_ms() >= end)
			return false;
		libbdus_pause();
	}
}

/* Each step does no harm once more, if somebody was interrupted here. */
static int take_apart(const struct libbdus_record *record,
		      enum libbdus_occasion occasion)
{
	const uint64_t timeout_ms =
		occasion == LIBBDUS_LOOKED_AT ? 0 : REMOVE_TIMEOUT_MS;

	abort_device(record);
	if (has_device(record))
		libbdus_loop_clear(record->path);
	return remove_loop(record, timeout_ms) ? 0 : 1;
}

const struct libbdus_recorded libbdus_recorded_fuse = {
	.terminate_driver = abort_device,
	.take_apart = take_apart,
	.has_device = has_device,
	.count_waiting = count_waiting,
};
