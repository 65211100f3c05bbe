/* SPDX-License-Identifier: MIT */

/*
 * control.c: gets at the module through its control device.
 *
 * Not on the data path. backend_kbdus.c comes here for a driver's control file,
 * manage.c for one that lives as long as a call. Owns nothing: the caller closes
 * what it opened. Control files are closed on exec, for they carry the power
 * over a device, and shared by fork, which drivers that become daemons need. No
 * locks.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

static int open_control_device(void)
{
	int fd;

	do {
		fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);

	return fd < 0 ? -errno : libbdus_daemonize_keep(fd);
}

/* Try to load a module. Whether that worked shows when its device is opened. */
void libbdus_control_load_module(const char *name)
{
	char *const argv[] = { "/sbin/modprobe", (char *)name, NULL };
	static char *const envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	if (posix_spawn_file_actions_init(&actions))
		return;

	err = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO,
					       "/dev/null", O_RDWR, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO,
						       STDOUT_FILENO);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO,
						       STDERR_FILENO);
	if (!err)
		err = posix_spawn(&pid, argv[0], &actions, NULL, argv, envp);

	posix_spawn_file_actions_destroy(&actions);

	if (!err) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* Open the control device, loading the module if it is not there. */
int libbdus_control_open(int *out_fd)
{
	int fd;

	if (geteuid() != 0) {
		return libbdus_error(EPERM,
			"Insufficient privileges: the effective user is not root.");
	}

	fd = open_control_device();
	if (fd == -ENOENT) {
		libbdus_control_load_module("kbdus");
		fd = open_control_device();
	}

	switch (fd) {
	case -ENOENT:
		return libbdus_error(ENOENT,
			"The module kbdus could not be loaded. Is it installed?");
	case -EACCES:
	case -EPERM:
		return libbdus_error(-fd,
			"Insufficient privileges: access to " KBDUS_CONTROL_PATH
			" was denied.");
	}
	if (fd < 0) {
		return libbdus_error_with_errno(-fd,
			"Failed to open " KBDUS_CONTROL_PATH);
	}

	*out_fd = fd;
	return 0;
}

int libbdus_control_get_version(int fd, struct kbdus_version *version)
{
	if (ioctl(fd, KBDUS_IOCTL_GET_VERSION, version) < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to get the version of kbdus");
	}

	return 0;
}

/* Check that the module can do what its versions from a patch level on can. */
int libbdus_control_check_version(const struct kbdus_version *module,
				  uint32_t least_patch)
{
	if (module->major != KBDUS_HEADER_VERSION_MAJOR ||
	    module->minor != KBDUS_HEADER_VERSION_MINOR ||
	    module->patch < least_patch) {
		return libbdus_error(EINVAL,
			"kbdus has version %" PRIu32 ".%" PRIu32 ".%" PRIu32
			", which is incompatible with libbdus version %d.%d.%d.",
			module->major, module->minor, module->patch,
			KBDUS_HEADER_VERSION_MAJOR, KBDUS_HEADER_VERSION_MINOR,
			KBDUS_HEADER_VERSION_PATCH);
	}

	return 0;
}

/* Open the control device of a module from a patch level on. */
static int open_since(uint32_t least_patch, int *out_fd)
{
	struct kbdus_version version;
	int fd;
	int ret;

	ret = libbdus_control_open(&fd);
	if (ret)
		return ret;

	ret = libbdus_control_get_version(fd, &version);
	if (!ret)
		ret = libbdus_control_check_version(&version, least_patch);
	if (ret) {
		close(fd);
		return ret;
	}

	*out_fd = fd;
	return 0;
}

/* Open the control device of a module that can do all that drivers may ask of it. */
int libbdus_control_open_checked(int *out_fd)
{
	return open_since(KBDUS_HEADER_VERSION_PATCH, out_fd);
}

/*
 * Open the control device of a module whose devices the library can manage. An older
 * one stays loaded when a newer library is installed while it has devices, and must
 * be rid of them before the newer module can take its place.
 */
int libbdus_control_open_managing(int *out_fd)
{
	return open_since(LIBBDUS_MANAGEABLE_PATCH, out_fd);
}

/*
 * Issue a command about one device. The purpose continues "Failed to". Not for
 * commands that fail with EINVAL for other reasons than the number.
 */
int libbdus_control_call(int fd, unsigned long command, void *argument,
			 uint64_t dev_id, const char *purpose)
{
	if (ioctl(fd, command, argument) >= 0)
		return 0;

	switch (errno) {
	case EINVAL:
		return libbdus_error(EINVAL,
			"There never was a device with id %" PRIu64 ".", dev_id);
	case ENODEV:
		return libbdus_error(ENODEV,
			"The device with id %" PRIu64 " no longer exists.",
			dev_id);
	case EBUSY:
		return libbdus_error(EBUSY,
			"The device with id %" PRIu64 " is not yet available.",
			dev_id);
	default:
		return libbdus_error_with_errno(errno,
			"Failed to %s device %" PRIu64, purpose, dev_id);
	}
}

int libbdus_control_get_info(int fd, uint64_t dev_id,
			     struct kbdus_device_info *info)
{
	*info = (struct kbdus_device_info){ .config.device.seqnum = dev_id };

	return libbdus_control_call(fd, KBDUS_IOCTL_GET_DEVICE_INFO, info,
				    dev_id, "get information about");
}
