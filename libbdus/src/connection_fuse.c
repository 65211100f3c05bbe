/* SPDX-License-Identifier: MIT */

/*
 * connection_fuse.c: mounts of the backend "fuse" and the connections behind them.
 *
 * Called by backend_fuse.c, and by manage_fuse.c for connections of others. A mount is in
 * no name space: nobody can come across it, nothing has to be unmounted, and it is gone
 * when neither driver nor loop device has it any more. A connection has files by which
 * it can be watched and ended; they are found through a mount of their own. Owns nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse.h"

static long set_option(int context, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, context,
		       value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
		       value, 0);
}

/* Mount a file system with these options, in no name space. */
static int mount_nowhere(const char *type, const char *const options[][2],
			 size_t count)
{
	const int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	long ret = 0;
	int err;

	if (context < 0)
		return -errno;
	for (size_t i = 0; i < count && !ret; ++i)
		ret = set_option(context, options[i][0], options[i][1]);
	if (!ret)
		ret = syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL,
			      NULL, 0);
	if (!ret)
		ret = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);

	err = errno;
	close(context);
	return ret < 0 ? -err : (int)ret;
}

/* Make the file system that is served by way of a descriptor of /dev/fuse, for reads of
 * that size. Returns a descriptor, or a negative value without a message. */
int libbdus_fuse_mount(int fuse_fd, uint32_t max_read)
{
	char fd[16], size[16];
	const char *const options[][2] = {
		{ "source", "bdus" },
		{ "subtype", "bdus" },
		{ "fd", fd },
		{ "rootmode", "40000" },
		{ "user_id", "0" },
		{ "group_id", "0" },
		{ "max_read", size },
		/* The driver may have dropped its privileges when it opens the
		 * file. */
		{ "allow_other", NULL },
	};

	snprintf(fd, sizeof(fd), "%d", fuse_fd);
	snprintf(size, sizeof(size), "%" PRIu32, max_read);
	return mount_nowhere("fuse", options,
			     sizeof(options) / sizeof(options[0]));
}

/* Open a file of a connection. It is about that one only, whichever has the number
 * later. Returns a descriptor, or a negative value without a message. */
int libbdus_fuse_open_connection(uint32_t connection, const char *file,
				 int flags)
{
	char name[32];
	int mount, fd;

	mount = mount_nowhere("fusectl", NULL, 0);
	if (mount < 0)
		return mount;

	snprintf(name, sizeof(name), "%" PRIu32 "/%s", connection, file);
	fd = openat(mount, name, flags | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(mount);
	return fd;
}

/* End a connection, of which this is the file `abort`: all who wait get errors, on both
 * sides. */
void libbdus_fuse_abort(int abort_fd)
{
	ssize_t written = write(abort_fd, "1", 1);

	/* Fails only if there is nothing to end. */
	(void)written;
}
