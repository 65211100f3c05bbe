/* SPDX-License-Identifier: MIT */

/* Callbacks decide what the device supports, and must suit one that exists. */

#include <string.h>

#include "unit.h"

static void some_function(void)
{
}

/* Make one callback non-NULL, never to be called. */
static void implement(struct bdus_ops *ops, size_t number)
{
	void (*function)(void) = some_function;

	memcpy((char *)ops + libbdus_callbacks[number].offset, &function,
	       sizeof(function));
}

static void test_operations(void **state)
{
	static const uint32_t expected[LIBBDUS_CALLBACK_COUNT] = {
		0, 0, 0, 1 << 3, 1 << 4, 1 << 5, 1 << 6 | 1 << 7, 1 << 8,
		1 << 9, 1 << 10, 1 << 11, 1 << 12,
	};
	struct bdus_ops all = { 0 };

	(void)state;

	assert_int_equal(libbdus_ops_operations(&all), 0);
	for (size_t i = 0; i < COUNT(expected); ++i) {
		struct bdus_ops one = { 0 };

		assert_false(libbdus_ops_has(&one, &libbdus_callbacks[i]));
		implement(&one, i);
		implement(&all, i);
		assert_true(libbdus_ops_has(&one, &libbdus_callbacks[i]));
		assert_int_equal(libbdus_ops_operations(&one), expected[i]);
	}
	assert_int_equal(libbdus_ops_operations(&all), KBDUS_OP_ALL);
}

static void test_fua_needs_flush(void **state)
{
	struct bdus_ops ops = { 0 };

	(void)state;

	assert_int_equal(libbdus_ops_validate(&ops), 0);
	implement(&ops, 7);
	assert_int_equal(libbdus_ops_validate(&ops), -EINVAL);
	assert_message_has("fua_write");
	implement(&ops, 8);
	assert_int_equal(libbdus_ops_validate(&ops), 0);
}

static void test_rerun(void **state)
{
	struct bdus_ops ops = { 0 };

	(void)state;

	for (size_t i = 3; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		const uint32_t needed = libbdus_callbacks[i].operations;

		assert_int_equal(libbdus_ops_validate_rerun(&ops, needed),
				 -EINVAL);
		assert_message_has(libbdus_callbacks[i].name);
		implement(&ops, i);
		assert_int_equal(libbdus_ops_validate_rerun(&ops, needed), 0);
	}

	assert_int_equal(libbdus_ops_validate_rerun(&ops, 0), 0);
	assert_int_equal(libbdus_ops_validate_rerun(&ops, KBDUS_OP_ALL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_fua_needs_flush),
		cmocka_unit_test(test_rerun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
