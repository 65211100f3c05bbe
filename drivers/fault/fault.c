/* SPDX-License-Identifier: MIT */

/*
 * fault.c: a device that misbehaves as it is told to, for tests.
 *
 * Each callback goes the same way: it is counted, the rules for before apply,
 * it does its work on the store, the rules for after apply, it is recorded. The
 * rules are in rules.c, the data in store.c, the record in record.c; the ioctls
 * that it answers are described in ioctls.h.
 */

#include "driver.h"
#include "ioctls.h"
#include "record.h"
#include "rules.h"
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bits by enum event: the callbacks that `ops=` leaves. */
static uint32_t operations = (1u << EVENT_ANY) - 1;
static unsigned long long ioctl_count;
/* NULL: none. */
static const char *file_path;
static const char *record_path;

static bool set_on(const char *value, struct driver_run *run)
{
	(void)run;
	return rules_add(value);
}

static bool set_file(const char *value, struct driver_run *run)
{
	(void)run;
	file_path = value;
	return *value != '\0';
}

static bool set_record(const char *value, struct driver_run *run)
{
	(void)run;
	record_path = value;
	return *value != '\0';
}

static bool set_ops(const char *value, struct driver_run *run)
{
	(void)run;
	operations = 0;
	while (*value) {
		size_t length = strcspn(value, ",");
		enum event event = event_find(value, length);

		if (event >= EVENT_ANY)
			return false;
		operations |= 1u << event;
		value += length;
		value += *value == ',';
	}
	return true;
}

static bool set_limit(const char *value, uint32_t *limit)
{
	uint64_t number;

	if (!driver_parse_size(value, UINT32_MAX, &number))
		return false;
	*limit = number;
	return true;
}

static bool set_max_write_same(const char *value, struct driver_run *run)
{
	return set_limit(value, &run->attrs.max_write_same_size);
}

static bool set_max_write_zeros(const char *value, struct driver_run *run)
{
	return set_limit(value, &run->attrs.max_write_zeros_size);
}

static bool set_max_discard_erase(const char *value, struct driver_run *run)
{
	return set_limit(value, &run->attrs.max_discard_erase_size);
}

static const struct driver_option options[] = {
	{ "on", "TYPE:N:ACTION[:after]", "misbehave; see bdus-fault(1)",
	  set_on },
	{ "file", "PATH", "keep the data in a file (default: in memory)",
	  set_file },
	{ "record", "PATH", "append a line for each callback", set_record },
	{ "ops", "LIST", "callbacks to have, with commas (default: all)",
	  set_ops },
	{ "max-write-same-size", "SIZE", "largest write_same",
	  set_max_write_same },
	{ "max-write-zeros-size", "SIZE", "largest write_zeros",
	  set_max_write_zeros },
	{ "max-discard-erase-size", "SIZE", "largest discard, secure_erase",
	  set_max_discard_erase },
	{ NULL, NULL, NULL, NULL },
};

/* A callback under way. */
struct call {
	struct occurrence occurrence;
	char line[128];
};

/* Returns 0 if the work is to be done. `format` describes the arguments. */
static int begin(struct call *call, enum event event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int begin(struct call *call, enum event event, const char *format, ...)
{
	int length = snprintf(call->line, sizeof(call->line), "%s",
			      event_name(event));
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->line + length, sizeof(call->line) - length, format,
		  arguments);
	va_end(arguments);
	call->occurrence = rules_count(event);
	return rules_apply(&call->occurrence, false);
}

/* Returns what the callback must return. */
static int end(const struct call *call, int result)
{
	int other = rules_apply(&call->occurrence, true);

	if (other != 0)
		result = other;
	record_line(call->line, result);
	return result;
}

static int begin_range(struct call *call, enum event event, uint64_t offset,
		       uint32_t size)
{
	return begin(call, event, " %" PRIu64 " %" PRIu32, offset, size);
}

static int fault_initialize(struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_INITIALIZE, "%s", "");

	if (result == 0)
		result = store_prepare(ctx->attrs->size);
	return end(&call, result);
}

static int fault_on_device_available(struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_AVAILABLE, "%s", "");

	(void)ctx;
	return end(&call, result);
}

static int fault_terminate(struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_TERMINATE, "%s", "");

	(void)ctx;
	return end(&call, result);
}

static int fault_read(char *buffer, uint64_t offset, uint32_t size,
		      struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin_range(&call, EVENT_READ, offset, size);

	(void)ctx;
	if (result == 0)
		result = store_read(buffer, offset, size);
	return end(&call, result);
}

static int fault_write(const char *buffer, uint64_t offset, uint32_t size,
		       struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin_range(&call, EVENT_WRITE, offset, size);

	(void)ctx;
	if (result == 0)
		result = store_write(buffer, offset, size);
	return end(&call, result);
}

static int fault_write_same(const char *buffer, uint64_t offset, uint32_t size,
			    struct bdus_ctx *ctx)
{
	uint32_t block_size = ctx->attrs->logical_block_size;
	struct call call;
	int result = begin_range(&call, EVENT_WRITE_SAME, offset, size);

	for (uint32_t i = 0; i < size && result == 0; i += block_size)
		result = store_write(buffer, offset + i, block_size);
	return end(&call, result);
}

static int fault_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			     struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_WRITE_ZEROS, " %" PRIu64 " %" PRIu32 "%s",
			   offset, size, may_unmap ? " may_unmap" : "");

	(void)ctx;
	if (result == 0)
		result = store_clear(offset, size, may_unmap);
	return end(&call, result);
}

static int fault_fua_write(const char *buffer, uint64_t offset, uint32_t size,
			   struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin_range(&call, EVENT_FUA_WRITE, offset, size);

	(void)ctx;
	if (result == 0)
		result = store_write(buffer, offset, size);
	if (result == 0)
		result = store_flush();
	return end(&call, result);
}

static int fault_flush(struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_FLUSH, "%s", "");

	(void)ctx;
	if (result == 0)
		result = store_flush();
	return end(&call, result);
}

static int fault_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin_range(&call, EVENT_DISCARD, offset, size);

	(void)ctx;
	if (result == 0)
		result = store_clear(offset, size, true);
	return end(&call, result);
}

static int fault_secure_erase(uint64_t offset, uint32_t size,
			      struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin_range(&call, EVENT_SECURE_ERASE, offset, size);

	(void)ctx;
	if (result == 0)
		result = store_clear(offset, size, true);
	return end(&call, result);
}

static int check_bytes(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (uint8_t)i)
			return EILSEQ;
	return 0;
}

static int fill_bytes(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0)
			return EILSEQ;
		bytes[i] = i;
	}
	return 0;
}

static int invert_bytes(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = ~bytes[i];
	return 0;
}

static int fail_as_told(int32_t *number)
{
	int32_t result = *number;

	*number = 77;
	return result;
}

/* The command without its size, which may be any for some of them. */
#define WITHOUT_SIZE(command) ((command) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))

static int serve_ioctl(uint32_t command, void *argument)
{
	size_t size = _IOC_SIZE(command);

	switch (command) {
	case FAULT_IOCTL_COUNT:
		__atomic_add_fetch(&ioctl_count, 1, __ATOMIC_RELAXED);
		return 0;
	case FAULT_IOCTL_GET_COUNT:
		*(uint64_t *)argument =
			__atomic_load_n(&ioctl_count, __ATOMIC_RELAXED);
		return 0;
	case FAULT_IOCTL_FAIL:
		return fail_as_told(argument);
	}
	switch (WITHOUT_SIZE(command)) {
	case WITHOUT_SIZE(FAULT_IOCTL_CHECK):
		return check_bytes(argument, size);
	case WITHOUT_SIZE(FAULT_IOCTL_FILL):
		return fill_bytes(argument, size);
	case WITHOUT_SIZE(FAULT_IOCTL_INVERT):
		return invert_bytes(argument, size);
	}
	return ENOTTY;
}

static int fault_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	struct call call;
	int result = begin(&call, EVENT_IOCTL, " 0x%08" PRIx32, command);

	(void)ctx;
	if (result == 0)
		result = serve_ioctl(command, argument);
	return end(&call, result);
}

static const struct bdus_ops ops = {
	.initialize = fault_initialize,
	.on_device_available = fault_on_device_available,
	.terminate = fault_terminate,
	.read = fault_read,
	.write = fault_write,
	.write_same = fault_write_same,
	.write_zeros = fault_write_zeros,
	.fua_write = fault_fua_write,
	.flush = fault_flush,
	.discard = fault_discard,
	.secure_erase = fault_secure_erase,
	.ioctl = fault_ioctl,
};

static const struct driver driver;

static bool has(enum event event)
{
	return operations & (1u << event);
}

static void choose_operations(struct bdus_ops *chosen)
{
	if (!has(EVENT_READ))
		chosen->read = NULL;
	if (!has(EVENT_WRITE))
		chosen->write = NULL;
	if (!has(EVENT_WRITE_SAME))
		chosen->write_same = NULL;
	if (!has(EVENT_WRITE_ZEROS))
		chosen->write_zeros = NULL;
	if (!has(EVENT_FUA_WRITE))
		chosen->fua_write = NULL;
	if (!has(EVENT_FLUSH))
		chosen->flush = NULL;
	if (!has(EVENT_DISCARD))
		chosen->discard = NULL;
	if (!has(EVENT_SECURE_ERASE))
		chosen->secure_erase = NULL;
	if (!has(EVENT_IOCTL))
		chosen->ioctl = NULL;
}

static int open_files(void)
{
	int error = file_path ? store_open_file(file_path) : 0;

	if (error != 0) {
		driver_error("%s: %s", file_path, strerror(error));
		return DRIVER_EXIT_FAILURE;
	}
	error = record_path ? record_open(record_path) : 0;
	if (error != 0) {
		driver_error("%s: %s", record_path, strerror(error));
		return DRIVER_EXIT_FAILURE;
	}
	return DRIVER_EXIT_OK;
}

static int fault_prepare(struct driver_run *run)
{
	int status = open_files();

	if (status != DRIVER_EXIT_OK)
		return status;
	choose_operations(&run->ops);
	if (run->attrs.size == 0 && !run->is_replacement)
		run->attrs.size = store_file_size();
	if (run->attrs.size == 0 && !run->is_replacement)
		return driver_usage_error(&driver,
					  "size= is missing, e.g. size=64M");
	return DRIVER_EXIT_OK;
}

static const struct driver driver = {
	.name = "fault",
	.summary = DRIVER_SUMMARY("misbehaves as it is told to, for tests"),
	.options = options,
	.ops = &ops,
	.concurrency = 16,
	.prepare = fault_prepare,
};

int main(int argc, char **argv)
{
	return driver_main(&driver, argc, argv);
}
