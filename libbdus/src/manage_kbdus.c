/* SPDX-License-Identifier: MIT */

/*
 * manage_kbdus.c: what is done to devices of the module by others than their
 * drivers.
 *
 * Off the data path. Called by manage.c and info.c; each function opens a control
 * file, issues one command and closes it again. Owns nothing, no locks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

/* Issue a command whose argument is the id of a device. */
static int command_device(unsigned long command, uint64_t dev_id,
			  const char *purpose)
{
	uint64_t argument = dev_id;
	int ret;
	int fd;

	ret = libbdus_control_open_managing(&fd);
	if (!ret) {
		ret = libbdus_control_call(fd, command, &argument, dev_id,
					   purpose);
		close(fd);
	}

	return ret;
}

static int kbdus_flush(const struct libbdus_backend *backend,
		       uint64_t dev_id)
{
	(void)backend;

	return command_device(KBDUS_IOCTL_FLUSH_DEVICE, dev_id, "flush");
}

static int kbdus_destroy(const struct libbdus_backend *backend,
			 uint64_t dev_id)
{
	(void)backend;

	return command_device(KBDUS_IOCTL_STOP_BY_UNIQUEID, dev_id, "destroy");
}

static int kbdus_terminate_driver(const struct libbdus_backend *backend,
				  uint64_t dev_id)
{
	(void)backend;

	return command_device(KBDUS_IOCTL_REQUEST_SESSION_TERMINATION, dev_id,
			      "terminate the driver of");
}

static int kbdus_get_info(const struct libbdus_backend *backend,
			  uint64_t dev_id, struct bdus_dev_info *info)
{
	struct kbdus_device_info found;
	int ret;
	int fd;

	ret = libbdus_control_open_managing(&fd);
	if (ret)
		return ret;

	ret = libbdus_control_get_info(fd, dev_id, &found);
	close(fd);
	if (ret)
		return ret;

	libbdus_info_translate(&found, info);
	snprintf(info->path, sizeof(info->path), LIBBDUS_NODE_FORMAT, dev_id);
	snprintf(info->backend, sizeof(info->backend), "%s",
		 backend->traits.name);
	return 0;
}

static int number_to_id(int fd, const char *path, uint32_t major,
			uint32_t minor, uint64_t *out)
{
	struct kbdus_device_number argument = {
		.major = major,
		.minor = minor,
	};

	if (ioctl(fd, KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM, &argument) < 0) {
		switch (errno) {
		case EINVAL:
			return libbdus_error(EINVAL,
				"\"%s\" is not a BDUS device, or a partition of one.",
				path);
		case ENODEV:
			return libbdus_error(ENODEV,
				"The device of \"%s\" no longer exists.", path);
		default:
			return libbdus_error_with_errno(errno,
				"Failed to get the id of device \"%s\"", path);
		}
	}

	*out = argument.seqnum;
	return 0;
}

/* Get the id of the device whose node, found at a path, has a number. */
int libbdus_kbdus_find(const char *path, uint32_t major, uint32_t minor,
		       uint64_t *dev_id)
{
	int ret;
	int fd;

	ret = libbdus_control_open_managing(&fd);
	if (!ret) {
		ret = number_to_id(fd, path, major, minor, dev_id);
		close(fd);
	}

	return ret;
}

/* Replace a number by the lowest id that is not below it. */
int libbdus_kbdus_next(uint64_t *dev_id)
{
	uint64_t argument = *dev_id;
	int ret;
	int fd;

	ret = libbdus_control_open_managing(&fd);
	if (ret)
		return ret;

	if (ioctl(fd, KBDUS_IOCTL_NEXT_DEVICE, &argument) >= 0) {
		*dev_id = argument;
	} else if (errno == ENOENT) {
		ret = libbdus_error(ENOENT,
			"There is no device with id %" PRIu64 " or higher.",
			*dev_id);
	} else {
		ret = libbdus_error_with_errno(errno, "Failed to list devices");
	}

	close(fd);
	return ret;
}

const struct libbdus_management libbdus_management_kbdus = {
	.flush = kbdus_flush,
	.destroy = kbdus_destroy,
	.terminate_driver = kbdus_terminate_driver,
	.get_info = kbdus_get_info,
};
