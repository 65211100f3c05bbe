/* SPDX-License-Identifier: MIT */

/*
 * unwind.c: lets every allocation, and every copy from or to user memory, in a call to
 * the module fail, one after another, by means of the kernel's fault injection. The
 * protocol is that of the run. In one process, as a kernel that can do this takes
 * half a second to start another.
 *
 *     unwind create         the call that creates a device
 *     unwind attach ID      the one that attaches to this device, which is an orphan
 *     unwind add ROUNDS     creating so many devices, while the kernel's own adding
 *                           of their disks fails now and then, as set up in failslab
 *
 * The first two print the name of the error that each call failed with, or OK, and stop
 * at the first in which there is nothing more to fail. The last one prints how many
 * disks could not be added. Fails with a message if a call leaves something behind.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../drivers/common/libc.h"
#include "../../kbdus/include/kbdus.h"

static int fail_fd;

/* Saying so may be what fails; then nothing is to fail any more. */
static void fail_nth(const char *number)
{
	const size_t length = strlen(number);

	if (pwrite(fail_fd, number, length, 0) < 0 &&
	    pwrite(fail_fd, number, length, 0) < 0)
		abort();
}

/* Whether the failure is still to come. Asking may be what it comes to. */
static int is_pending(void)
{
	char left[16] = "";
	ssize_t length = pread(fail_fd, left, sizeof(left) - 1, 0);

	if (length < 0 && errno != EFAULT && errno != ENOMEM)
		abort();
	fail_nth("0");
	return length < 0 || atoi(left) > 0;
}

/* What the protocol of the run wants to be told, and the driver's end of a socket. */
static struct kbdus_protocol_config protocol;
static int sockets[2] = { -1, -1 };

static void describe_protocol(void)
{
	const char *name = getenv("BDUS_PROTOCOL");

	memset(&protocol, 0, sizeof(protocol));
	if (!name || !*name)
		name = KBDUSIOCTL_PROTOCOL_NAME;
	snprintf(protocol.name, sizeof(protocol.name), "%s", name);

	if (!strcmp(name, KBDUSMMAP_PROTOCOL_NAME))
		protocol.buffer_count = 1;
	if (!strcmp(name, KBDUSRING_PROTOCOL_NAME))
		protocol.payload_memory = 1;
	if (!strcmp(name, KBDUSUDS_PROTOCOL_NAME)) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
			abort();
		protocol.socket_fd_plus_1 = sockets[1] + 1;
	}
}

static void forget_protocol(void)
{
	if (sockets[0] < 0)
		return;
	close(sockets[0]);
	close(sockets[1]);
	sockets[0] = sockets[1] = -1;
}

static void die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static int open_control(void)
{
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("cannot open " KBDUS_CONTROL_PATH ": %s", strerror(errno));
	return fd;
}

/* Asks about a device by the file that waits are done with. */
static struct kbdus_device_info info_of(int control_fd, __u64 seqnum)
{
	struct kbdus_device_info info = { .config.device.seqnum = seqnum };

	if (ioctl(control_fd, KBDUS_IOCTL_GET_DEVICE_INFO, &info))
		info.service = KBDUS_SERVICE_STATE_NONE;
	return info;
}

static bool is_orphan(int control_fd, __u64 seqnum)
{
	return info_of(control_fd, seqnum).service == KBDUS_SERVICE_STATE_ORPHAN;
}

static bool is_added_or_over(int control_fd, __u64 seqnum)
{
	struct kbdus_device_info info = info_of(control_fd, seqnum);

	return info.service == KBDUS_SERVICE_STATE_NONE ||
	       info.state == KBDUS_DEVICE_STATE_AVAILABLE;
}

static bool is_nothing_left(int control_fd, __u64 unused)
{
	__u64 seqnum = 0;

	(void)unused;
	return ioctl(control_fd, KBDUS_IOCTL_NEXT_DEVICE, &seqnum) &&
	       errno == ENOENT;
}

static void wait_until(bool (*condition)(int control_fd, __u64 seqnum),
		       int control_fd, __u64 seqnum, const char *what)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	const char *slow = getenv("BDUS_SLOW");
	time_t end = time(NULL) + 10 * (slow ? atoi(slow) : 1);

	while (!condition(control_fd, seqnum)) {
		if (time(NULL) > end)
			die("not within the time: %s", what);
		nanosleep(&pause, NULL);
	}
}

static struct kbdus_config device_config(void)
{
	struct kbdus_config config = {
		.device.size = 1 << 20,
		.device.logical_block_size = 512,
		.device.operations = KBDUS_OP(READ),
		.device.max_outstanding_requests = 8,
		.device.flags = KBDUS_DEVICE_F_NO_PARTITIONS,
	};

	return config;
}

/* A call, of which the Nth step fails that can. Returns 0 or an errno value. */
static int create(int fd, __u64 unused)
{
	struct kbdus_config config = device_config();

	(void)unused;
	config.protocol = protocol;
	return ioctl(fd, KBDUS_IOCTL_CREATE_DEVICE, &config) ? errno : 0;
}

static int attach(int fd, __u64 seqnum)
{
	struct kbdus_attachment attachment = {
		.config.device.seqnum = seqnum,
		.config.protocol = protocol,
	};

	return ioctl(fd, KBDUS_IOCTL_ATTACH_TO_DEVICE, &attachment) ? errno : 0;
}

/*
 * A call that fails leaves no device, even while its file is open. If what failed is
 * the last step, telling the caller, the device is there and destroyed on its own.
 */
static void expect_nothing_made(int control_fd, int n, int error)
{
	if (error == EFAULT)
		wait_until(is_nothing_left, control_fd, 0,
			   "the device that the caller was not told of is gone");
	else if (!is_nothing_left(control_fd, 0))
		die("call %d failed and left a device", n);
}

/* Lets each step of a call fail, until there are no more. */
static void sweep(int (*call)(int fd, __u64 seqnum), __u64 seqnum)
{
	const int control_fd = open_control();
	bool is_last = false;
	char number[16];
	int fd, error;

	for (int n = 1; !is_last; n++) {
		fd = open_control();
		describe_protocol();
		snprintf(number, sizeof(number), "%d", n);
		fail_nth(number);
		error = call(fd, seqnum);
		is_last = is_pending();
		if (!is_last)
			puts(error ? strerrorname_np(error) : "OK");
		if (error && call == create)
			expect_nothing_made(control_fd, n, error);
		close(fd);
		forget_protocol();
		if (call == create)
			wait_until(is_nothing_left, control_fd, 0,
				   "the device is gone");
		else
			wait_until(is_orphan, control_fd, seqnum,
				   "the device is an orphan again");
	}
}

static void write_to(const char *path, int value)
{
	FILE *file = fopen(path, "we");

	if (!file || fprintf(file, "%d", value) < 0 || fclose(file))
		die("cannot write to %s", path);
}

static void add(int rounds)
{
	const int control_fd = open_control();
	struct kbdus_config config;
	int fd, failed = 0;

	for (int i = 1; i <= rounds; i++) {
		fd = open_control();
		describe_protocol();
		config = device_config();
		config.protocol = protocol;
		write_to("/sys/kernel/debug/failslab/times", 1);
		write_to("/sys/kernel/debug/failslab/probability", 1 + i % 20);
		if (ioctl(fd, KBDUS_IOCTL_CREATE_DEVICE, &config))
			die("creating: %s", strerror(errno));
		wait_until(is_added_or_over, control_fd,
			   config.device.seqnum, "the device is added or not");
		failed += info_of(control_fd, config.device.seqnum).service ==
			  KBDUS_SERVICE_STATE_NONE;
		close(fd);
		forget_protocol();
		wait_until(is_nothing_left, control_fd, 0, "the device is gone");
	}
	printf("%d\n", failed);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		die("this kernel cannot make allocations fail");

	if (!strcmp(what, "create") && argc == 2)
		sweep(create, 0);
	else if (!strcmp(what, "attach") && argc == 3)
		sweep(attach, strtoull(argv[2], NULL, 10));
	else if (!strcmp(what, "add") && argc == 3)
		add(atoi(argv[2]));
	else
		die("unwind: see unwind.c");
	return 0;
}
