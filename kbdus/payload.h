/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_PAYLOAD_H
#define KBDUS_PAYLOAD_H

#include <linux/types.h>

struct kbdus_device_config;
struct kbdus_item;

u32 kbdus_payload_size_max(const struct kbdus_device_config *config);
size_t kbdus_payload_request_size(const struct kbdus_item *item);
size_t kbdus_payload_reply_size(const struct kbdus_item *item);

int kbdus_payload_copy_out(const struct kbdus_item *item, void __user *buffer);
int kbdus_payload_copy_in(const struct kbdus_item *item,
			  const void __user *buffer);
bool kbdus_payload_export(const struct kbdus_item *item, void *buffer,
			  size_t room);
bool kbdus_payload_import(const struct kbdus_item *item, const void *buffer,
			  size_t room);
int kbdus_payload_fault_out(void __user *buffer, size_t size);
int kbdus_payload_fault_in(const void __user *buffer, size_t size);

#endif
