/* SPDX-License-Identifier: MIT */

/*
 * several.c: a process with several drivers at a time, each in a thread, with a device
 * and 1 MiB of memory of its own.
 *
 *     several COUNT
 *
 * One more fails to initialize, a few times. Each says at its end "ended", or the
 * library's message, behind its number.
 */

#include <bdus.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (1u << 20)
#define MAX_DRIVERS 16

struct driver {
	pthread_t thread;
	int number;
	/* Where the data is; what only this driver may see. */
	char disk[SIZE];
};

static struct driver drivers[MAX_DRIVERS];
static int on_initialize(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int fail_to_initialize(struct bdus_ctx *ctx)
{
	(void)ctx;
	return ENOSPC;
}

static int on_read(char *buffer, uint64_t offset, uint32_t size,
		   struct bdus_ctx *ctx)
{
	struct driver *driver = ctx->private_data;

	memcpy(buffer, driver->disk + offset, size);
	return 0;
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	struct driver *driver = ctx->private_data;

	memcpy(driver->disk + offset, buffer, size);
	return 0;
}

static bool run(struct driver *driver,
		int (*initialize)(struct bdus_ctx *ctx))
{
	const struct bdus_ops ops = {
		.initialize = initialize,
		.read = on_read,
		.write = on_write,
	};
	const struct bdus_attrs attrs = {
		.size = SIZE,
		.logical_block_size = 512,
		.max_concurrent_callbacks = 2,
		.dont_daemonize = true,
	};

	return bdus_run(&ops, &attrs, driver);
}

/* Messages are the thread's own, whatever the others run into. */
static void *drive(void *argument)
{
	struct driver *driver = argument;
	bool is_good = run(driver, on_initialize);

	printf("%d %s\n", driver->number,
	       is_good ? "ended" : bdus_get_error_message());
	return is_good ? NULL : driver;
}

static void *fail(void *argument)
{
	struct driver *driver = argument;

	for (int i = 0; i < 5; i++) {
		if (run(driver, fail_to_initialize) || errno != ENOSPC)
			return driver;
	}
	printf("%d %s\n", driver->number, bdus_get_error_message());
	return NULL;
}

static bool join(struct driver *driver)
{
	void *result;

	return !pthread_join(driver->thread, &result) && !result;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 0;
	bool is_good = count > 0 && count < MAX_DRIVERS;

	setlinebuf(stdout);
	for (int i = 0; is_good && i <= count; i++) {
		drivers[i].number = i;
		is_good = !pthread_create(&drivers[i].thread, NULL,
					  i < count ? drive : fail, &drivers[i]);
	}
	for (int i = 0; is_good && i <= count; i++)
		is_good = join(&drivers[i]);
	return is_good ? 0 : 1;
}
