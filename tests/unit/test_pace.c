/* SPDX-License-Identifier: MIT */

/* How many replies may wait for each other, by a clock that only goes when told to. */

#include <time.h>

#include "unit.h"

static uint64_t now_ns = 1000000000;
static unsigned int readings;

/* Takes precedence over the C library's own. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;

	++readings;
	time->tv_sec = (time_t)(now_ns / 1000000000);
	time->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

static struct libbdus_pace pace;

/* Returns the limit after it. */
static uint32_t batch(uint32_t requests, uint64_t each_ns)
{
	libbdus_pace_begin(&pace);
	now_ns += requests * each_ns;
	libbdus_pace_end(&pace, requests);
	return pace.limit;
}

static int set_up(void **state)
{
	(void)state;

	libbdus_pace_init(&pace, 1024);
	return 0;
}

/* Go on until the limit is as high as it can get. */
static void be_fast(void)
{
	for (int i = 0; i < 10; ++i)
		batch(pace.limit, 100);
	assert_int_equal(pace.limit, 32);
}

static void test_nothing_waits_at_first(void **state)
{
	(void)state;

	assert_int_equal(pace.limit, 1);
}

static void test_fast_callbacks(void **state)
{
	static const uint32_t limits[] = { 2, 4, 8, 16, 32, 32, 32 };

	(void)state;

	/* Not even a tick of the clock. */
	for (size_t i = 0; i < COUNT(limits); ++i)
		assert_int_equal(batch(1, 0), limits[i]);
}

static void test_slow_callbacks(void **state)
{
	(void)state;

	for (int i = 0; i < 100; ++i)
		assert_int_equal(batch(1, 1000000000000), 1);
}

/* What a reply waits for others is what is served meanwhile: 30 us. */
static void test_between(void **state)
{
	static const struct {
		uint64_t each_ns;
		uint32_t limit;
	} table[] = {
		{ 900, 32 }, { 1000, 30 }, { 3000, 10 }, { 7000, 4 },
		{ 15000, 2 }, { 15001, 1 }, { 30000, 1 },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(table); ++i) {
		for (int j = 0; j < 10; ++j)
			batch(pace.limit, table[i].each_ns);
		assert_int_equal(pace.limit, table[i].limit);
		/* The average counts, not their sum. */
		if (table[i].limit < 32)
			assert_int_equal(batch(7, table[i].each_ns),
					 table[i].limit);
	}
}

static void test_falls_at_once(void **state)
{
	(void)state;

	be_fast();
	assert_int_equal(batch(32, 10000000), 1);
	assert_int_equal(batch(1, 100), 2);
}

/* However large batches are, one that is measured comes soon. */
static void test_slowness_is_noticed(void **state)
{
	(void)state;

	for (uint32_t size = 1; size <= 32; ++size) {
		uint32_t served = 0;

		be_fast();
		while (served < 64 && batch(size, 1000000) == 32)
			served += size;
		assert_true(served < 64);
	}
}

static void test_clock_is_read_rarely(void **state)
{
	const unsigned int requests = 3300;

	(void)state;

	be_fast();
	readings = 0;
	for (unsigned int i = 0; i < requests; ++i)
		batch(1, 100);
	assert_int_equal(pace.limit, 32);
	assert_int_equal(readings, 2 * requests / 33);

	/* Full batches, each of which is worth it. */
	readings = 0;
	for (unsigned int i = 0; i < 100; ++i)
		batch(32, 100);
	assert_true(readings > 0 && readings <= 200);
}

static void test_little_room(void **state)
{
	(void)state;

	libbdus_pace_init(&pace, 3);
	assert_int_equal(batch(1, 0), 2);
	assert_int_equal(batch(1, 0), 3);
	assert_int_equal(batch(3, 0), 3);

	libbdus_pace_init(&pace, 1);
	assert_int_equal(batch(1, 0), 1);
}

/* Where there are no callbacks in between, there is nothing to learn. */
static void test_nothing_served(void **state)
{
	(void)state;

	libbdus_pace_end(&pace, 5);
	assert_int_equal(pace.limit, 1);

	be_fast();
	for (int i = 0; i < 100; ++i)
		assert_int_equal(batch(0, 0), 32);

	/* The next batch is not measured from an earlier one's beginning. */
	batch(32, 100);
	libbdus_pace_begin(&pace);
	libbdus_pace_end(&pace, 0);
	now_ns += 1000000000;
	libbdus_pace_end(&pace, 32);
	assert_int_equal(pace.limit, 32);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, set_up)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_waits_at_first),
		TEST(test_fast_callbacks),
		TEST(test_slow_callbacks),
		TEST(test_between),
		TEST(test_falls_at_once),
		TEST(test_slowness_is_noticed),
		TEST(test_clock_is_read_rarely),
		TEST(test_little_room),
		TEST(test_nothing_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
