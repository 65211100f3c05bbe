/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * names.h: what states and types are called where people read them, in traces
 * and debugfs. Part of the interface that kbdus(4) describes. A list is to be
 * expanded with NAME(value, name) and, for its last one, LAST_NAME() defined.
 */
#ifndef KBDUS_NAMES_H
#define KBDUS_NAMES_H

#define KBDUS_REQUEST_STATE_NAMES                                              \
	NAME(KBDUS_REQUEST_FREE, "free")                                       \
	NAME(KBDUS_REQUEST_QUEUED, "queued")                                   \
	NAME(KBDUS_REQUEST_OUTBOUND, "outbound")                               \
	NAME(KBDUS_REQUEST_WITH_DRIVER, "with_driver")                         \
	LAST_NAME(KBDUS_REQUEST_INBOUND, "inbound")

#define KBDUS_REQUEST_TYPE_NAMES                                               \
	NAME(KBDUS_REQUEST_TYPE_READ, "read")                                  \
	NAME(KBDUS_REQUEST_TYPE_WRITE, "write")                                \
	NAME(KBDUS_REQUEST_TYPE_WRITE_SAME, "write_same")                      \
	NAME(KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP, "write_zeros_no_unmap")  \
	NAME(KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP,                         \
	     "write_zeros_may_unmap")                                          \
	NAME(KBDUS_REQUEST_TYPE_FUA_WRITE, "fua_write")                        \
	NAME(KBDUS_REQUEST_TYPE_FLUSH, "flush")                                \
	NAME(KBDUS_REQUEST_TYPE_DISCARD, "discard")                            \
	NAME(KBDUS_REQUEST_TYPE_SECURE_ERASE, "secure_erase")                  \
	LAST_NAME(KBDUS_REQUEST_TYPE_IOCTL, "ioctl")

#define KBDUS_DEVICE_STATE_NAMES                                               \
	NAME(KBDUS_DEVICE_STATE_INITIALIZED, "initialized")                    \
	NAME(KBDUS_DEVICE_STATE_AVAILABLE, "available")                        \
	LAST_NAME(KBDUS_DEVICE_STATE_TERMINATED, "terminated")

#define KBDUS_SERVICE_STATE_NAMES                                              \
	NAME(KBDUS_SERVICE_STATE_SERVED, "served")                             \
	NAME(KBDUS_SERVICE_STATE_LEAVING, "leaving")                           \
	NAME(KBDUS_SERVICE_STATE_ORPHAN, "orphan")                             \
	NAME(KBDUS_SERVICE_STATE_EXPIRED, "expired")                           \
	LAST_NAME(KBDUS_SERVICE_STATE_NONE, "none")

#define KBDUS_SESSION_STATE_NAMES                                              \
	NAME(KBDUS_SESSION_OPEN, "open")                                       \
	NAME(KBDUS_SESSION_ATTACHED, "attached")                               \
	NAME(KBDUS_SESSION_STOPPING, "stopping")                               \
	LAST_NAME(KBDUS_SESSION_CLOSED, "closed")

#endif
