/* SPDX-License-Identifier: MIT */

/* Where things are in the structures that programs share with the library. */

#include "unit.h"

#define assert_offset(type, member, offset) \
	assert_int_equal(offsetof(struct type, member), offset)

static void test_ctx(void **state)
{
	(void)state;

	assert_int_equal(sizeof(struct bdus_ctx), 56);
	assert_offset(bdus_ctx, id, 0);
	assert_offset(bdus_ctx, path, 8);
	assert_offset(bdus_ctx, ops, 16);
	assert_offset(bdus_ctx, attrs, 24);
	assert_offset(bdus_ctx, is_rerun, 32);
	assert_offset(bdus_ctx, private_data, 40);
	assert_offset(bdus_ctx, major, 48);
	assert_offset(bdus_ctx, minor, 52);
}

static void test_attrs(void **state)
{
	(void)state;

	assert_int_equal(LIBBDUS_ATTRS_SIZE_0_1_0, 40);
	assert_int_equal(sizeof(struct bdus_attrs), 64);
	assert_offset(bdus_attrs, logical_block_size, 0);
	assert_offset(bdus_attrs, physical_block_size, 4);
	assert_offset(bdus_attrs, size, 8);
	assert_offset(bdus_attrs, max_concurrent_callbacks, 16);
	assert_offset(bdus_attrs, max_read_write_size, 20);
	assert_offset(bdus_attrs, max_write_same_size, 24);
	assert_offset(bdus_attrs, max_write_zeros_size, 28);
	assert_offset(bdus_attrs, max_discard_erase_size, 32);
	assert_offset(bdus_attrs, disable_partition_scanning, 36);
	assert_offset(bdus_attrs, recoverable, 37);
	assert_offset(bdus_attrs, dont_daemonize, 38);
	assert_offset(bdus_attrs, log, 39);
	assert_offset(bdus_attrs, request_timeout_ms, 40);
	assert_offset(bdus_attrs, orphan_timeout_ms, 44);
	assert_offset(bdus_attrs, leave_timeout_ms, 48);
	assert_offset(bdus_attrs, wait_until_available, 52);
	assert_offset(bdus_attrs, queue_depth, 56);
	assert_offset(bdus_attrs, spin_time_us, 60);
}

static void test_ops(void **state)
{
	static const char *const names[] = {
		"initialize", "on_device_available", "terminate", "read",
		"write", "write_same", "write_zeros", "fua_write", "flush",
		"discard", "secure_erase", "ioctl",
	};

	(void)state;

	assert_int_equal(sizeof(struct bdus_ops), 96);
	for (size_t i = 0; i < COUNT(names); ++i) {
		assert_string_equal(libbdus_callbacks[i].name, names[i]);
		assert_int_equal(libbdus_callbacks[i].offset, 8 * i);
	}
}

static void test_others(void **state)
{
	(void)state;

	assert_int_equal(sizeof(struct bdus_version), 12);
	assert_int_equal(bdus_abort, INT_MIN);

	assert_offset(bdus_request, id, 0);
	assert_offset(bdus_request, offset, 8);
	assert_offset(bdus_request, size, 16);
	assert_offset(bdus_request, command, 20);
	assert_offset(bdus_request, type, 24);
	assert_offset(bdus_request, may_unmap, 28);
	assert_offset(bdus_request, buffer, 32);
	assert_int_equal(sizeof(struct bdus_request), 40);
	assert_offset(bdus_events_config, operations, 0);
	assert_offset(bdus_events_config, memory, 8);
	assert_offset(bdus_events_config, memory_size, 16);
	assert_int_equal(sizeof(struct bdus_events_config), 24);

	assert_offset(bdus_dev_info, id, 0);
	assert_offset(bdus_dev_info, path, 8);
	assert_offset(bdus_dev_info, index, 72);
	assert_offset(bdus_dev_info, requests_with_driver_now, 300);
	assert_offset(bdus_dev_info, backend, 304);
	assert_offset(bdus_dev_info, concurrency, 320);
	assert_offset(bdus_dev_info, spin_time_us, 324);
	assert_offset(bdus_dev_info, payload_memory, 328);
	assert_offset(bdus_dev_info, memory, 336);
	assert_int_equal(sizeof(struct bdus_dev_info), 344);
}

static void test_module_structures(void **state)
{
	(void)state;

	assert_int_equal(sizeof(struct kbdus_version), 16);
	assert_int_equal(sizeof(struct kbdus_device_config), 128);
	assert_int_equal(sizeof(struct kbdus_protocol_config), 128);
	assert_int_equal(sizeof(struct kbdus_config), 256);
	assert_int_equal(sizeof(struct kbdus_attachment), 320);
	assert_int_equal(sizeof(struct kbdus_device_statistics), 128);
	assert_int_equal(sizeof(struct kbdus_device_info), 512);
	assert_offset(kbdus_device_info, memory, 408);
	assert_int_equal(sizeof(struct kbdus_device_number), 16);
	assert_int_equal(sizeof(struct kbdusioctl_request), 64);
	assert_int_equal(sizeof(struct kbdusioctl_reply), 64);
	assert_int_equal(sizeof(union kbdusioctl_reply_and_request), 64);
	assert_int_equal(sizeof(struct kbdusmmap_request), 64);
	assert_int_equal(sizeof(struct kbdusmmap_reply), 64);
	assert_int_equal(sizeof(union kbdusmmap_reply_and_request), 64);
	assert_int_equal(sizeof(struct kbdusring_request), 64);
	assert_int_equal(sizeof(struct kbdusring_submission), 64);
	assert_int_equal(sizeof(struct kbdusring_driver), 64);
	assert_int_equal(sizeof(struct kbdusring_completion), 64);
	assert_int_equal(sizeof(struct kbdusring_reply), 16);
	assert_offset(kbdus_protocol_config, payload_size, 32);
	assert_offset(kbdus_protocol_config, buffer_count, 36);
	assert_offset(kbdus_protocol_config, payload_offset, 40);
	assert_offset(kbdus_protocol_config, payload_stride, 44);
	assert_offset(kbdus_protocol_config, mapping_size, 48);
	assert_offset(kbdus_protocol_config, socket_fd_plus_1, 56);
	assert_offset(kbdus_protocol_config, channel_count, 60);
	assert_offset(kbdus_protocol_config, payload_memory, 64);
	assert_offset(kbdus_protocol_config, entry_count, 68);
	assert_offset(kbdus_protocol_config, driver_offset, 72);
	assert_offset(kbdus_protocol_config, channel_offset, 76);
	assert_offset(kbdus_protocol_config, channel_stride, 80);
	assert_offset(kbdus_protocol_config, spin_us, 84);
	assert_offset(kbdus_protocol_config, reserved, 88);
	assert_offset(kbdus_protocol_config, payload_address, 120);
}

/* In memory that is shared, nobody says how large anything is. */
static void test_rings(void **state)
{
	(void)state;

	assert_offset(kbdusring_request, handle, 0);
	assert_offset(kbdusring_request, offset, 8);
	assert_offset(kbdusring_request, length, 16);
	assert_offset(kbdusring_request, type, 20);
	assert_offset(kbdusring_request, payload_offset, 24);
	assert_offset(kbdusring_request, flags, 28);
	assert_offset(kbdusring_reply, handle, 0);
	assert_offset(kbdusring_reply, error, 8);
	assert_offset(kbdusring_submission, tail, 0);
	assert_offset(kbdusring_submission, reapers, 4);
	assert_offset(kbdusring_driver, head, 0);
	assert_offset(kbdusring_completion, tail, 0);
	assert_int_equal(KBDUSRING_REQUEST_POLLED, 1);
	assert_int_equal(KBDUSRING_IOCTL_ENTER, 0xbd30);
	assert_int_equal(KBDUSRING_ENTER_WAIT, 0x10000);
	assert_int_equal(KBDUSRING_ENTER_NOTIFIED, 0x20000);
	assert_int_equal(KBDUSRING_ENTERED_REQUESTS, 0);
	assert_int_equal(KBDUSRING_ENTERED_AVAILABLE, 1);
	assert_int_equal(KBDUSRING_ENTERED_TERMINATE, 2);
	assert_int_equal(KBDUSRING_ENTERED_FLUSH_AND_TERMINATE, 3);
}

/* They all say the same in the same way, whichever protocol carries it. */
static void test_module_errors(void **state)
{
	const struct kbdusioctl_reply of_ioctl = { .error = -1 };
	const struct kbdusmmap_reply of_mmap = { .error = -1 };
	const struct kbdusuds_reply of_uds = { .error = -1 };
	const struct kbdusring_reply of_ring = { .error = -1 };

	(void)state;

	assert_true(of_ioctl.error < 0);
	assert_true(of_mmap.error < 0);
	assert_true(of_uds.error < 0);
	assert_true(of_ring.error < 0);
	assert_int_equal(sizeof(of_ioctl.error), 4);
	assert_int_equal(sizeof(of_mmap.error), 4);
	assert_int_equal(sizeof(of_uds.error), 4);
	assert_int_equal(sizeof(of_ring.error), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ctx),
		cmocka_unit_test(test_attrs),
		cmocka_unit_test(test_ops),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_module_structures),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_module_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
