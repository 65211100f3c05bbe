/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_REGISTRY_H
#define KBDUS_REGISTRY_H

#include <linux/types.h>

struct gendisk;
struct kbdus_device;
struct kbdus_device_number;

int kbdus_registry_init(unsigned int max_devices);
void kbdus_registry_exit(void);

int kbdus_registry_reserve(struct kbdus_device *device);
void kbdus_registry_unreserve(struct kbdus_device *device);
void kbdus_registry_publish(struct kbdus_device *device);
void kbdus_registry_remove(struct kbdus_device *device);

struct kbdus_device *kbdus_registry_get(u64 seqnum);
struct kbdus_device *kbdus_registry_get_next(u64 seqnum);
struct kbdus_device *kbdus_registry_get_by_index(u64 index);
struct kbdus_device *kbdus_registry_get_by_number(u32 major, u32 minor);
struct kbdus_device *kbdus_registry_get_by_disk(struct gendisk *disk);
int kbdus_registry_wait_until_gone(u64 seqnum);
void kbdus_registry_wait_until_empty(void);

#endif
