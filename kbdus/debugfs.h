/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_DEBUGFS_H
#define KBDUS_DEBUGFS_H

struct kbdus_device;

void kbdus_debugfs_init(void);
void kbdus_debugfs_exit(void);

void kbdus_debugfs_add(struct kbdus_device *device);
void kbdus_debugfs_remove(struct kbdus_device *device);

#endif
