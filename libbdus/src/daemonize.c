/* SPDX-License-Identifier: MIT */

/*
 * daemonize.c: leave the terminal, and let the command that started us return.
 *
 * Called once by run.c, between the first requests and the rest, before there
 * are other threads. The process that returns from here is a grandchild of the one
 * that called; file descriptors and mappings go with it, so it is still the
 * driver. The original one waits until that is certain and then exits, or else
 * stays and fails.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

/*
 * Get a descriptor out of the way of the redirection, which a program that runs
 * without standard input, output or error will be given one of. Returns the
 * descriptor or a negative errno value; the given one is gone then. Leaves no
 * message.
 */
int libbdus_daemonize_keep(int fd)
{
	int kept;
	int ret;

	if (fd > STDERR_FILENO)
		return fd;

	kept = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	ret = kept < 0 ? -errno : kept;
	close(fd);
	return ret;
}

static int redirect_to_null(void)
{
	const int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		return -errno;

	for (int i = STDIN_FILENO; i <= STDERR_FILENO; ++i) {
		if (dup2(fd, i) < 0)
			return -errno;
	}

	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

/*
 * The child: detach, and fork once more so that the daemon, not leading its
 * session, can never get a terminal. Only the daemon returns, having said through
 * the pipe that it lives.
 */
static void become_daemon(int done)
{
	pid_t pid;

	if (setsid() < 0 || redirect_to_null())
		_exit(1);

	pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid > 0)
		_exit(0);

	if (write(done, "", 1) != 1)
		_exit(1);
	close(done);
}

/*
 * The original process: exit as soon as the daemon is there. Returns only if
 * it never will be. The pipe tells, not the child's status, which is lost if the
 * program ignores SIGCHLD.
 */
static int await_daemon(pid_t child, int done)
{
	ssize_t count;
	char byte;

	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	do {
		count = read(done, &byte, 1);
	} while (count < 0 && errno == EINTR);

	if (count == 1)
		_exit(0);

	return libbdus_error(EINVAL, "Failed to daemonize.");
}

/* Go on in a daemon. After a failure, the original process is as it was. */
int libbdus_daemonize(void)
{
	int done[2];
	pid_t child;
	int ret;

	if (pipe2(done, O_CLOEXEC)) {
		return libbdus_error(EINVAL,
			"Failed to daemonize: pipe2() failed.");
	}

	done[1] = libbdus_daemonize_keep(done[1]);
	if (done[1] < 0) {
		close(done[0]);
		return libbdus_error(EINVAL,
			"Failed to daemonize: too many open files.");
	}

	fflush(NULL);

	child = fork();
	if (child == 0) {
		close(done[0]);
		become_daemon(done[1]);
		return 0;
	}

	close(done[1]);
	ret = child > 0 ? await_daemon(child, done[0])
			: libbdus_error(EINVAL,
					"Failed to daemonize: fork() failed.");
	close(done[0]);
	return ret;
}
