/* SPDX-License-Identifier: MIT */

/*
 * How long the protocol of the backend "nbd" looks for requests before it sleeps, and how
 * it reads what comes in parts. The clock and the calls that wait are the test's own:
 * things happen in the middle of them.
 */

#include <endian.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nbd.h"
#include "unit.h"

#define LONGEST_US 100
#define LARGE (80 * 1024)
#define PART 10000

static const struct libbdus_protocol *const nbd = &libbdus_protocol_nbd;
static struct nbd_device own;
static struct libbdus_session session;
static struct libbdus_request request;
static void *channel;
static int kernel, keeper;

/* What the clock says, and by how much it goes on with each look at it. */
static uint64_t now_ns, step_ns;
/* Calls since they were forgotten, by whether they may wait. */
static unsigned int looks, sleeps, receptions, blocked, whole;
/* The most that the first of them asked for. */
static size_t first_size;
/* In which look something happens; 0 for never. It does at the latest when somebody
 * would wait. */
static unsigned int until;
static void (*happens)(void);

static void forget_calls(void)
{
	looks = sleeps = receptions = blocked = whole = 0;
}

static void go_on(bool may_wait)
{
	void (*const what)(void) = happens;

	if (what && (may_wait || (until > 0 && --until == 0))) {
		happens = NULL;
		what();
	}
}

/* These take precedence over the C library's own. */

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	(void)pid;

	memset(set, 0, size);
	CPU_SET(0, set);
	CPU_SET(1, set);
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;

	now_ns += step_ns;
	time->tv_sec = (time_t)(now_ns / 1000000000);
	time->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static const struct timespec none = { .tv_sec = 0 };
	const int ready = (int)syscall(SYS_ppoll, fds, count, &none, NULL, 0);

	++*(timeout ? &sleeps : &looks);
	if (ready)
		return ready;
	go_on(timeout != 0);
	return (int)syscall(SYS_ppoll, fds, count, timeout ? NULL : &none, NULL,
			    0);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	if (!receptions++)
		first_size = size;
	if (!(flags & MSG_DONTWAIT))
		++*(flags & MSG_WAITALL ? &whole : &blocked);
	go_on(!(flags & MSG_DONTWAIT));
	return (ssize_t)syscall(SYS_recvfrom, fd, buffer, size, flags, NULL,
				NULL);
}

static void begin(uint32_t spin_time_us)
{
	session.spin_time_us = spin_time_us;
	request = (struct libbdus_request){ .handle = 0 };
	assert_int_equal(nbd->begin(&session, NULL), 0);
	assert_int_equal(nbd->open(&session, 0, &channel), 0);
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	forget_calls();
}

static void end(void)
{
	nbd->close(&session, channel);
	nbd->end(&session);
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;

	now_ns = 1000000000;
	step_ns = 1;
	until = 0;
	happens = NULL;
	own = (struct nbd_device){ .child.fd = -1 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	own.fds[own.fd_count++] = pair[0];
	kernel = pair[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	own.line_fd = pair[0];
	keeper = pair[1];
	session = (struct libbdus_session){
		.fd = -1,
		.holding = &own,
		.payload_size = NBD_PAYLOAD_SIZE,
		.device = {
			.size = UINT64_C(1) << 40,
			.logical_block_size = 512,
			.operations = KBDUS_OP_ALL,
			.max_read_write_size = LARGE,
		},
	};
	begin(LONGEST_US);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;

	end();
	close(own.line_fd);
	close(own.fds[0]);
	close(kernel);
	close(keeper);
	return 0;
}

static void send_all(const void *data, size_t size)
{
	assert_int_equal(send(kernel, data, size, 0), size);
}

static void ask(uint32_t type, uint32_t length)
{
	const struct nbd_header header = {
		.magic = htobe32(NBD_REQUEST_MAGIC_NUMBER),
		.type = htobe32(type),
		.length = htobe32(length),
	};

	send_all(&header, sizeof(header));
}

static void ask_to_flush(void)
{
	ask(NBD_COMMAND_FLUSH, 0);
}

static void ask_to_end(void)
{
	assert_int_equal(send(keeper, (char[]){ NBD_LINE_TERMINATE }, 1, 0), 1);
}

static void send_payload(size_t size)
{
	static char bytes[LARGE];

	memset(bytes, 7, sizeof(bytes));
	send_all(bytes, size);
}

static void send_rest(void)
{
	send_payload(LARGE - PART);
}

/* Have something happen in one of the next looks. */
static void in_look(unsigned int number, void (*what)(void))
{
	forget_calls();
	until = number;
	happens = what;
}

static void exchange(uint32_t type)
{
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, type);
}

/* The first wait is short, so the next is one to look in. */
static void wait_shortly(void)
{
	in_look(0, ask_to_flush);
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_int_equal(looks, 0);
	assert_int_equal(sleeps, 1);
}

static void test_finds_what_comes_soon(void **state)
{
	(void)state;

	wait_shortly();
	for (unsigned int number = 1; number < 4; ++number) {
		in_look(number, ask_to_flush);
		exchange(KBDUS_REQUEST_TYPE_FLUSH);
		assert_true(looks >= 1);
		assert_int_equal(sleeps, 0);
	}
}

static void test_sleeps_if_nothing_comes(void **state)
{
	(void)state;

	wait_shortly();
	step_ns = 1000;
	in_look(0, ask_to_flush);
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_in_range(looks, LONGEST_US / 2, LONGEST_US);
	assert_int_equal(sleeps, 1);
}

static void test_does_not_look_if_waits_are_long(void **state)
{
	(void)state;

	wait_shortly();
	step_ns = LONGEST_US * 1000;
	for (int i = 0; i < 10; ++i) {
		in_look(0, ask_to_flush);
		exchange(KBDUS_REQUEST_TYPE_FLUSH);
	}
	assert_int_equal(looks, 0);
	assert_int_equal(sleeps, 1);
}

static void test_hears_the_keeper(void **state)
{
	(void)state;

	wait_shortly();
	in_look(3, ask_to_end);
	exchange(KBDUS_REQUEST_TYPE_TERMINATE);
	assert_int_equal(sleeps, 0);
}

static void test_not_if_told_so(void **state)
{
	(void)state;

	end();
	begin(BDUS_NO_SPINNING);
	for (int i = 0; i < 10; ++i) {
		in_look(0, ask_to_flush);
		exchange(KBDUS_REQUEST_TYPE_FLUSH);
		assert_int_equal(looks, 0);
		assert_int_equal(sleeps, 1);
	}
}

static void assert_payload(void)
{
	const char *bytes = request.payload;

	assert_int_equal(request.length, LARGE);
	for (size_t i = 0; i < LARGE; ++i)
		assert_int_equal(bytes[i], 7);
}

static void get_large(unsigned int number)
{
	ask(NBD_COMMAND_WRITE, LARGE);
	send_payload(PART);
	in_look(number, send_rest);
	exchange(KBDUS_REQUEST_TYPE_WRITE);
	assert_payload();
}

static void test_looks_for_the_rest(void **state)
{
	(void)state;

	get_large(5);
	assert_int_equal(blocked + whole, 0);
	assert_in_range(receptions, 4, 6);

	/* It does not take for ever. */
	step_ns = LONGEST_US * 1000;
	get_large(0);
	assert_int_equal(blocked, 1);
	assert_int_equal(whole, 0);
}

static void test_waits_for_the_rest_at_once(void **state)
{
	(void)state;

	end();
	begin(BDUS_NO_SPINNING);
	get_large(0);
	assert_int_equal(blocked, 0);
	assert_int_equal(whole, 1);
	assert_int_equal(receptions, 2);
}

static void send_small_rest(void)
{
	send_payload(512);
}

/* After a time that looking would not have been long enough for. */
static void ask_late_and_in_parts(void)
{
	now_ns += LONGEST_US * 1000 + 1;
	ask(NBD_COMMAND_WRITE, 512);
	until = 5;
	happens = send_small_rest;
}

/* Which is nothing to judge by whether to look for requests. */
static void test_looks_for_the_rest_of_small_ones(void **state)
{
	(void)state;

	in_look(0, ask_late_and_in_parts);
	exchange(KBDUS_REQUEST_TYPE_WRITE);
	assert_in_range(looks, 1, 4);
	assert_int_equal(sleeps, 1);

	in_look(0, ask_to_flush);
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_int_equal(looks, 0);
	assert_int_equal(sleeps, 1);
}

/* Payloads that are large are not read ahead, to be copied once more. */
static void test_large_ones_are_read_in_place(void **state)
{
	(void)state;

	get_large(0);
	forget_calls();
	get_large(0);
	assert_int_equal(first_size, sizeof(struct nbd_header));

	/* One that is not large makes no difference to how it is served, */
	in_look(0, ask_to_flush);
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_int_equal(first_size, sizeof(struct nbd_header));
	/* and several are read at once again. */
	ask_to_flush();
	ask_to_flush();
	forget_calls();
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_int_equal(first_size, STREAM_AHEAD_SIZE);
	exchange(KBDUS_REQUEST_TYPE_FLUSH);
	assert_int_equal(receptions, 1);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_finds_what_comes_soon),
		TEST(test_sleeps_if_nothing_comes),
		TEST(test_does_not_look_if_waits_are_long),
		TEST(test_hears_the_keeper),
		TEST(test_not_if_told_so),
		TEST(test_looks_for_the_rest),
		TEST(test_waits_for_the_rest_at_once),
		TEST(test_looks_for_the_rest_of_small_ones),
		TEST(test_large_ones_are_read_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
