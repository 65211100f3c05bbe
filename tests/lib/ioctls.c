/* SPDX-License-Identifier: MIT */

/*
 * ioctls.c: a client that checks all there is to check about ioctls of the driver
 * fault.
 *
 *     ioctls DEVICE         everything
 *     ioctls DEVICE data    only what moves data, over and over; several can run
 *                           at a time
 *     ioctls DEVICE compat  everything about the driver, and what the module says of
 *                           the device, by the system calls of 32-bit programs; ends
 *                           with status 77 if the kernel has none
 *
 * Says what is wrong and fails.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../drivers/common/libc.h"
#include "../../drivers/fault/ioctls.h"
#include "../../kbdus/include/kbdus.h"

#define GUARD 0xa5
#define MAX_SIZE 16383
#define COMMAND(direction, number, size)                                       \
	_IOC(direction, FAULT_IOCTL_TYPE, number, size)

static int fd;
static unsigned char data[MAX_SIZE + 64];

#ifdef __x86_64__
/* Below 4 GiB, where 32-bit programs have their memory; NULL if we are none. */
static unsigned char *low;
static sigjmp_buf no_system_calls;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(no_system_calls, 1);
}

/* ioctl(2) as a 32-bit program calls it: number 54, pointers of 32 bits. */
static int compat_ioctl(int file, unsigned int command, void *argument)
{
	size_t size = argument == data ? sizeof(data) : _IOC_SIZE(command);
	bool is_low = (uintptr_t)argument <= UINT32_MAX;
	int result;

	if (!is_low)
		memcpy(low, argument, size);
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(54), "b"(file), "c"(command),
			   "d"(is_low ? argument : low)
			 : "memory", "r8", "r9", "r10", "r11");
	if (!is_low)
		memcpy(argument, low, size);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/* Ends the process if the kernel has no such system calls. */
static void begin_compat(void)
{
	struct sigaction action = { .sa_handler = on_fault }, before;

	low = mmap(NULL, sizeof(data), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED) {
		perror("ioctls");
		exit(2);
	}
	sigaction(SIGSEGV, &action, &before);
	if (sigsetjmp(no_system_calls, 1) ||
	    (compat_ioctl(-1, BLKFLSBUF, NULL) && errno != EBADF)) {
		puts("the kernel has no system calls of 32-bit programs");
		exit(77);
	}
	sigaction(SIGSEGV, &before, NULL);
}

static int do_ioctl(int file, unsigned int command, void *argument)
{
	return low ? compat_ioctl(file, command, argument) :
		     ioctl(file, command, argument);
}
#else
static void begin_compat(void)
{
	puts("only x86_64 is known to have system calls of 32-bit programs");
	exit(77);
}

static int do_ioctl(int file, unsigned int command, void *argument)
{
	return ioctl(file, command, argument);
}
#endif

/* `error` is 0 or the errno value that the ioctl must fail with. */
static void expect(int error, unsigned int command, void *argument,
		   const char *what)
{
	int result = do_ioctl(fd, command, argument);

	if (result == 0 ? error == 0 : errno == error)
		return;
	fprintf(stderr, "FAILED: %s, command 0x%x: %s, not %s\n", what, command,
		result == 0 ? "success" : strerrorname_np(errno),
		error == 0 ? "success" : strerrorname_np(error));
	exit(1);
}

static void fill(int pattern, size_t size)
{
	memset(data, GUARD, sizeof(data));
	for (size_t i = 0; i < size; i++)
		data[i] = pattern < 0 ? (int)i : pattern;
}

/* Bytes are their offset, modulo 256, exclusive-or a mask; then the guard. */
static void check(unsigned char mask, size_t size, const char *what)
{
	for (size_t i = 0; i < sizeof(data); i++) {
		if (data[i] == (i < size ? ((unsigned char)i ^ mask) : GUARD))
			continue;
		fprintf(stderr, "FAILED: %s, size %zu: byte %zu is 0x%x\n", what,
			size, i, data[i]);
		exit(1);
	}
}

/* One after the other, so that what one leaves behind would be seen. */
static void check_data(size_t size)
{
	fill(-1, size);
	expect(0, COMMAND(_IOC_READ, 1, size), data, "the driver reads");
	check(0, size, "what the driver read stays as it is");

	fill(0x5a, size);
	expect(EILSEQ, COMMAND(_IOC_READ, 1, size), data, "it reads all of it");

	fill(0x77, size);
	expect(0, COMMAND(_IOC_WRITE, 2, size), data, "it finds zeros");
	check(0, size, "what the driver wrote");

	fill(-1, size);
	expect(0, COMMAND(_IOC_READ | _IOC_WRITE, 3, size), data, "both");
	check(0xff, size, "what the driver changed");
}

static void check_count(void)
{
	uint64_t before, after;

	expect(0, FAULT_IOCTL_GET_COUNT, &before, "counter");
	expect(0, FAULT_IOCTL_COUNT, NULL, "no argument");
	expect(0, FAULT_IOCTL_COUNT, (void *)1, "no argument, bad pointer");
	expect(0, FAULT_IOCTL_GET_COUNT, &after, "counter");
	if (after != before + 2) {
		fprintf(stderr, "FAILED: the counter went wrong\n");
		exit(1);
	}
}

static void check_failure(int returned, int error)
{
	int32_t number = returned;

	expect(error, FAULT_IOCTL_FAIL, &number, "failing");
	if (number == (error ? returned : 77))
		return;
	fprintf(stderr, "FAILED: after %d the client has %d\n", returned, number);
	exit(1);
}

static void check_failures(void)
{
	check_failure(0, 0);
	check_failure(EPERM, EPERM);
	check_failure(ENOTTY, ENOTTY);
	check_failure(ENOSPC, ENOSPC);
	check_failure(EHWPOISON, EHWPOISON);
	check_failure(ENOSYS, EIO);
	check_failure(EHWPOISON + 1, EIO);
	check_failure(512, EIO);
	check_failure(-EPERM, EIO);
}

static void check_refused(void)
{
	void *nowhere = (void *)4096;

	expect(ENOTTY, COMMAND(_IOC_NONE, 0, 8), data, "size, no direction");
	expect(ENOTTY, COMMAND(_IOC_READ, 1, 0), data, "direction, no size");
	expect(ENOTTY, COMMAND(_IOC_WRITE, 2, 0), data, "direction, no size");
	expect(ENOTTY, COMMAND(_IOC_READ | _IOC_WRITE, 3, 0), data,
	       "direction, no size");
	expect(ENOTTY, COMMAND(_IOC_NONE, 6, 0), NULL, "the driver's refusal");
	fill(-1, 64);
	expect(ENOTTY, COMMAND(_IOC_WRITE, 6, 64), data, "the driver's refusal");
	check(0, 64, "nothing comes back from what failed");
	expect(EFAULT, COMMAND(_IOC_READ, 1, 64), nowhere, "bad pointer");
	expect(EFAULT, COMMAND(_IOC_WRITE, 2, 64), nowhere, "bad pointer");
	expect(EFAULT, COMMAND(_IOC_READ | _IOC_WRITE, 3, 64), nowhere,
	       "bad pointer");
}

static void check_kernel(void)
{
	int one = 1, zero = 0, value = -1;
	uint64_t size = 0;

	expect(0, BLKGETSIZE64, &size, "the kernel's");
	expect(0, BLKFLSBUF, NULL, "the kernel's");
	expect(0, BLKROSET, &one, "the kernel's");
	expect(0, BLKROGET, &value, "the kernel's");
	if (size == 0 || value != 1) {
		fprintf(stderr, "FAILED: size %llu, read-only %d\n",
			(unsigned long long)size, value);
		exit(1);
	}
	expect(0, BLKROSET, &zero, "the kernel's");
}

/* What the module says is the same, and so is what it refuses. */
static void check_control(uint64_t seqnum)
{
	static struct kbdus_device_info ours, theirs;
	struct kbdus_version version = { 0 };

	fd = open(KBDUS_CONTROL_PATH, O_RDWR);
	expect(0, KBDUS_IOCTL_GET_VERSION, &version, "the module");
	theirs.config.device.seqnum = seqnum;
	ours.config.device.seqnum = seqnum;
	expect(0, KBDUS_IOCTL_GET_DEVICE_INFO, &theirs, "the module");
	if (ioctl(fd, KBDUS_IOCTL_GET_DEVICE_INFO, &ours) != 0 ||
	    version.major != KBDUS_HEADER_VERSION_MAJOR ||
	    memcmp(&ours, &theirs, sizeof(ours)) != 0) {
		fprintf(stderr, "FAILED: the module said something else\n");
		exit(1);
	}
	expect(EFAULT, KBDUS_IOCTL_GET_VERSION, (void *)4096, "bad pointer");
	theirs.config.device.seqnum = seqnum + 1000;
	expect(EINVAL, KBDUS_IOCTL_GET_DEVICE_INFO, &theirs, "no such device");
	expect(ENOTTY, COMMAND(_IOC_NONE, 0, 0), NULL, "not the module's");
	close(fd);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1, 2, 64, 511, 4095, 4096, 4097, 16383 };
	bool only_data = argc > 2 && strcmp(argv[2], "data") == 0;
	bool is_compat = argc > 2 && strcmp(argv[2], "compat") == 0;

	fd = argc > 1 ? open(argv[1], O_RDWR) : -1;
	if (fd < 0) {
		perror("ioctls");
		return 2;
	}
	if (is_compat)
		begin_compat();
	for (int i = 0; i < (only_data ? 20 : 2); i++)
		for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
			check_data(sizes[j]);
	if (only_data)
		return 0;
	check_count();
	check_failures();
	check_refused();
	if (is_compat)
		check_control(strtoull(argv[1] + strlen("/dev/bdus-"), NULL, 10));
	else
		check_kernel();
	return 0;
}
