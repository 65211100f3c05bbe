/* SPDX-License-Identifier: MIT */

/*
 * client.c: a client that keeps a device open and says what becomes of each of
 * its requests: "OK", or the name of the errno value that it saw.
 *
 *     client DEVICE [REQUEST...]     from standard input if none is given
 *
 * A request is a word, or WORD:OFFSET. The first ones go past the page cache.
 *
 *     read write          4096 bytes
 *     cached-read cached-write sync-write   through the page cache; O_DSYNC
 *     fsync discard erase
 *     zero unmap          write zeros, without and with giving up the space
 *     count               FAULT_IOCTL_COUNT of the driver fault
 *     fail                FAULT_IOCTL_FAIL, with :NUMBER
 *     open                one more open, closed again
 *     close               the end, as is the end of the input
 *
 * Prints "open" first, once the device is open.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../drivers/common/libc.h"
#include "../../drivers/fault/ioctls.h"

#define SIZE 4096

static char buffer[SIZE] __attribute__((aligned(SIZE)));
static const char *path;
static int direct_fd, cached_fd, sync_fd;

static int whole(ssize_t count)
{
	if (count >= 0 && count != SIZE)
		errno = ENODATA;
	return count == SIZE ? 0 : -1;
}

static int request(const char *word, uint64_t offset)
{
	uint64_t range[2] = { offset, SIZE };
	int32_t number = offset;

	if (strcmp(word, "read") == 0)
		return whole(pread(direct_fd, buffer, SIZE, offset));
	if (strcmp(word, "write") == 0)
		return whole(pwrite(direct_fd, buffer, SIZE, offset));
	if (strcmp(word, "cached-read") == 0)
		return whole(pread(cached_fd, buffer, SIZE, offset));
	if (strcmp(word, "cached-write") == 0)
		return whole(pwrite(cached_fd, buffer, SIZE, offset));
	if (strcmp(word, "sync-write") == 0)
		return whole(pwrite(sync_fd, buffer, SIZE, offset));
	if (strcmp(word, "fsync") == 0)
		return fsync(cached_fd);
	if (strcmp(word, "discard") == 0)
		return ioctl(direct_fd, BLKDISCARD, range);
	if (strcmp(word, "erase") == 0)
		return ioctl(direct_fd, BLKSECDISCARD, range);
	if (strcmp(word, "zero") == 0)
		return ioctl(direct_fd, BLKZEROOUT, range);
	if (strcmp(word, "unmap") == 0)
		return fallocate(direct_fd,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 offset, SIZE);
	if (strcmp(word, "count") == 0)
		return ioctl(direct_fd, FAULT_IOCTL_COUNT);
	if (strcmp(word, "fail") == 0)
		return ioctl(direct_fd, FAULT_IOCTL_FAIL, &number);
	if (strcmp(word, "open") == 0) {
		int fd = open(path, O_RDONLY);

		return fd < 0 ? -1 : close(fd);
	}
	fprintf(stderr, "client: what is '%s'?\n", word);
	exit(2);
}

static void answer(char *word)
{
	char *colon = strchr(word, ':');
	uint64_t offset = colon ? strtoull(colon + 1, NULL, 0) : 0;

	if (colon)
		*colon = '\0';
	puts(request(word, offset) == 0 ? "OK" : strerrorname_np(errno));
}

int main(int argc, char **argv)
{
	char word[64];

	setlinebuf(stdout);
	path = argv[1];
	direct_fd = open(path, O_RDWR | O_DIRECT);
	cached_fd = open(path, O_RDWR);
	sync_fd = open(path, O_RDWR | O_DIRECT | O_DSYNC);
	if (direct_fd < 0 || cached_fd < 0 || sync_fd < 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	memset(buffer, 'c', SIZE);
	puts("open");
	for (int i = 2; i < argc; i++)
		answer(argv[i]);
	while (argc == 2 && scanf("%63s", word) == 1 &&
	       strcmp(word, "close") != 0)
		answer(word);
	return 0;
}
