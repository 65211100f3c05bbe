/* SPDX-License-Identifier: MIT */

/*
 * Which backend makes a device: by name, by what works, by what a driver needs; and
 * what is said about each.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

static uid_t euid;

uid_t geteuid(void)
{
	return euid;
}

/* Nothing is there that a backend could need. */
int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;

	errno = ENOENT;
	return -1;
}

static int set_up(void **state)
{
	(void)state;

	euid = 0;
	libbdus_record_directory = "/nonexistent";
	libbdus_error(0, "%s", "");
	errno = ERANGE;
	return 0;
}

static const struct libbdus_needs nothing = { .operations = 0 };

static int choose(const char *name, const struct libbdus_needs *needs)
{
	const struct libbdus_backend *backend = NULL;
	struct libbdus_session session = { .fd = -1 };

	return libbdus_backend_choose(name, needs, &backend, &session);
}

static void test_unknown_name(void **state)
{
	(void)state;

	assert_int_equal(choose("nonsense", &nothing), -EINVAL);
	assert_message_has("\"nonsense\"");
	assert_message_has("auto, kbdus, ublk, nbd, fuse");
	assert_int_equal(choose("kbdusx", &nothing), -EINVAL);
}

static void test_by_name(void **state)
{
	(void)state;

	assert_int_equal(choose("kbdus", &nothing), -ENOENT);
	assert_message_has("module kbdus");
}

/* All reasons are told, and the first one's errno value is that of the whole. */
static void test_first_that_works(void **state)
{
	static const char *const names[] = { NULL, "", "auto" };

	(void)state;

	for (size_t i = 0; i < COUNT(names); ++i) {
		assert_int_equal(choose(names[i], &nothing), -ENOENT);
		assert_message_begins("No backend can be used. kbdus: ");
		assert_message_has(" ublk: ");
		assert_message_has(" fuse: ");
	}
}

static void test_without_root(void **state)
{
	(void)state;

	euid = 1000;
	assert_int_equal(choose("auto", &nothing), -EPERM);
	assert_message_begins("Insufficient privileges");
	assert_int_equal(choose("kbdus", &nothing), -EPERM);
}

static void assert_refused(const struct libbdus_needs *needs, const char *what)
{
	assert_int_equal(libbdus_backend_check(&libbdus_backend_kbdus, needs), 0);
	assert_int_equal(libbdus_backend_check(&libbdus_backend_fuse, needs),
			 -EOPNOTSUPP);
	assert_message_has("backend fuse cannot do");
	assert_message_has(what);
	/* By name too, before anything is looked for. */
	assert_int_equal(choose("fuse", needs), -EOPNOTSUPP);
}

static void test_needs(void **state)
{
	struct libbdus_needs needs = nothing;

	(void)state;

	assert_int_equal(libbdus_backend_check(&libbdus_backend_fuse, &needs), 0);
	needs.operations = KBDUS_OP_ALL & ~(KBDUS_OP(IOCTL) |
					    KBDUS_OP(SECURE_ERASE));
	assert_int_equal(libbdus_backend_check(&libbdus_backend_fuse, &needs), 0);

	needs.operations = KBDUS_OP(IOCTL);
	assert_refused(&needs, "ioctl");
	needs.operations = KBDUS_OP(SECURE_ERASE);
	assert_refused(&needs, "secure_erase");
	needs.operations = KBDUS_OP(FLUSH) | KBDUS_OP(FUA_WRITE);
	assert_refused(&needs, "fua_write");
	needs = (struct libbdus_needs){ .recovery = true };
	assert_refused(&needs, "recoverable");
	needs = (struct libbdus_needs){ .time_out = true };
	assert_refused(&needs, "request_timeout_ms");
	needs = (struct libbdus_needs){ .orphan_time_out = true };
	assert_refused(&needs, "orphan_timeout_ms");
}

/* What it can do and fuse cannot. */
static void test_needs_of_ublk(void **state)
{
	struct libbdus_needs needs = {
		.operations = KBDUS_OP_ALL & ~(KBDUS_OP(IOCTL) |
					       KBDUS_OP(SECURE_ERASE)),
		.recovery = true,
	};

	(void)state;

	assert_int_equal(libbdus_backend_check(&libbdus_backend_ublk, &needs), 0);
	needs.orphan_time_out = true;
	assert_int_equal(libbdus_backend_check(&libbdus_backend_ublk, &needs),
			 -EOPNOTSUPP);
	assert_message_has("backend ublk cannot do: attribute orphan_timeout_ms");
}

/* Neither errno nor the message change, though backends were found unusable. */
static void test_info(void **state)
{
	static const char *const names[] = { "kbdus", "ublk", "nbd", "fuse" };
	struct bdus_backend_info info;
	uint32_t index;

	(void)state;

	for (index = 0; index < COUNT(names); ++index) {
		assert_true(bdus_get_backend_info(index, &info));
		assert_string_equal(info.name, names[index]);
		assert_non_null(strchr(info.node, 'N'));
		assert_false(info.is_usable);
		assert_true(strlen(info.reason) > 0);
		assert_int_equal(errno, ERANGE);
		assert_string_equal(bdus_get_error_message(), "");
	}
	assert_false(bdus_get_backend_info(index, &info));
	assert_int_equal(errno, ENOENT);
	assert_false(bdus_get_backend_info_0_1_3_(0, &info, sizeof(info) + 8));
	assert_int_equal(errno, EINVAL);
}

/* An earlier header's structure is filled as far as it goes. */
static void test_info_of_earlier_header(void **state)
{
	struct bdus_backend_info info;

	(void)state;

	memset(&info, 'x', sizeof(info));
	assert_true(bdus_get_backend_info_0_1_3_(0, &info, 16));
	assert_string_equal(info.name, "kbdus");
	assert_int_equal(info.node[0], 'x');
}

static void test_backend_of_device(void **state)
{
	const struct libbdus_backend *backend;

	(void)state;

	assert_int_equal(libbdus_backend_of(0, &backend), 0);
	assert_ptr_equal(backend, &libbdus_backend_kbdus);
	assert_int_equal(libbdus_backend_of(LIBBDUS_FIRST_RECORDED_ID - 1,
					    &backend), 0);
	assert_ptr_equal(backend, &libbdus_backend_kbdus);
	assert_int_equal(libbdus_backend_of(LIBBDUS_FIRST_RECORDED_ID, &backend),
			 -EINVAL);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unknown_name),
		TEST(test_by_name),
		TEST(test_first_that_works),
		TEST(test_without_root),
		TEST(test_needs),
		TEST(test_needs_of_ublk),
		TEST(test_info),
		TEST(test_info_of_earlier_header),
		TEST(test_backend_of_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
