/* SPDX-License-Identifier: MIT */

/*
 * How the protocol called "ring" talks, one worker at a time, by a clock that only goes
 * while a callback would run.
 */

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake_ring.h"

static const struct libbdus_protocol *const ring = &libbdus_protocol_ring;
static struct libbdus_request request;

/* Clients make so many requests, when a driver enters, and leave so many in the ring. */
static unsigned int to_come;
static unsigned int depth;

/* The next calls of ioctl(2) fail with EINTR; then some say that there are requests,
 * but have none; then one fails with an errno value or returns a result, if there is
 * such. */
static int interruptions;
static int disappointments;
static int failure;
static int result;
static unsigned int calls;
static uint32_t index_entered;
/* Replies that the last call found. */
static unsigned int found;

static uint64_t now_ns;
static uint64_t callback_ns;

static uint32_t untaken(void)
{
	return fake_ring_get(fake_ring_tail()) - fake_ring_get(fake_ring_head());
}

/* Counts the replies that the driver has put in a completion ring. */
static uint32_t completed(uint32_t channel)
{
	return fake_ring_get(&fake_ring_completion(channel)->tail);
}

static int enter(uint32_t channel)
{
	++calls;
	index_entered = channel;
	found = fake_ring_look(channel);

	if (interruptions > 0) {
		--interruptions;
		errno = EINTR;
		return -1;
	}
	if (disappointments > 0) {
		--disappointments;
		return KBDUSRING_ENTERED_REQUESTS;
	}
	if (failure) {
		errno = failure;
		return -1;
	}
	if (result)
		return result;

	for (; to_come > 0 && untaken() < depth; --to_come)
		fake_ring_submit(1);
	/* It would be for ever. */
	if (fake_ring_is_idle())
		fail_msg("the driver waits");
	return KBDUSRING_ENTERED_REQUESTS;
}

/* Takes precedence over the C library's own. */
int ioctl(int fd, unsigned long command, ...)
{
	unsigned long argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, unsigned long);
	va_end(args);

	assert_int_equal(fd, fake_ring.session.fd);
	assert_int_equal(command, KBDUSRING_IOCTL_ENTER);
	assert_true(argument & KBDUSRING_ENTER_WAIT);
	argument &= ~(unsigned long)KBDUSRING_ENTER_WAIT;
	assert_true(argument < FAKE_RING_CHANNELS);
	return enter((uint32_t)argument);
}

/* So does this. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;

	time->tv_sec = (time_t)(now_ns / 1000000000);
	time->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

static int set_up(void **state)
{
	request = (struct libbdus_request){ .handle = 0 };
	to_come = 0;
	depth = 1;
	interruptions = 0;
	disappointments = 0;
	failure = 0;
	result = 0;
	calls = 0;
	now_ns = 1000000000;
	callback_ns = 100;
	return fake_ring_set_up(state);
}

static int exchange(uint32_t channel, int error)
{
	return ring->exchange(&fake_ring.session, fake_ring.channels[channel],
			      &request, error);
}

/* Take the next requests, which are those from a handle on, and answer each in turn.
 * The last one is not answered. */
static void serve(uint32_t channel, uint64_t first, unsigned int count)
{
	for (uint64_t handle = first; handle < first + count; ++handle) {
		assert_int_equal(exchange(channel, (int)(request.handle % 7)), 0);
		assert_true(fake_ring_is_made(&request, handle));
		now_ns += callback_ns;
	}
}

/* Serve, at the pace of fast callbacks, until replies may wait for each other. */
static void speed_up(uint32_t channel)
{
	const uint64_t first = fake_ring.last_handle + 1;

	to_come = 64;
	depth = 64;
	serve(channel, first, 64);
	assert_int_equal(to_come, 0);
	calls = 0;
}

static void test_prepare(void **state)
{
	static const struct {
		uint32_t workers;
		uint32_t channels;
	} table[] = { { 1, 1 }, { 5, 5 }, { 256, 256 }, { 1000, 256 } };

	(void)state;

	for (size_t i = 0; i < COUNT(table); ++i) {
		struct libbdus_session other = {
			.workers_wanted = table[i].workers,
			.spin_time_us = BDUS_NO_SPINNING,
		};
		struct kbdus_protocol_config wanted = { .payload_size = 0 };
		struct kbdus_protocol_config expected = {
			.channel_count = table[i].channels,
		};

		assert_int_equal(ring->prepare(&other, &wanted), 0);
		assert_memory_equal(&wanted, &expected, sizeof(wanted));
	}
}

static unsigned int count_mappings(const char *permissions)
{
	char *where;

	return fake_ring_find_mappings(permissions, &where);
}

static void test_mapping(void **state)
{
	(void)state;

	/* What the module writes is not writable. */
	assert_int_equal(count_mappings(" r--s 00000000 "), 1);
	assert_int_equal(count_mappings(" rw-s 00000000 "), 1);
	assert_int_equal(count_mappings(""), 3);

	ring->end(&fake_ring.session);
	assert_int_equal(count_mappings(""), 1);
}

static void test_channels(void **state)
{
	void *none = NULL;

	(void)state;

	for (uint32_t i = 0; i < FAKE_RING_CHANNELS; ++i) {
		assert_int_equal((uintptr_t)fake_ring.channels[i] % 64, 0);
		for (uint32_t j = 0; j < i; ++j) {
			assert_true((uintptr_t)fake_ring.channels[i] / 64 !=
				    (uintptr_t)fake_ring.channels[j] / 64);
		}
		ring->populate(&fake_ring.session, fake_ring.channels[i]);

		request.handle = 0;
		to_come = 2;
		serve(i, fake_ring.last_handle + 1, 2);
		assert_int_equal(index_entered, i);
		assert_int_equal(fake_ring.looked_at[i], 1);
	}

	assert_int_equal(ring->open(&fake_ring.session, FAKE_RING_CHANNELS,
				    &none), -EINVAL);
	assert_message_has("3 channels");
	assert_message_has("worker 3");
}

static void test_order(void **state)
{
	(void)state;

	fake_ring_submit(3);
	serve(0, 1, 1);
	serve(1, 2, 1);
	serve(0, 3, 1);
	assert_int_equal(fake_ring_get(fake_ring_head()), 3);

	/* The answer to 1 went through another channel than it came. */
	assert_int_equal(completed(0), 1);
	assert_int_equal(completed(1), 1);
	fake_ring_assert_answered(2);
}

/* Where the module says, and in reach of both. */
static void test_payload(void **state)
{
	(void)state;

	to_come = 40;
	for (uint64_t handle = 1; handle <= 40; ++handle) {
		char *theirs = fake_ring.memory +
			       fake_ring.config.payload_offset +
			       fake_ring_make(handle).payload_offset;

		serve(0, handle, 1);
		assert_int_equal((uintptr_t)request.payload % page_size(), 0);
		memset(request.payload, (int)handle, page_size());
		assert_int_equal(theirs[0], handle);
		assert_int_equal(theirs[page_size() - 1], handle);
		theirs[0] = 'x';
		assert_int_equal(((char *)request.payload)[0], 'x');
	}

	fake_ring_begin_anew(64, 0);
	request.handle = 0;
	to_come = 1;
	serve(0, 41, 1);
	assert_null(request.payload);
}

/* Counters go on from 0, and entries from the first. */
static void test_counters_wrap(void **state)
{
	(void)state;

	fake_ring_begin_anew(4, 4096);
	fake_ring_count_from(0xffffffff - 5);
	to_come = 100;
	depth = 3;
	serve(0, 1, 60);
	serve(2, 61, 30);
	assert_int_equal(fake_ring_get(fake_ring_head()), 84);
	assert_int_equal(completed(1), 0xffffffff - 5);

	result = KBDUSRING_ENTERED_TERMINATE;
	assert_int_equal(exchange(2, 90 % 7), 0);
	fake_ring_look(0);
	fake_ring_assert_answered(90);
}

/* There may be a notification, which comes first. */
static void test_one_call_before_anything_else(void **state)
{
	(void)state;

	fake_ring_submit(1);
	result = KBDUSRING_ENTERED_AVAILABLE;
	assert_int_equal(exchange(0, 0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	assert_int_equal(calls, 1);

	result = 0;
	serve(0, 1, 1);
	assert_int_equal(calls, 1);
}

static void test_fast_callbacks(void **state)
{
	static const unsigned int batches[] = { 1, 2, 4, 8, 16, 32, 32, 32 };
	uint64_t next = 1;

	(void)state;

	to_come = 1000;
	depth = 64;
	serve(0, next++, 1);
	assert_int_equal(found, 0);
	for (size_t i = 0; i < COUNT(batches); ++i) {
		serve(0, next, batches[i] - 1);
		next += batches[i] - 1;
		assert_int_equal(calls, i + 1);
		serve(0, next++, 1);
		assert_int_equal(calls, i + 2);
		assert_int_equal(found, batches[i]);
		fake_ring_assert_answered(next - 2);
	}
}

/* Nobody waits for a driver that has nothing to do. */
static void test_last_replies_do_not_wait(void **state)
{
	(void)state;

	speed_up(0);
	result = KBDUSRING_ENTERED_AVAILABLE;
	assert_int_equal(exchange(0, 64 % 7), 0);
	assert_int_equal(calls, 1);
	fake_ring_assert_answered(64);
}

static void test_slow_callbacks(void **state)
{
	(void)state;

	callback_ns = 1000000;
	fake_ring_submit(20);
	serve(0, 1, 20);
	/* Each but the one in hand, and at the beginning. */
	assert_int_equal(calls, 20);
	fake_ring_assert_answered(19);
}

/* It takes some until that is seen. */
static void test_callbacks_become_slow(void **state)
{
	(void)state;

	speed_up(0);
	to_come = 1000;
	callback_ns = 1000000;
	serve(0, 65, 64);
	assert_true(calls >= 1);

	calls = 0;
	serve(0, 129, 20);
	assert_int_equal(calls, 20);
	fake_ring_assert_answered(147);
}

/* What goes by between the notification and the next request is no callback. */
static void test_becoming_a_daemon_is_not_slow(void **state)
{
	(void)state;

	speed_up(0);
	to_come = 32;
	serve(0, 65, 32);
	result = KBDUSRING_ENTERED_AVAILABLE;
	assert_int_equal(exchange(0, 96 % 7), 0);
	now_ns += 5000000000;

	result = 0;
	calls = 0;
	fake_ring_submit(33);
	serve(0, 97, 32);
	assert_int_equal(calls, 0);
	to_come = 32;
	serve(0, 129, 32);
	assert_int_equal(calls, 1);
}

/* Those that time out are replaced, so there may be more than entries. */
static void test_more_replies_than_entries(void **state)
{
	(void)state;

	fake_ring_begin_anew(2, 4096);
	to_come = 1000;
	serve(0, 1, 101);
	fake_ring_assert_answered(100);

	for (uint64_t handle = 102; handle < 120; ++handle) {
		fake_ring_submit(1);
		serve(0, handle, 1);
		assert_true(completed(0) - fake_ring.looked_at[0] <= 2);
	}
}

static void test_interruption(void **state)
{
	(void)state;

	to_come = 2;
	serve(0, 1, 1);
	calls = 0;
	interruptions = 3;
	serve(0, 2, 1);
	assert_int_equal(calls, 4);
	assert_int_equal(completed(0), 1);
	fake_ring_assert_answered(1);
}

/* Another worker may have been quicker. */
static void test_nothing_left(void **state)
{
	(void)state;

	to_come = 2;
	serve(0, 1, 1);
	calls = 0;
	disappointments = 3;
	serve(0, 2, 1);
	assert_int_equal(calls, 4);
	fake_ring_assert_answered(1);
}

static void test_notifications(void **state)
{
	static const struct {
		int result;
		uint32_t type;
	} table[] = {
		{ KBDUSRING_ENTERED_AVAILABLE,
		  KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE },
		{ KBDUSRING_ENTERED_TERMINATE, KBDUS_REQUEST_TYPE_TERMINATE },
		{ KBDUSRING_ENTERED_FLUSH_AND_TERMINATE,
		  KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(table); ++i) {
		result = 0;
		to_come = 1;
		serve(0, i + 1, 1);

		/* With it goes the answer; the second time there is none. */
		result = table[i].result;
		for (int j = 0; j < 2; ++j) {
			memset(&request.offset, 0xff,
			       sizeof(request) - sizeof(request.handle));
			assert_int_equal(exchange(0, (int)(i + 1) % 7), 0);
			assert_int_equal(request.handle, 0);
			assert_int_equal(request.type, table[i].type);
			assert_int_equal(request.length, 0);
			assert_true(request.offset == 0);
			assert_null(request.payload);
			fake_ring_assert_answered(i + 1);
			assert_int_equal(completed(0), i + 1);
		}
	}
}

static void test_unknown_notification(void **state)
{
	(void)state;

	result = 4;
	assert_int_equal(exchange(0, 0), -EIO);
	assert_message_has("(4)");
}

static void test_failure(void **state)
{
	(void)state;

	failure = EINVAL;
	assert_int_equal(exchange(0, 0), -EINVAL);
	assert_int_equal(calls, 1);
	assert_message_has("EINVAL");
}

/* A process that is forked off serves on. */
static void test_fork(void **state)
{
	int status;
	pid_t pid;

	(void)state;

	fake_ring_submit(2);
	serve(0, 1, 1);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(exchange(0, 5) || request.handle != 2);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);

	assert_int_equal(fake_ring_get(fake_ring_head()), 2);
	assert_int_equal(fake_ring_look(0), 1);
	assert_int_equal(fake_ring.answers[1], 1);
	assert_int_equal(fake_ring.errors[1], 5);
}

static void test_no_mapping(void **state)
{
	struct libbdus_session other = { .fd = -1 };
	char text[64];

	(void)state;

	assert_int_equal(ring->begin(&other, &fake_ring.config), -EBADF);
	snprintf(text, sizeof(text), "%u bytes",
		 (unsigned int)fake_ring.config.driver_offset);
	assert_message_has(text);
	assert_null(other.shared);
	ring->end(&other);

	/* The first part is not left behind. */
	other.fd = fake_ring.session.fd;
	fake_ring.config.driver_offset += 1;
	assert_int_equal(ring->begin(&other, &fake_ring.config), -EINVAL);
	assert_null(other.shared);
	assert_int_equal(count_mappings(""), 3);
	fake_ring.config.driver_offset -= 1;
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, fake_ring_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_prepare),
		TEST(test_mapping),
		TEST(test_channels),
		TEST(test_order),
		TEST(test_payload),
		TEST(test_counters_wrap),
		TEST(test_one_call_before_anything_else),
		TEST(test_fast_callbacks),
		TEST(test_last_replies_do_not_wait),
		TEST(test_slow_callbacks),
		TEST(test_callbacks_become_slow),
		TEST(test_becoming_a_daemon_is_not_slow),
		TEST(test_more_replies_than_entries),
		TEST(test_interruption),
		TEST(test_nothing_left),
		TEST(test_notifications),
		TEST(test_unknown_notification),
		TEST(test_failure),
		TEST(test_fork),
		TEST(test_no_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
