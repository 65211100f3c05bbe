/* SPDX-License-Identifier: MIT */

/*
 * ioctls.h: the ioctls that a fault device answers, for programs that test how
 * a client's ioctl gets to a driver and back.
 *
 * BDUS reads directions from the driver's side: _IOR is what the driver reads.
 * CHECK, FILL and INVERT work with any size up to 16383 bytes: the ones below
 * are the smallest and the largest worth having.
 */

#ifndef DRIVERS_FAULT_IOCTLS_H
#define DRIVERS_FAULT_IOCTLS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FAULT_IOCTL_TYPE 0xfa

struct fault_ioctl_small {
	__u8 bytes[64];
};

struct fault_ioctl_large {
	__u8 bytes[16383];
};

/** Adds one to a counter of the driver. */
#define FAULT_IOCTL_COUNT _IO(FAULT_IOCTL_TYPE, 0)

/** Succeeds if byte i of what the client sends is i modulo 256, fails with
 *  EILSEQ if not. @{ */
#define FAULT_IOCTL_CHECK _IOR(FAULT_IOCTL_TYPE, 1, struct fault_ioctl_small)
#define FAULT_IOCTL_CHECK_LARGE                                                \
	_IOR(FAULT_IOCTL_TYPE, 1, struct fault_ioctl_large)
/** @} */

/** Sets byte i of what the client gets to i modulo 256. Fails with EILSEQ if
 *  the driver did not find zeros there. @{ */
#define FAULT_IOCTL_FILL _IOW(FAULT_IOCTL_TYPE, 2, struct fault_ioctl_small)
#define FAULT_IOCTL_FILL_LARGE                                                 \
	_IOW(FAULT_IOCTL_TYPE, 2, struct fault_ioctl_large)
/** @} */

/** Inverts all bits. @{ */
#define FAULT_IOCTL_INVERT _IOWR(FAULT_IOCTL_TYPE, 3, struct fault_ioctl_small)
#define FAULT_IOCTL_INVERT_LARGE                                               \
	_IOWR(FAULT_IOCTL_TYPE, 3, struct fault_ioctl_large)
/** @} */

/** Gets the counter. */
#define FAULT_IOCTL_GET_COUNT _IOW(FAULT_IOCTL_TYPE, 4, __u64)

/** Lets the callback return the number that the client sends. Sends 77s back,
 *  which no client may see unless the number is 0. */
#define FAULT_IOCTL_FAIL _IOWR(FAULT_IOCTL_TYPE, 5, __s32)

#endif
