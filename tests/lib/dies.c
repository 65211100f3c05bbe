/* SPDX-License-Identifier: MIT */

/*
 * dies.c: a program that is killed at one of its system calls.
 *
 *     dies NUMBER PROGRAM [ARGUMENT...]
 *
 * The call is the one with this number, from 1 on, of those that follow the first
 * mkdir(2), by which a driver begins to make its device. Only the main thread of the
 * program counts; what it forks goes its own way. Exit status 0 if it was killed there,
 * 3 if it wrote to its standard output before, which ends it, too.
 */

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_TOO_LATE 3

static void fail(const char *what)
{
	fprintf(stderr, "dies: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Goes on with the program until it is about to make a system call, or has ended. */
static bool next_call(pid_t pid, struct __ptrace_syscall_info *info)
{
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (long)signal) ||
		    waitpid(pid, &status, __WALL) != pid)
			fail("waiting");
		if (!WIFSTOPPED(status))
			return false;
		signal = WSTOPSIG(status);
		if (signal != (SIGTRAP | 0x80)) {
			/* That of execve() is for us. */
			if (signal == SIGTRAP)
				signal = 0;
			continue;
		}
		signal = 0;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid,
			   (void *)sizeof(*info), info) <= 0)
			fail("looking");
		if (info->op == PTRACE_SYSCALL_INFO_ENTRY)
			return true;
	}
}

static bool is_mkdir(const struct __ptrace_syscall_info *info)
{
#ifdef SYS_mkdir
	if (info->entry.nr == SYS_mkdir)
		return true;
#endif
	return info->entry.nr == SYS_mkdirat;
}

int main(int argc, char **argv)
{
	struct __ptrace_syscall_info info;
	long number;
	pid_t pid;

	if (argc < 3)
		return 2;
	number = atol(argv[1]);

	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		fail(argv[2]);
	}
	if (waitpid(pid, NULL, 0) != pid ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)))
		fail("tracing");

	do {
		if (!next_call(pid, &info))
			return 1;
	} while (!is_mkdir(&info));
	while (number-- > 0) {
		if (!next_call(pid, &info))
			return 1;
		if (info.entry.nr == SYS_write && info.entry.args[0] == 1) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return STATUS_TOO_LATE;
		}
	}

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
