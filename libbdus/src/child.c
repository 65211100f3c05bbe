/* SPDX-License-Identifier: MIT */

/*
 * child.c: what must not be done by the driver's process.
 *
 * A process that waits for a device which it serves itself cannot die: the kernel
 * lets nobody interrupt such waiting, and the files whose closing would end it are
 * closed only when its last thread has left. So whatever may wait for a device is
 * done by a child that has nothing of the driver but the descriptors that it
 * needs. When the driver dies, its device fails, and the child ends, too.
 *
 * The program may have other threads, so that the child may use nothing but system
 * calls, and may have its own ideas about children, so that this one sends no
 * signal and is invisible to wait(2) without __WALL. No locks.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Above all that a child keeps. */
#define OUT_OF_THE_WAY 32

static void close_from(int first)
{
	int limit;

	if (!syscall(SYS_close_range, first, ~0U, 0))
		return;
	limit = (int)sysconf(_SC_OPEN_MAX);
	for (int i = first; i < limit; ++i)
		close(i);
}

/* Make the given descriptors 0 and up, `result` the one behind them, and close all
 * others. */
static void arrange(const int fds[LIBBDUS_CHILD_FDS], int result)
{
	int moved[LIBBDUS_CHILD_FDS + 1];

	for (int i = 0; i <= LIBBDUS_CHILD_FDS; ++i) {
		const int fd = i < LIBBDUS_CHILD_FDS ? fds[i] : result;

		moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, OUT_OF_THE_WAY);
	}
	for (int i = 0; i <= LIBBDUS_CHILD_FDS; ++i) {
		close(i);
		if (moved[i] >= 0)
			dup2(moved[i], i);
	}
	close_from(LIBBDUS_CHILD_FDS + 1);
}

static void be_child(const struct libbdus_task *task, int result)
{
	struct libbdus_outcome outcome;
	ssize_t written;

	arrange(task->fds, result);
	outcome = task->run(task->argument);
	/* That may take somebody who will not look after us once he knows. */
	for (int i = 0; i < LIBBDUS_CHILD_FDS; ++i)
		close(i);
	close_from(LIBBDUS_CHILD_FDS + 1);
	written = write(LIBBDUS_CHILD_FDS, &outcome, sizeof(outcome));
	_exit(written != sizeof(outcome));
}

/* Start it. libbdus_child_end() must follow. */
int libbdus_child_start(const struct libbdus_task *task,
			struct libbdus_child *child)
{
	sigset_t all, before;
	int fds[2];
	long pid;

	if (pipe2(fds, O_CLOEXEC))
		return libbdus_error_with_errno(errno, "Failed to make a pipe");

	/* The program's handlers are not for the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* All zero: like fork(), without a signal when it ends. */
	pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		be_child(task, fds[1]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return libbdus_error_with_errno(errno,
						"Failed to start a process");
	}

	*child = (struct libbdus_child){ .pid = (int)pid, .fd = fds[0] };
	return 0;
}

/*
 * Wait until it has ended. A signal that has a handler makes it fail with EINTR,
 * and the child goes on by itself.
 */
int libbdus_child_end(const struct libbdus_child *child,
		      struct libbdus_outcome *outcome)
{
	const ssize_t count = read(child->fd, outcome, sizeof(*outcome));
	const int err = errno;

	close(child->fd);
	if (count < 0 && err == EINTR)
		return libbdus_error_with_errno(EINTR, "Interrupted");

	while (waitpid(child->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	if (count != sizeof(*outcome))
		return libbdus_error(EIO, "A process was killed.");
	return 0;
}
