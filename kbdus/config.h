/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_CONFIG_H
#define KBDUS_CONFIG_H

#include <linux/blkdev.h>
#include <linux/string.h>

#include "kbdus.h"

/**
 * kbdus_config_is_zero() - whether named padding is what it must be
 * @array: the padding, an array, not a pointer; a copy that nobody changes
 *
 * Context: any.
 *
 * Return: true if all of it is zero.
 */
#define kbdus_config_is_zero(array) (!memchr_inv((array), 0, sizeof(array)))

/**
 * kbdus_config_is_plain() - whether a session asks for nothing but a protocol
 * @config: a copy of what the driver handed in
 *
 * For protocols without settings: they refuse anything else with -EINVAL.
 *
 * Context: any.
 *
 * Return: true if all that follows the name is zero.
 */
static inline bool
kbdus_config_is_plain(const struct kbdus_protocol_config *config)
{
	return !memchr_inv(config->name + sizeof(config->name), 0,
			   sizeof(*config) - sizeof(config->name));
}

int kbdus_config_adjust(struct kbdus_device_config *config);
void kbdus_config_get_limits(const struct kbdus_device_config *config,
			     struct queue_limits *limits);
bool kbdus_config_is_read_only(const struct kbdus_device_config *config);

#endif
