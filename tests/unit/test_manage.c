/* SPDX-License-Identifier: MIT */

/*
 * What is done to devices from outside, down to the system calls: what the module
 * is asked, in which order, and what becomes of each of its errors.
 */

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fake_kernel.h"

static void test_success_changes_nothing(void **state)
{
	(void)state;

	libbdus_error(EIO, "Before.");
	assert_succeeds(bdus_flush_dev(3));
	assert_succeeds(bdus_destroy_dev(3));
	assert_succeeds(bdus_terminate_driver(3));
	assert_string_equal(bdus_get_error_message(), "Before.");
	assert_int_equal(kernel.argument, 3);
	assert_int_equal(kernel.commands[0], KBDUS_IOCTL_FLUSH_DEVICE);
	assert_int_equal(kernel.commands[1], KBDUS_IOCTL_STOP_BY_UNIQUEID);
	assert_int_equal(kernel.commands[2],
			 KBDUS_IOCTL_REQUEST_SESSION_TERMINATION);
	assert_int_equal(kernel.spawns, 0);
	assert_true(kernel.open_flags & O_CLOEXEC);
}

static void test_unprivileged(void **state)
{
	struct bdus_version version;

	(void)state;

	kernel.euid = 1000;
	assert_fails(bdus_flush_dev(3), EPERM);
	assert_message_begins("Insufficient privileges");
	assert_fails(bdus_get_kbdus_version(&version), EPERM);
	assert_int_equal(kernel.opens, 0);
}

static void test_access_denied(void **state)
{
	static const int errors[] = { EACCES, EPERM };

	for (size_t i = 0; i < COUNT(errors); ++i) {
		set_up(state);
		kernel.open_errors[0] = errors[i];
		assert_fails(bdus_flush_dev(3), errors[i]);
		assert_message_has("denied");
		assert_int_equal(kernel.spawns, 0);
	}
}

static void test_module_is_loaded_on_demand(void **state)
{
	(void)state;

	kernel.open_errors[0] = ENOENT;
	assert_succeeds(bdus_flush_dev(3));
	assert_int_equal(kernel.spawns, 1);
	assert_int_equal(kernel.opens, 2);
}

static void test_module_missing(void **state)
{
	struct bdus_version version = { 9, 9, 9 };

	(void)state;

	for (size_t i = 0; i < COUNT(kernel.open_errors); ++i)
		kernel.open_errors[i] = ENOENT;
	assert_fails(bdus_get_kbdus_version(&version), ENOENT);
	assert_int_equal(version.major, 9);
	assert_message_has("could not be loaded");
	assert_int_equal(kernel.spawns, 1);
}

static void test_other_open_errors(void **state)
{
	(void)state;

	kernel.open_errors[0] = EINTR;
	kernel.open_errors[1] = EINTR;
	kernel.open_errors[2] = EMFILE;
	assert_fails(bdus_flush_dev(3), EMFILE);
	assert_message_has("EMFILE");
}

static void test_versions(void **state)
{
	static const struct {
		struct kbdus_version version;
		bool is_compatible;
	} rows[] = {
		{ { 0, 1, 3, 0 }, true },   { { 0, 1, 4, 0 }, true },
		{ { 0, 1, 100, 0 }, true }, { { 0, 1, 2, 0 }, false },
		{ { 0, 0, 3, 0 }, false },  { { 0, 2, 3, 0 }, false },
		{ { 1, 1, 3, 0 }, false },
	};
	struct bdus_version version;

	for (size_t i = 0; i < COUNT(rows); ++i) {
		set_up(state);
		kernel.version = rows[i].version;

		assert_succeeds(bdus_get_kbdus_version(&version));
		assert_int_equal(version.major, rows[i].version.major);
		assert_int_equal(version.minor, rows[i].version.minor);
		assert_int_equal(version.patch, rows[i].version.patch);

		if (rows[i].is_compatible) {
			assert_succeeds(bdus_flush_dev(3));
		} else {
			assert_fails(bdus_flush_dev(3), EINVAL);
			assert_message_has("0.1.3");
			assert_int_equal(kernel.command_count, 0);
		}
	}
}

/* A module that is older than the library, but can do what is asked of it. */
static void test_least_version(void **state)
{
	const struct kbdus_version module = { 0, 1, 3, 0 };

	(void)state;

	assert_int_equal(libbdus_control_check_version(&module, 2), 0);
	assert_int_equal(libbdus_control_check_version(&module, 3), 0);
	assert_int_equal(libbdus_control_check_version(&module, 4), -EINVAL);
	assert_true(LIBBDUS_MANAGEABLE_PATCH <= KBDUS_HEADER_VERSION_PATCH);
}

static void test_version_failing(void **state)
{
	struct bdus_version version;

	(void)state;

	kernel.failing_command = KBDUS_IOCTL_GET_VERSION;
	kernel.failure = ENOTTY;
	assert_fails(bdus_get_kbdus_version(&version), ENOTTY);
	assert_fails(bdus_flush_dev(3), ENOTTY);
}

static void test_command_errors(void **state)
{
	static const int errors[] = {
		EINVAL, ENODEV, EBUSY, EINTR, EIO, ENOSPC, ENOLINK, ETIMEDOUT,
	};
	struct bdus_dev_info info;

	for (size_t i = 0; i < COUNT(errors); ++i) {
		set_up(state);
		kernel.failure = errors[i];

		kernel.failing_command = KBDUS_IOCTL_FLUSH_DEVICE;
		assert_fails(bdus_flush_dev(3), errors[i]);
		assert_int_equal(kernel.command_count, 1);

		kernel.failing_command = KBDUS_IOCTL_STOP_BY_UNIQUEID;
		assert_fails(bdus_destroy_dev(3), errors[i]);

		kernel.failing_command = KBDUS_IOCTL_REQUEST_SESSION_TERMINATION;
		assert_fails(bdus_terminate_driver(3), errors[i]);

		kernel.failing_command = KBDUS_IOCTL_GET_DEVICE_INFO;
		assert_fails(bdus_get_dev_info(3, &info), errors[i]);

		assert_int_equal(kernel.command_count, 4);
	}
}

static void test_next_device(void **state)
{
	uint64_t id = 4;

	(void)state;

	assert_succeeds(bdus_get_next_dev(&id));
	assert_int_equal(id, 7);

	kernel.failing_command = KBDUS_IOCTL_NEXT_DEVICE;
	kernel.failure = ENOENT;
	assert_fails(bdus_get_next_dev(&id), ENOENT);
	assert_int_equal(id, 7);
	assert_message_has("7");
	kernel.failure = EPERM;
	assert_fails(bdus_get_next_dev(&id), EPERM);
}

/* Paths that are no block devices are known before the module is asked. */
static void test_bad_paths(void **state)
{
	static const struct {
		const char *path;
		int errnum;
	} rows[] = {
		{ "/nonexistent", ENOENT },
		{ "", ENOENT },
		{ "/dev/null/x", ENOTDIR },
		{ "/dev/null", ENOTBLK },
		{ "/", ENOTBLK },
	};
	uint64_t id = 9;

	(void)state;

	kernel.euid = 1000;
	for (size_t i = 0; i < COUNT(rows); ++i) {
		assert_fails(bdus_get_dev_id_from_path(&id, rows[i].path),
			     rows[i].errnum);
		assert_int_equal(id, 9);
	}
	assert_int_equal(kernel.opens, 0);
}

static void test_paths(void **state)
{
	char name[] = "/tmp/bdus-unit-XXXXXX";
	static const int errors[] = { EINVAL, ENODEV, EPERM };
	uint64_t id = 9;
	int ret;

	(void)state;

	close(mkstemp(name));
	unlink(name);
	ret = mknod(name, S_IFBLK | 0600, makedev(240, 256));
	if (ret)
		skip();

	for (size_t i = 0; i < COUNT(errors); ++i) {
		kernel.failing_command = KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM;
		kernel.failure = errors[i];
		assert_fails(bdus_get_dev_id_from_path(&id, name), errors[i]);
		assert_message_has(name);
		assert_int_equal(id, 9);
	}

	kernel.failing_command = 0;
	errno = ERANGE;
	assert_succeeds(bdus_get_dev_id_from_path(&id, name));
	assert_int_equal(id, 77);
	unlink(name);
}

static void test_info(void **state)
{
	struct bdus_dev_info info;

	(void)state;

	set_info();
	assert_succeeds(bdus_get_dev_info(12, &info));
	assert_int_equal(kernel.argument, 12);

	assert_int_equal(info.id, 12);
	assert_string_equal(info.path, "/dev/bdus-12");
	assert_int_equal(info.index, 3);
	assert_int_equal(info.major, 240);
	assert_int_equal(info.minor, 768);
	assert_int_equal(info.state, BDUS_DEV_STATE_AVAILABLE);
	assert_int_equal(info.service, BDUS_SERVICE_STATE_ORPHAN);
	assert_int_equal(info.driver_pid, 100);
	assert_int_equal(info.openers, 101);
	assert_string_equal(info.protocol, "ioctl");
	assert_int_equal(info.size, 1 << 20);
	assert_int_equal(info.logical_block_size, 512);
	assert_int_equal(info.physical_block_size, 4096);
	assert_int_equal(info.max_read_write_size, 65536);
	assert_int_equal(info.max_outstanding_requests, 2);
	assert_int_equal(info.request_timeout_ms, 1);
	assert_int_equal(info.orphan_timeout_ms, 2);
	assert_true(info.recoverable);
	assert_true(info.partition_scanning);
	assert_true(info.read_only);
}

static void test_info_statistics(void **state)
{
	struct bdus_dev_info info;

	(void)state;

	set_info();
	assert_succeeds(bdus_get_dev_info(12, &info));

	assert_int_equal(info.requests, 1);
	assert_int_equal(info.requests_delivered, 2);
	assert_int_equal(info.requests_succeeded, 3);
	assert_int_equal(info.requests_failed, 4);
	assert_int_equal(info.requests_requeued, 5);
	assert_int_equal(info.requests_timed_out, 6);
	assert_int_equal(info.requests_terminated, 7);
	assert_int_equal(info.requests_cancelled, 8);
	assert_int_equal(info.late_replies, 9);
	assert_int_equal(info.bad_replies, 10);
	assert_int_equal(info.sessions, 11);
	assert_int_equal(info.last_gap_ns, 12);
	assert_int_equal(info.orphaned_ns, 13);
	assert_int_equal(info.requests_queued_now, 14);
	assert_int_equal(info.requests_with_driver_now, 15);
}

static void test_info_operations(void **state)
{
	struct kbdus_device_info from = { 0 };
	struct bdus_dev_info to;
	const bool *flags[] = {
		&to.supports_read, &to.supports_write,
		&to.supports_write_same, &to.supports_write_zeros,
		&to.supports_fua_write, &to.supports_flush,
		&to.supports_discard, &to.supports_secure_erase,
		&to.supports_ioctl,
	};

	(void)state;

	for (size_t i = 0; i < COUNT(flags); ++i) {
		from.config.device.operations =
			libbdus_callbacks[i + 3].operations;
		libbdus_info_translate(&from, &to);
		for (size_t j = 0; j < COUNT(flags); ++j)
			assert_int_equal(*flags[j], i == j);
	}

	from.config.device.flags = KBDUS_DEVICE_F_NO_PARTITIONS;
	libbdus_info_translate(&from, &to);
	assert_false(to.partition_scanning);
	assert_false(to.recoverable);
}

/* Callers with a shorter structure get that much, with a longer one nothing. */
static void test_info_sizes(void **state)
{
	struct bdus_dev_info info;

	(void)state;

	set_info();
	memset(&info, 0xaa, sizeof(info));
	assert_succeeds(bdus_get_dev_info_0_1_3_(12, &info, 8));
	assert_int_equal(info.id, 12);
	assert_int_equal((unsigned char)info.path[0], 0xaa);

	assert_fails(bdus_get_dev_info_0_1_3_(12, &info, sizeof(info) + 8),
		     EINVAL);
}

static void test_state_names(void **state)
{
	(void)state;

	assert_string_equal(bdus_get_dev_state_name(0), "initialized");
	assert_string_equal(bdus_get_dev_state_name(1), "available");
	assert_string_equal(bdus_get_dev_state_name(2), "terminated");
	assert_string_equal(bdus_get_dev_state_name(3), "unknown");
	assert_string_equal(bdus_get_service_state_name(0), "served");
	assert_string_equal(bdus_get_service_state_name(1), "leaving");
	assert_string_equal(bdus_get_service_state_name(2), "orphan");
	assert_string_equal(bdus_get_service_state_name(3), "expired");
	assert_string_equal(bdus_get_service_state_name(4), "none");
	assert_string_equal(bdus_get_service_state_name(5), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_success_changes_nothing),
		TEST(test_unprivileged),
		TEST(test_access_denied),
		TEST(test_module_is_loaded_on_demand),
		TEST(test_module_missing),
		TEST(test_other_open_errors),
		TEST(test_versions),
		TEST(test_least_version),
		TEST(test_version_failing),
		TEST(test_command_errors),
		TEST(test_next_device),
		TEST(test_bad_paths),
		TEST(test_paths),
		TEST(test_info),
		TEST(test_info_statistics),
		TEST(test_info_operations),
		TEST(test_info_sizes),
		TEST(test_state_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
