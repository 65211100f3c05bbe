/* SPDX-License-Identifier: MIT */

/*
 * manage.c: everything that is done to devices by others than their drivers, and
 * versions.
 *
 * Off the data path. Public functions, each of which opens a control file, issues
 * one command and closes it again. Owns nothing, no locks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

/* Issue a command whose argument is the id of a device. */
static bool command_device(unsigned long command, uint64_t dev_id,
			   const char *purpose)
{
	const int errno_on_entry = errno;
	uint64_t argument = dev_id;
	int ret;
	int fd;

	ret = libbdus_control_open_checked(&fd);
	if (!ret) {
		ret = libbdus_control_call(fd, command, &argument, dev_id,
					   purpose);
		close(fd);
	}

	return libbdus_error_report(ret, errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_flush_dev_0_1_0_(uint64_t dev_id)
{
	return command_device(KBDUS_IOCTL_FLUSH_DEVICE, dev_id, "flush");
}

LIBBDUS_EXPORT bool bdus_destroy_dev_0_1_0_(uint64_t dev_id)
{
	return command_device(KBDUS_IOCTL_STOP_BY_UNIQUEID, dev_id, "destroy");
}

LIBBDUS_EXPORT bool bdus_terminate_driver_0_1_3_(uint64_t dev_id)
{
	return command_device(KBDUS_IOCTL_REQUEST_SESSION_TERMINATION, dev_id,
			      "terminate the driver of");
}

static int number_to_id(int fd, const char *path, dev_t number, uint64_t *out)
{
	struct kbdus_device_number argument = {
		.major = major(number),
		.minor = minor(number),
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

static int path_to_id(const char *path, uint64_t *out)
{
	struct stat status;
	int ret;
	int fd;

	if (stat(path, &status)) {
		return libbdus_error_with_errno(errno,
			"Failed to resolve path \"%s\"", path);
	}

	if (!S_ISBLK(status.st_mode)) {
		return libbdus_error(ENOTBLK,
			"\"%s\" is not a block special file.", path);
	}

	ret = libbdus_control_open_checked(&fd);
	if (!ret) {
		ret = number_to_id(fd, path, status.st_rdev, out);
		close(fd);
	}

	return ret;
}

LIBBDUS_EXPORT bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id,
						     const char *dev_path)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(path_to_id(dev_path, out_dev_id),
				    errno_on_entry);
}

static int next_device(uint64_t *dev_id)
{
	uint64_t argument = *dev_id;
	int ret;
	int fd;

	ret = libbdus_control_open_checked(&fd);
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

LIBBDUS_EXPORT bool bdus_get_next_dev_0_1_3_(uint64_t *dev_id)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(next_device(dev_id), errno_on_entry);
}

LIBBDUS_EXPORT const struct bdus_version *bdus_get_libbdus_version_0_1_0_(void)
{
	static const struct bdus_version version = {
		.major = BDUS_HEADER_VERSION_MAJOR,
		.minor = BDUS_HEADER_VERSION_MINOR,
		.patch = BDUS_HEADER_VERSION_PATCH,
	};

	return &version;
}

static int module_version(struct bdus_version *out)
{
	struct kbdus_version version;
	int ret;
	int fd;

	ret = libbdus_control_open(&fd);
	if (ret)
		return ret;

	ret = libbdus_control_get_version(fd, &version);
	close(fd);
	if (ret)
		return ret;

	*out = (struct bdus_version){
		.major = version.major,
		.minor = version.minor,
		.patch = version.patch,
	};
	return 0;
}

LIBBDUS_EXPORT bool
bdus_get_kbdus_version_0_1_0_(struct bdus_version *out_version)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(module_version(out_version),
				    errno_on_entry);
}
