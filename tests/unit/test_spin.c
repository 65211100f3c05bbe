/* SPDX-License-Identifier: MIT */

/* How long to look for a request before sleeping. */

#include <sched.h>
#include <string.h>

#include "unit.h"

static int processors;

/* Takes precedence over the C library's own. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	(void)pid;

	if (processors < 0) {
		errno = EINVAL;
		return -1;
	}
	memset(set, 0, size);
	for (int i = 0; i < processors; ++i)
		CPU_SET(3 * i, set);
	return 0;
}

static void test_longest(void **state)
{
	static const struct {
		int processors;
		uint32_t said_us;
		uint64_t longest_ns;
	} table[] = {
		{ 2, 0, 50000 },
		{ 2, 1, 1000 },
		{ 8, 10000, 10000000 },
		{ 8, 10001, 10000000 },
		{ 8, BDUS_NO_SPINNING - 1, 10000000 },
		{ 8, BDUS_NO_SPINNING, 0 },
		/* Clients could not go on meanwhile. */
		{ 1, 0, 0 },
		{ 1, 100, 0 },
		/* More than fit into a set. */
		{ -1, 0, 50000 },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(table); ++i) {
		processors = table[i].processors;
		assert_int_equal(libbdus_spin_longest(table[i].said_us),
				 table[i].longest_ns);
	}
}

static void test_waits_that_are_short(void **state)
{
	struct libbdus_spin spin;

	(void)state;

	/* Nothing is known yet. */
	libbdus_spin_init(&spin, 50000);
	assert_int_equal(spin.budget_ns, 0);

	libbdus_spin_learn(&spin, 50001);
	assert_int_equal(spin.budget_ns, 0);
	libbdus_spin_learn(&spin, 50000);
	assert_int_equal(spin.budget_ns, 50000);
	libbdus_spin_learn(&spin, 1);
	assert_int_equal(spin.budget_ns, 50000);
}

static void test_waits_that_are_long(void **state)
{
	static const uint64_t budgets[] = { 25000, 12500, 6250, 0, 0 };
	struct libbdus_spin spin;

	(void)state;

	libbdus_spin_init(&spin, 50000);
	libbdus_spin_learn(&spin, 100);
	for (size_t i = 0; i < COUNT(budgets); ++i) {
		libbdus_spin_learn(&spin, 1000000000);
		assert_int_equal(spin.budget_ns, budgets[i]);
	}
	libbdus_spin_learn(&spin, 100);
	assert_int_equal(spin.budget_ns, 50000);
}

static void test_never(void **state)
{
	struct libbdus_spin spin;

	(void)state;

	libbdus_spin_init(&spin, 0);
	libbdus_spin_learn(&spin, 0);
	assert_int_equal(spin.budget_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_waits_that_are_short),
		cmocka_unit_test(test_waits_that_are_long),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
