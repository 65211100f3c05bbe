/* SPDX-License-Identifier: MIT */

/*
 * manage.c: everything that is done to devices by others than their drivers, and
 * versions.
 *
 * Off the data path. Public functions, which find out who made the device and
 * leave the rest to that backend's struct libbdus_management. Owns nothing, no
 * locks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

LIBBDUS_EXPORT bool bdus_flush_dev_0_1_0_(uint64_t dev_id)
{
	const int errno_on_entry = errno;
	const struct libbdus_backend *backend;
	int ret = libbdus_backend_of(dev_id, &backend);

	if (!ret)
		ret = backend->management->flush(backend, dev_id);
	return libbdus_error_report(ret, errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_destroy_dev_0_1_0_(uint64_t dev_id)
{
	const int errno_on_entry = errno;
	const struct libbdus_backend *backend;
	int ret = libbdus_backend_of(dev_id, &backend);

	if (!ret)
		ret = backend->management->destroy(backend, dev_id);
	/* Recorded, and gone already. */
	else if (ret == -ENODEV)
		ret = 0;
	return libbdus_error_report(ret, errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_terminate_driver_0_1_3_(uint64_t dev_id)
{
	const int errno_on_entry = errno;
	const struct libbdus_backend *backend;
	int ret = libbdus_backend_of(dev_id, &backend);

	if (!ret)
		ret = backend->management->terminate_driver(backend, dev_id);
	return libbdus_error_report(ret, errno_on_entry);
}

static int path_to_id(const char *path, uint64_t *out)
{
	struct stat status;
	uint32_t major, minor;

	if (stat(path, &status)) {
		const int err = errno;

		/* Some nodes go before all else of their devices does. */
		if (err == ENOENT && !libbdus_record_find_path(path, out))
			return 0;
		errno = err;
		return libbdus_error_with_errno(errno,
			"Failed to resolve path \"%s\"", path);
	}

	if (!S_ISBLK(status.st_mode)) {
		return libbdus_error(ENOTBLK,
			"\"%s\" is not a block special file.", path);
	}

	major = major(status.st_rdev);
	minor = minor(status.st_rdev);
	if (!libbdus_record_find(major, minor, out))
		return 0;
	return libbdus_kbdus_find(path, major, minor, out);
}

LIBBDUS_EXPORT bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id,
						     const char *dev_path)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(path_to_id(dev_path, out_dev_id),
				    errno_on_entry);
}

/*
 * The module's devices come first, as their ids are lower. That there is no module
 * matters only if nothing else is found.
 */
static int next_device(uint64_t *dev_id)
{
	int ret = -ENOENT;

	if (*dev_id < LIBBDUS_FIRST_RECORDED_ID) {
		ret = libbdus_kbdus_next(dev_id);
		if (ret != -ENOENT)
			return ret;
	}

	ret = libbdus_record_next(dev_id);
	if (ret == -ENOENT) {
		ret = libbdus_error(ENOENT,
			"There is no device with id %" PRIu64 " or higher.",
			*dev_id);
	}
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
