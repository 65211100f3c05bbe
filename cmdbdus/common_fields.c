/* SPDX-License-Identifier: MIT */

/*
 * common_fields.c: the one table of a device's properties.
 *
 * Columns and JSON keys of `bdus list` and `bdus info` and the options of
 * `bdus-info` are made from it, so that a property has one name everywhere. A
 * new one needs a line here and one in the man pages.
 */

#include "common.h"

#include <string.h>
#include <strings.h>

static const char *text_name(const struct device *device)
{
	const char *slash = strrchr(device->info.path, '/');

	return slash ? slash + 1 : device->info.path;
}

static const char *text_path(const struct device *device)
{
	return device->info.path;
}

static const char *text_state(const struct device *device)
{
	return device->state;
}

static const char *text_service(const struct device *device)
{
	return device->service;
}

static const char *text_driver(const struct device *device)
{
	return device->driver;
}

static const char *text_protocol(const struct device *device)
{
	return device->info.protocol;
}

static const char *text_backend(const struct device *device)
{
	return device->info.backend;
}

static const char *text_mountpoints(const struct device *device)
{
	return device->mountpoints ? device->mountpoints : "";
}

#define MEMBER_SIZE(member) sizeof(((struct bdus_dev_info *)0)->member)
#define AT(member)                                                             \
	offsetof(struct device, info) + offsetof(struct bdus_dev_info, member),\
		MEMBER_SIZE(member), NULL
#define WORD(member, text)                                                     \
	offsetof(struct device, info) + offsetof(struct bdus_dev_info, member),\
		MEMBER_SIZE(member), text
#define TEXT(text) 0, 0, text

const struct field fields[] = {
	{ "path", FIELD_TEXT, TEXT(text_path), "path of the node" },
	{ "name", FIELD_TEXT, TEXT(text_name), "name of the node" },
	{ "id", FIELD_NUMBER, AT(id), "number that names the device for ever" },
	{ "index", FIELD_NUMBER, AT(index), "slot that the device occupies" },
	{ "major", FIELD_NUMBER, AT(major), "major number of the node" },
	{ "minor", FIELD_NUMBER, AT(minor), "minor number of the node" },
	{ "size", FIELD_BYTES, AT(size), "size" },
	{ "state", FIELD_WORD, WORD(state, text_state), "state of the device" },
	{ "service", FIELD_WORD, WORD(service, text_service), "who serves it" },
	{ "driver-pid", FIELD_NUMBER, AT(driver_pid), "process of the driver" },
	{ "driver", FIELD_TEXT, TEXT(text_driver), "name of that process" },
	{ "backend", FIELD_TEXT, TEXT(text_backend), "what made the device" },
	{ "protocol", FIELD_TEXT, TEXT(text_protocol),
	  "how the driver talks to the module" },
	{ "recoverable", FIELD_BOOL, AT(recoverable),
	  "whether it outlives its driver" },
	{ "read-only", FIELD_BOOL, AT(read_only), "whether clients can only read" },
	{ "openers", FIELD_NUMBER, AT(openers), "how often it is open" },
	{ "mountpoints", FIELD_LINES, TEXT(text_mountpoints),
	  "where it and its partitions are mounted" },
	{ "logical-block-size", FIELD_BYTES, AT(logical_block_size),
	  "smallest unit clients can access" },
	{ "physical-block-size", FIELD_BYTES, AT(physical_block_size),
	  "smallest unit that is cheap to write" },
	{ "max-read-write-size", FIELD_BYTES, AT(max_read_write_size),
	  "largest read or write" },
	{ "max-write-same-size", FIELD_BYTES, AT(max_write_same_size),
	  "largest write of one block to many" },
	{ "max-write-zeros-size", FIELD_BYTES, AT(max_write_zeros_size),
	  "largest write of zeros" },
	{ "max-discard-erase-size", FIELD_BYTES, AT(max_discard_erase_size),
	  "largest discard or secure erase" },
	{ "max-outstanding-requests", FIELD_NUMBER, AT(max_outstanding_requests),
	  "requests that can be under way" },
	{ "concurrency", FIELD_NUMBER, AT(concurrency),
	  "threads that can serve at a time" },
	{ "spin-time-us", FIELD_NUMBER, AT(spin_time_us),
	  "microseconds that they look for requests before they sleep" },
	{ "payload-memory", FIELD_BYTES, AT(payload_memory),
	  "shared memory for what requests carry" },
	{ "memory", FIELD_BYTES, AT(memory),
	  "what requests and shared memory take in all" },
	{ "request-timeout-ms", FIELD_MILLISECONDS, AT(request_timeout_ms),
	  "when an unanswered request fails" },
	{ "orphan-timeout-ms", FIELD_MILLISECONDS, AT(orphan_timeout_ms),
	  "how long requests wait for a successor" },
	{ "partition-scanning", FIELD_BOOL, AT(partition_scanning),
	  "whether it can have partitions" },
	{ "supports-read", FIELD_BOOL, AT(supports_read), "can read" },
	{ "supports-write", FIELD_BOOL, AT(supports_write), "can write" },
	{ "supports-write-same", FIELD_BOOL, AT(supports_write_same),
	  "can write one block to many" },
	{ "supports-write-zeros", FIELD_BOOL, AT(supports_write_zeros),
	  "can write zeros" },
	{ "supports-fua-write", FIELD_BOOL, AT(supports_fua_write),
	  "can write durably" },
	{ "supports-flush", FIELD_BOOL, AT(supports_flush), "can flush" },
	{ "supports-discard", FIELD_BOOL, AT(supports_discard), "can discard" },
	{ "supports-secure-erase", FIELD_BOOL, AT(supports_secure_erase),
	  "can erase securely" },
	{ "supports-ioctl", FIELD_BOOL, AT(supports_ioctl),
	  "has ioctls of its own" },
	{ "requests", FIELD_NUMBER, AT(requests), "requests made" },
	{ "delivered", FIELD_NUMBER, AT(requests_delivered),
	  "requests handed to a driver, repetitions included" },
	{ "succeeded", FIELD_NUMBER, AT(requests_succeeded),
	  "requests answered without an error" },
	{ "failed", FIELD_NUMBER, AT(requests_failed),
	  "requests answered with an error" },
	{ "requeued", FIELD_NUMBER, AT(requests_requeued),
	  "requests put back for the next driver" },
	{ "timed-out", FIELD_NUMBER, AT(requests_timed_out),
	  "requests that nobody answered in time" },
	{ "terminated", FIELD_NUMBER, AT(requests_terminated),
	  "requests ended with the device" },
	{ "cancelled", FIELD_NUMBER, AT(requests_cancelled),
	  "ioctls given up by their callers" },
	{ "late-replies", FIELD_NUMBER, AT(late_replies),
	  "replies that nobody waited for any more" },
	{ "bad-replies", FIELD_NUMBER, AT(bad_replies), "replies refused" },
	{ "sessions", FIELD_NUMBER, AT(sessions), "drivers so far" },
	{ "last-gap-ns", FIELD_NANOSECONDS, AT(last_gap_ns),
	  "time without a driver at the last change" },
	{ "orphaned-ns", FIELD_NANOSECONDS, AT(orphaned_ns),
	  "time since it lost its driver" },
	{ "queued-now", FIELD_NUMBER, AT(requests_queued_now),
	  "requests waiting for a driver" },
	{ "with-driver-now", FIELD_NUMBER, AT(requests_with_driver_now),
	  "requests in the hands of the driver" },
	{ NULL, FIELD_NUMBER, TEXT(NULL), NULL },
};

const size_t field_count = sizeof(fields) / sizeof(fields[0]) - 1;

const struct field *field_find(const char *key, size_t length)
{
	for (const struct field *field = fields; field->key; field++)
		if (strlen(field->key) == length &&
		    strncasecmp(field->key, key, length) == 0)
			return field;
	return NULL;
}

uint64_t field_number(const struct field *field, const struct device *device)
{
	const char *place = (const char *)device + field->offset;
	uint64_t number = 0;
	uint32_t word;
	bool flag;

	switch (field->size) {
	case sizeof(number):
		memcpy(&number, place, sizeof(number));
		return number;
	case sizeof(word):
		memcpy(&word, place, sizeof(word));
		return word;
	default:
		memcpy(&flag, place, sizeof(flag));
		return flag;
	}
}
