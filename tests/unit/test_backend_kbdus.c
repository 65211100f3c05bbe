/* SPDX-License-Identifier: MIT */

/*
 * Drivers of the module's devices, down to the system calls: what the module is
 * asked, in which order, and what becomes of each of its errors.
 */

#include "fake_kernel.h"

static int do_nothing(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int do_fail(struct bdus_ctx *ctx)
{
	(void)ctx;
	return ENOMEDIUM;
}

static int do_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.on_device_available = do_nothing,
	.write = do_write,
};

static const struct bdus_attrs attrs = {
	.logical_block_size = 512,
	.size = 1 << 20,
	.dont_daemonize = true,
	.request_timeout_ms = 10,
	.orphan_timeout_ms = 20,
};

static void set_notifications(void)
{
	kernel.notifications[0] = KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE;
	kernel.notifications[1] = KBDUS_REQUEST_TYPE_TERMINATE;
}

static void test_run(void **state)
{
	static const unsigned long commands[] = {
		KBDUS_IOCTL_CREATE_DEVICE,
		KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
		KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
		KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL,
	};
	const struct kbdus_config *created = &kernel.created;

	(void)state;

	set_notifications();
	assert_succeeds(bdus_run(&ops, &attrs, NULL));
	assert_int_equal(kernel.command_count, COUNT(commands));
	for (size_t i = 0; i < COUNT(commands); ++i)
		assert_int_equal(kernel.commands[i], commands[i]);

	assert_int_equal(created->device.size, 1 << 20);
	assert_int_equal(created->device.operations, KBDUS_OP(WRITE));
	assert_int_equal(created->device.request_timeout_ms, 10);
	assert_int_equal(created->device.orphan_timeout_ms, 20);
	assert_string_equal(created->protocol.name, "ioctl");
	assert_int_equal(created->protocol.payload_size, 0);
	assert_int_equal(kernel.opens, 1);
}

/* A protocol that has to be told more, and to be begun. */
static void test_run_mapped(void **state)
{
	struct bdus_attrs many = attrs;

	(void)state;

	set_notifications();
	setenv("BDUS_PROTOCOL", "mmap", 1);
	kernel.is_mappable = true;
	assert_succeeds(bdus_run(&ops, &attrs, NULL));
	assert_string_equal(kernel.created.protocol.name, "mmap");
	assert_int_equal(kernel.created.protocol.buffer_count, 1);
	assert_int_equal(kernel.command_count, 4);
	assert_int_equal(kernel.commands[1],
			 KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST);

	set_up(state);
	set_info();
	set_notifications();
	setenv("BDUS_PROTOCOL", "mmap", 1);
	kernel.is_mappable = true;
	kernel.info.config.device.operations = KBDUS_OP(WRITE);
	many.max_concurrent_callbacks = 1;
	assert_succeeds(bdus_rerun(12, &ops, &many, NULL));
	assert_string_equal(kernel.attached.config.protocol.name, "mmap");
	assert_int_equal(kernel.attached.config.protocol.buffer_count, 1);
}

/* The device goes again if the protocol cannot begin. */
static void test_run_not_mapped(void **state)
{
	(void)state;

	setenv("BDUS_PROTOCOL", "mmap", 1);
	assert_fails(bdus_run(&ops, &attrs, NULL), ENODEV);
	assert_message_has("8192 bytes");
	assert_int_equal(kernel.command_count, 2);
	assert_int_equal(kernel.commands[0], KBDUS_IOCTL_CREATE_DEVICE);
	assert_int_equal(kernel.commands[1],
			 KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED);
}

/* Older programs: what follows their structure is not theirs. */
static void test_run_of_older_programs(void **state)
{
	bool (*const functions[])(const struct bdus_ops *,
				  const struct bdus_attrs *, void *) = {
		bdus_run_0_1_0_, bdus_run_0_1_1_,
	};

	for (size_t i = 0; i < COUNT(functions); ++i) {
		set_up(state);
		set_notifications();
		assert_succeeds(functions[i](&ops, &attrs, NULL));
		assert_int_equal(kernel.created.device.request_timeout_ms, 0);
		assert_int_equal(kernel.created.device.orphan_timeout_ms, 0);
	}
}

static void test_run_errors(void **state)
{
	static const int errors[] = { EINVAL, ENOSPC, ENOMEM, EPERM };

	for (size_t i = 0; i < COUNT(errors); ++i) {
		set_up(state);
		kernel.failing_command = KBDUS_IOCTL_CREATE_DEVICE;
		kernel.failure = errors[i];
		assert_fails(bdus_run(&ops, &attrs, NULL), errors[i]);
		assert_int_equal(kernel.command_count, 1);
	}
}

/* Bad arguments first, then privileges, then the environment. */
static void test_order_of_checks(void **state)
{
	struct bdus_attrs bad = attrs;

	(void)state;

	bad.size = 1;
	kernel.euid = 1000;
	setenv("BDUS_PROTOCOL", "nonsense", 1);
	assert_fails(bdus_run(&ops, &bad, NULL), EINVAL);
	assert_message_has("size");
	assert_fails(bdus_run(&ops, &attrs, NULL), EPERM);
	assert_fails(bdus_rerun(1, &ops, &attrs, NULL), EPERM);
	kernel.euid = 0;
	assert_fails(bdus_run(&ops, &attrs, NULL), EINVAL);
	assert_message_has("nonsense");
	assert_int_equal(kernel.command_count, 0);
}

/* A device that never became usable is gone when bdus_run() returns. */
static void test_failure_before_available(void **state)
{
	struct bdus_ops failing = ops;

	(void)state;

	failing.initialize = do_fail;
	assert_fails(bdus_run(&failing, &attrs, NULL), ENOMEDIUM);
	assert_int_equal(kernel.command_count, 2);
	assert_int_equal(kernel.commands[1],
			 KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED);
	assert_int_equal(kernel.argument, 5);
	assert_int_equal(kernel.opens, 2);
}

static void test_rerun(void **state)
{
	const struct bdus_attrs mine = { .dont_daemonize = true };
	const struct bdus_attrs patient = {
		.dont_daemonize = true,
		.leave_timeout_ms = 7,
		.wait_until_available = true,
	};
	const struct kbdus_attachment *attached = &kernel.attached;

	(void)state;

	set_info();
	set_notifications();
	kernel.info.config.device.operations = KBDUS_OP(WRITE);
	assert_succeeds(bdus_rerun(12, &ops, &mine, NULL));
	assert_int_equal(kernel.commands[0], KBDUS_IOCTL_GET_DEVICE_INFO);
	assert_int_equal(kernel.commands[1], KBDUS_IOCTL_ATTACH_TO_DEVICE);
	assert_int_equal(attached->config.device.seqnum, 12);
	assert_string_equal(attached->config.protocol.name, "ioctl");
	assert_int_equal(attached->flags, 0);
	assert_int_equal(attached->leave_timeout_ms, 0);

	set_up(state);
	set_info();
	set_notifications();
	kernel.info.config.device.operations = KBDUS_OP(WRITE);
	assert_succeeds(bdus_rerun(12, &ops, &patient, NULL));
	assert_int_equal(attached->flags, KBDUS_ATTACH_F_WAIT_AVAILABLE);
	assert_int_equal(attached->leave_timeout_ms, 7);

	set_up(state);
	set_info();
	set_notifications();
	assert_fails(bdus_rerun_0_1_1_(12, &ops, &mine, NULL), EINVAL);
	assert_message_has("read");
	assert_int_equal(kernel.command_count, 1);
}

static void test_rerun_errors(void **state)
{
	static const int errors[] = {
		EINVAL, ENODEV, EBUSY, EINPROGRESS, EINTR, ENOMEM,
	};
	const struct bdus_attrs mine = { .dont_daemonize = true };

	for (size_t i = 0; i < COUNT(errors); ++i) {
		set_up(state);
		set_info();
		kernel.info.config.device.operations = 0;
		kernel.failing_command = KBDUS_IOCTL_ATTACH_TO_DEVICE;
		kernel.failure = errors[i];
		assert_fails(bdus_rerun(12, &ops, &mine, NULL), errors[i]);
		assert_int_equal(kernel.command_count, 2);
	}

	set_up(state);
	kernel.failing_command = KBDUS_IOCTL_GET_DEVICE_INFO;
	kernel.failure = ENODEV;
	assert_fails(bdus_rerun(12, &ops, &mine, NULL), ENODEV);
	assert_int_equal(kernel.command_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_run),
		TEST(test_run_mapped),
		TEST(test_run_not_mapped),
		TEST(test_run_of_older_programs),
		TEST(test_run_errors),
		TEST(test_order_of_checks),
		TEST(test_failure_before_available),
		TEST(test_rerun),
		TEST(test_rerun_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
