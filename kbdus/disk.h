/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_DISK_H
#define KBDUS_DISK_H

#include <linux/blk-mq.h>

#include "kbdus.h"

struct kbdus_device;

/* Lifetime. */
int kbdus_disk_create(struct kbdus_device *device);
int kbdus_disk_add(struct kbdus_device *device);
void kbdus_disk_remove(struct kbdus_device *device);

/* What a request means to a driver, and its end. */
enum kbdus_request_type kbdus_disk_request_type(struct request *rq);
u64 kbdus_disk_request_offset(struct request *rq);
u32 kbdus_disk_request_length(struct request *rq);
void kbdus_disk_end_request(struct request *rq, blk_status_t status, int error);
bool kbdus_disk_end_later(struct request *rq, blk_status_t status,
			  struct io_comp_batch *batch);

#endif
