/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_STATUS_H
#define KBDUS_STATUS_H

#include <linux/blk_types.h>

int kbdus_status_from_wire(s32 error);
blk_status_t kbdus_status_block(int error);
int kbdus_status_ioctl_error(int error);

#endif
