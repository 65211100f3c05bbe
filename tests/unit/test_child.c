/* SPDX-License-Identifier: MIT */

/*
 * What is left to a child: what it has, what becomes of what it says, and that the
 * program's own handling of children does not notice it.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static const int no_fds[LIBBDUS_CHILD_FDS] = { -1, -1, -1, -1, -1, -1 };

static int run(struct libbdus_outcome (*function)(const void *argument),
	       const void *argument, const int fds[LIBBDUS_CHILD_FDS],
	       struct libbdus_outcome *outcome)
{
	struct libbdus_task task = { .run = function, .argument = argument };
	struct libbdus_child child;

	memcpy(task.fds, fds, sizeof(task.fds));
	assert_int_equal(libbdus_child_start(&task, &child), 0);
	return libbdus_child_end(&child, outcome);
}

static struct libbdus_outcome say(const void *argument)
{
	const int *number = argument;

	return (struct libbdus_outcome){ .error = *number, .step = 3 };
}

static void test_outcome(void **state)
{
	struct libbdus_outcome outcome;
	const int number = 7;

	(void)state;

	assert_int_equal(run(say, &number, no_fds, &outcome), 0);
	assert_int_equal(outcome.error, 7);
	assert_int_equal(outcome.step, 3);
}

static struct libbdus_outcome count_fds(const void *argument)
{
	int count = 0;
	char byte;

	(void)argument;

	for (int fd = 0; fd < 256; ++fd)
		count += fcntl(fd, F_GETFD) >= 0;
	return (struct libbdus_outcome){
		.error = count,
		.step = pread(1, &byte, 1, 0) == 1 ? byte : 0,
	};
}

/* The descriptors given, in their places, and that to say the result with, whatever
 * the program has. */
static void test_descriptors(void **state)
{
	int fds[LIBBDUS_CHILD_FDS] = { -1, -1, -1, -1, -1, -1 };
	int more[20];
	struct libbdus_outcome outcome;

	(void)state;

	for (size_t i = 0; i < COUNT(more); ++i)
		more[i] = memfd_create("more", 0);
	fds[0] = more[3];
	fds[1] = more[0];
	fds[4] = more[0];
	assert_int_equal(pwrite(more[0], "x", 1, 0), 1);

	assert_int_equal(run(count_fds, NULL, fds, &outcome), 0);
	assert_int_equal(outcome.error, 4);
	assert_int_equal(outcome.step, 'x');
	for (size_t i = 0; i < COUNT(more); ++i)
		close(more[i]);
}

static struct libbdus_outcome die(const void *argument)
{
	(void)argument;
	kill(getpid(), SIGKILL);
	return (struct libbdus_outcome){ .error = 0 };
}

static void test_killed(void **state)
{
	struct libbdus_outcome outcome;

	(void)state;

	assert_int_equal(run(die, NULL, no_fds, &outcome), -EIO);
	assert_message_has("killed");
}

static volatile sig_atomic_t signals;

static void note(int number)
{
	(void)number;
	++signals;
}

static void test_unnoticed(void **state)
{
	const struct sigaction action = { .sa_handler = note };
	struct libbdus_outcome outcome;
	const int number = 0;

	(void)state;

	sigaction(SIGCHLD, &action, NULL);
	assert_int_equal(run(say, &number, no_fds, &outcome), 0);
	assert_int_equal(signals, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
