/* SPDX-License-Identifier: MIT */

/*
 * control.c: what cases say to the module past the commands.
 *
 *     control terminate ID          ask the driver to end
 *     control destroy ID            start destroying, do not wait
 *     control rerun ID [OP...]      bdus_rerun() with callbacks that do nothing,
 *                                   but without those named: read, write, fua_write
 *
 * Prints the name of the errno value and fails if the call does.
 */

#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../drivers/common/libc.h"
#include "../../kbdus/include/kbdus.h"

static int fail(void)
{
	puts(strerrorname_np(errno));
	return 1;
}

static int succeed(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int do_read(char *buffer, uint64_t offset, uint32_t size,
		   struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	memset(buffer, 0, size);
	return 0;
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

static int do_range(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static int do_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			  struct bdus_ctx *ctx)
{
	(void)may_unmap;
	return do_range(offset, size, ctx);
}

static int do_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	(void)command;
	(void)argument;
	(void)ctx;
	return ENOTTY;
}

static int rerun(uint64_t id, char **without)
{
	struct bdus_ops ops = {
		.on_device_available = succeed,
		.read = do_read,
		.write = do_write,
		.write_same = do_write,
		.write_zeros = do_write_zeros,
		.fua_write = do_write,
		.flush = succeed,
		.discard = do_range,
		.secure_erase = do_range,
		.ioctl = do_ioctl,
	};
	const struct bdus_attrs attrs = { .dont_daemonize = true };

	for (; *without; without++) {
		if (strcmp(*without, "read") == 0)
			ops.read = NULL;
		else if (strcmp(*without, "write") == 0)
			ops.write = NULL;
		else if (strcmp(*without, "fua_write") == 0)
			ops.fua_write = NULL;
	}
	return bdus_rerun(id, &ops, &attrs, NULL) ? 0 : fail();
}

int main(int argc, char **argv)
{
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR);
	const char *verb = argc > 1 ? argv[1] : "";
	__u64 id = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	setlinebuf(stdout);
	if (fd < 0)
		return fail();
	if (strcmp(verb, "rerun") == 0 && argc > 2)
		return rerun(id, argv + 3);
	if (strcmp(verb, "terminate") == 0 && argc == 3)
		return ioctl(fd, KBDUS_IOCTL_REQUEST_SESSION_TERMINATION, &id) ?
			       fail() :
			       0;
	if (strcmp(verb, "destroy") == 0 && argc == 3)
		return ioctl(fd, KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION, &id) ?
			       fail() :
			       0;
	fprintf(stderr, "control: see control.c\n");
	return 2;
}
