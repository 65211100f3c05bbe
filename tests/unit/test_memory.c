/* SPDX-License-Identifier: MIT */

/*
 * What is done against deadlocks over memory, and what is put back. Each test runs
 * in a child, whose status says whether all was well: nothing here can be undone.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static int mlockall_flags;
static unsigned int mlock_calls;
static bool is_kernel_old;

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

int madvise(void *address, size_t length, int advice)
{
	if (is_kernel_old) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_madvise, address, length, advice);
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

/* How often this thread waited for memory so far. */
static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* Whether all that is there to be written to. Sanitizers have memory of their own. */
static bool is_there(void *memory, size_t size)
{
	volatile char *bytes = memory;
	const long before = faults();

	for (size_t i = 0; i < size; i += 512)
		bytes[i] = bytes[i];
	return faults() == before;
}

#ifdef __SANITIZE_ADDRESS__
#define SKIP_UNDER_SANITIZERS() skip()
#else
#define SKIP_UNDER_SANITIZERS() (void)0
#endif

#define SIZE (1024 * 1024 + 123)

static void populate_memory(void)
{
	char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(!is_there(memory, SIZE));
	munmap(memory, SIZE);

	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	libbdus_memory_populate(memory, 0);
	CHECK(!is_there(memory, 1));
	libbdus_memory_populate(memory + 5000, SIZE - 5000);
	CHECK(is_there(memory + 5000, SIZE - 5000));
	CHECK(memory[5000] == 0);
}

/* As a daemon shares with its original. */
static char *shared;

static void populate_shared(void)
{
	libbdus_memory_populate(shared, SIZE);
	CHECK(is_there(shared, SIZE));
	for (size_t i = 0; i < SIZE; ++i)
		CHECK(shared[i] == (char)(i / 3));
}

static void test_populating(void **state)
{
	(void)state;

	SKIP_UNDER_SANITIZERS();
	shared = malloc(SIZE);
	for (size_t i = 0; i < SIZE; ++i)
		shared[i] = (char)(i / 3);

	assert_int_equal(in_child(populate_memory), 0);
	assert_int_equal(in_child(populate_shared), 0);
	is_kernel_old = true;
	assert_int_equal(in_child(populate_memory), 0);
	assert_int_equal(in_child(populate_shared), 0);
	is_kernel_old = false;
	free(shared);
}

static __attribute__((noinline)) bool is_stack_there(void)
{
	char stack[60 * 1024];

	return is_there(stack, sizeof(stack));
}

static void *use_stack(void *populated)
{
	if (*(bool *)populated)
		libbdus_memory_populate_stack();
	*(bool *)populated = is_stack_there();
	return NULL;
}

static bool in_thread(size_t stack_size, bool is_populated)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack_size);
	CHECK(!pthread_create(&thread, &attributes, use_stack, &is_populated));
	pthread_join(thread, NULL);
	return is_populated;
}

static void populate_stacks(void)
{
	bool is_populated = true;

	use_stack(&is_populated);
	CHECK(is_populated);
	/* Sizes differ so that no stack is used again. */
	CHECK(!in_thread(1 << 20, false));
	CHECK(in_thread(2 << 20, true));
	/* One that is too small is left alone. */
	in_thread(96 << 10, true);
}

static void test_populating_stacks(void **state)
{
	(void)state;

	SKIP_UNDER_SANITIZERS();
	assert_int_equal(in_child(populate_stacks), 0);
}

/* All that a protocol writes to is there before the first request. */
static void populate_ioctl(void)
{
	const struct libbdus_session session = { .payload_size = SIZE };
	void *channel;

	CHECK(!libbdus_protocol_ioctl.open(&session, 0, &channel));
	libbdus_protocol_ioctl.populate(&session, channel);
	CHECK(is_there(channel, SIZE));
}

/* What it has is its own affair, so let it read as much ahead as it can. */
static void populate_uds(void)
{
	struct kbdus_protocol_config config = { .payload_size = SIZE };
	struct libbdus_session session = { .fd = -1, .payload_size = SIZE };
	struct libbdus_request request = { .handle = 0 };
	const struct kbdusuds_request header = {
		.handle = 1,
		.type = KBDUS_REQUEST_TYPE_WRITE,
		.length = 128 * 1024,
		.payload_size = 128 * 1024,
	};
	static char payload[128 * 1024];
	void *channel;
	long before;
	int module;

	CHECK(!libbdus_protocol_uds.prepare(&session, &config));
	module = dup((int)config.socket_fd_plus_1 - 1);
	CHECK(!libbdus_protocol_uds.begin(&session, &config));
	CHECK(!libbdus_protocol_uds.open(&session, 0, &channel));
	libbdus_protocol_uds.populate(&session, channel);

	for (int i = 0; i < 4; ++i) {
		CHECK(send(module, &header, sizeof(header), 0) == sizeof(header));
		CHECK(send(module, payload, sizeof(payload), 0) ==
		      sizeof(payload));
		before = faults();
		request.handle = 0;
		CHECK(!libbdus_protocol_uds.exchange(&session, channel,
						     &request, 0));
		/* The first time, there is code that was never used. */
		CHECK(i == 0 || faults() == before);
		CHECK(is_there(request.payload, SIZE));
	}
}

static void test_populating_protocols(void **state)
{
	(void)state;

	SKIP_UNDER_SANITIZERS();
	assert_int_equal(in_child(populate_ioctl), 0);
	assert_int_equal(in_child(populate_uds), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protection),
		cmocka_unit_test(test_opting_out),
		cmocka_unit_test(test_what_the_program_set),
		cmocka_unit_test(test_dropping_privileges),
		cmocka_unit_test(test_without_privileges),
		cmocka_unit_test(test_populating),
		cmocka_unit_test(test_populating_stacks),
		cmocka_unit_test(test_populating_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
