/* SPDX-License-Identifier: MIT */

/*
 * fake_kernel.h: the system calls by which the library reaches the module, replaced.
 *
 * To be included by the one file of a test program: what it defines takes precedence
 * over the C library. A test sets what happens, calls public functions, and looks
 * at what was asked. Drivers that do more than come and go are tested over fake.h.
 */

#ifndef TESTS_UNIT_FAKE_KERNEL_H
#define TESTS_UNIT_FAKE_KERNEL_H

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
	/* Control files have memory that can be mapped; the last of them. */
	bool is_mappable;
	int mappable_fd;
	/* What the module makes of the protocol "ring", and its command. */
	void (*adjust_ring)(struct kbdus_protocol_config *config);
	int (*enter)(unsigned long argument);
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

	/* There are no devices but the module's. */
	if (strcmp(path, "/dev/bdus-control")) {
		errno = ENOENT;
		return -1;
	}
	kernel.open_flags = flags;
	error = kernel.open_errors[kernel.opens < last ? kernel.opens : last];
	++kernel.opens;
	if (error) {
		errno = error;
		return -1;
	}

	if (kernel.is_mappable) {
		int fd = memfd_create("control", MFD_CLOEXEC);

		assert_int_equal(ftruncate(fd, 1 << 20), 0);
		kernel.mappable_fd = fd;
		return fd;
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

/* As the module does, and no more is there than can be. */
static void adjust(struct kbdus_protocol_config *config)
{
	config->payload_size = 4096;
	if (!strcmp(config->name, KBDUSMMAP_PROTOCOL_NAME)) {
		config->payload_offset = 4096;
		config->payload_stride = 4096;
		config->mapping_size = 8192;
	}
	if (kernel.adjust_ring)
		kernel.adjust_ring(config);
}

static void create(struct kbdus_config *config)
{
	kernel.created = *config;
	config->device.seqnum = 5;
	config->device.physical_block_size = 4096;
	config->device.major = 240;
	config->device.minor = 256;
	adjust(&config->protocol);
}

static void attach(struct kbdus_attachment *attachment)
{
	kernel.attached = *attachment;
	attachment->config.device = kernel.info.config.device;
	adjust(&attachment->config.protocol);
}

/* Put a notification in a buffer of the control file's memory. */
static void notify_mapped(int fd, size_t index)
{
	const union kbdusmmap_reply_and_request header = {
		.request.type = kernel.notifications[kernel.notified++],
	};

	assert_int_equal(pwrite(fd, &header, sizeof(header),
				(off_t)(index * sizeof(header))),
			 sizeof(header));
}

int ioctl(int fd, unsigned long command, ...)
{
	void *argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);

	assert_true(fd > STDERR_FILENO);
	if (command == KBDUSRING_IOCTL_ENTER)
		return kernel.enter((uintptr_t)argument);
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
	case KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST:
		notify_mapped(fd, (uintptr_t)argument);
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
	/* The one whose requests come by calls. */
	setenv("BDUS_PROTOCOL", "ioctl", 1);
	setenv("BDUS_BACKEND", "kbdus", 1);
	libbdus_record_directory = "/nonexistent";
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

/* Let there be a device. */
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

#define TEST(function) cmocka_unit_test_setup(function, set_up)

#endif
