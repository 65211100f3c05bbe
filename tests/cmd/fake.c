/* SPDX-License-Identifier: MIT */

/*
 * fake.c: a library to preload in front of libbdus, with devices that exist only
 * in environment variables, so that the commands can be tested without a kernel.
 *
 * - FAKE_DEVICES: words `id:state:service`, numbers as in bdus.h; lower ids are
 *   gone, higher ones never existed
 * - FAKE_FLUSH_SECONDS: how long a flush takes
 * - FAKE_FLUSH_UNTIL: the file whose coming ends a flush
 * - FAKE_FLUSH_ERROR: errno value of a flush
 * - FAKE_LOG: file to which flushes and destructions are appended
 * - FAKE_NO_MODULE: if set, there is no module
 * - FAKE_NO_MEMORY: which of the program's allocations fails, from 1 on
 */

#include <bdus.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char message[128];

/* glibc's own, under ours. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

/* Until the one that fails; 0 if none does. */
static uint64_t allocations_left;

static bool fail(int error, const char *text)
{
	snprintf(message, sizeof(message), "fake: %s", text);
	errno = error;
	return false;
}

static uint64_t number(const char *variable)
{
	const char *value = getenv(variable);

	return value ? strtoull(value, NULL, 10) : 0;
}

/* Not before: what comes earlier is the loader's. */
static void __attribute__((constructor)) begin_counting(void)
{
	allocations_left = number("FAKE_NO_MEMORY");
}

static bool may_allocate(void)
{
	if (allocations_left == 0 || --allocations_left > 0)
		return true;
	errno = ENOMEM;
	return false;
}

void *malloc(size_t size)
{
	return may_allocate() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
	return may_allocate() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *memory, size_t size)
{
	return may_allocate() ? __libc_realloc(memory, size) : NULL;
}

static void log_call(const char *name, uint64_t id)
{
	const char *path = getenv("FAKE_LOG");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fprintf(file, "%s %" PRIu64 "\n", name, id);
	fclose(file);
}

/* Finds the lowest device from `id` on, and whether there is any at all. */
static bool find(uint64_t id, uint64_t *found, unsigned int *state,
		 unsigned int *service)
{
	const char *rest = getenv("FAKE_DEVICES");
	int length = 0;

	while (rest && sscanf(rest, "%" SCNu64 ":%u:%u %n", found, state,
			      service, &length) == 3) {
		if (*found >= id)
			return true;
		rest += length;
	}
	return false;
}

static bool exists(uint64_t id)
{
	unsigned int state, service;
	uint64_t found;

	if (getenv("FAKE_NO_MODULE"))
		return fail(ENOENT, "no module");
	if (!find(id, &found, &state, &service))
		return fail(EINVAL, "never existed");
	return found == id || fail(ENODEV, "is gone");
}

const char *bdus_get_error_message_0_1_0_(void)
{
	return message;
}

const struct bdus_version *bdus_get_libbdus_version_0_1_0_(void)
{
	static const struct bdus_version version = { 1, 2, 3 };

	return &version;
}

bool bdus_get_kbdus_version_0_1_0_(struct bdus_version *out_version)
{
	if (getenv("FAKE_NO_MODULE"))
		return fail(ENOENT, "no module");
	*out_version = (struct bdus_version){ 4, 5, 6 };
	return true;
}

bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id,
				      const char *dev_path)
{
	if (strncmp(dev_path, "/fake/", 6) != 0)
		return fail(ENOENT, dev_path);
	*out_dev_id = strtoull(dev_path + 6, NULL, 10);
	return true;
}

bool bdus_flush_dev_0_1_0_(uint64_t dev_id)
{
	const char *until = getenv("FAKE_FLUSH_UNTIL");
	int error = number("FAKE_FLUSH_ERROR");

	if (!exists(dev_id))
		return false;
	log_call("flush", dev_id);
	sleep(number("FAKE_FLUSH_SECONDS"));
	while (until && access(until, F_OK) != 0)
		usleep(10000);
	return error == 0 || fail(error, "flush failed");
}

bool bdus_destroy_dev_0_1_0_(uint64_t dev_id)
{
	if (!exists(dev_id) && errno != ENODEV)
		return false;
	log_call("destroy", dev_id);
	return true;
}

bool bdus_get_next_dev_0_1_3_(uint64_t *dev_id)
{
	unsigned int state, service;

	if (getenv("FAKE_NO_MODULE"))
		return fail(ENOENT, "no module");
	return find(*dev_id, dev_id, &state, &service) ||
	       fail(ENOENT, "no more");
}

bool bdus_get_dev_info_0_1_3_(uint64_t dev_id, struct bdus_dev_info *out_info,
			      size_t info_size)
{
	struct bdus_dev_info info = {
		.id = dev_id, .index = 7, .major = 250, .minor = 1792,
		.driver_pid = getpid(), .protocol = "ioctl",
		.size = UINT64_C(3) << 29, .logical_block_size = 512,
		.physical_block_size = 4096, .orphan_timeout_ms = UINT32_MAX,
		.supports_read = true, .recoverable = true, .requests = 12,
		.requests_timed_out = 2, .last_gap_ns = 1500000,
	};
	unsigned int state, service;
	uint64_t found;

	if (!exists(dev_id))
		return false;
	find(dev_id, &found, &state, &service);
	info.state = state;
	info.service = service;
	snprintf(info.backend, sizeof(info.backend), "kbdus");
	snprintf(info.path, sizeof(info.path), "/dev/bdus-%" PRIu64, dev_id);
	memcpy(out_info, &info, info_size);
	return true;
}

bool bdus_get_backend_info_0_1_3_(uint32_t index,
				  struct bdus_backend_info *out_info,
				  size_t info_size)
{
	struct bdus_backend_info info = {
		.name = "kbdus", .node = "/dev/bdus-N", .min_kernel = "1.2",
		.is_built_in = true, .has_ioctl = true,
	};

	if (index > 0)
		return fail(ENOENT, "no more backends");
	info.is_usable = !getenv("FAKE_NO_MODULE");
	if (!info.is_usable)
		strcpy(info.reason, "no module");
	memcpy(out_info, &info, info_size);
	return true;
}

const char *bdus_get_dev_state_name_0_1_3_(enum bdus_dev_state state)
{
	static const char *const names[] = { "initialized", "available",
					     "terminated" };

	return names[state];
}

const char *bdus_get_service_state_name_0_1_3_(enum bdus_service_state state)
{
	static const char *const names[] = { "served", "leaving", "orphan",
					     "expired", "none" };

	return names[state];
}
