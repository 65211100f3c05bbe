/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_CLIENT_H
#define KBDUS_CLIENT_H

#include <linux/blkdev.h>

struct kbdus_client_ioctl;
struct kbdus_device;
struct request;

extern const struct block_device_operations kbdus_client_ops;

int kbdus_client_flush(struct kbdus_device *device);

/* A client's ioctl as a request; @rq is a passthrough request of ours. */
unsigned int kbdus_client_ioctl_command(struct request *rq);
void *kbdus_client_ioctl_data(struct request *rq);
size_t kbdus_client_ioctl_size_out(struct request *rq);
size_t kbdus_client_ioctl_size_in(struct request *rq);
void kbdus_client_ioctl_set_error(struct kbdus_client_ioctl *ioctl, int error);
bool kbdus_client_ioctl_is_cancelled(const struct kbdus_client_ioctl *ioctl);

#endif
