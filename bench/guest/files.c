/* SPDX-License-Identifier: MIT */

/*
 * files.c: a client that creates, reads or deletes many small files, and prints the
 * seconds that this took.
 *
 *     files create|read|delete FOLDER COUNT SIZE
 *
 * They are in folders of a hundred. What was changed is on the disk at the end, and
 * that is part of the time.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PER_FOLDER 100
#define MAX_SIZE (1 << 20)

static char data[MAX_SIZE];
static size_t size;

static void check(int is_good, const char *what)
{
	if (is_good)
		return;
	fprintf(stderr, "files: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *folder_of(int number)
{
	static char path[32];

	snprintf(path, sizeof(path), "d%d", number / PER_FOLDER);
	return path;
}

static const char *path_of(int number)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/f%d", folder_of(number), number);
	return path;
}

static void create_one(int number)
{
	int fd;

	if (number % PER_FOLDER == 0)
		check(mkdir(folder_of(number), 0755) == 0, folder_of(number));
	fd = open(path_of(number), O_CREAT | O_EXCL | O_WRONLY, 0644);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size && !close(fd),
	      path_of(number));
}

static void read_one(int number)
{
	int fd = open(path_of(number), O_RDONLY);

	check(fd >= 0 && read(fd, data, sizeof(data)) == (ssize_t)size &&
	      !close(fd), path_of(number));
}

static void delete_one(int number)
{
	check(unlink(path_of(number)) == 0, path_of(number));
	if (number % PER_FOLDER == PER_FOLDER - 1)
		check(rmdir(folder_of(number)) == 0, folder_of(number));
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	void (*work)(int number);
	double start;
	int count, fd;

	if (argc != 5)
		return 2;
	work = *argv[1] == 'c' ? create_one :
	       *argv[1] == 'r' ? read_one : delete_one;
	count = atoi(argv[3]);
	size = (size_t)atoi(argv[4]);
	check(size < sizeof(data), "the size");
	check(chdir(argv[2]) == 0, argv[2]);
	fd = open(".", O_RDONLY);
	check(fd >= 0, argv[2]);

	start = now();
	for (int i = 0; i < count; ++i)
		work(i);
	check(work == read_one || syncfs(fd) == 0, "syncing");
	printf("%.6f\n", now() - start);
	return 0;
}
