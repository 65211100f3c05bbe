/* SPDX-License-Identifier: MIT */

/*
 * record_stop.c: how drivers are told to end, where they have nobody else who does.
 *
 * A pipe with a name, beside the record. The driver has both ends open as long as it
 * serves, so that opening one of them tells whether it does.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/*
 * Make the pipe by which the driver, who calls this, can be told to end: then the
 * first descriptor is readable for good. It is open as long as he serves.
 */
int libbdus_record_make_stop(uint64_t dev_id, int fds[2])
{
	char path[LIBBDUS_RECORD_PATH_SIZE];

	libbdus_record_file(path, dev_id, "stop");
	if (mkfifo(path, 0600) && errno != EEXIST)
		return libbdus_error_with_errno(errno, "Failed to make %s",
						path);

	fds[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fds[1] = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	for (int i = 0; i < 2; ++i)
		fds[i] = fds[i] < 0 ? fds[i] : libbdus_daemonize_keep(fds[i]);
	if (fds[0] < 0 || fds[1] < 0)
		return libbdus_error_with_errno(errno, "Failed to open %s",
						path);
	return 0;
}

static int open_stop(uint64_t dev_id, int flags)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];

	return open(libbdus_record_file(path, dev_id, "stop"),
		    flags | O_NONBLOCK | O_CLOEXEC);
}

/* Whether there is a driver that could be told. */
bool libbdus_record_is_serving(uint64_t dev_id)
{
	const int fd = open_stop(dev_id, O_WRONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Tell the driver to end. False if nobody serves. */
bool libbdus_record_ask_to_stop(uint64_t dev_id)
{
	ssize_t written;
	int fd;

	if (!libbdus_record_is_serving(dev_id))
		return false;
	/* To have no signal if he has just closed it. */
	fd = open_stop(dev_id, O_RDWR);
	if (fd < 0)
		return false;
	written = write(fd, "", 1);
	/* It can only be full of the same. */
	(void)written;
	close(fd);
	return true;
}
