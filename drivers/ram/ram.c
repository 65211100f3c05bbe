/* SPDX-License-Identifier: MIT */

/*
 * ram.c: a RAM disk that takes memory as it is written.
 *
 * The callbacks are thin: everything is in memory.c, which any number of threads
 * may use at a time. There is no flush callback, so that the device counts as
 * write-through: a flush would have nothing to make durable. Zeroed and
 * discarded ranges give their memory back, whether or not the client asked for
 * the space to stay allocated: a RAM disk sets no space aside for anybody, a
 * write takes memory when it comes.
 */

#include "driver.h"
#include "memory.h"

#include <errno.h>

/* Written by initialize, before any request. */
static struct memory *memory;

static int ram_initialize(struct bdus_ctx *ctx)
{
	memory = memory_create(ctx->attrs->size);
	return memory ? 0 : errno;
}

static int ram_terminate(struct bdus_ctx *ctx)
{
	(void)ctx;
	memory_destroy(memory);
	return 0;
}

static int ram_read(char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)ctx;
	memory_read(memory, buffer, offset, size);
	return 0;
}

static int ram_write(const char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)ctx;
	return memory_write(memory, buffer, offset, size);
}

static int ram_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			   struct bdus_ctx *ctx)
{
	(void)may_unmap;
	(void)ctx;
	memory_clear(memory, offset, size);
	return 0;
}

static int ram_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)ctx;
	memory_clear(memory, offset, size);
	return 0;
}

static const struct bdus_ops ops = {
	.initialize = ram_initialize,
	.terminate = ram_terminate,
	.read = ram_read,
	.write = ram_write,
	.write_zeros = ram_write_zeros,
	.discard = ram_discard,
};

static const struct driver driver = {
	.name = "ram",
	.summary = DRIVER_SUMMARY("RAM disk that takes memory as it is written"),
	.ops = &ops,
	.needs_size = true,
	.only_driver = "what a RAM disk holds dies with its driver; use "
		       "'bdus run loop' with a file in /dev/shm instead",
};

int main(int argc, char **argv)
{
	return driver_main(&driver, argc, argv);
}
