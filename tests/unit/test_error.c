/* SPDX-License-Identifier: MIT */

/* Messages belong to their thread, fit their room, and name errno values. */

#include <pthread.h>
#include <string.h>

#include "unit.h"

static const char *message(void)
{
	return bdus_get_error_message_0_1_0_();
}

static void *get_own_message(void *out)
{
	strcpy(out, message());
	libbdus_error(EIO, "Other thread.");
	return NULL;
}

static void test_message_of_a_thread(void **state)
{
	char seen[LIBBDUS_MESSAGE_SIZE] = "?";
	pthread_t thread;

	(void)state;

	assert_int_equal(libbdus_error(EIO, "This %s.", "thread"), -EIO);
	assert_int_equal(pthread_create(&thread, NULL, get_own_message, seen),
			 0);
	pthread_join(thread, NULL);

	assert_string_equal(seen, "");
	assert_string_equal(message(), "This thread.");
}

static void test_with_errno(void **state)
{
	(void)state;

	assert_int_equal(libbdus_error_with_errno(ENOENT, "Failed to %s", "x"),
			 -ENOENT);
	assert_string_equal(message(),
		"Failed to x (errno = ENOENT: No such file or directory)");

	libbdus_error_with_errno(133, "A");
	assert_message_begins("A (errno = EHWPOISON: ");
	libbdus_error_with_errno(1, "A");
	assert_message_begins("A (errno = EPERM: ");
	libbdus_error_with_errno(EAGAIN, "A");
	assert_message_begins("A (errno = EAGAIN: ");
	libbdus_error_with_errno(41, "A");
	assert_message_begins("A (errno = 41: ");
	libbdus_error_with_errno(4095, "A");
	assert_message_begins("A (errno = 4095: ");
	libbdus_error_with_errno(-7, "A");
	assert_message_begins("A (errno = -7: ");
}

static void test_truncation(void **state)
{
	char text[4096];

	(void)state;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';

	libbdus_error(EIO, "%s", text);
	assert_int_equal(strlen(message()), 1023);

	libbdus_error_with_errno(EIO, "%s", text);
	assert_true(strlen(message()) <= 1023);
	assert_message_has(" (errno = EIO: Input/output error)");
}

static void test_save_and_restore(void **state)
{
	struct libbdus_error saved;

	(void)state;

	libbdus_error(EIO, "First.");
	libbdus_error_save(&saved);
	libbdus_error(EIO, "Second.");
	libbdus_error_restore(&saved);
	assert_string_equal(message(), "First.");
}

static void test_report(void **state)
{
	(void)state;

	libbdus_error(EBUSY, "Busy.");

	errno = ERANGE;
	assert_false(libbdus_error_report(-EBUSY, 0));
	assert_int_equal(errno, EBUSY);

	errno = EBADF;
	assert_true(libbdus_error_report(0, ERANGE));
	assert_int_equal(errno, ERANGE);
	assert_string_equal(message(), "Busy.");
}

static void test_library_version(void **state)
{
	const struct bdus_version *version = bdus_get_libbdus_version();

	(void)state;

	assert_int_equal(version->major, 0);
	assert_int_equal(version->minor, 1);
	assert_int_equal(version->patch, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_of_a_thread),
		cmocka_unit_test(test_with_errno),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_save_and_restore),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_library_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
