/* SPDX-License-Identifier: MIT */

/*
 * alone.c: drivers that cases start with arguments and leave alone, over the
 * protocol of the run.
 *
 *     raw create [SIZE]         create a device and die at once
 *     raw attach ID MS [wait]   be the driver of a device, after giving the present
 *                               one so many milliseconds to leave; with wait, also
 *                               wait until it is available
 *     raw unload N MODULE       N times: destroy a device that a process of its own
 *                               drives, unload the module, load it again
 *
 * Prints the name of the errno value and fails if something does. A driver prints
 * "attached", then what it is asked (type, offset and length as numbers), answers it
 * without an error and doing nothing, and ends when it is told to.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

static struct call call;

/* Does what a line says. Returns whether that went well; else says why not. */
static bool does(const char *line)
{
	snprintf(call.line, sizeof(call.line), "%s", line);
	raw_parse(&call);
	raw_execute(&call);
	if (!strncmp(call.answer, "ok", 2))
		return true;
	call.answer[strcspn(call.answer, " ")] = '\0';
	puts(call.answer);
	return false;
}

static int create(const char *size)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "create operations=READ flags=0 max_outstanding_requests=1 size=%s",
		 size ? size : "1M");
	return does("open") && does(line) ? 0 : 1;
}

static int attach(char **arguments)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "attach seqnum=%s leave_timeout_ms=%s attach_flags=%d",
		 arguments[0], arguments[1], arguments[2] ? 1 : 0);
	if (!does("open") || !does(line))
		return 1;
	puts("attached");
	do {
		if (!does("serve print=1"))
			return 1;
	} while (!strstr(call.answer, "type=TERMINATE"));
	return does("mark_successful") ? 0 : 1;
}

/* Is the driver of a device until that ends; tells its seqnum. */
static int drive(int told_fd)
{
	const char *seqnum;

	if (!does("open") || !does("create"))
		return 1;
	seqnum = strstr(call.answer, " seqnum=");
	if (!seqnum || write(told_fd, seqnum + 8, strcspn(seqnum + 8, " ")) < 1)
		return 1;
	if (!does("serve until=DEVICE_AVAILABLE"))
		return 1;
	close(told_fd);
	return does("serve") ? 0 : 1;
}

/* Reads until the other end is closed. */
static void read_all(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t count;

	do {
		count = read(fd, text + length, size - 1 - length);
		length += count > 0 ? count : 0;
	} while (count > 0);
	text[length] = '\0';
}

static bool load(const char *path)
{
	const char *protocol = getenv("BDUS_PROTOCOL");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char parameters[64];
	long ret;

	snprintf(parameters, sizeof(parameters), "protocol=%s",
		 protocol ? protocol : "");
	ret = syscall(SYS_finit_module, fd, parameters, 0);
	if (ret)
		perror("loading the module");
	close(fd);
	return !ret;
}

/* Once the device is gone, so is what its driver had of the module. */
static bool destroy_and_unload(void)
{
	char line[128], seqnum[32];
	int pipe_fds[2], status;
	pid_t driver;

	if (pipe(pipe_fds))
		raw_die("pipe");
	fflush(stdout);
	driver = fork();
	if (driver == 0) {
		close(pipe_fds[0]);
		_exit(drive(pipe_fds[1]));
	}
	close(pipe_fds[1]);
	read_all(pipe_fds[0], seqnum, sizeof(seqnum));
	close(pipe_fds[0]);

	snprintf(line, sizeof(line), "stop_by_uniqueid value=%s", seqnum);
	if (!does("open") || !does(line) || !does("close"))
		return false;
	if (syscall(SYS_delete_module, "kbdus", O_NONBLOCK)) {
		perror("unloading the module");
		return false;
	}
	return waitpid(driver, &status, 0) == driver && status == 0;
}

static int unload(const char *times, const char *module)
{
	for (long i = atol(times); i > 0; i--) {
		if (!destroy_and_unload() || !load(module))
			return 1;
	}
	return 0;
}

/* Does what the command line says; returns the exit status. */
int raw_alone(char **arguments)
{
	setlinebuf(stdout);
	if (!strcmp(arguments[0], "create"))
		return create(arguments[1]);
	if (!strcmp(arguments[0], "attach") && arguments[1] && arguments[2])
		return attach(arguments + 1);
	if (!strcmp(arguments[0], "unload") && arguments[1] && arguments[2])
		return unload(arguments[1], arguments[2]);
	fprintf(stderr, "raw: see raw/alone.c\n");
	return 2;
}
