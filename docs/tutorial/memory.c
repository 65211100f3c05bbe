/* SPDX-License-Identifier: MIT */
/* memory.c: a RAM disk. */
#include <bdus.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int disk_initialize(struct bdus_ctx *ctx)
{
	ctx->private_data = calloc(1, ctx->attrs->size);
	return ctx->private_data ? 0 : ENOMEM;
}

static int disk_terminate(struct bdus_ctx *ctx)
{
	free(ctx->private_data);
	return 0;
}

static int disk_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	memcpy(buffer, (char *)ctx->private_data + offset, size);
	return 0;
}

static int disk_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	memcpy((char *)ctx->private_data + offset, buffer, size);
	return 0;
}

int main(void)
{
	struct bdus_ops ops = {
		.initialize = disk_initialize,
		.terminate = disk_terminate,
		.read = disk_read,
		.write = disk_write,
	};
	struct bdus_attrs attrs = {
		.size = 64 << 20,
		.logical_block_size = 512,
	};

	if (!bdus_run(&ops, &attrs, NULL)) {
		fprintf(stderr, "Error: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
