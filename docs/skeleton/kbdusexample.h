/* SPDX-License-Identifier: MIT */
/*
 * kbdusexample.h: what the two sides of the protocol "example" say to each other.
 * In a real protocol this is a section of kbdus.h, with comments for Doxygen.
 */
#ifndef KBDUSEXAMPLE_H
#define KBDUSEXAMPLE_H

#include <kbdus.h>

#define KBDUSEXAMPLE_PROTOCOL_NAME "example"

/* 64 bytes, whatever the compiler; what is not used yet is zero. */
struct kbdusexample_request {
	/* In: where the request's data goes. */
	__u64 buffer;
	/* Out: names the request in its reply; 0 for a notification. */
	__u64 handle;
	/* Out: the range, or the command of a client's ioctl as the length. */
	__u64 offset;
	__u32 length;
	/* Out: enum kbdus_request_type. */
	__u32 type;
	__u8 reserved[32];
};

struct kbdusexample_reply {
	/* Where the reply's data is. */
	__u64 buffer;
	/* The request's. */
	__u64 handle;
	/* 0 or an errno value. */
	__s32 error;
	__u8 reserved[44];
};

/* Numbers that no other command has. */
#define KBDUSEXAMPLE_IOCTL_RECEIVE_REQUEST                                     \
	_IOWR(KBDUS_IOCTL_TYPE, 0x60, struct kbdusexample_request)
#define KBDUSEXAMPLE_IOCTL_SEND_REPLY                                          \
	_IOW(KBDUS_IOCTL_TYPE, 0x61, struct kbdusexample_reply)

#endif
