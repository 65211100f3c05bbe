/* SPDX-License-Identifier: MIT */

/*
 * zero.c: a device that reads as zeros and forgets what is written.
 *
 * To a block device what /dev/zero is to a file. It has no state, so that it can
 * be as large as a device may be and be replaced at any time.
 */

#include "driver.h"

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

static int zero_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			    struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)may_unmap;
	(void)ctx;
	return 0;
}

static int zero_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.read = zero_read,
	.write = zero_write,
	.write_zeros = zero_write_zeros,
	.discard = zero_discard,
};

static const struct driver driver = {
	.name = "zero",
	.summary = DRIVER_SUMMARY("reads as zeros and forgets what is written"),
	.ops = &ops,
	.needs_size = true,
};

int main(int argc, char **argv)
{
	return driver_main(&driver, argc, argv);
}
