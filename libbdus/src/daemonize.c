/* SPDX-License-Identifier: MIT */

/*
 * daemonize.c: leave the terminal, and let the command that started us return.
 *
 * Called once by run.c, between the first requests and the rest, before there
 * are other threads. The process that returns from here is a grandchild of the one
 * that called; file descriptors and mappings go with it, so it is still the
 * driver. The original one waits until that is certain and then exits, or else
 * stays and fails.
 *
 * Where a device can be served only by the process that made it available, there is a
 * daemon before that, and the original process waits for that, too.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
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

/*
 * In the process between the daemon and the original one: live as long as both do, so
 * that neither outlives the other before it is ready.
 */
static void stand_between(void)
{
	for (;;)
		pause();
}

/* Die with the parent. False if it is dead already. */
static bool die_with(pid_t parent)
{
	return !prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent;
}

static void fork_daemon(struct libbdus_daemon *daemon, pid_t original)
{
	const pid_t parent = getpid();
	pid_t pid;

	if (!die_with(original) || setsid() < 0)
		_exit(1);
	pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid > 0) {
		close(daemon->report_fd);
		stand_between();
	}
	if (!die_with(parent))
		_exit(1);
}

/* What a daemon that is not ready says, beside a message. */
struct report {
	int ret;
	struct libbdus_error error;
};

/* The original process: exit as soon as the daemon is ready. Returns only if it never
 * will be. */
static int await_ready(pid_t child, int report_fd)
{
	struct report report;
	ssize_t count;

	do {
		count = read(report_fd, &report, sizeof(report));
	} while (count < 0 && errno == EINTR);

	if (count == 1)
		_exit(0);

	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (count != sizeof(report))
		return libbdus_error(EINVAL, "Failed to daemonize.");
	libbdus_error_restore(&report.error);
	return report.ret;
}

/*
 * Go on in the process that is to be the daemon, which still looks like the original
 * one to those who started it. libbdus_daemonize_end() or libbdus_daemonize_give_up()
 * must follow there. Returns in the original process, with report_fd being -1, if that
 * failed or the daemon gave up, with what it gave up for.
 */
int libbdus_daemonize_begin(struct libbdus_daemon *daemon)
{
	const pid_t original = getpid();
	int fds[2];
	pid_t child;
	int ret;

	daemon->report_fd = -1;
	if (pipe2(fds, O_CLOEXEC)) {
		return libbdus_error(EINVAL,
			"Failed to daemonize: pipe2() failed.");
	}
	fds[1] = libbdus_daemonize_keep(fds[1]);
	fflush(NULL);

	child = fds[1] < 0 ? -1 : fork();
	if (child == 0) {
		close(fds[0]);
		daemon->report_fd = fds[1];
		fork_daemon(daemon, original);
		return 0;
	}

	if (fds[1] >= 0)
		close(fds[1]);
	ret = child > 0 ? await_ready(child, fds[0])
			: libbdus_error(EINVAL,
					"Failed to daemonize: fork() failed.");
	close(fds[0]);
	return ret;
}

/* The daemon is ready: let the original process exit. */
int libbdus_daemonize_end(struct libbdus_daemon *daemon)
{
	fflush(NULL);
	if (redirect_to_null() || prctl(PR_SET_PDEATHSIG, 0) ||
	    write(daemon->report_fd, "", 1) != 1)
		return libbdus_error(EINVAL, "Failed to daemonize.");
	close(daemon->report_fd);
	daemon->report_fd = -1;
	return 0;
}

/* The daemon, if this is one that is not ready, is never to be: have the original
 * process return what it would. */
void libbdus_daemonize_give_up(const struct libbdus_daemon *daemon, int ret)
{
	struct report report = { .ret = ret };

	if (daemon->report_fd < 0)
		return;
	libbdus_error_save(&report.error);
	fflush(NULL);
	_exit(write(daemon->report_fd, &report, sizeof(report)) !=
	      sizeof(report));
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
