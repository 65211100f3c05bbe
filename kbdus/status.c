// SPDX-License-Identifier: GPL-2.0-only
/*
 * status.c: what an error is called on the wire, in the block layer and by a
 * client's ioctl(2). The only place that translates. Pure.
 *
 * What a driver says is not trusted: only errors that clients know how to deal
 * with get through, everything else is an I/O error.
 */
#include <linux/blkdev.h>
#include <linux/errno.h>

#include "status.h"

/* The largest errno that a client's ioctl(2) may fail with: EHWPOISON. */
#define LARGEST_ERRNO 133

/**
 * kbdus_status_from_wire() - reads the error field of a reply
 * @error: 0 or a positive errno, as the driver wrote it
 *
 * Return: 0 or a negative errno; -EIO for anything that is not an errno.
 */
int kbdus_status_from_wire(s32 error)
{
	if (error < 0 || error > LARGEST_ERRNO)
		return -EIO;
	return -error;
}

/**
 * kbdus_status_block() - how a driver's answer ends a block request
 * @error: 0 or a negative errno
 *
 * Return: the status; BLK_STS_IOERR for all errors but three.
 */
blk_status_t kbdus_status_block(int error)
{
	switch (error) {
	case 0:
		return BLK_STS_OK;
	case -ENOLINK:
		return BLK_STS_TRANSPORT;
	case -ENOSPC:
		return BLK_STS_NOSPC;
	case -ETIMEDOUT:
		return BLK_STS_TIMEOUT;
	default:
		return BLK_STS_IOERR;
	}
}

/**
 * kbdus_status_ioctl_error() - how a driver's answer ends a client's ioctl
 * @error: 0 or a negative errno
 *
 * ENOSYS would tell the client that the kernel does not know ioctl(2).
 *
 * Return: 0 or a negative errno.
 */
int kbdus_status_ioctl_error(int error)
{
	return error == -ENOSYS ? -EIO : error;
}
