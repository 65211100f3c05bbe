/* SPDX-License-Identifier: MIT */

/*
 * info.c: everything about a device, in the words of bdus.h.
 *
 * Off the data path: bdus_get_dev_info() and the names of states. A translation
 * of what the module says, or what a backend without it says in its words; owns
 * nothing, no locks.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static void describe_state(const struct kbdus_device_info *from,
			   struct bdus_dev_info *to)
{
	const struct kbdus_device_config *device = &from->config.device;

	to->id = device->seqnum;
	to->index = device->index;
	to->major = device->major;
	to->minor = device->minor;
	to->state = from->state;
	to->service = from->service;
	to->driver_pid = from->driver_pid;
	to->openers = from->openers;
	to->read_only = from->read_only;
	snprintf(to->protocol, sizeof(to->protocol), "%.*s",
		 KBDUS_PROTOCOL_NAME_SIZE - 1, from->config.protocol.name);
}

static void describe_config(const struct kbdus_device_config *from,
			    struct bdus_dev_info *to)
{
	const uint32_t operations = from->operations;

	to->size = from->size;
	to->logical_block_size = from->logical_block_size;
	to->physical_block_size = from->physical_block_size;
	to->max_read_write_size = from->max_read_write_size;
	to->max_write_same_size = from->max_write_same_size;
	to->max_write_zeros_size = from->max_write_zeros_size;
	to->max_discard_erase_size = from->max_discard_erase_size;
	to->max_outstanding_requests = from->max_outstanding_requests;
	to->request_timeout_ms = from->request_timeout_ms;
	to->orphan_timeout_ms = from->orphan_timeout_ms;

	to->supports_read = operations & KBDUS_OP(READ);
	to->supports_write = operations & KBDUS_OP(WRITE);
	to->supports_write_same = operations & KBDUS_OP(WRITE_SAME);
	to->supports_write_zeros = operations & KBDUS_OP_WRITE_ZEROS;
	to->supports_fua_write = operations & KBDUS_OP(FUA_WRITE);
	to->supports_flush = operations & KBDUS_OP(FLUSH);
	to->supports_discard = operations & KBDUS_OP(DISCARD);
	to->supports_secure_erase = operations & KBDUS_OP(SECURE_ERASE);
	to->supports_ioctl = operations & KBDUS_OP(IOCTL);
	to->recoverable = from->flags & KBDUS_DEVICE_F_RECOVERABLE;
	to->partition_scanning = !(from->flags & KBDUS_DEVICE_F_NO_PARTITIONS);
}

/* Those of the driver that there is. */
static void describe_settings(const struct kbdus_protocol_config *from,
			      struct bdus_dev_info *to)
{
	to->concurrency = from->channel_count + from->buffer_count;
	to->spin_time_us = from->spin_us;
	to->payload_memory = from->payload_memory;
	if (from->buffer_count) {
		to->payload_memory =
			(uint64_t)from->buffer_count * from->payload_stride;
	}
}

static void describe_statistics(const struct kbdus_device_statistics *from,
				struct bdus_dev_info *to)
{
	to->requests = from->requests;
	to->requests_delivered = from->delivered;
	to->requests_succeeded = from->succeeded;
	to->requests_failed = from->failed;
	to->requests_requeued = from->requeued;
	to->requests_timed_out = from->timed_out;
	to->requests_terminated = from->terminated;
	to->requests_cancelled = from->cancelled;
	to->late_replies = from->late_replies;
	to->bad_replies = from->bad_replies;
	to->sessions = from->sessions;
	to->last_gap_ns = from->last_gap_ns;
	to->orphaned_ns = from->orphaned_ns;
	to->requests_queued_now = from->queued_now;
	to->requests_with_driver_now = from->with_driver_now;
}

/* Translate what the module says about a device. Path and backend are left to the
 * caller. */
void libbdus_info_translate(const struct kbdus_device_info *from,
			    struct bdus_dev_info *to)
{
	*to = (struct bdus_dev_info){ 0 };
	describe_state(from, to);
	describe_config(&from->config.device, to);
	describe_settings(&from->config.protocol, to);
	describe_statistics(&from->statistics, to);
	to->memory = from->memory;
}

static int get_info(uint64_t dev_id, struct bdus_dev_info *out, size_t size)
{
	const struct libbdus_backend *backend;
	struct bdus_dev_info info;
	int ret;

	ret = libbdus_backend_of(dev_id, &backend);
	if (!ret)
		ret = backend->management->get_info(backend, dev_id, &info);
	if (!ret)
		memcpy(out, &info, size);
	return ret;
}

/*
 * The size is that of the caller's structure, which ends earlier than ours if the
 * caller was compiled with an earlier header. A later header comes with a later
 * library.
 */
LIBBDUS_EXPORT bool bdus_get_dev_info_0_1_3_(uint64_t dev_id,
					     struct bdus_dev_info *out_info,
					     size_t info_size)
{
	const int errno_on_entry = errno;
	int ret;

	if (info_size > sizeof(*out_info)) {
		ret = libbdus_error(EINVAL,
			"The program needs a later version of libbdus.");
	} else {
		ret = get_info(dev_id, out_info, info_size);
	}

	return libbdus_error_report(ret, errno_on_entry);
}

LIBBDUS_EXPORT const char *
bdus_get_dev_state_name_0_1_3_(enum bdus_dev_state state)
{
	switch (state) {
	case BDUS_DEV_STATE_INITIALIZED:
		return "initialized";
	case BDUS_DEV_STATE_AVAILABLE:
		return "available";
	case BDUS_DEV_STATE_TERMINATED:
		return "terminated";
	}

	return "unknown";
}

LIBBDUS_EXPORT const char *
bdus_get_service_state_name_0_1_3_(enum bdus_service_state state)
{
	switch (state) {
	case BDUS_SERVICE_STATE_SERVED:
		return "served";
	case BDUS_SERVICE_STATE_LEAVING:
		return "leaving";
	case BDUS_SERVICE_STATE_ORPHAN:
		return "orphan";
	case BDUS_SERVICE_STATE_EXPIRED:
		return "expired";
	case BDUS_SERVICE_STATE_NONE:
		return "none";
	}

	return "unknown";
}
