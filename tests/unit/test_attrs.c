/* SPDX-License-Identifier: MIT */

/* Which attributes are accepted, what the module is told, what callbacks see. */

#include <string.h>
#include <unistd.h>

#include "unit.h"

/* The least that bdus_run() accepts. */
#define VALID .logical_block_size = 512, .size = 1 << 20

struct validation {
	struct bdus_attrs attrs;
	bool is_valid;
	const char *named;
};

static void test_validation(void **state)
{
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	const struct validation rows[] = {
		{ { VALID }, true, NULL },

		{ { .size = 4096 }, false, "logical_block_size" },
		{ { .logical_block_size = 256, .size = 4096 }, false,
		  "logical_block_size" },
		{ { .logical_block_size = 513, .size = 513 }, false,
		  "logical_block_size" },
		{ { .logical_block_size = 1536, .size = 1536 }, false,
		  "logical_block_size" },
		{ { .logical_block_size = page, .size = page }, true, NULL },
		{ { .logical_block_size = 2 * page, .size = 2 * page }, false,
		  "logical_block_size" },
		{ { .logical_block_size = UINT32_MAX, .size = UINT32_MAX },
		  false, "logical_block_size" },
		{ { .logical_block_size = 1u << 31, .size = 1u << 31 }, false,
		  "logical_block_size" },

		{ { VALID, .physical_block_size = 512 }, true, NULL },
		{ { VALID, .physical_block_size = page }, true, NULL },
		{ { VALID, .physical_block_size = 256 }, false,
		  "physical_block_size" },
		{ { VALID, .physical_block_size = 1000 }, false,
		  "physical_block_size" },
		{ { VALID, .physical_block_size = 2 * page }, false,
		  "physical_block_size" },
		{ { .logical_block_size = 1024, .size = 4096,
		    .physical_block_size = 512 }, false,
		  "physical_block_size" },

		{ { .logical_block_size = 512 }, false, "size" },
		{ { .logical_block_size = 512, .size = 1 }, false, "size" },
		{ { .logical_block_size = 512, .size = 513 }, false, "size" },
		{ { .logical_block_size = 512, .size = 512 }, true, NULL },
		{ { .logical_block_size = 512, .physical_block_size = 1024,
		    .size = 512 }, false, "size" },
		{ { .logical_block_size = 512, .physical_block_size = 1024,
		    .size = 3072 }, true, NULL },
		{ { .logical_block_size = 512, .size = INT64_MAX - 511 }, true,
		  NULL },
		{ { .logical_block_size = 512, .size = INT64_MAX + 1ULL },
		  false, "at most 9223372036854775296" },
		{ { .logical_block_size = 512, .physical_block_size = 4096,
		    .size = UINT64_MAX - 4095 }, false, "size" },

		{ { VALID, .max_concurrent_callbacks = UINT32_MAX }, true,
		  NULL },
		{ { VALID, .max_read_write_size = page }, true, NULL },
		{ { VALID, .max_read_write_size = page - 1 }, false,
		  "max_read_write_size" },
		{ { VALID, .max_read_write_size = page + 1 }, true, NULL },
		{ { VALID, .max_read_write_size = UINT32_MAX }, true, NULL },
		{ { VALID, .max_write_same_size = 511 }, false,
		  "max_write_same_size" },
		{ { VALID, .max_write_same_size = 512 }, true, NULL },
		{ { VALID, .max_write_same_size = UINT32_MAX }, true, NULL },
		{ { VALID, .max_write_zeros_size = 511 }, false,
		  "max_write_zeros_size" },
		{ { VALID, .max_write_zeros_size = 513 }, true, NULL },
		{ { VALID, .max_write_zeros_size = UINT32_MAX }, true, NULL },
		{ { VALID, .max_discard_erase_size = 1 }, false,
		  "max_discard_erase_size" },
		{ { VALID, .max_discard_erase_size = 512 }, true, NULL },
		{ { VALID, .max_discard_erase_size = UINT32_MAX }, true, NULL },

		{ { VALID, .request_timeout_ms = UINT32_MAX,
		    .orphan_timeout_ms = UINT32_MAX }, true, NULL },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(rows); ++i) {
		const int ret = libbdus_attrs_validate(&rows[i].attrs);

		if (ret != (rows[i].is_valid ? 0 : -EINVAL))
			fail_msg("row %zu: %d", i, ret);
		if (!rows[i].is_valid)
			assert_message_has(rows[i].named);
	}
}

static const struct kbdus_device_config device = {
	.size = 1 << 20,
	.seqnum = 7,
	.logical_block_size = 1024,
	.physical_block_size = 2048,
	.operations = KBDUS_OP(READ) | KBDUS_OP(WRITE),
	.max_read_write_size = 65536,
	.max_write_same_size = 4096,
	.max_write_zeros_size = 8192,
	.max_discard_erase_size = 0,
	.max_outstanding_requests = 8,
	.request_timeout_ms = 5000,
	.orphan_timeout_ms = KBDUS_ORPHAN_TIMEOUT_FOREVER,
};

static void test_rerun_validation(void **state)
{
	const struct validation rows[] = {
		{ { 0 }, true, NULL },
		{ { .logical_block_size = 1024 }, true, NULL },
		{ { .logical_block_size = 512 }, false, "logical_block_size" },
		{ { .physical_block_size = 2048 }, true, NULL },
		{ { .physical_block_size = 1024 }, false,
		  "physical_block_size" },
		{ { .size = 1 << 20 }, true, NULL },
		{ { .size = 1 << 19 }, false, "size" },
		{ { .size = (1ull << 32) + (1 << 20) }, false, "size" },
		{ { .max_concurrent_callbacks = UINT32_MAX }, true, NULL },
		{ { .max_read_write_size = 65536 }, true, NULL },
		{ { .max_read_write_size = 65535 }, false,
		  "max_read_write_size" },
		{ { .max_read_write_size = UINT32_MAX }, true, NULL },
		{ { .max_write_same_size = 4096 }, true, NULL },
		{ { .max_write_same_size = 4095 }, false,
		  "max_write_same_size" },
		{ { .max_write_zeros_size = 8191 }, false,
		  "max_write_zeros_size" },
		{ { .max_discard_erase_size = 1 }, true, NULL },
		{ { .disable_partition_scanning = true, .recoverable = true,
		    .dont_daemonize = true, .log = true,
		    .request_timeout_ms = 1, .orphan_timeout_ms = 1 }, true,
		  NULL },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(rows); ++i) {
		const int ret =
			libbdus_attrs_validate_rerun(&rows[i].attrs, &device);

		if (ret != (rows[i].is_valid ? 0 : -EINVAL))
			fail_msg("row %zu: %d", i, ret);
		if (!rows[i].is_valid)
			assert_message_has(rows[i].named);
	}
}

static void test_outstanding_requests(void **state)
{
	static const struct {
		uint32_t callbacks;
		uint32_t depth;
		uint32_t operations;
		uint32_t outstanding;
	} rows[] = {
		{ 0, 0, KBDUS_OP(READ), 2 },
		{ 1, 0, KBDUS_OP(READ), 2 },
		{ 4, 0, KBDUS_OP(READ), 8 },
		{ 128, 0, KBDUS_OP(IOCTL), 256 },
		{ 129, 0, KBDUS_OP(READ), 256 },
		{ 0x7fffffff, 0, KBDUS_OP(READ), 256 },
		{ 0x80000000, 0, KBDUS_OP(READ), 256 },
		{ UINT32_MAX, 0, KBDUS_OP(READ), 256 },
		{ 0, 0, 0, 1 },
		{ 16, 0, 0, 1 },
		{ 16, 7, KBDUS_OP(READ), 7 },
		{ 1, 256, KBDUS_OP(READ), 256 },
		{ 1, UINT32_MAX, KBDUS_OP(READ), 256 },
		{ 1, 7, 0, 1 },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(rows); ++i) {
		const struct bdus_attrs attrs = {
			VALID, .max_concurrent_callbacks = rows[i].callbacks,
			.queue_depth = rows[i].depth,
		};
		struct kbdus_device_config config;

		libbdus_attrs_to_device(&attrs, rows[i].operations, &config);
		assert_int_equal(config.max_outstanding_requests,
				 rows[i].outstanding);
	}
}

static void test_to_device(void **state)
{
	const struct bdus_attrs attrs = {
		.logical_block_size = 1024,
		.physical_block_size = 2048,
		.size = 1 << 20,
		.max_concurrent_callbacks = 4,
		.max_read_write_size = 65536,
		.max_write_same_size = 4096,
		.max_write_zeros_size = 8192,
		.recoverable = true,
		.request_timeout_ms = 5000,
		.orphan_timeout_ms = BDUS_ORPHAN_TIMEOUT_FOREVER,
	};
	struct kbdus_device_config expected = device;
	struct kbdus_device_config config;
	struct bdus_attrs others = { VALID, .disable_partition_scanning = true };

	(void)state;

	expected.seqnum = 0;
	expected.flags = KBDUS_DEVICE_F_RECOVERABLE;
	libbdus_attrs_to_device(&attrs, device.operations, &config);
	assert_memory_equal(&config, &expected, sizeof(config));

	libbdus_attrs_to_device(&others, 0, &config);
	assert_int_equal(config.flags, KBDUS_DEVICE_F_NO_PARTITIONS);
}

/* As the module does it: kbdus/config.c. */
static void test_adjust(void **state)
{
	struct kbdus_device_config device = {
		.logical_block_size = 1024,
		.operations = KBDUS_OP(READ) | KBDUS_OP_WRITE_ZEROS |
			      KBDUS_OP(SECURE_ERASE),
	};

	(void)state;

	libbdus_attrs_adjust(&device);
	assert_int_equal(device.physical_block_size, 1024);
	assert_int_equal(device.max_read_write_size,
			 KBDUS_DEFAULT_READ_WRITE_SIZE);
	assert_int_equal(device.max_write_same_size, 0);
	assert_int_equal(device.max_write_zeros_size, UINT32_MAX - 1023);
	assert_int_equal(device.max_discard_erase_size, UINT32_MAX - 1023);

	device = (struct kbdus_device_config){
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.operations = KBDUS_OP(WRITE) | KBDUS_OP(WRITE_SAME),
		.max_read_write_size = 4097,
		.max_write_same_size = 1025,
		.max_write_zeros_size = 1024,
		.max_discard_erase_size = 1024,
	};
	libbdus_attrs_adjust(&device);
	assert_int_equal(device.physical_block_size, 4096);
	assert_int_equal(device.max_read_write_size, 4096);
	assert_int_equal(device.max_write_same_size, 1024);
	assert_int_equal(device.max_write_zeros_size, 0);
	assert_int_equal(device.max_discard_erase_size, 0);

	device.max_read_write_size = UINT32_MAX;
	libbdus_attrs_adjust(&device);
	assert_int_equal(device.max_read_write_size, KBDUS_MAX_READ_WRITE_SIZE);
	device.operations = KBDUS_OP(FLUSH);
	libbdus_attrs_adjust(&device);
	assert_int_equal(device.max_read_write_size, 0);
}

static void test_from_device(void **state)
{
	struct bdus_attrs attrs = {
		VALID,
		.max_concurrent_callbacks = 100,
		.recoverable = true,
		.dont_daemonize = true,
		.log = true,
	};

	(void)state;

	libbdus_attrs_from_device(&attrs, &device);
	assert_int_equal(attrs.logical_block_size, 1024);
	assert_int_equal(attrs.physical_block_size, 2048);
	assert_int_equal(attrs.size, 1 << 20);
	assert_int_equal(attrs.max_concurrent_callbacks, 8);
	assert_int_equal(attrs.max_read_write_size, 65536);
	assert_int_equal(attrs.max_write_same_size, 4096);
	assert_int_equal(attrs.max_write_zeros_size, 8192);
	assert_int_equal(attrs.max_discard_erase_size, 0);
	assert_false(attrs.disable_partition_scanning);
	assert_false(attrs.recoverable);
	assert_true(attrs.dont_daemonize);
	assert_true(attrs.log);
	assert_int_equal(attrs.request_timeout_ms, 5000);
	assert_int_equal(attrs.orphan_timeout_ms, UINT32_MAX);
}

static void test_concurrent_callbacks(void **state)
{
	struct kbdus_device_config flags = device;
	struct bdus_attrs attrs = { .max_concurrent_callbacks = 3 };

	(void)state;

	flags.flags = KBDUS_DEVICE_F_RECOVERABLE | KBDUS_DEVICE_F_NO_PARTITIONS;
	libbdus_attrs_from_device(&attrs, &flags);
	assert_int_equal(attrs.max_concurrent_callbacks, 3);
	assert_true(attrs.recoverable);
	assert_true(attrs.disable_partition_scanning);
	assert_false(attrs.dont_daemonize);
	assert_false(attrs.log);

	attrs.max_concurrent_callbacks = 0;
	libbdus_attrs_from_device(&attrs, &flags);
	assert_int_equal(attrs.max_concurrent_callbacks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_validation),
		cmocka_unit_test(test_rerun_validation),
		cmocka_unit_test(test_outstanding_requests),
		cmocka_unit_test(test_to_device),
		cmocka_unit_test(test_from_device),
		cmocka_unit_test(test_adjust),
		cmocka_unit_test(test_concurrent_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
