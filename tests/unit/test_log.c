/* SPDX-License-Identifier: MIT */

/* What bdus_attrs::log shows, to the letter where it matters. */

#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static char text[16384];
static FILE *file;
static int real_stderr;

static void begin_capture(void)
{
	fflush(stderr);
	file = tmpfile();
	assert_non_null(file);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
}

static void end_capture(void)
{
	size_t length;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);

	rewind(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	fclose(file);
}

static int on_range(char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static int on_zeros(uint64_t offset, uint32_t size, bool may_unmap,
		    struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)may_unmap;
	(void)ctx;
	return 0;
}

static int on_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int on_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	(void)command;
	(void)argument;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.read = on_range,
	.write_zeros = on_zeros,
	.flush = on_flush,
	.ioctl = on_ioctl,
};

static struct bdus_attrs attrs = { .log = true };
static struct bdus_ctx ctx = { .ops = &ops, .attrs = &attrs };
static char payload[4096];

static void assert_logged(unsigned int thread, uint32_t type, uint32_t length,
			  const char *expected)
{
	const struct libbdus_request request = {
		.offset = 1024,
		.length = length,
		.type = type,
		.payload = payload,
	};

	begin_capture();
	libbdus_dispatch(&ctx, thread, &request);
	end_capture();
	assert_string_equal(text, expected);
}

static void test_calls(void **state)
{
	char expected[256];

	(void)state;

	snprintf(expected, sizeof(expected),
		 "log: thread 00: read(buffer = %p, offset = 1024, size = 512)\n",
		 (void *)payload);
	assert_logged(0, KBDUS_REQUEST_TYPE_READ, 512, expected);

	assert_logged(7, KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP, 512,
		"log: thread 07: write_zeros(offset = 1024, size = 512, may_unmap = false)\n");
	assert_logged(255, KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP, 512,
		"log: thread 255: write_zeros(offset = 1024, size = 512, may_unmap = true)\n");
	assert_logged(10, KBDUS_REQUEST_TYPE_FLUSH, 0,
		"log: thread 10: flush()\n");
}

static void test_ioctls(void **state)
{
	static const struct {
		uint32_t command;
		const char *decoded;
	} rows[] = {
		{ _IOR(0xbd, 2, char[8]), "_IOR(0xbd, 2, 8)" },
		{ _IOW(0x01, 255, char[4096]), "_IOW(0x01, 255, 4096)" },
		{ _IOWR('x', 4, char[1]), "_IOWR(0x78, 4, 1)" },
	};
	char expected[256];

	(void)state;

	assert_logged(0, KBDUS_REQUEST_TYPE_IOCTL, _IO('x', 1),
		"log: thread 00: ioctl(command = _IO(0x78, 1), argument = NULL)\n");

	for (size_t i = 0; i < COUNT(rows); ++i) {
		snprintf(expected, sizeof(expected),
			 "log: thread 00: ioctl(command = %s, argument = %p)\n",
			 rows[i].decoded, (void *)payload);
		assert_logged(0, KBDUS_REQUEST_TYPE_IOCTL, rows[i].command,
			      expected);
	}
}

static void test_silence(void **state)
{
	const struct libbdus_request request = {
		.type = KBDUS_REQUEST_TYPE_FLUSH,
	};

	(void)state;

	attrs.log = false;
	begin_capture();
	libbdus_dispatch(&ctx, 0, &request);
	libbdus_log_ops(&attrs, &ops);
	libbdus_log_attrs(&attrs, &attrs);
	libbdus_log_line(&attrs, "something");
	end_capture();
	attrs.log = true;

	assert_string_equal(text, "");
}

/* Take the next line apart into words, and compare the first two. */
static char *assert_line(char *line, const char *name, const char *value)
{
	char *end = strchr(line, '\n');
	char words[2][64];

	assert_non_null(end);
	*end = '\0';
	assert_int_equal(sscanf(line, "log: %63s %63[^\n]", words[0], words[1]),
			 2);
	assert_string_equal(words[0], name);
	assert_string_equal(words[1], value);
	return end + 1;
}

static void test_list_of_callbacks(void **state)
{
	char name[64];
	char *line = text;

	(void)state;

	begin_capture();
	libbdus_log_ops(&attrs, &ops);
	end_capture();

	for (size_t i = 0; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		const struct libbdus_callback *callback = &libbdus_callbacks[i];

		snprintf(name, sizeof(name), "%s()", callback->name);
		line = assert_line(line, name, libbdus_ops_has(&ops, callback)
					       ? "non-NULL" : "NULL");
	}
	assert_string_equal(line, "");
}

static void test_list_of_attributes(void **state)
{
	const struct bdus_attrs before = {
		.logical_block_size = 512,
		.size = UINT64_MAX - 511,
		.max_write_same_size = UINT32_MAX,
		.log = true,
	};
	const struct bdus_attrs after = {
		.logical_block_size = 512,
		.physical_block_size = 512,
		.size = UINT64_MAX - 511,
		.max_concurrent_callbacks = 1,
		.recoverable = true,
		.log = true,
		.orphan_timeout_ms = UINT32_MAX,
	};
	static const char *const lines[][2] = {
		{ "logical_block_size", "512" },
		{ "physical_block_size", "512 (was 0)" },
		{ "size", "18446744073709551104" },
		{ "max_concurrent_callbacks", "1 (was 0)" },
		{ "max_read_write_size", "0" },
		{ "max_write_same_size", "0 (was 4294967295)" },
		{ "max_write_zeros_size", "0" },
		{ "max_discard_erase_size", "0" },
		{ "disable_partition_scanning", "false" },
		{ "recoverable", "true (was false)" },
		{ "dont_daemonize", "false" },
		{ "log", "true" },
		{ "request_timeout_ms", "0" },
		{ "orphan_timeout_ms", "4294967295 (was 0)" },
		{ "leave_timeout_ms", "0" },
		{ "wait_until_available", "false" },
		{ "queue_depth", "0" },
		{ "spin_time_us", "0" },
	};
	char *line = text;

	(void)state;

	begin_capture();
	libbdus_log_attrs(&before, &after);
	end_capture();

	for (size_t i = 0; i < COUNT(lines); ++i)
		line = assert_line(line, lines[i][0], lines[i][1]);
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_ioctls),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_list_of_callbacks),
		cmocka_unit_test(test_list_of_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
