/* SPDX-License-Identifier: MIT */

/*
 * loop.c: the kernel's loop devices, as far as a backend needs them that serves a
 * file.
 *
 * Called by backend_fuse.c. Each of our devices is one that the kernel makes anew
 * and that is removed afterwards, so that what is changed about it in sysfs is
 * never found by others. Owns nothing, no locks.
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

/* Replace a number by the lowest from there on, and of those that are ours, that no
 * device has. */
int libbdus_loop_find(uint32_t *number)
{
	char path[LIBBDUS_PATH_SIZE];

	if (*number < FIRST_NUMBER)
		*number = FIRST_NUMBER;
	for (; *number < FIRST_NUMBER + NUMBER_COUNT; ++*number) {
		snprintf(path, sizeof(path), LIBBDUS_LOOP_NODE_FORMAT, *number);
		if (!libbdus_disk_exists(path))
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
	loop->max_sectors_fd = libbdus_disk_open(loop->path, "queue/max_sectors_kb",
						 O_WRONLY);
	loop->discard_fd = libbdus_disk_open(loop->path, "queue/discard_max_bytes",
						 O_WRONLY);
	loop->write_zeroes_fd = libbdus_disk_open(loop->path,
						  "queue/write_zeroes_max_bytes", O_RDONLY);
	loop->write_cache_fd = libbdus_disk_open(loop->path, "queue/write_cache",
						 O_WRONLY);
	return 0;
}

/* Close what libbdus_loop_reserve() opened. The device stays. */
void libbdus_loop_release(struct libbdus_loop *loop)
{
	libbdus_close(&loop->write_cache_fd);
	libbdus_close(&loop->write_zeroes_fd);
	libbdus_close(&loop->discard_fd);
	libbdus_close(&loop->max_sectors_fd);
	libbdus_close(&loop->fd);
}

/* Whether the device is bound to a file with this name in the root directory of
 * its file system. */
bool libbdus_loop_is_backed_by(const char *path, const char *name)
{
	char text[256];

	return libbdus_disk_read(path, "loop/backing_file", text,
				 sizeof(text)) &&
	       text[0] == '/' && !strcmp(text + 1, name);
}

/* Whether the device is bound to anything. */
bool libbdus_loop_is_bound(const char *path)
{
	char text[256];

	return libbdus_disk_read(path, "loop/backing_file", text, sizeof(text));
}

/* Unbind the device, at once or when its last client closes it. Its file must
 * not keep anybody waiting any more. */
void libbdus_loop_clear(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

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
