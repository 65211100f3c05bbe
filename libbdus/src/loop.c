/* SPDX-License-Identifier: MIT */

/*
 * loop.c: the kernel's loop devices, as far as a backend needs them that serves a
 * file.
 *
 * Called by backend_fuse.c. Each of our devices is one that the kernel makes anew
 * and that is removed afterwards, so that what is changed about it in sysfs is
 * never found by others. Questions go to sysfs alone: those that go to the device
 * may be passed on to its driver, which may never answer. Owns nothing, no locks.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

#define CONTROL_PATH "/dev/loop-control"

/* Lower numbers are what the kernel makes for others. */
#define FIRST_NUMBER 16
#define NUMBER_COUNT 4096

#define SYSFS_PATH_SIZE 128

static int open_control(void)
{
	const int fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
		return libbdus_error(ENOENT,
			CONTROL_PATH " is missing: the kernel has no loop devices, or its module loop is not loaded.");
	}
	return libbdus_error_with_errno(errno, "Failed to open " CONTROL_PATH);
}

/* Whether there can be loop devices. */
int libbdus_loop_probe(void)
{
	const int fd = open_control();

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int open_sysfs(uint32_t number, const char *name, int flags)
{
	char path[SYSFS_PATH_SIZE];

	snprintf(path, sizeof(path), "/sys/block/loop%" PRIu32 "/%s", number,
		 name);
	return open(path, flags | O_CLOEXEC);
}

/* Read a file below the device's directory; false if there is none. */
static bool read_sysfs(uint32_t number, const char *name, char *text,
		       size_t size)
{
	const int fd = open_sysfs(number, name, O_RDONLY);
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

/* Replace a number by the lowest from there on, and of those that are ours, that no
 * device has. */
int libbdus_loop_find(uint32_t *number)
{
	char path[SYSFS_PATH_SIZE];

	if (*number < FIRST_NUMBER)
		*number = FIRST_NUMBER;
	for (; *number < FIRST_NUMBER + NUMBER_COUNT; ++*number) {
		snprintf(path, sizeof(path), "/sys/block/loop%" PRIu32, *number);
		if (access(path, F_OK))
			return 0;
	}
	return libbdus_error(ENOSPC, "There are too many loop devices.");
}

static int add_device(uint32_t number)
{
	const int fd = open_control();
	int ret = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, LOOP_CTL_ADD, (long)number) < 0)
		ret = -errno;
	close(fd);

	if (ret && ret != -EEXIST)
		return libbdus_error_with_errno(-ret,
						"Failed to add a loop device");
	return ret;
}

/*
 * Have the kernel make the device with a number, and get it so that nobody else can
 * use it. Fails with EEXIST, without a message, if there is one. Its descriptors are
 * to be given to the child that binds it; libbdus_loop_release() takes this process'
 * away.
 */
int libbdus_loop_reserve(uint32_t number, struct libbdus_loop *loop)
{
	int ret;

	*loop = (struct libbdus_loop){
		.number = number,
		.fd = -1, .max_sectors_fd = -1, .discard_fd = -1,
		.write_zeroes_fd = -1, .write_cache_fd = -1,
	};
	ret = add_device(number);
	if (ret)
		return ret;

	snprintf(loop->path, sizeof(loop->path), LIBBDUS_LOOP_NODE_FORMAT,
		 number);
	/* Exclusive, so that it is not given away before it is bound. */
	loop->fd = open(loop->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (loop->fd < 0)
		return libbdus_error_with_errno(errno, "Failed to open %s",
						loop->path);

	/* Now, for initialize() may drop the privileges that this needs. */
	loop->max_sectors_fd = open_sysfs(loop->number, "queue/max_sectors_kb",
					  O_WRONLY);
	loop->discard_fd = open_sysfs(loop->number, "queue/discard_max_bytes",
				      O_WRONLY);
	loop->write_zeroes_fd = open_sysfs(
		loop->number, "queue/write_zeroes_max_bytes", O_RDONLY);
	loop->write_cache_fd = open_sysfs(loop->number, "queue/write_cache",
					  O_WRONLY);
	return 0;
}

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Close what libbdus_loop_reserve() opened. The device stays. */
void libbdus_loop_release(struct libbdus_loop *loop)
{
	close_if_open(&loop->write_cache_fd);
	close_if_open(&loop->write_zeroes_fd);
	close_if_open(&loop->discard_fd);
	close_if_open(&loop->max_sectors_fd);
	close_if_open(&loop->fd);
}

/* Whether the device is bound to a file with this name in the root directory of
 * its file system. */
bool libbdus_loop_is_backed_by(uint32_t number, const char *name)
{
	char text[256];

	return read_sysfs(number, "loop/backing_file", text, sizeof(text)) &&
	       text[0] == '/' && !strcmp(text + 1, name);
}

/* Whether the device is bound to anything. */
bool libbdus_loop_is_bound(uint32_t number)
{
	char text[256];

	return read_sysfs(number, "loop/backing_file", text, sizeof(text));
}

/* Unbind the device, at once or when its last client closes it. Its file must
 * not keep anybody waiting any more. */
void libbdus_loop_clear(uint32_t number)
{
	char path[LIBBDUS_PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), LIBBDUS_LOOP_NODE_FORMAT, number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ioctl(fd, LOOP_CLR_FD);
		close(fd);
	}
}

/* Remove the device. Fails with EBUSY, without a message, if it is open or
 * bound; 0 if there is none. */
int libbdus_loop_remove(uint32_t number)
{
	const int fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, LOOP_CTL_REMOVE, (long)number) < 0 && errno != ENODEV)
		ret = -errno;
	close(fd);
	return ret;
}

static struct libbdus_outcome flush(const void *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		return (struct libbdus_outcome){ .error = errno };
	return (struct libbdus_outcome){ .error = 0 };
}

/* Like fsync(2) on a device. */
int libbdus_loop_flush(const char *path)
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

/* Count the requests that were answered so far. */
uint64_t libbdus_loop_count(uint32_t number)
{
	uint64_t reads = 0, writes = 0, discards = 0, flushes = 0;
	char text[512];

	if (read_sysfs(number, "stat", text, sizeof(text)))
		sscanf(text,
		       "%" SCNu64 " %*u %*u %*u %" SCNu64
		       " %*u %*u %*u %*u %*u %*u %" SCNu64
		       " %*u %*u %*u %" SCNu64,
		       &reads, &writes, &discards, &flushes);
	return reads + writes + discards + flushes;
}
