/* SPDX-License-Identifier: MIT */

/*
 * loop.c: a file as a device; shows errors, flushing, several callbacks at a
 * time, and a device that outlives its driver.
 *
 *     cc -o loop loop.c -lbdus
 *     sudo ./loop disk.img
 *
 * If the driver dies the device stays, and whoever uses it waits:
 *
 *     sudo ./loop disk.img /dev/bdus-0
 *
 * makes a new driver take over, which works while the old one runs, too.
 */

#include <bdus.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd;

static int loop_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)ctx;
	while (size > 0) {
		ssize_t count = pread(fd, buffer, size, offset);

		if (count == 0)
			return EIO;
		if (count < 0 && errno != EINTR)
			return errno;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return 0;
}

static int loop_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	(void)ctx;
	while (size > 0) {
		ssize_t count = pwrite(fd, buffer, size, offset);

		if (count < 0 && errno != EINTR)
			return errno;
		if (count > 0) {
			buffer += count;
			offset += count;
			size -= count;
		}
	}
	return 0;
}

/* What was written may sit in a cache until this has returned. */
static int loop_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return fdatasync(fd) == 0 ? 0 : errno;
}

static const struct bdus_ops ops = {
	.read = loop_read,
	.write = loop_write,
	.flush = loop_flush,
};

static bool run(uint64_t size)
{
	struct bdus_attrs attrs = {
		.size = size,
		.logical_block_size = 512,
		.max_concurrent_callbacks = 8,
		.recoverable = true,
	};

	return bdus_run(&ops, &attrs, NULL);
}

static bool take_over(const char *path)
{
	/* 0 stands for what the device has. */
	struct bdus_attrs attrs = { .max_concurrent_callbacks = 8 };
	uint64_t id;

	return bdus_get_dev_id_from_path(&id, path) &&
	       bdus_rerun(id, &ops, &attrs, NULL);
}

int main(int argc, char **argv)
{
	struct stat status;
	bool succeeded;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "Usage: %s <file> [<device>]\n", argv[0]);
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(argv[1]);
		return 1;
	}

	succeeded = argc == 3 ? take_over(argv[2]) : run(status.st_size);
	if (!succeeded) {
		fprintf(stderr, "Error: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
