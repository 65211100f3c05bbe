/* SPDX-License-Identifier: MIT */

/*
 * unwind.c: lets one allocation, or one copy from or to user memory, fail in a
 * call to the module, by means of the kernel's fault injection. The protocol is
 * that of the run.
 *
 *     unwind create N       while creating a device
 *     unwind attach N ID    while attaching to one
 *
 * Prints the name of the error that the call failed with, or OK. If there is no
 * Nth that could fail, prints "none" and fails.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* What the protocol of the run wants to be told. */
static int describe_protocol(struct kbdus_protocol_config *config)
{
	const char *name = getenv("BDUS_PROTOCOL");
	int sockets[2];

	if (!name || !*name)
		name = KBDUSIOCTL_PROTOCOL_NAME;
	snprintf(config->name, sizeof(config->name), "%s", name);

	if (!strcmp(name, KBDUSMMAP_PROTOCOL_NAME))
		config->buffer_count = 1;
	if (!strcmp(name, KBDUSUDS_PROTOCOL_NAME)) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
			return 0;
		config->socket_fd_plus_1 = sockets[1] + 1;
	}
	return 1;
}

int main(int argc, char **argv)
{
	static struct kbdus_config config = {
		.device.size = 1 << 20,
		.device.logical_block_size = 512,
		.device.operations = KBDUS_OP(READ),
		.device.max_outstanding_requests = 8,
	};
	static struct kbdus_attachment attachment;
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR);
	int ret, error;

	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (argc < 3 || fd < 0 || fail_fd < 0)
		return 2;
	if (argc > 3)
		attachment.config.device.seqnum = strtoull(argv[3], NULL, 10);

	if (!describe_protocol(&config.protocol))
		return 2;
	attachment.config.protocol = config.protocol;

	fail_nth(argv[2]);
	ret = argc > 3 ? ioctl(fd, KBDUS_IOCTL_ATTACH_TO_DEVICE, &attachment) :
			 ioctl(fd, KBDUS_IOCTL_CREATE_DEVICE, &config);
	error = errno;
	if (is_pending()) {
		puts("none");
		return 1;
	}
	puts(ret ? strerrorname_np(error) : "OK");
	return 0;
}
