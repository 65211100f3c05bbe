/* SPDX-License-Identifier: MIT */

/*
 * ram.c: a RAM disk; shows how callbacks get at the driver's data, and when it
 * is set up and taken down.
 *
 *     cc -o ram ram.c -lbdus
 *     sudo ./ram 1073741824
 *
 * There is no flush callback, so the device counts as write-through: nothing
 * that was written waits to become durable.
 */

#include <bdus.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called before all others. attrs are the attributes that the device really
 * got, which may differ from the ones that main() asked for. */
static int ram_initialize(struct bdus_ctx *ctx)
{
	ctx->private_data = calloc(1, ctx->attrs->size);
	return ctx->private_data ? 0 : ENOMEM;
}

static int ram_terminate(struct bdus_ctx *ctx)
{
	free(ctx->private_data);
	return 0;
}

static int ram_read(char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	memcpy(buffer, (char *)ctx->private_data + offset, size);
	return 0;
}

static int ram_write(const char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	memcpy((char *)ctx->private_data + offset, buffer, size);
	return 0;
}

static const struct bdus_ops ops = {
	.initialize = ram_initialize,
	.terminate = ram_terminate,
	.read = ram_read,
	.write = ram_write,
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
