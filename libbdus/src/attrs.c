/* SPDX-License-Identifier: MIT */

/*
 * attrs.c: struct bdus_attrs in and out of the module's terms.
 *
 * Called by run.c: before the control device is touched, so that a bad argument
 * is reported as such with or without module and privileges, and again with the
 * device's configuration, from which callbacks get the values that really apply.
 * Pure: no state, no system call but for the page size. The module checks
 * everything once more and has the last word on adjustment.
 */

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "internal.h"

/* The most that the kernel can address. */
#define LARGEST_SIZE ((uint64_t)INT64_MAX & ~(uint64_t)511)

static uint32_t page_size(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

static bool is_power_of_two(uint32_t value)
{
	return value && !(value & (value - 1));
}

static int validate_block_sizes(const struct bdus_attrs *attrs)
{
	const uint32_t logical = attrs->logical_block_size;
	const uint32_t physical = attrs->physical_block_size;

	if (!is_power_of_two(logical) || logical < 512 ||
	    logical > page_size()) {
		return libbdus_error(EINVAL,
			"Attribute logical_block_size is %" PRIu32
			" but must be a power of two from 512 to the page size, %"
			PRIu32 ".", logical, page_size());
	}

	if (physical && (!is_power_of_two(physical) || physical < logical ||
			 physical > page_size())) {
		return libbdus_error(EINVAL,
			"Attribute physical_block_size is %" PRIu32
			" but must be 0 or a power of two from logical_block_size, %"
			PRIu32 ", to the page size, %" PRIu32 ".",
			physical, logical, page_size());
	}

	return 0;
}

static int validate_limit(const char *name, uint32_t value, uint32_t minimum)
{
	if (value && value < minimum) {
		return libbdus_error(EINVAL,
			"Attribute %s is %" PRIu32
			" but must be 0 or at least %" PRIu32 ".",
			name, value, minimum);
	}

	return 0;
}

/* Check what bdus_run() demands. */
int libbdus_attrs_validate(const struct bdus_attrs *attrs)
{
	const uint32_t logical = attrs->logical_block_size;
	const uint32_t physical =
		attrs->physical_block_size ? attrs->physical_block_size : logical;
	int ret;

	ret = validate_block_sizes(attrs);
	if (ret)
		return ret;

	if (!attrs->size || attrs->size % physical ||
	    attrs->size > LARGEST_SIZE) {
		return libbdus_error(EINVAL,
			"Attribute size is %" PRIu64
			" but must be a positive multiple of the physical block size, %"
			PRIu32 ", and at most %" PRIu64 ".",
			attrs->size, physical, LARGEST_SIZE);
	}

	ret = validate_limit("max_read_write_size", attrs->max_read_write_size,
			     page_size());
	if (!ret)
		ret = validate_limit("max_write_same_size",
				     attrs->max_write_same_size, logical);
	if (!ret)
		ret = validate_limit("max_write_zeros_size",
				     attrs->max_write_zeros_size, logical);
	if (!ret)
		ret = validate_limit("max_discard_erase_size",
				     attrs->max_discard_erase_size, logical);
	return ret;
}

static int require_equal(const char *name, uint64_t value, uint64_t device)
{
	if (value && value != device) {
		return libbdus_error(EINVAL,
			"Attribute %s is %" PRIu64
			" but must be 0 or that of the device, %" PRIu64 ".",
			name, value, device);
	}

	return 0;
}

/*
 * Check what bdus_rerun() demands. The fields that it is documented to ignore
 * are not looked at.
 */
int libbdus_attrs_validate_rerun(const struct bdus_attrs *attrs,
				 const struct kbdus_device_config *device)
{
	int ret;

	ret = require_equal("logical_block_size", attrs->logical_block_size,
			    device->logical_block_size);
	if (!ret)
		ret = require_equal("physical_block_size",
				    attrs->physical_block_size,
				    device->physical_block_size);
	if (!ret)
		ret = require_equal("size", attrs->size, device->size);
	if (!ret)
		ret = validate_limit("max_read_write_size",
				     attrs->max_read_write_size,
				     device->max_read_write_size);
	if (!ret)
		ret = validate_limit("max_write_same_size",
				     attrs->max_write_same_size,
				     device->max_write_same_size);
	if (!ret)
		ret = validate_limit("max_write_zeros_size",
				     attrs->max_write_zeros_size,
				     device->max_write_zeros_size);
	if (!ret)
		ret = validate_limit("max_discard_erase_size",
				     attrs->max_discard_erase_size,
				     device->max_discard_erase_size);
	return ret;
}

/*
 * How deep the device's queue should be, if nothing is said: so that each worker
 * finds a next request when it has answered one.
 */
static uint32_t outstanding_requests(const struct bdus_attrs *attrs,
				     uint32_t operations)
{
	const uint32_t callbacks = attrs->max_concurrent_callbacks;

	if (!operations)
		return 1;
	if (attrs->queue_depth > KBDUS_MAX_OUTSTANDING_REQUESTS)
		return KBDUS_MAX_OUTSTANDING_REQUESTS;
	if (attrs->queue_depth)
		return attrs->queue_depth;
	if (!callbacks)
		return 2;
	if (callbacks > KBDUS_MAX_OUTSTANDING_REQUESTS / 2)
		return KBDUS_MAX_OUTSTANDING_REQUESTS;
	return 2 * callbacks;
}

/* Say in the module's terms what the device should be. */
void libbdus_attrs_to_device(const struct bdus_attrs *attrs,
			     uint32_t operations,
			     struct kbdus_device_config *device)
{
	*device = (struct kbdus_device_config){
		.size = attrs->size,
		.logical_block_size = attrs->logical_block_size,
		.physical_block_size = attrs->physical_block_size,
		.operations = operations,
		.max_read_write_size = attrs->max_read_write_size,
		.max_write_same_size = attrs->max_write_same_size,
		.max_write_zeros_size = attrs->max_write_zeros_size,
		.max_discard_erase_size = attrs->max_discard_erase_size,
		.max_outstanding_requests =
			outstanding_requests(attrs, operations),
		.request_timeout_ms = attrs->request_timeout_ms,
		.orphan_timeout_ms = attrs->orphan_timeout_ms,
	};

	if (attrs->recoverable)
		device->flags |= KBDUS_DEVICE_F_RECOVERABLE;
	if (attrs->disable_partition_scanning)
		device->flags |= KBDUS_DEVICE_F_NO_PARTITIONS;
}

/*
 * Replace what the user asked for by what the device is. Only what concerns the
 * driver alone stays: dont_daemonize, log, and the number of callbacks, of which
 * more than requests make no sense.
 */
void libbdus_attrs_from_device(struct bdus_attrs *attrs,
			       const struct kbdus_device_config *device)
{
	attrs->logical_block_size = device->logical_block_size;
	attrs->physical_block_size = device->physical_block_size;
	attrs->size = device->size;
	attrs->max_read_write_size = device->max_read_write_size;
	attrs->max_write_same_size = device->max_write_same_size;
	attrs->max_write_zeros_size = device->max_write_zeros_size;
	attrs->max_discard_erase_size = device->max_discard_erase_size;
	attrs->disable_partition_scanning =
		device->flags & KBDUS_DEVICE_F_NO_PARTITIONS;
	attrs->recoverable = device->flags & KBDUS_DEVICE_F_RECOVERABLE;
	attrs->request_timeout_ms = device->request_timeout_ms;
	attrs->orphan_timeout_ms = device->orphan_timeout_ms;
	attrs->queue_depth = device->max_outstanding_requests;

	if (attrs->max_concurrent_callbacks > device->max_outstanding_requests)
		attrs->max_concurrent_callbacks =
			device->max_outstanding_requests;
	if (!attrs->max_concurrent_callbacks)
		attrs->max_concurrent_callbacks = 1;
}

/* The limits of requests without data per byte: 0 stands for "no limit". */
static void adjust_range_size(const struct kbdus_device_config *device,
			      uint32_t operations, uint32_t *size)
{
	if (!(device->operations & operations))
		*size = 0;
	else if (!*size)
		*size = UINT32_MAX;
	*size -= *size % device->logical_block_size;
}

static void adjust_read_write_size(struct kbdus_device_config *device)
{
	uint32_t size = device->max_read_write_size;

	if (!(device->operations & (KBDUS_OP(READ) | KBDUS_OP(WRITE) |
				    KBDUS_OP(FUA_WRITE))))
		size = 0;
	else if (!size)
		size = KBDUS_DEFAULT_READ_WRITE_SIZE;
	if (size > KBDUS_MAX_READ_WRITE_SIZE)
		size = KBDUS_MAX_READ_WRITE_SIZE;
	device->max_read_write_size = size - size % device->logical_block_size;
}

/*
 * Complete what libbdus_attrs_to_device() made of valid attributes, by the
 * module's rules, for a backend that has no module to do it.
 */
void libbdus_attrs_adjust(struct kbdus_device_config *device)
{
	if (!device->physical_block_size)
		device->physical_block_size = device->logical_block_size;
	adjust_read_write_size(device);
	adjust_range_size(device, KBDUS_OP(WRITE_SAME),
			  &device->max_write_same_size);
	adjust_range_size(device, KBDUS_OP_WRITE_ZEROS,
			  &device->max_write_zeros_size);
	adjust_range_size(device, KBDUS_OP(DISCARD) | KBDUS_OP(SECURE_ERASE),
			  &device->max_discard_erase_size);
}
