/* SPDX-License-Identifier: MIT */

/*
 * Becoming a daemon, seen from outside: a child plays the command, the daemon that
 * comes of it reports through a pipe. In children nothing is asserted, only said.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* What a daemon says of itself, or the command that did not become one. */
struct report {
	pid_t pid, session;
	int result;
	bool null[3];
	bool is_shared_seen;
	bool is_file_open;
	mode_t mask;
	char directory[64];
	char message[LIBBDUS_MESSAGE_SIZE];
};

/* The fork (from 1) that fails; 0 for none. */
static int failing_fork;

/* Takes precedence over the C library's own. */
pid_t fork(void)
{
	pid_t (*real)(void);
	void *symbol = dlsym(RTLD_NEXT, "fork");

	if (failing_fork > 0 && --failing_fork == 0) {
		errno = EAGAIN;
		return -1;
	}

	memcpy(&real, &symbol, sizeof(real));
	return real();
}

static bool is_null(int fd)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat("/dev/null", &b) &&
	       a.st_rdev == b.st_rdev && a.st_ino == b.st_ino;
}

static void say(int out, int result, const volatile int *shared)
{
	struct report report = {
		.pid = getpid(),
		.session = getsid(0),
		.result = result,
		.is_shared_seen = shared && *shared == 1234,
		.is_file_open = fcntl(out, F_GETFD) >= 0,
		.mask = umask(0),
	};

	for (int i = 0; i < 3; ++i)
		report.null[i] = is_null(i);
	if (!getcwd(report.directory, sizeof(report.directory)))
		strcpy(report.directory, "?");
	strcpy(report.message, bdus_get_error_message_0_1_0_());

	if (write(out, &report, sizeof(report)) != sizeof(report))
		_exit(99);
}

static void exit_handler(void)
{
	_exit(98);
}

/* What the daemon that is there early says before it is ready. */
static int early_result;

/* Become one early. Returns in the original process only if that fails. */
static int daemonize_early(void)
{
	struct libbdus_daemon daemon;
	int ret = libbdus_daemonize_begin(&daemon);

	if (daemon.report_fd < 0)
		return ret;
	/* It prints to where the original process would. */
	printf(" early");
	if (early_result) {
		if (early_result == -ECHILD)
			_exit(3);
		libbdus_error(-early_result, "It gave up.");
		libbdus_daemonize_give_up(&daemon, early_result);
	}
	ret = libbdus_daemonize_end(&daemon);
	libbdus_daemonize_give_up(&daemon, ret);
	return ret;
}

static int (*daemonize)(void) = libbdus_daemonize;

/* Run a command that becomes a daemon, or tries to. */
static void play_command(int out, int out_stdout, void (*prepare)(void))
{
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*shared = 1234;
	atexit(exit_handler);
	dup2(out_stdout, STDOUT_FILENO);
	umask(027);
	if (chdir("/tmp"))
		_exit(97);
	if (prepare)
		prepare();

	printf("buffered");
	say(out, daemonize(), shared);
	_exit(1);
}

struct outcome {
	struct report report;
	pid_t command;
	int status;
	char printed[64];
};

static struct outcome play(void (*prepare)(void))
{
	struct outcome outcome = { 0 };
	int out[2], text[2];
	ssize_t length;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(text), 0);
	fflush(NULL);

	outcome.command = fork();
	if (outcome.command == 0) {
		close(out[0]);
		close(text[0]);
		play_command(out[1], text[1], prepare);
	}

	close(out[1]);
	close(text[1]);
	assert_int_equal(read(out[0], &outcome.report, sizeof(outcome.report)),
			 sizeof(outcome.report));
	assert_int_equal(waitpid(outcome.command, &outcome.status, 0),
			 outcome.command);
	length = read(text[0], outcome.printed, sizeof(outcome.printed) - 1);
	assert_true(length >= 0);
	close(out[0]);
	close(text[0]);
	return outcome;
}

static void assert_daemon(const struct outcome *outcome)
{
	const struct report *report = &outcome->report;

	assert_int_equal(report->result, 0);
	assert_true(WIFEXITED(outcome->status));
	assert_int_equal(WEXITSTATUS(outcome->status), 0);
	assert_int_not_equal(report->pid, outcome->command);
	assert_int_not_equal(report->session, getsid(0));
	assert_int_not_equal(report->session, report->pid);
	for (int i = 0; i < 3; ++i)
		assert_true(report->null[i]);
	assert_true(report->is_shared_seen);
	assert_true(report->is_file_open);
	assert_int_equal(report->mask, 027);
	assert_string_equal(report->directory, "/tmp");
}

static void test_daemon(void **state)
{
	const struct outcome outcome = play(NULL);

	(void)state;

	assert_daemon(&outcome);
	assert_string_equal(outcome.printed, "buffered");
}

static void ignore_children(void)
{
	signal(SIGCHLD, SIG_IGN);
}

static void test_ignoring_children(void **state)
{
	const struct outcome outcome = play(ignore_children);

	(void)state;
	assert_daemon(&outcome);
}

static void close_standard_files(void)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
}

static void test_without_standard_files(void **state)
{
	const struct outcome outcome = play(close_standard_files);

	(void)state;
	assert_daemon(&outcome);
}

/* The command goes on as if nothing had happened, but for the error. */
static void assert_no_daemon(const struct outcome *outcome)
{
	const struct report *report = &outcome->report;

	assert_int_equal(report->result, -EINVAL);
	assert_int_equal(report->pid, outcome->command);
	assert_int_equal(WEXITSTATUS(outcome->status), 1);
	assert_non_null(strstr(report->message, "Failed to daemonize"));
	assert_false(report->null[STDOUT_FILENO]);
}

static void fail_first_fork(void)
{
	failing_fork = 1;
}

static void test_first_fork_failing(void **state)
{
	const struct outcome outcome = play(fail_first_fork);

	(void)state;
	assert_no_daemon(&outcome);
}

static void fail_second_fork(void)
{
	failing_fork = 2;
}

static void test_second_fork_failing(void **state)
{
	const struct outcome outcome = play(fail_second_fork);

	(void)state;
	assert_no_daemon(&outcome);
}

static void test_early_daemon(void **state)
{
	struct outcome outcome;

	(void)state;

	daemonize = daemonize_early;
	outcome = play(NULL);
	assert_daemon(&outcome);
	assert_string_equal(outcome.printed, "buffered early");
	outcome = play(ignore_children);
	assert_daemon(&outcome);
	outcome = play(close_standard_files);
	assert_daemon(&outcome);
}

/* The original process fails with what the daemon failed with, or because it died. */
static void test_early_daemon_failing(void **state)
{
	struct outcome outcome;

	(void)state;

	early_result = -ENOSPC;
	outcome = play(NULL);
	assert_int_equal(outcome.report.result, -ENOSPC);
	assert_int_equal(outcome.report.pid, outcome.command);
	assert_string_equal(outcome.report.message, "It gave up.");
	assert_string_equal(outcome.printed, "buffered early");

	early_result = -ECHILD;
	outcome = play(NULL);
	assert_no_daemon(&outcome);
	early_result = 0;
	outcome = play(fail_first_fork);
	assert_no_daemon(&outcome);
	outcome = play(fail_second_fork);
	assert_no_daemon(&outcome);
	daemonize = libbdus_daemonize;
}

static void test_keep(void **state)
{
	const int saved = dup(STDIN_FILENO);
	int fd, kept;

	(void)state;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(libbdus_daemonize_keep(fd), fd);

	dup2(fd, STDIN_FILENO);
	close(fd);
	kept = libbdus_daemonize_keep(STDIN_FILENO);
	assert_true(kept > STDERR_FILENO);
	assert_true(is_null(kept));
	assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);

	close(kept);
	dup2(saved, STDIN_FILENO);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_ignoring_children),
		cmocka_unit_test(test_without_standard_files),
		cmocka_unit_test(test_first_fork_failing),
		cmocka_unit_test(test_second_fork_failing),
		cmocka_unit_test(test_early_daemon),
		cmocka_unit_test(test_early_daemon_failing),
		cmocka_unit_test(test_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
