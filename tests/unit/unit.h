/* SPDX-License-Identifier: MIT */

/* unit.h: what every unit test needs. */

#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The calling thread's message begins with, or contains, a text. */
#define assert_message_begins(text) \
	assert_memory_equal(bdus_get_error_message_0_1_0_(), text, strlen(text))
#define assert_message_has(text) \
	assert_non_null(strstr(bdus_get_error_message_0_1_0_(), text))

#endif
