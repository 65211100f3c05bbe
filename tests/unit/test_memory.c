/* SPDX-License-Identifier: MIT */

/*
 * What is done against deadlocks over memory, and what is put back. Each test runs
 * in a child, whose status says whether all was well: nothing here can be undone.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static int mlockall_flags;
static unsigned int mlock_calls;

/* Take precedence over the C library's own. */
int mlockall(int flags)
{
	mlockall_flags = flags;
	return 0;
}

int mlock(const void *address, size_t length)
{
	(void)address;

	if (length)
		++mlock_calls;
	return 0;
}

static int oom_score(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "r");
	int score = 12345;

	if (file) {
		if (fscanf(file, "%d", &score) != 1)
			score = 12345;
		fclose(file);
	}

	return score;
}

static int is_io_flusher(void)
{
	return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
}

/* Whether this process may do all that it is about; restores what it tried. */
static bool is_privileged(void)
{
	return geteuid() == 0 && !prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) &&
	       !prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
}

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition))                                              \
			_exit(__LINE__ % 250 + 1);                             \
	} while (0)

/* Run a function in a child: 0 if it returned. */
static int in_child(void (*function)(void))
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		function();
		_exit(0);
	}

	waitpid(pid, &status, 0);
	return status;
}

static void protect_and_restore(void)
{
	const int before = oom_score();
	struct libbdus_memory memory;
	struct libbdus_memory second;

	libbdus_memory_protect(&memory);
	CHECK(is_io_flusher() == 1);
	CHECK(oom_score() == -900);

	/* Another driver in the same process. */
	libbdus_memory_protect(&second);
	libbdus_memory_unprotect(&second);
	CHECK(is_io_flusher() == 1);
	CHECK(oom_score() == -900);

	libbdus_memory_lock(&memory);
	CHECK(mlockall_flags == (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	CHECK(mlock_calls > 0);

	libbdus_memory_unprotect(&memory);
	CHECK(is_io_flusher() == 0);
	CHECK(oom_score() == before);
}

static void test_protection(void **state)
{
	(void)state;

	if (!is_privileged())
		skip();
	unsetenv("BDUS_NO_MEMORY_LOCK");
	assert_int_equal(in_child(protect_and_restore), 0);

	setenv("BDUS_NO_MEMORY_LOCK", "0", 1);
	assert_int_equal(in_child(protect_and_restore), 0);
}

static void opt_out(void)
{
	const int before = oom_score();
	struct libbdus_memory memory;

	libbdus_memory_protect(&memory);
	libbdus_memory_lock(&memory);
	CHECK(is_io_flusher() <= 0);
	CHECK(oom_score() == before);
	CHECK(mlockall_flags == 0);
	libbdus_memory_unprotect(&memory);
}

static void test_opting_out(void **state)
{
	(void)state;

	setenv("BDUS_NO_MEMORY_LOCK", "1", 1);
	assert_int_equal(in_child(opt_out), 0);
	unsetenv("BDUS_NO_MEMORY_LOCK");
}

/* What the program had set before is neither changed nor taken away. */
static void respect_program(void)
{
	struct libbdus_memory memory;
	FILE *file = fopen("/proc/self/oom_score_adj", "w");

	CHECK(file && fprintf(file, "-1000\n") > 0 && !fclose(file));
	CHECK(!prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));

	libbdus_memory_protect(&memory);
	CHECK(oom_score() == -1000);
	libbdus_memory_unprotect(&memory);
	CHECK(oom_score() == -1000);
	CHECK(is_io_flusher() == 1);
}

static void test_what_the_program_set(void **state)
{
	(void)state;

	if (!is_privileged())
		skip();
	assert_int_equal(in_child(respect_program), 0);
}

/* initialize() dropped privileges: locking still works, and allocating too. */
static void drop_privileges(void)
{
	struct libbdus_memory memory;
	struct rlimit limit;

	libbdus_memory_protect(&memory);
	CHECK(!setresuid(65534, 65534, 65534));
	CHECK(!getrlimit(RLIMIT_MEMLOCK, &limit));
	CHECK(limit.rlim_cur == RLIM_INFINITY);
	libbdus_memory_lock(&memory);
	CHECK(mlockall_flags != 0);
	CHECK(is_io_flusher() != 0);
	libbdus_memory_unprotect(&memory);
}

static void test_dropping_privileges(void **state)
{
	(void)state;

	if (!is_privileged())
		skip();
	assert_int_equal(in_child(drop_privileges), 0);
}

/* Under a limit that cannot be lifted, locking would break the program. */
static void without_privileges(void)
{
	const struct rlimit limit = { 65536, 65536 };
	struct libbdus_memory memory;

	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
	CHECK(!setresuid(65534, 65534, 65534));
	libbdus_memory_protect(&memory);
	libbdus_memory_lock(&memory);
	CHECK(mlockall_flags == 0);
	libbdus_memory_unprotect(&memory);
}

static void test_without_privileges(void **state)
{
	(void)state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(without_privileges), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protection),
		cmocka_unit_test(test_opting_out),
		cmocka_unit_test(test_what_the_program_set),
		cmocka_unit_test(test_dropping_privileges),
		cmocka_unit_test(test_without_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
