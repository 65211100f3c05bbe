/* SPDX-License-Identifier: MIT */

/*
 * zero.c: the smallest driver worth having. Its device reads as zeros and
 * forgets what is written.
 *
 *     cc -o zero zero.c -lbdus
 *     sudo ./zero 1073741824
 *
 * prints the path of a device of that many bytes and leaves the driver in the
 * background. `sudo bdus destroy <path>` ends it.
 */

#include <bdus.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int zero_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)offset;
	(void)ctx;
	memset(buffer, 0, size);
	return 0;
}

static int zero_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.read = zero_read,
	.write = zero_write,
};

int main(int argc, char **argv)
{
	struct bdus_attrs attrs = { .logical_block_size = 512 };

	if (argc != 2) {
		fprintf(stderr, "Usage: %s <size>\n", argv[0]);
		return 2;
	}
	attrs.size = strtoull(argv[1], NULL, 10);

	if (!bdus_run(&ops, &attrs, NULL)) {
		fprintf(stderr, "Error: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
