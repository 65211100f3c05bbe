// SPDX-License-Identifier: GPL-2.0-only
/*
 * config.c: what a device is to be: checks it, fills in what was left open, and
 * says it in the block layer's terms. Called by session.c and device.c while a
 * device is created. Pure: no state, no locks.
 */
#include <linux/blkdev.h>
#include <linux/log2.h>
#include <linux/math.h>

#include "config.h"

static_assert(sizeof(struct kbdus_version) == 16);
static_assert(sizeof(struct kbdus_device_config) == 128);
static_assert(sizeof(struct kbdus_protocol_config) == 128);
static_assert(sizeof(struct kbdus_attachment) == 320);
static_assert(sizeof(struct kbdus_device_statistics) == 128);
static_assert(sizeof(struct kbdus_device_info) == 512);

/* Request types with a range and data, in the order of their limits. */
#define OPS_READ_WRITE (KBDUS_OP(READ) | KBDUS_OP(WRITE) | KBDUS_OP(FUA_WRITE))
#define OPS_DISCARD_ERASE (KBDUS_OP(DISCARD) | KBDUS_OP(SECURE_ERASE))

/* The largest device that a file offset can address. */
#define LARGEST_SIZE ((u64)LLONG_MAX & ~((u64)SECTOR_SIZE - 1))

static bool block_sizes_adjust(struct kbdus_device_config *config)
{
	u32 logical = config->logical_block_size;
	u32 physical = config->physical_block_size ?: logical;

	if (!is_power_of_2(logical) || logical < SECTOR_SIZE ||
	    logical > PAGE_SIZE)
		return false;
	if (!is_power_of_2(physical) || physical < logical ||
	    physical > PAGE_SIZE)
		return false;
	config->physical_block_size = physical;
	return true;
}

static bool size_is_valid(const struct kbdus_device_config *config)
{
	return config->size && config->size <= LARGEST_SIZE &&
	       IS_ALIGNED(config->size, config->physical_block_size);
}

static bool operations_are_valid(u32 operations)
{
	u32 zeros = operations & KBDUS_OP_WRITE_ZEROS;

	if (operations & ~KBDUS_OP_ALL)
		return false;
	if (zeros && zeros != KBDUS_OP_WRITE_ZEROS)
		return false;
	return !(operations & KBDUS_OP(FUA_WRITE)) ||
	       (operations & KBDUS_OP(FLUSH));
}

static bool read_write_size_adjust(struct kbdus_device_config *config)
{
	u32 size = config->max_read_write_size;

	if (size && size < PAGE_SIZE)
		return false;
	if (!(config->operations & OPS_READ_WRITE))
		size = 0;
	else if (!size)
		size = KBDUS_DEFAULT_READ_WRITE_SIZE;
	size = min(size, KBDUS_MAX_READ_WRITE_SIZE);
	config->max_read_write_size =
		round_down(size, config->logical_block_size);
	return true;
}

/* The limits of requests without data per byte: 0 stands for "no limit". */
static bool range_size_adjust(const struct kbdus_device_config *config,
			      u32 operations, u32 *size)
{
	if (*size && *size < config->logical_block_size)
		return false;
	if (!(config->operations & operations))
		*size = 0;
	else
		*size = round_down(*size ?: U32_MAX,
				   config->logical_block_size);
	return true;
}

/**
 * kbdus_config_adjust() - checks a configuration and completes it
 * @config: as user space handed it in
 *
 * Return: 0, or -EINVAL with @config in an undefined state.
 */
int kbdus_config_adjust(struct kbdus_device_config *config)
{
	if (config->seqnum || config->index || config->major || config->minor ||
	    config->flags & ~KBDUS_DEVICE_F_ALL ||
	    !kbdus_config_is_zero(config->reserved))
		return -EINVAL;
	if (!block_sizes_adjust(config) || !size_is_valid(config) ||
	    !operations_are_valid(config->operations))
		return -EINVAL;
	if (!read_write_size_adjust(config) ||
	    !range_size_adjust(config, KBDUS_OP(WRITE_SAME),
			       &config->max_write_same_size) ||
	    !range_size_adjust(config, KBDUS_OP_WRITE_ZEROS,
			       &config->max_write_zeros_size) ||
	    !range_size_adjust(config, OPS_DISCARD_ERASE,
			       &config->max_discard_erase_size))
		return -EINVAL;
	if (!config->max_outstanding_requests)
		return -EINVAL;
	config->max_outstanding_requests =
		min_t(u32, config->max_outstanding_requests,
		      KBDUS_MAX_OUTSTANDING_REQUESTS);
	return 0;
}

/**
 * kbdus_config_is_read_only() - whether nothing can be written to a device
 * @config: its configuration
 *
 * Return: true if it has no operation that changes anything.
 */
bool kbdus_config_is_read_only(const struct kbdus_device_config *config)
{
	return !(config->operations & KBDUS_OP_WRITE_LIKE);
}

/**
 * kbdus_config_get_limits() - says a configuration in the block layer's terms
 * @config: an adjusted configuration
 * @limits: filled in
 */
void kbdus_config_get_limits(const struct kbdus_device_config *config,
			     struct queue_limits *limits)
{
	*limits = (struct queue_limits){
		.logical_block_size = config->logical_block_size,
		.physical_block_size = config->physical_block_size,
		.io_min = config->physical_block_size,
		/* The block layer wants room for a page, data or not. */
		.max_hw_sectors = max_t(u32, config->max_read_write_size,
					PAGE_SIZE) >> SECTOR_SHIFT,
		/* Pages are copied one by one: any shape of request will do. */
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
	};

	kbdus_limit_write_same(limits,
			       config->max_write_same_size >> SECTOR_SHIFT);
	limits->max_write_zeroes_sectors =
		config->max_write_zeros_size >> SECTOR_SHIFT;
	if (config->operations & KBDUS_OP(DISCARD)) {
		limits->max_hw_discard_sectors =
			config->max_discard_erase_size >> SECTOR_SHIFT;
		limits->discard_granularity = config->logical_block_size;
	}
	if (config->operations & KBDUS_OP(SECURE_ERASE))
		limits->max_secure_erase_sectors =
			config->max_discard_erase_size >> SECTOR_SHIFT;
	if (config->operations & KBDUS_OP(FLUSH))
		limits->features |= BLK_FEAT_WRITE_CACHE;
	if (config->operations & KBDUS_OP(FUA_WRITE))
		limits->features |= BLK_FEAT_FUA;
}
