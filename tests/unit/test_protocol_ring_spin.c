/* SPDX-License-Identifier: MIT */

/*
 * How workers of the protocol called "ring" look for requests before they sleep, and what
 * they let the module know of it, by a clock that goes while they look at it.
 */

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "fake_ring.h"

#define LONGEST_US 10

static const struct libbdus_protocol *const ring = &libbdus_protocol_ring;
static struct libbdus_request requests[FAKE_RING_CHANNELS];

static uint64_t now_ns;
/* By how much each look at the clock moves it. */
static uint64_t step_ns;
/* Looks at the clock until clients make a request; none if 0. */
static unsigned int until_request;
/* Those until another worker comes. */
static unsigned int until_other;

static unsigned int looking_calls;
static unsigned int waiting_calls;
static unsigned int waiting_calls_of_other;
/* When the driver was looking at the clock, or made a call to wait. */
static uint32_t attentive_then;
static uint32_t attentive_in_wait;

static uint32_t attentive(void)
{
	const struct kbdusring_driver *driver =
		(void *)(fake_ring.memory + fake_ring.config.driver_offset);

	return fake_ring_get(&driver->attentive);
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

int ioctl(int fd, unsigned long command, ...)
{
	unsigned long argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, unsigned long);
	va_end(args);

	assert_int_equal(fd, fake_ring.session.fd);
	assert_int_equal(command, KBDUSRING_IOCTL_ENTER);
	fake_ring_look((uint32_t)(argument & 0xffff));
	if (!(argument & KBDUSRING_ENTER_WAIT)) {
		++looking_calls;
		return KBDUSRING_ENTERED_REQUESTS;
	}

	++waiting_calls;
	attentive_in_wait = attentive();
	if (fake_ring_is_idle())
		fake_ring_submit(1);
	return KBDUSRING_ENTERED_REQUESTS;
}

static void exchange(uint32_t channel)
{
	assert_int_equal(ring->exchange(&fake_ring.session,
					fake_ring.channels[channel],
					&requests[channel],
					(int)(requests[channel].handle % 7)),
			 0);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;

	now_ns += step_ns;
	attentive_then = attentive();
	if (until_other > 0 && --until_other == 0) {
		exchange(1);
		waiting_calls_of_other = waiting_calls;
	}
	if (until_request > 0 && --until_request == 0)
		fake_ring_submit(1);
	time->tv_sec = (time_t)(now_ns / 1000000000);
	time->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

static int set_up(void **state)
{
	memset(requests, 0, sizeof(requests));
	now_ns = 1000000000;
	step_ns = 1;
	until_request = 0;
	until_other = 0;
	if (fake_ring_set_up(state))
		return -1;
	fake_ring.session.spin_time_us = LONGEST_US;
	fake_ring_begin_anew(64, 4096);
	return 0;
}

static void forget_calls(void)
{
	looking_calls = 0;
	waiting_calls = 0;
}

/* The first wait of a worker is short. */
static void begin(uint32_t channel)
{
	exchange(channel);
	assert_int_equal(waiting_calls, 1);
	assert_int_equal(looking_calls, 0);
	forget_calls();
}

/* Somewhere in the next wait, which the clock is looked at before. */
static void request_soon(void)
{
	step_ns = 1000;
	until_request = 6;
}

static void test_finds_what_comes_soon(void **state)
{
	(void)state;

	begin(0);
	for (unsigned int i = 1; i < 10; ++i) {
		request_soon();
		exchange(0);
		assert_int_equal(attentive_then, 1);
		assert_true(fake_ring_is_made(&requests[0], i + 1));
		/* The reply does not wait for that. */
		assert_int_equal(looking_calls, i);
		assert_int_equal(waiting_calls, 0);
		fake_ring_assert_answered(i);
	}
}

static void test_says_for_how_long_it_looks(void **state)
{
	static const struct {
		uint32_t spin_time_us;
		uint32_t spin_us;
	} table[] = {
		{ 0, 50 }, { 77, 77 }, { 5000, 5000 }, { 1000000, 10000 },
		{ BDUS_NO_SPINNING, 0 },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(table); ++i) {
		struct libbdus_session other = {
			.spin_time_us = table[i].spin_time_us,
		};
		struct kbdus_protocol_config wanted = { .payload_size = 0 };

		assert_int_equal(ring->prepare(&other, &wanted), 0);
		assert_int_equal(wanted.spin_us, table[i].spin_us);
	}
}

static void test_no_call_if_clients_look(void **state)
{
	(void)state;

	begin(0);
	fake_ring_set(fake_ring_reapers(), 1);
	for (unsigned int i = 1; i < 10; ++i) {
		request_soon();
		exchange(0);
		assert_true(fake_ring_is_made(&requests[0], i + 1));
		assert_int_equal(looking_calls, 0);
		assert_int_equal(waiting_calls, 0);
	}
	assert_int_equal(fake_ring_look(0), 9);
	fake_ring_assert_answered(9);

	/* The last has given up. */
	fake_ring_set(fake_ring_reapers(), 0);
	request_soon();
	exchange(0);
	assert_int_equal(looking_calls, 1);
	fake_ring_assert_answered(10);
}

static void test_no_call_for_clients_that_poll(void **state)
{
	(void)state;

	begin(0);
	fake_ring.flags = KBDUSRING_REQUEST_POLLED;
	request_soon();
	exchange(0);
	/* That was one of a client that sleeps. */
	assert_int_equal(looking_calls, 1);
	for (unsigned int i = 2; i < 10; ++i) {
		request_soon();
		exchange(0);
		assert_true(fake_ring_is_made(&requests[0], i + 1));
		assert_int_equal(looking_calls, 1);
		assert_int_equal(waiting_calls, 0);
	}
	assert_int_equal(fake_ring_look(0), 8);
	fake_ring_assert_answered(9);

	/* Among others it is looked at with them. */
	fake_ring.flags = 0;
	request_soon();
	exchange(0);
	request_soon();
	exchange(0);
	assert_int_equal(looking_calls, 2);
	fake_ring_assert_answered(11);
}

static void test_sleeps_if_nothing_comes(void **state)
{
	(void)state;

	begin(0);
	step_ns = 1000;
	exchange(0);
	assert_int_equal(looking_calls, 1);
	assert_int_equal(waiting_calls, 1);
	assert_int_equal(attentive_in_wait, 0);
}

static void test_does_not_look_if_waits_are_long(void **state)
{
	(void)state;

	begin(0);
	step_ns = 1000000;
	for (int i = 0; i < 4; ++i)
		exchange(0);
	forget_calls();
	exchange(0);
	assert_int_equal(looking_calls, 0);
	assert_int_equal(waiting_calls, 1);
}

static void test_one_looks_at_a_time(void **state)
{
	(void)state;

	begin(0);
	begin(1);
	step_ns = 1000;
	until_other = 6;
	until_request = 8;
	exchange(0);
	assert_true(fake_ring_is_made(&requests[0], 4));

	/* The other one waited for the first request that came. */
	assert_true(fake_ring_is_made(&requests[1], 3));
	assert_int_equal(waiting_calls, 1);
	assert_int_equal(waiting_calls_of_other, 1);
	assert_int_equal(attentive_in_wait, 1);
}

static void test_quick_ones_are_attentive(void **state)
{
	(void)state;

	/* Slow until proven fast. */
	begin(0);
	assert_int_equal(attentive(), 0);
	fake_ring_submit(64);
	for (int i = 0; i < 32; ++i)
		exchange(0);
	assert_int_equal(attentive(), 1);

	/* Now they take as long as replies may wait for each other. */
	step_ns = 100000000;
	for (int i = 0; i < 40; ++i)
		exchange(0);
	assert_int_equal(attentive(), 0);
}

static void test_not_if_told_so(void **state)
{
	(void)state;

	fake_ring.session.spin_time_us = BDUS_NO_SPINNING;
	fake_ring_begin_anew(64, 4096);
	for (unsigned int i = 1; i < 10; ++i) {
		exchange(0);
		assert_int_equal(looking_calls, 0);
		assert_int_equal(waiting_calls, i);
	}
}

static int tear_down(void **state)
{
	forget_calls();
	return fake_ring_tear_down(state);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_finds_what_comes_soon),
		TEST(test_says_for_how_long_it_looks),
		TEST(test_no_call_if_clients_look),
		TEST(test_no_call_for_clients_that_poll),
		TEST(test_sleeps_if_nothing_comes),
		TEST(test_does_not_look_if_waits_are_long),
		TEST(test_one_looks_at_a_time),
		TEST(test_quick_ones_are_attentive),
		TEST(test_not_if_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
