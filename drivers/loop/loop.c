/* SPDX-License-Identifier: MIT */

/*
 * loop.c: a file or block device as a device.
 *
 * The options and the decisions that follow from them: size, block size, whether
 * the device is read-only and whether data goes past the page cache. The work on
 * the backing is in backing.c; where requests can be served without callbacks that is
 * done by uring.c.
 */

#include "backing.h"
#include "driver.h"
#include "uring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * Where zeros must be written the slow way, 64 MiB take less than a request may
 * take on any disk; the kernel splits what is larger.
 */
#define MAX_WRITE_ZEROS_SIZE (64u << 20)

enum direct { DIRECT_AUTO, DIRECT_YES, DIRECT_NO };

static const char *path;
static bool is_read_only_wanted;
static enum direct direct = DIRECT_AUTO;
static struct backing backing;

static bool set_file(const char *value, struct driver_run *run)
{
	(void)run;
	path = value;
	return *value != '\0';
}

static bool set_read_only(const char *value, struct driver_run *run)
{
	(void)run;
	return driver_parse_bool(value, &is_read_only_wanted);
}

static bool set_direct(const char *value, struct driver_run *run)
{
	static const char *const names[] = { "auto", "yes", "no" };

	(void)run;
	for (int i = 0; i < 3; i++) {
		if (strcmp(value, names[i]) == 0) {
			direct = i;
			return true;
		}
	}
	return false;
}

static const struct driver_option options[] = {
	{ "file", "PATH", "file or block device with the data (required)",
	  set_file },
	{ "read-only", "yes|no", "never write to it (default: no)",
	  set_read_only },
	{ "direct", "auto|yes|no", "go past the page cache (default: auto)",
	  set_direct },
	{ NULL, NULL, NULL, NULL },
};

static const struct driver driver;

/* A block size at which O_DIRECT works, if the size allows it. */
static uint32_t default_block_size(uint64_t size)
{
	uint32_t alignment = backing.direct_alignment;

	if (backing.direct_fd >= 0 && alignment > 512 && alignment <= 4096 &&
	    size % alignment == 0)
		return alignment;
	return 512;
}

static int choose_size(struct driver_run *run)
{
	struct bdus_attrs *attrs = &run->attrs;
	uint64_t size = attrs->size ? attrs->size : backing.size;

	if (size > backing.size) {
		driver_error("%s has %" PRIu64 " bytes, fewer than size=", path,
			     backing.size);
		return DRIVER_EXIT_FAILURE;
	}
	if (attrs->logical_block_size == 0)
		attrs->logical_block_size = default_block_size(size);
	if (attrs->size == 0) {
		size -= size % attrs->logical_block_size;
		attrs->size = size;
	}
	if (size == 0) {
		driver_error("%s is empty; say how large it should be with size=",
			     path);
		return DRIVER_EXIT_FAILURE;
	}
	attrs->max_write_zeros_size = MAX_WRITE_ZEROS_SIZE;
	return DRIVER_EXIT_OK;
}

/*
 * A device that is taken over may have any of the operations, so the successor
 * offers all that are possible; the library never calls those that it lacks.
 */
static void choose_operations(struct driver_run *run)
{
	if (backing.is_read_only) {
		run->ops.write = NULL;
		run->ops.write_zeros = NULL;
		run->ops.fua_write = NULL;
		run->ops.flush = NULL;
		run->ops.discard = NULL;
	}
	if (!backing.can_discard && !run->is_replacement)
		run->ops.discard = NULL;
}

static int loop_prepare(struct driver_run *run)
{
	int error;

	if (!path)
		return driver_usage_error(&driver, "file= is missing");
	error = backing_open(&backing, path, is_read_only_wanted,
			     run->is_replacement ? 0 : run->attrs.size);
	if (error != 0) {
		driver_error("%s: %s", path, strerror(error));
		return DRIVER_EXIT_FAILURE;
	}
	if (backing.is_read_only && !is_read_only_wanted)
		fprintf(stderr, "Note: %s cannot be written, so the device is "
				"read-only\n", path);
	if (direct != DIRECT_NO)
		backing_open_direct(&backing, path);
	choose_operations(run);
	return run->is_replacement ? DRIVER_EXIT_OK : choose_size(run);
}

/* The device's size and block size are only certain here. */
static int loop_initialize(struct bdus_ctx *ctx)
{
	if (ctx->attrs->size > backing.size) {
		driver_error("%s has %" PRIu64 " bytes, the device %" PRIu64,
			     path, backing.size, ctx->attrs->size);
		return EINVAL;
	}
	backing.is_direct =
		backing.direct_fd >= 0 &&
		ctx->attrs->logical_block_size % backing.direct_alignment == 0;
	if (direct == DIRECT_YES && !backing.is_direct) {
		if (backing.direct_fd >= 0)
			driver_error("direct=yes: %s needs a logical block size "
				     "of %" PRIu32, path,
				     backing.direct_alignment);
		else
			driver_error("direct=yes: not possible with %s", path);
		return EINVAL;
	}
	return 0;
}

static int loop_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_read(&backing, buffer, offset, size);
}

static int loop_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_write(&backing, buffer, offset, size, false);
}

static int loop_fua_write(const char *buffer, uint64_t offset, uint32_t size,
			  struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_write(&backing, buffer, offset, size, true);
}

static int loop_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			    struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_zero(&backing, offset, size, may_unmap);
}

static int loop_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_flush(&backing);
}

static int loop_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	(void)ctx;
	return backing_discard(&backing, offset, size);
}

static int loop_serve(const struct driver_run *run)
{
	return uring_serve(run, &backing);
}

static const struct bdus_ops ops = {
	.initialize = loop_initialize,
	.read = loop_read,
	.write = loop_write,
	.write_zeros = loop_write_zeros,
	.fua_write = loop_fua_write,
	.flush = loop_flush,
	.discard = loop_discard,
};

static const struct driver driver = {
	.name = "loop",
	.summary = DRIVER_SUMMARY("a file or block device as a device"),
	.options = options,
	.ops = &ops,
	.concurrency = 16,
	.keeps_data = true,
	.prepare = loop_prepare,
	.serve = loop_serve,
};

int main(int argc, char **argv)
{
	return driver_main(&driver, argc, argv);
}
