/* SPDX-License-Identifier: MIT */
/* disk.c: a device that keeps its data in a file, and outlives its driver. */
#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd;

/* Once more after a signal or if only a part was read. */
static int disk_read(char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx)
{
	(void)ctx;
	while (size > 0) {
		ssize_t count = pread(fd, buffer, size, offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count ? errno : EIO;
		buffer += count;
		offset += count;
		size -= count;
	}
	return 0;
}

static int disk_write(const char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	(void)ctx;
	while (size > 0) {
		ssize_t count = pwrite(fd, buffer, size, offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno;
		buffer += count;
		offset += count;
		size -= count;
	}
	return 0;
}

/* Until this has returned, what was written may be in a cache. */
static int disk_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return fdatasync(fd) == 0 ? 0 : errno;
}

static const struct bdus_ops ops = {
	.read = disk_read,
	.write = disk_write,
	.flush = disk_flush,
};

static bool run(uint64_t size)
{
	struct bdus_attrs attrs = {
		.size = size,
		.logical_block_size = 512,
		.max_concurrent_callbacks = 16,
		.recoverable = true,
	};

	return bdus_run(&ops, &attrs, NULL);
}

/* What is 0 here stays as the device has it. */
static bool take_over(const char *path)
{
	struct bdus_attrs attrs = { .max_concurrent_callbacks = 16 };
	uint64_t id;

	return bdus_get_dev_id_from_path(&id, path) &&
	       bdus_rerun(id, &ops, &attrs, NULL);
}

int main(int argc, char **argv)
{
	struct stat status;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "Usage: %s <file> [<device>]\n", argv[0]);
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(argv[1]);
		return 1;
	}

	if (!(argc == 3 ? take_over(argv[2]) : run(status.st_size))) {
		fprintf(stderr, "Error: %s\n", bdus_get_error_message());
		return 1;
	}
	return 0;
}
