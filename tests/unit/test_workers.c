/* SPDX-License-Identifier: MIT */

/*
 * Several workers: that they all serve, that one's end is everybody's end, that
 * nobody writes during the last flush, and what is reported if threads are lacking.
 */

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake.h"

#define WORKERS 4

#define AVAILABLE KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE
#define TERMINATE KBDUS_REQUEST_TYPE_TERMINATE
#define FLUSH_AND_TERMINATE KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* All under lock. */
static struct {
	unsigned int in_callbacks, most_in_callbacks, writes, flushes;
	unsigned int writes_at_flush, in_callbacks_at_flush;
	unsigned int terminated, in_callbacks_at_terminate;
	/* Writes wait until this is set. */
	bool may_go_on;
	/* Writes at this offset and the next end thus. */
	uint64_t special_offset;
	int special_result;
} seen;

/* Threads that can still be started; negative: any number. */
static int threads_left;
/* Items of the queue that are taken before the next one cannot be started. */
static unsigned int taken_before_failure;

/* Takes precedence over the C library's (and the sanitizer's) own. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
		   void *(*start)(void *), void *argument)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		    void *);
	void *symbol = dlsym(RTLD_NEXT, "pthread_create");

	if (threads_left == 0) {
		fake_await_taken(taken_before_failure);
		return EAGAIN;
	}
	if (threads_left > 0)
		--threads_left;

	memcpy(&real, &symbol, sizeof(real));
	return real(thread, attr, start, argument);
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	int result = 0;

	(void)buffer;
	(void)size;
	(void)ctx;

	pthread_mutex_lock(&lock);

	++seen.writes;
	if (++seen.in_callbacks > seen.most_in_callbacks)
		seen.most_in_callbacks = seen.in_callbacks;
	pthread_cond_broadcast(&changed);
	while (!seen.may_go_on)
		pthread_cond_wait(&changed, &lock);
	if (offset == seen.special_offset)
		result = seen.special_result;
	--seen.in_callbacks;

	pthread_mutex_unlock(&lock);
	return result;
}

static int on_flush(struct bdus_ctx *ctx)
{
	(void)ctx;

	pthread_mutex_lock(&lock);
	++seen.flushes;
	seen.writes_at_flush = seen.writes;
	seen.in_callbacks_at_flush = seen.in_callbacks;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

static int on_available(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int on_terminate(struct bdus_ctx *ctx)
{
	(void)ctx;

	pthread_mutex_lock(&lock);
	++seen.terminated;
	seen.in_callbacks_at_terminate = seen.in_callbacks;
	pthread_mutex_unlock(&lock);
	return 0;
}

static int run(void)
{
	static const struct bdus_ops ops = {
		.on_device_available = on_available,
		.terminate = on_terminate,
		.write = on_write,
		.flush = on_flush,
	};
	static const struct bdus_attrs attrs = {
		.logical_block_size = 512,
		.size = 1 << 20,
		.max_concurrent_callbacks = WORKERS,
		.dont_daemonize = true,
	};
	const struct libbdus_run_args args = {
		.ops = &ops,
		.attrs = &attrs,
		.attrs_size = sizeof(attrs),
	};

	return libbdus_run(&fake_backend, &args);
}

static void *run_in_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)run();
}

static void push_writes(unsigned int count)
{
	for (unsigned int i = 0; i < count; ++i)
		fake_push(KBDUS_REQUEST_TYPE_WRITE, 512 * i, 512);
}

static void await_callbacks(unsigned int count)
{
	pthread_mutex_lock(&lock);
	while (seen.in_callbacks < count)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void go_on(void)
{
	pthread_mutex_lock(&lock);
	seen.may_go_on = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static int set_up(void **state)
{
	(void)state;

	setenv("BDUS_NO_MEMORY_LOCK", "1", 1);
	fake_reset();
	memset(&seen, 0, sizeof(seen));
	seen.special_offset = UINT64_MAX;
	threads_left = -1;
	taken_before_failure = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;

	assert_int_equal(fake.closed, fake.opened);
	assert_int_equal(fake.channels_closed, fake.channels_opened);
	assert_int_equal(seen.in_callbacks_at_terminate, 0);
	return 0;
}

static void test_all_serve(void **state)
{
	pthread_t driver;
	void *result;

	(void)state;

	fake_push(AVAILABLE, 0, 0);
	push_writes(100);
	pthread_create(&driver, NULL, run_in_thread, NULL);

	await_callbacks(WORKERS);
	go_on();
	fake_await_taken(101);
	fake_push(TERMINATE, 0, 0);
	pthread_join(driver, &result);

	assert_null(result);
	assert_int_equal(seen.writes, 100);
	assert_int_equal(seen.most_in_callbacks, WORKERS);
	assert_int_equal(seen.terminated, 1);
	assert_int_equal(fake.marked, 1);
	for (unsigned int i = 1; i <= 100; ++i)
		assert_int_equal(fake_answer(i), 0);
}

static void await_flush_in_vain(void)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += 50000000;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;

	pthread_mutex_lock(&lock);
	while (!seen.flushes &&
	       !pthread_cond_timedwait(&changed, &lock, &end))
		;
	pthread_mutex_unlock(&lock);
}

/* All but one are writing when the driver is to leave: that one has to wait. */
static void test_flush_comes_last(void **state)
{
	pthread_t driver;
	void *result;

	(void)state;

	fake_push(AVAILABLE, 0, 0);
	push_writes(WORKERS - 1);
	pthread_create(&driver, NULL, run_in_thread, NULL);

	await_callbacks(WORKERS - 1);
	fake_push(FLUSH_AND_TERMINATE, 0, 0);
	fake_await_taken(WORKERS + 1);
	await_flush_in_vain();
	assert_int_equal(seen.flushes, 0);
	go_on();
	pthread_join(driver, &result);

	assert_null(result);
	assert_int_equal(seen.flushes, 1);
	assert_int_equal(seen.writes_at_flush, WORKERS - 1);
	assert_int_equal(seen.in_callbacks_at_flush, 0);
	assert_int_equal(seen.terminated, 1);
	assert_int_equal(fake.marked, 1);
	for (unsigned int i = 1; i < WORKERS; ++i)
		assert_int_equal(fake_answer(i), 0);
}

/* One fails while another waits to flush: the flush must not wait for ever. */
static void test_flush_when_another_fails(void **state)
{
	pthread_t driver;
	void *result;

	(void)state;

	fake_push(AVAILABLE, 0, 0);
	push_writes(WORKERS - 1);
	seen.special_offset = 512;
	seen.special_result = bdus_abort;
	pthread_create(&driver, NULL, run_in_thread, NULL);

	await_callbacks(WORKERS - 1);
	fake_push(FLUSH_AND_TERMINATE, 0, 0);
	fake_await_taken(WORKERS + 1);
	go_on();
	pthread_join(driver, &result);

	assert_int_equal((intptr_t)result, -EIO);
	assert_int_equal(seen.flushes, 1);
	assert_int_equal(seen.in_callbacks_at_flush, 0);
	assert_int_equal(fake.marked, 0);
	assert_int_equal(fake_answer(2), -1);
}

static void test_abort_ends_all(void **state)
{
	(void)state;

	fake_push(AVAILABLE, 0, 0);
	push_writes(10);
	seen.may_go_on = true;
	seen.special_offset = 5 * 512;
	seen.special_result = bdus_abort;

	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
	assert_int_equal(seen.terminated, 1);
	assert_int_equal(fake_answer(6), -1);
	assert_int_equal(fake.marked, 0);
	assert_true(fake.stopped > 0);
}

static void test_exchange_failing_ends_all(void **state)
{
	(void)state;

	fake_push(AVAILABLE, 0, 0);
	fake.failing_exchange = WORKERS;

	assert_int_equal(run(), -ENODEV);
	assert_message_has("Fake exchange");
	assert_int_equal(seen.terminated, 1);
	assert_true(fake.stopped > 0);
}

static void test_available_twice(void **state)
{
	(void)state;

	fake_push(AVAILABLE, 0, 0);
	fake_push(AVAILABLE, 0, 0);
	assert_int_equal(run(), -EINVAL);
	assert_int_equal(seen.terminated, 1);
}

static void test_too_few_threads(void **state)
{
	for (int threads = 0; threads < WORKERS - 1; ++threads) {
		set_up(state);
		fake_push(AVAILABLE, 0, 0);
		threads_left = threads;

		assert_int_equal(run(), -EAGAIN);
		assert_message_has("EAGAIN");
		assert_int_equal(seen.terminated, 1);
		assert_int_equal(fake.marked, 0);
		assert_true(fake.stopped > 0);
	}
}

/* The one worker that could be started must not wait for those that could not. */
static void test_flush_with_too_few_threads(void **state)
{
	(void)state;

	fake_push(AVAILABLE, 0, 0);
	fake_push(FLUSH_AND_TERMINATE, 0, 0);
	threads_left = 1;
	taken_before_failure = 2;

	assert_int_equal(run(), -EAGAIN);
	assert_int_equal(seen.flushes, 1);
	assert_int_equal(seen.terminated, 1);
}

/* Where the device needs all workers to become available, all are there before, and none
 * is started again. */
static void test_all_come_early(void **state)
{
	(void)state;

	fake.needs_all = true;
	fake_push(AVAILABLE, 0, 0);
	fake_push(TERMINATE, 0, 0);

	assert_int_equal(run(), 0);
	assert_int_equal(fake.present, WORKERS);
	assert_int_equal(fake.left, WORKERS);
	assert_int_equal(seen.terminated, 1);
}

/* One of them ends before that: so do all, and its failure is that of the run. */
static void test_early_worker_failing(void **state)
{
	for (unsigned int i = 1; i <= WORKERS; ++i) {
		set_up(state);
		fake.needs_all = true;
		fake.failing_exchange = i;

		assert_int_equal(run(), -ENODEV);
		assert_message_has("Fake exchange");
		assert_int_equal(fake.left, WORKERS);
		assert_int_equal(seen.terminated, 1);
		assert_int_equal(fake.marked, 0);
	}
}

/* They cannot all come. */
static void test_too_few_threads_early(void **state)
{
	for (int threads = 0; threads < WORKERS - 1; ++threads) {
		set_up(state);
		fake.needs_all = true;
		fake_push(AVAILABLE, 0, 0);
		threads_left = threads;

		assert_int_equal(run(), -EAGAIN);
		assert_message_has("EAGAIN");
		assert_int_equal(fake.left, threads + 1);
		assert_int_equal(seen.terminated, 1);
	}
}

static void test_too_few_channels(void **state)
{
	(void)state;

	fake.failing_channel = WORKERS;
	assert_int_equal(run(), -ENOMEM);
	assert_int_equal(seen.terminated, 0);
	assert_int_equal(fake.exchanges, 0);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_serve),
		TEST(test_flush_comes_last),
		TEST(test_flush_when_another_fails),
		TEST(test_abort_ends_all),
		TEST(test_exchange_failing_ends_all),
		TEST(test_available_twice),
		TEST(test_too_few_threads),
		TEST(test_flush_with_too_few_threads),
		TEST(test_all_come_early),
		TEST(test_early_worker_failing),
		TEST(test_too_few_threads_early),
		TEST(test_too_few_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
