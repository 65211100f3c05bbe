/* SPDX-License-Identifier: MIT */

/*
 * record.c: a file that tells what was asked of a fault device.
 *
 * One line for each callback, written with a single write(2) in append mode just
 * before the callback returns. So lines of several threads and of several
 * drivers of one device never mix, are in the order of completion, and what is
 * recorded as done was done before anybody was told so. A callback that never
 * ends has no line.
 */

#include "record.h"

#include "driver.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fd = -1;

int record_open(const char *path)
{
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return fd < 0 ? errno : 0;
}

static void describe_result(char *out, size_t size, int result)
{
	const char *name = result > 0 ? strerrorname_np(result) : NULL;

	if (result == 0)
		*out = '\0';
	else if (result == bdus_abort)
		snprintf(out, size, " abort");
	else if (name)
		snprintf(out, size, " error=%s", name);
	else
		snprintf(out, size, " error=%d", result);
}

void record_line(const char *text, int result)
{
	char suffix[64];
	char line[256];
	int length;

	if (fd < 0)
		return;
	describe_result(suffix, sizeof(suffix), result);
	length = snprintf(line, sizeof(line), "%s%s\n", text, suffix);
	if (write(fd, line, length) != length)
		driver_error("recording '%s': %s", text, strerror(errno));
}
