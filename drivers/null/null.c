/* SPDX-License-Identifier: MIT */

/*
 * null.c: a device where everything succeeds at once, to measure the rest.
 *
 * No callback touches its buffer: what is read is whatever the buffer held, so
 * the device is of no use but for benchmarks. It has all the callbacks that
 * clients can reach, flush and FUA writes too, so that each kind of request can
 * be measured on its way to the driver and back.
 */

#include "driver.h"

static int null_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static int null_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static int null_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			    struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)may_unmap;
	(void)ctx;
	return 0;
}

static int null_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int null_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)offset;
	(void)size;
	(void)ctx;
	return 0;
}

static const struct bdus_ops ops = {
	.read = null_read,
	.write = null_write,
	.write_zeros = null_write_zeros,
	.fua_write = null_write,
	.flush = null_flush,
	.discard = null_discard,
};

static const struct driver driver = {
	.name = "null",
	.summary = DRIVER_SUMMARY("does nothing at once, for benchmarks"),
	.ops = &ops,
	.needs_size = true,
};

int main(int argc, char **argv)
{
	return driver_main(&driver, argc, argv);
}
