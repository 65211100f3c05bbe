/* SPDX-License-Identifier: MIT */

/*
 * partitions_nbd.c: how a network block device becomes available.
 *
 * The kernel looks for partitions when a device is opened for the first time, and cannot be
 * told not to. That waits for its driver. So a child does it, see child.c, which is forked
 * off by backend_nbd.c before initialize() may drop privileges, and told to begin by
 * protocol_nbd.c, which serves meanwhile. It adjusts the device's queue, too. Both are in
 * struct nbd_device.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/blkpg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "nbd.h"

/* Partitions that a device can have. */
#define PARTITION_COUNT 256

/* How often the kernel looks after requests of a recoverable device. */
#define IO_TIMEOUT_MS 1000

enum { CHILD_GO };

/* What is written to a file in sysfs, if anything. */
struct setting {
	char path[64];
	char text[16];
};

/* What a child needs to know, which is forked off before initialize() may drop
 * privileges. */
struct looking {
	char path[LIBBDUS_PATH_SIZE];
	bool wants_no_partitions;
	struct setting settings[3];
};

/* The kernel waits until all requests have been answered. That this works is only for
 * the better: requests that are too large are taken to pieces. */
static void apply(const struct setting *setting)
{
	const size_t length = strlen(setting->text);
	ssize_t written = -1;
	int fd;

	if (!length)
		return;
	fd = open(setting->path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		written = write(fd, setting->text, length);
		close(fd);
	}
	(void)written;
}

static void delete_partitions(int fd)
{
	struct blkpg_partition partition = { .pno = 0 };
	struct blkpg_ioctl_arg argument = {
		.op = BLKPG_DEL_PARTITION,
		.datalen = sizeof(partition),
		.data = &partition,
	};

	for (partition.pno = 1; partition.pno < PARTITION_COUNT;
	     ++partition.pno)
		ioctl(fd, BLKPG, &argument);
}

/* The queue is adjusted first. */
static struct libbdus_outcome look_for_partitions(const void *argument)
{
	const struct looking *looking = argument;
	struct libbdus_outcome outcome = { .error = 0 };
	char byte;
	int fd;

	/* The driver has gone. */
	if (read(CHILD_GO, &byte, 1) != 1)
		return outcome;

	for (size_t i = 0; i < sizeof(looking->settings) /
			       sizeof(looking->settings[0]); ++i)
		apply(&looking->settings[i]);

	fd = open(looking->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		outcome.error = errno;
		return outcome;
	}
	if (looking->wants_no_partitions)
		delete_partitions(fd);
	close(fd);
	return outcome;
}

static void describe_looking(const struct kbdus_device_config *device,
			     struct looking *looking)
{
	static const char *const names[] = { "max_sectors_kb", "scheduler",
					     "io_timeout" };

	*looking = (struct looking){
		.wants_no_partitions = device->flags &
				       KBDUS_DEVICE_F_NO_PARTITIONS,
		.settings = { { .text = "" }, { .text = "none" } },
	};
	snprintf(looking->path, sizeof(looking->path), NBD_NODE_FORMAT,
		 device->index);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
		snprintf(looking->settings[i].path,
			 sizeof(looking->settings[i].path),
			 "/sys/block/nbd%" PRIu32 "/queue/%s", device->index,
			 names[i]);

	if (device->max_read_write_size)
		snprintf(looking->settings[0].text,
			 sizeof(looking->settings[0].text), "%" PRIu32,
			 device->max_read_write_size / 1024);
	if (libbdus_nbd_is_recoverable(device))
		snprintf(looking->settings[2].text,
			 sizeof(looking->settings[2].text), "%d",
			 IO_TIMEOUT_MS);
}

/* Fork the child off, which waits to be told. */
int libbdus_nbd_prepare_looking(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct looking looking;
	struct libbdus_task task = {
		.run = look_for_partitions,
		.argument = &looking,
	};
	int fds[2];
	int ret;

	describe_looking(&session->device, &looking);
	if (pipe2(fds, O_CLOEXEC))
		return libbdus_error_with_errno(errno, "Failed to make a pipe");

	for (int i = 0; i < LIBBDUS_CHILD_FDS; ++i)
		task.fds[i] = -1;
	task.fds[CHILD_GO] = fds[0];
	ret = libbdus_child_start(&task, &device->child);
	close(fds[0]);
	device->go_fd = fds[1];
	if (ret)
		device->child.fd = -1;
	return ret;
}

/* Called by protocol_nbd.c, which serves the device meanwhile. */
void libbdus_nbd_begin_looking(const struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	ssize_t written = write(device->go_fd, "", 1);

	/* If the child was killed, its end will be seen. */
	(void)written;
}

/* It has ended, or will. */
static int end_child(struct nbd_device *device, struct libbdus_outcome *outcome)
{
	const struct libbdus_child child = device->child;

	libbdus_close(&device->go_fd);
	device->child.fd = -1;
	return libbdus_child_end(&child, outcome);
}

/* The device fails by now, if it did not become available, so that the child ends. */
void libbdus_nbd_abandon_looking(struct nbd_device *device)
{
	struct libbdus_outcome outcome;

	libbdus_close(&device->go_fd);
	if (device->child.fd >= 0)
		end_child(device, &outcome);
}

/* The child has ended: say what became of the device. */
int libbdus_nbd_end_looking(const struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct libbdus_outcome outcome;
	int ret;

	ret = end_child(device, &outcome);
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to open %s", session->path);
	}
	if (ret)
		return ret;

	libbdus_record_set_state(device->record_fd, BDUS_DEV_STATE_AVAILABLE,
				 getpid());
	libbdus_nbd_tell_keeper(device, NBD_LINE_AVAILABLE);
	return 0;
}
