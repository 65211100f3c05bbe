/* SPDX-License-Identifier: MIT */

/*
 * sample.c: drivers that show one thing each that the library promises.
 *
 *     sample MODE [KEY]...
 *
 * MODE says what is special about the driver:
 *
 *     plain        nothing; keeps data in memory
 *     initialize   initialize fails with ENOSPC
 *     available    on_device_available fails with ENOSPC
 *     abort        reads of the second MiB return bdus_abort
 *     terminate    terminate fails with ENOSPC
 *     nobody       initialize drops all privileges
 *     meet         reads return when 8 are under way, or were once
 *     alone        as plain with one callback at a time; reads fail with EIO if
 *                  another is under way
 *
 * KEY: foreground, recoverable, silent (does nothing when it is available),
 * rerun=ID. At its end the driver says "ended" or the library's message on
 * standard error.
 */

#include <bdus.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16u << 20)
#define CROWD 8

static const char *mode;
static char *disk;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Under the lock: reads under way, and the most that ever were. */
static int reads, most_reads;

static bool is_mode(const char *name)
{
	return strcmp(mode, name) == 0;
}

static int drop_privileges(void)
{
	if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
		return errno;
	return 0;
}

static int on_initialize(struct bdus_ctx *ctx)
{
	if (is_mode("initialize"))
		return ENOSPC;
	disk = mmap(NULL, ctx->attrs->size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (disk == MAP_FAILED)
		return errno;
	return is_mode("nobody") ? drop_privileges() : 0;
}

static int on_available(struct bdus_ctx *ctx)
{
	(void)ctx;
	return is_mode("available") ? ENOSPC : 0;
}

static int on_terminate(struct bdus_ctx *ctx)
{
	(void)ctx;
	return is_mode("terminate") ? ENOSPC : 0;
}

/* If there never is one, the readers see their requests time out. */
static void await_crowd(void)
{
	while (most_reads < CROWD)
		pthread_cond_wait(&changed, &lock);
}

static int on_read(char *buffer, uint64_t offset, uint32_t size,
		   struct bdus_ctx *ctx)
{
	int result = 0;

	(void)ctx;
	if (is_mode("abort") && offset == 1 << 20)
		return bdus_abort;
	pthread_mutex_lock(&lock);
	if (++reads > most_reads)
		most_reads = reads;
	pthread_cond_broadcast(&changed);
	/* What udev reads is elsewhere. */
	if (is_mode("meet") && offset >= 1 << 20 && offset < 9 << 20)
		await_crowd();
	pthread_mutex_unlock(&lock);
	if (is_mode("alone"))
		usleep(1000);
	memcpy(buffer, disk + offset, size);
	pthread_mutex_lock(&lock);
	if (is_mode("alone") && reads != 1)
		result = EIO;
	reads--;
	pthread_mutex_unlock(&lock);
	return result;
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)ctx;
	memcpy(disk + offset, buffer, size);
	return 0;
}

static int on_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

int main(int argc, char **argv)
{
	struct bdus_ops ops = {
		.initialize = on_initialize,
		.terminate = on_terminate,
		.read = on_read,
		.write = on_write,
		.flush = on_flush,
	};
	struct bdus_attrs attrs = {
		.size = SIZE,
		.logical_block_size = 512,
		.max_concurrent_callbacks = CROWD,
	};
	const char *replaced = NULL;
	bool is_good;

	mode = argc > 1 ? argv[1] : "plain";
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "foreground") == 0)
			attrs.dont_daemonize = true;
		else if (strcmp(argv[i], "recoverable") == 0)
			attrs.recoverable = true;
		else if (strcmp(argv[i], "silent") == 0)
			ops.on_device_available = on_available;
		else if (strncmp(argv[i], "rerun=", 6) == 0)
			replaced = argv[i] + 6;
	}
	if (is_mode("available"))
		ops.on_device_available = on_available;
	if (is_mode("alone"))
		attrs.max_concurrent_callbacks = 1;

	is_good = replaced ? bdus_rerun(strtoull(replaced, NULL, 10), &ops, &attrs,
					NULL) :
			     bdus_run(&ops, &attrs, NULL);
	fprintf(stderr, "%s\n", is_good ? "ended" : bdus_get_error_message());
	return is_good ? 0 : errno == EIO ? 3 : errno == ENOSPC ? 4 : 1;
}
