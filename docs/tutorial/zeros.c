/* SPDX-License-Identifier: MIT */
/* zeros.c: a device that reads as zeros. */
#include <bdus.h>
#include <stdio.h>
#include <string.h>

static int disk_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)offset, (void)ctx;
	memset(buffer, 0, size);
	return 0;
}

int main(void)
{
	struct bdus_ops ops = { .read = disk_read };
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
