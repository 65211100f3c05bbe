/* SPDX-License-Identifier: MIT */

/*
 * How workers that speak the protocol "ring" get on with each other: what others do at
 * the worst moment, and several at once.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_ring.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Requests were made, or all is over. */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Under lock: requests whose answers were looked at, and calls. */
static uint64_t answered;
static unsigned int calls;

/* The next call tells that the device is available. */
static bool is_beginning;

/* Have as many requests be there as there can be, while other workers take some. */
static int enter(uint32_t channel)
{
	bool is_over;

	if (is_beginning)
		return KBDUSRING_ENTERED_AVAILABLE;

	pthread_mutex_lock(&lock);
	++calls;
	answered += fake_ring_look(channel);
	while (fake_ring.last_handle < FAKE_RING_REQUESTS &&
	       fake_ring.last_handle - answered < fake_ring.config.entry_count)
		fake_ring_submit(1);
	pthread_cond_broadcast(&changed);
	while (fake_ring_is_idle() && answered < FAKE_RING_REQUESTS)
		pthread_cond_wait(&changed, &lock);
	is_over = answered >= FAKE_RING_REQUESTS;
	pthread_mutex_unlock(&lock);

	return is_over ? KBDUSRING_ENTERED_TERMINATE :
			 KBDUSRING_ENTERED_REQUESTS;
}

/* Takes precedence over the C library's own. */
int ioctl(int fd, unsigned long command, ...)
{
	unsigned long argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, unsigned long) ^ KBDUSRING_ENTER_WAIT;
	va_end(args);

	if (fd != fake_ring.session.fd || command != KBDUSRING_IOCTL_ENTER ||
	    argument >= FAKE_RING_CHANNELS)
		abort();
	return enter((uint32_t)argument);
}

static int set_up(void **state)
{
	answered = 0;
	calls = 0;
	return fake_ring_set_up(state);
}

/* Have a worker make the call that each begins with. */
static void begin(void)
{
	struct libbdus_request request = { .handle = 0 };

	is_beginning = true;
	assert_int_equal(libbdus_protocol_ring.exchange(&fake_ring.session,
							fake_ring.channels[0],
							&request, 0), 0);
	is_beginning = false;
}

/* ---- what others do meanwhile ---- */

/* As soon as the driver touches a page of its mapping. */
static void (*meanwhile)(void);
static char *trap;
static int protection;
static struct sigaction action_before;

static void spring(int signal)
{
	if (mprotect(trap, page_size(), protection) ||
	    sigaction(signal, &action_before, NULL))
		abort();
	trap = NULL;
	meanwhile();
}

static void set_trap(char *page, int protection_before, void (*function)(void))
{
	const struct sigaction action = { .sa_handler = spring };

	trap = page;
	protection = protection_before;
	meanwhile = function;
	assert_int_equal(sigaction(SIGSEGV, &action, &action_before), 0);
	assert_int_equal(mprotect(page, page_size(), PROT_NONE), 0);
}

/* Have another worker take an entry that this one has begun to read, and the module use
 * that and all others again. */
static void take_and_fill(void)
{
	fake_ring_set(fake_ring_head(), fake_ring_get(fake_ring_tail()));
	fake_ring_submit(fake_ring.config.entry_count);
}

static void test_entry_is_used_again(void **state)
{
	const uint32_t entries = (uint32_t)page_size() / 64;
	struct libbdus_request request = { .handle = 0 };
	char *pages = NULL;

	(void)state;

	/* The last entry is alone in the second page. */
	fake_ring_begin_anew(entries, 4096);
	fake_ring_count_from(entries - 1);
	begin();
	fake_ring_submit(1);

	assert_int_equal(fake_ring_find_mappings(" r--s ", &pages), 1);
	set_trap(pages + page_size(), PROT_READ, take_and_fill);
	assert_int_equal(libbdus_protocol_ring.exchange(&fake_ring.session,
							fake_ring.channels[0],
							&request, 0), 0);
	assert_null(trap);
	assert_true(fake_ring_is_made(&request, 2));
	assert_int_equal(fake_ring_get(fake_ring_head()), entries + 1);
	assert_int_equal(calls, 0);
}

/* Have others take what there is, and more that has come. */
static void submit_and_take(void)
{
	fake_ring_submit(2);
	fake_ring_set(fake_ring_head(), fake_ring_get(fake_ring_tail()));
}

/* A tail that was read before that is behind the head. */
static void test_head_passes_old_tail(void **state)
{
	struct libbdus_request request = { .handle = 0 };
	char permissions[32];
	char *pages = NULL;

	(void)state;

	begin();
	fake_ring_submit(1);
	snprintf(permissions, sizeof(permissions), " rw-s %08x ",
		 (unsigned int)fake_ring.config.driver_offset);
	assert_int_equal(fake_ring_find_mappings(permissions, &pages), 1);
	set_trap(pages, PROT_READ | PROT_WRITE, submit_and_take);
	assert_int_equal(libbdus_protocol_ring.exchange(&fake_ring.session,
							fake_ring.channels[0],
							&request, 0), 0);
	assert_null(trap);
	assert_true(fake_ring_is_made(&request, 4));
	assert_int_equal(fake_ring_get(fake_ring_head()), 4);
	assert_int_equal(calls, 1);
}

/* ---- several at once ---- */

/* How often each request was taken; atomic. */
static unsigned int taken[FAKE_RING_REQUESTS + 1];

/* Serve until the end. Returns NULL, or what went wrong. */
static void *work(void *channel)
{
	struct libbdus_request request = { .handle = 0 };

	for (;;) {
		const int error = (int)(request.handle % 7);

		if (libbdus_protocol_ring.exchange(&fake_ring.session, channel,
						   &request, error))
			return "an exchange failed";
		if (request.type == KBDUS_REQUEST_TYPE_TERMINATE)
			return NULL;
		if (request.handle > FAKE_RING_REQUESTS ||
		    !fake_ring_is_made(&request, request.handle))
			return "a request was never made";
		__atomic_add_fetch(&taken[request.handle], 1, __ATOMIC_RELAXED);
	}
}

static void test_several_workers(void **state)
{
	pthread_t threads[FAKE_RING_CHANNELS];
	void *mistake;

	(void)state;

	fake_ring_begin_anew(256, 4096);
	fake_ring_count_from(0xffffffff - FAKE_RING_REQUESTS / 2);

	for (unsigned int i = 0; i < COUNT(threads); ++i) {
		assert_int_equal(pthread_create(&threads[i], NULL, work,
						fake_ring.channels[i]), 0);
	}
	for (unsigned int i = 0; i < COUNT(threads); ++i) {
		pthread_join(threads[i], &mistake);
		if (mistake)
			fail_msg("%s", (char *)mistake);
	}

	for (uint64_t handle = 1; handle <= FAKE_RING_REQUESTS; ++handle)
		assert_int_equal(taken[handle], 1);
	fake_ring_assert_answered(FAKE_RING_REQUESTS);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, fake_ring_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_entry_is_used_again),
		TEST(test_head_passes_old_tail),
		TEST(test_several_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
