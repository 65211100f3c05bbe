/* SPDX-License-Identifier: MIT */

/*
 * The public functions down to the system calls, which are replaced here: what the
 * module is asked, in which order, and what becomes of each of its errors.
 */

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"

/* What the replaced system calls do, and what they saw. */
static struct {
	uid_t euid;
	/* One after the other; the last one stays. 0 is success. */
	int open_errors[4];
	unsigned int opens;
	int open_flags;
	unsigned int spawns;
	struct kbdus_version version;
	/* The command that fails, and how. */
	unsigned long failing_command;
	int failure;
	/* What was called, GET_VERSION aside. */
	unsigned long commands[16];
	unsigned int command_count;
	uint64_t argument;
	/* What the module gives. */
	struct kbdus_device_info info;
	struct kbdus_config created;
	struct kbdus_attachment attached;
	uint32_t notifications[4];
	unsigned int notified;
} kernel;

uid_t geteuid(void)
{
	return kernel.euid;
}

int open(const char *path, int flags, ...)
{
	const unsigned int last = COUNT(kernel.open_errors) - 1;
	int error;

	assert_string_equal(path, "/dev/bdus-control");
	kernel.open_flags = flags;
	error = kernel.open_errors[kernel.opens < last ? kernel.opens : last];
	++kernel.opens;
	if (error) {
		errno = error;
		return -1;
	}

	return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null",
			    O_RDWR | O_CLOEXEC);
}

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attrs, char *const argv[],
		char *const envp[])
{
	assert_string_equal(path, "/sbin/modprobe");
	assert_string_equal(argv[0], "/sbin/modprobe");
	assert_string_equal(argv[1], "kbdus");
	assert_null(argv[2]);
	assert_null(envp[0]);
	assert_non_null(actions);
	assert_null(attrs);

	++kernel.spawns;
	*pid = -2;
	return 0;
}

static void create(struct kbdus_config *config)
{
	kernel.created = *config;
	config->device.seqnum = 5;
	config->device.physical_block_size = 4096;
	config->device.major = 240;
	config->device.minor = 256;
	config->protocol.payload_size = 4096;
}

static void attach(struct kbdus_attachment *attachment)
{
	kernel.attached = *attachment;
	attachment->config.device = kernel.info.config.device;
	attachment->config.protocol.payload_size = 4096;
}

int ioctl(int fd, unsigned long command, ...)
{
	void *argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);

	assert_true(fd > STDERR_FILENO);
	if (command != KBDUS_IOCTL_GET_VERSION)
		kernel.commands[kernel.command_count++] = command;
	if (command == kernel.failing_command) {
		errno = kernel.failure;
		return -1;
	}

	/* Success may leave anything in errno. */
	errno = EBADMSG;

	switch (command) {
	case KBDUS_IOCTL_GET_VERSION:
		*(struct kbdus_version *)argument = kernel.version;
		break;
	case KBDUS_IOCTL_CREATE_DEVICE:
		create(argument);
		break;
	case KBDUS_IOCTL_ATTACH_TO_DEVICE:
		attach(argument);
		break;
	case KBDUS_IOCTL_GET_DEVICE_INFO:
		kernel.argument = ((struct kbdus_device_info *)argument)
					  ->config.device.seqnum;
		*(struct kbdus_device_info *)argument = kernel.info;
		break;
	case KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST:
		*(struct kbdusioctl_request *)argument =
			(struct kbdusioctl_request){
				.type = kernel.notifications[kernel.notified++],
			};
		break;
	case KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM:
		((struct kbdus_device_number *)argument)->seqnum = 77;
		break;
	case KBDUS_IOCTL_NEXT_DEVICE:
		*(uint64_t *)argument += 3;
		break;
	case KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL:
		break;
	default:
		kernel.argument = *(uint64_t *)argument;
	}

	return 0;
}

static int set_up(void **state)
{
	(void)state;

	memset(&kernel, 0, sizeof(kernel));
	kernel.version = (struct kbdus_version){ 0, 1, 3, 0 };
	setenv("BDUS_NO_MEMORY_LOCK", "1", 1);
	unsetenv("BDUS_PROTOCOL");
	libbdus_error(0, "%s", "");
	errno = ERANGE;
	return 0;
}

#define assert_fails(call, errnum)                                             \
	do {                                                                   \
		assert_false(call);                                            \
		assert_int_equal(errno, errnum);                               \
		errno = ERANGE;                                                \
	} while (0)

#define assert_succeeds(call)                                                  \
	do {                                                                   \
		assert_true(call);                                             \
		assert_int_equal(errno, ERANGE);                               \
	} while (0)

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

static void set_info(void)
{
	struct kbdus_device_config *device = &kernel.info.config.device;
	struct kbdus_device_statistics *statistics = &kernel.info.statistics;

	device->seqnum = 12;
	device->size = 1 << 20;
	device->logical_block_size = 512;
	device->physical_block_size = 4096;
	device->operations = KBDUS_OP(READ);
	device->flags = KBDUS_DEVICE_F_RECOVERABLE;
	device->max_read_write_size = 65536;
	device->max_outstanding_requests = 2;
	device->index = 3;
	device->major = 240;
	device->minor = 768;
	device->request_timeout_ms = 1;
	device->orphan_timeout_ms = 2;
	strcpy(kernel.info.config.protocol.name, "ioctl");
	kernel.info.state = KBDUS_DEVICE_STATE_AVAILABLE;
	kernel.info.service = KBDUS_SERVICE_STATE_ORPHAN;
	kernel.info.driver_pid = 100;
	kernel.info.openers = 101;
	kernel.info.read_only = 1;
	*statistics = (struct kbdus_device_statistics){
		.requests = 1, .delivered = 2, .succeeded = 3, .failed = 4,
		.requeued = 5, .timed_out = 6, .terminated = 7,
		.cancelled = 8, .late_replies = 9, .bad_replies = 10,
		.sessions = 11, .last_gap_ns = 12, .orphaned_ns = 13,
		.queued_now = 14, .with_driver_now = 15,
	};
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

#define TEST(function) cmocka_unit_test_setup(function, set_up)

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
		TEST(test_run),
		TEST(test_run_of_older_programs),
		TEST(test_run_errors),
		TEST(test_order_of_checks),
		TEST(test_failure_before_available),
		TEST(test_rerun),
		TEST(test_rerun_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
