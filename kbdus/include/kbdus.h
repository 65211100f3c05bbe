/* SPDX-License-Identifier: MIT */

/**
 * @file kbdus.h
 * @brief The contract between the `kbdus` module and user space.
 *
 * This header is the only thing that both sides include. Its first part is the
 * base interface, spoken on the control device `/dev/bdus-control`: creating,
 * finding, flushing, replacing and destroying devices. Then comes one section
 * per protocol, i.e. per way of moving requests and replies between the module
 * and a driver.
 *
 * Words used throughout:
 *
 * - *control file*: an open file description of `/dev/bdus-control`. Opening it
 *   needs `CAP_SYS_ADMIN` (`EPERM`). It is shared by all descriptors made from
 *   it by `dup(2)`, `fork(2)` or by passing it over a socket.
 * - *session*: a control file that is attached to a device. It ends when the
 *   last reference to the control file is gone.
 * - *driver*: the program behind a session.
 * - *client*: whoever uses the block device.
 * - *seqnum*: the number that names one device for ever. It is given out from 0
 *   since the module was loaded, one more for each successful creation, and is
 *   never used again. The device's node is `/dev/bdus-<seqnum>`.
 * - *index*: a slot that a device occupies while it exists. It decides the minor
 *   numbers and is used again after the device is gone, so that only the seqnum
 *   names one particular device without a race.
 *
 * Unless said otherwise:
 *
 * - sizes and offsets are bytes;
 * - every field called `reserved` must be zero when handed in (`EINVAL`
 *   otherwise) and is zero when handed out;
 * - every call fails with `EFAULT` if its argument cannot be read or written,
 *   and with `ENOTTY` if the command is unknown;
 * - calls may be made from any thread, several at a time;
 * - everything has been available since version 0.1.3.
 */

#ifndef KBDUS_H
#define KBDUS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** @brief Major version of this header and of the module built with it. */
#define KBDUS_HEADER_VERSION_MAJOR 0
/** @brief Minor version of this header and of the module built with it. */
#define KBDUS_HEADER_VERSION_MINOR 1
/** @brief Patch version of this header and of the module built with it. */
#define KBDUS_HEADER_VERSION_PATCH 3

/** @brief Path of the control device. */
#define KBDUS_CONTROL_PATH "/dev/bdus-control"

/** @brief The `type` of every ioctl command of this header. */
#define KBDUS_IOCTL_TYPE 0xbd

/* ------------------------------------------------------------------------- */
/** @name Versions
 *  @{ */

/** @brief A version of the module; 16 bytes. */
struct kbdus_version {
	/** @brief Programs must have been built for the same. */
	__u32 major;
	/** @brief Programs must have been built for the same. */
	__u32 minor;
	/** @brief Programs must have been built for the same or a lower one. */
	__u32 patch;
	/** @brief Zero. */
	__u32 reserved;
};

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Requests
 *  @{ */

/**
 * @brief What a driver may be asked to do, and what it may be told.
 *
 * The first three are notifications: they carry no handle and are not answered.
 * A session that receives sees, in this order of precedence:
 * DEVICE_AVAILABLE once, unless the device has ended by then; while it is leaving,
 * FLUSH_AND_TERMINATE once and then TERMINATE for ever; the oldest waiting request.
 */
enum kbdus_request_type {
	/** @brief The device became usable, its node exists. Sent once to each
	 *  session. Requests may come before it: the kernel reads the partition
	 *  table while it adds the device. */
	KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE = 0,
	/** @brief The session is over: leave. Requests still held may be answered
	 *  (the answer counts if the device still waits for it). */
	KBDUS_REQUEST_TYPE_TERMINATE = 1,
	/** @brief As TERMINATE, but finish what is held and make everything
	 *  written so far durable first. Sent only if the device supports FLUSH. */
	KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE = 2,

	/** @brief Read `length` bytes at `offset`; the reply carries them. */
	KBDUS_REQUEST_TYPE_READ = 3,
	/** @brief Write the `length` bytes that the request carries at `offset`. */
	KBDUS_REQUEST_TYPE_WRITE = 4,
	/** @brief Write the one logical block that the request carries to each
	 *  block of the range. Linux 5.18 and later never ask for it. */
	KBDUS_REQUEST_TYPE_WRITE_SAME = 5,
	/** @brief Zero the range; its space stays allocated. */
	KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP = 6,
	/** @brief Zero the range; its space may be given back. */
	KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP = 7,
	/** @brief As WRITE, and durable before it is answered. */
	KBDUS_REQUEST_TYPE_FUA_WRITE = 8,
	/** @brief Make every write that was answered before durable. */
	KBDUS_REQUEST_TYPE_FLUSH = 9,
	/** @brief The content of the range is no longer needed. */
	KBDUS_REQUEST_TYPE_DISCARD = 10,
	/** @brief Erase the range such that it cannot be recovered. */
	KBDUS_REQUEST_TYPE_SECURE_ERASE = 11,
	/** @brief A client's ioctl(2); `length` is its command. The request
	 *  carries `_IOC_SIZE` bytes if the command has `_IOC_READ`, a reply
	 *  without error carries as many if it has `_IOC_WRITE`. */
	KBDUS_REQUEST_TYPE_IOCTL = 12,
};

/** @brief One more than the largest value of enum kbdus_request_type. */
#define KBDUS_REQUEST_TYPE_COUNT 13

/** @brief The bit of a request type in kbdus_device_config::operations. */
#define KBDUS_OP(type) (1u << KBDUS_REQUEST_TYPE_##type)

/** @brief Both kinds of zeroing come together or not at all. */
#define KBDUS_OP_WRITE_ZEROS                                                   \
	(KBDUS_OP(WRITE_ZEROS_NO_UNMAP) | KBDUS_OP(WRITE_ZEROS_MAY_UNMAP))

/** @brief Everything that kbdus_device_config::operations may contain. */
#define KBDUS_OP_ALL                                                           \
	(KBDUS_OP(READ) | KBDUS_OP(WRITE) | KBDUS_OP(WRITE_SAME) |             \
	 KBDUS_OP_WRITE_ZEROS | KBDUS_OP(FUA_WRITE) | KBDUS_OP(FLUSH) |        \
	 KBDUS_OP(DISCARD) | KBDUS_OP(SECURE_ERASE) | KBDUS_OP(IOCTL))

/** @brief A device without any of these is read-only. */
#define KBDUS_OP_WRITE_LIKE                                                    \
	(KBDUS_OP(WRITE) | KBDUS_OP(WRITE_SAME) | KBDUS_OP_WRITE_ZEROS |       \
	 KBDUS_OP(FUA_WRITE) | KBDUS_OP(DISCARD) | KBDUS_OP(SECURE_ERASE))

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Configuration
 *  @{ */

/** @brief The device outlives its driver and waits for a successor. */
#define KBDUS_DEVICE_F_RECOVERABLE (1u << 0)
/** @brief Do not look for partitions; the device cannot have any. */
#define KBDUS_DEVICE_F_NO_PARTITIONS (1u << 1)
/** @brief All flags of kbdus_device_config::flags. */
#define KBDUS_DEVICE_F_ALL                                                     \
	(KBDUS_DEVICE_F_RECOVERABLE | KBDUS_DEVICE_F_NO_PARTITIONS)

/** @brief Orphaned requests wait until a successor comes or the device goes. */
#define KBDUS_ORPHAN_TIMEOUT_FOREVER 0xffffffffu

/** @brief Most requests that one device can have under way. */
#define KBDUS_MAX_OUTSTANDING_REQUESTS 256
/** @brief kbdus_device_config::max_read_write_size if it is given as 0. */
#define KBDUS_DEFAULT_READ_WRITE_SIZE (256u << 10)
/** @brief Upper bound of kbdus_device_config::max_read_write_size. */
#define KBDUS_MAX_READ_WRITE_SIZE (1u << 20)
/** @brief Room for the payload of any client's ioctl. */
#define KBDUS_IOCTL_PAYLOAD_SIZE (16u << 10)

/**
 * @brief What a device is; 128 bytes. Fixed when the device is created.
 *
 * KBDUS_IOCTL_CREATE_DEVICE validates it, adjusts what may be adjusted, and
 * hands the result back. Fields marked *out* must be zero on creation.
 */
struct kbdus_device_config {
	/** @brief Size; a positive multiple of the physical block size, at most
	 *  2^63 - 512. */
	__u64 size;
	/** @brief *Out:* what names the device. */
	__u64 seqnum;
	/** @brief Power of two from 512 to the page size. */
	__u32 logical_block_size;
	/** @brief Power of two from the logical block size to the page size; 0
	 *  stands for the logical block size. */
	__u32 physical_block_size;
	/** @brief KBDUS_OP() bits of the request types that the driver serves.
	 *  FUA_WRITE needs FLUSH. */
	__u32 operations;
	/** @brief KBDUS_DEVICE_F_... */
	__u32 flags;
	/** @brief Largest READ, WRITE and FUA_WRITE: 0 for the default, or at
	 *  least the page size. Adjusted to a multiple of the logical block size
	 *  of at most #KBDUS_MAX_READ_WRITE_SIZE, and to 0 if none of these types
	 *  is supported. */
	__u32 max_read_write_size;
	/** @brief Largest WRITE_SAME: 0 for no limit, or at least the logical
	 *  block size. Adjusted to a multiple of it, and to 0 if unsupported. */
	__u32 max_write_same_size;
	/** @brief The same for the two WRITE_ZEROS types. */
	__u32 max_write_zeros_size;
	/** @brief The same for DISCARD and SECURE_ERASE. */
	__u32 max_discard_erase_size;
	/** @brief Requests that may be under way at a time (the queue's depth):
	 *  positive; adjusted to at most #KBDUS_MAX_OUTSTANDING_REQUESTS. */
	__u32 max_outstanding_requests;
	/** @brief Milliseconds after which a request fails with ETIMEDOUT; 0 for
	 *  the block layer's 30 s. The device's `queue/io_timeout` in sysfs
	 *  changes it later. */
	__u32 request_timeout_ms;
	/** @brief Milliseconds that requests wait for a successor, counted from
	 *  the death of the driver; then they fail, and those that come later
	 *  fail at once (KBDUS_SERVICE_STATE_EXPIRED). 0 stands for the
	 *  time-out of requests at that time. #KBDUS_ORPHAN_TIMEOUT_FOREVER:
	 *  no limit. */
	__u32 orphan_timeout_ms;
	/** @brief *Out:* the slot that the device occupies. */
	__u32 index;
	/** @brief *Out:* major number of the whole device. */
	__u32 major;
	/** @brief *Out:* minor number of the whole device. */
	__u32 minor;
	/** @brief Zero. */
	__u8 reserved[56];
};

/** @brief Room for the name of a protocol and its terminating zero. */
#define KBDUS_PROTOCOL_NAME_SIZE 32

/** @brief How one session talks to the module; 128 bytes. */
struct kbdus_protocol_config {
	/** @brief Name of the protocol, filled up with zeros: "ioctl", "mmap",
	 *  "uds", "ring". */
	char name[KBDUS_PROTOCOL_NAME_SIZE];
	/** @brief *Out:* what a payload buffer must hold: the largest payload of
	 *  any request or reply of this device. May be 0. */
	__u32 payload_size;
	/** @brief Protocol "mmap": number of buffers, i.e. of calls that can be
	 *  made at a time without getting into each other's way. 0 for as many
	 *  as the device can have requests under way; adjusted to at most that
	 *  (kbdus_device_config::max_outstanding_requests). Zero for others. */
	__u32 buffer_count;
	/** @brief Protocols "mmap" and "ring", *out:* where in the mapping the
	 *  payload of buffer 0, or the payload memory, begins; a multiple of the
	 *  page size. Zero for others. */
	__u32 payload_offset;
	/** @brief Protocol "mmap", *out:* bytes from one buffer's payload to the
	 *  next one's: `payload_size` rounded up to a multiple of the page size.
	 *  Zero for others. */
	__u32 payload_stride;
	/** @brief Protocols "mmap" and "ring", *out:* size of the whole mapping,
	 *  a multiple of the page size. Zero for others. */
	__u64 mapping_size;
	/** @brief *In:* protocol "uds": the descriptor of the module's end of the
	 *  socket pair, plus 1. Zero for others, and when handed out. */
	__u32 socket_fd_plus_1;
	/** @brief Protocol "ring": number of channels, i.e. of threads that can
	 *  serve at a time without getting into each other's way; 0 for 1. At
	 *  most #KBDUSRING_MAX_CHANNELS (`EINVAL`); adjusted to at most
	 *  kbdus_device_config::max_outstanding_requests. Zero for others. */
	__u32 channel_count;
	/** @brief Protocol "ring": bytes of memory for payload, 0 for
	 *  #KBDUSRING_DEFAULT_PAYLOAD_MEMORY, but for at least one more of the
	 *  largest requests than there are channels. Adjusted: to a multiple of the page
	 *  size, to at least `payload_size`, and to at most that for each
	 *  request that there can be at a time. If that memory is the driver's own,
	 *  see `payload_address`: a multiple of the page size, at least
	 *  `payload_size` (`EINVAL`); adjusted to at most the same, and what lies
	 *  behind that is not used. Zero for others. */
	__u32 payload_memory;
	/** @brief Protocol "ring", *out:* entries of the submission ring and of
	 *  each completion ring, a power of two: room for one request of each
	 *  channel that has timed out and is not answered yet, beside all that
	 *  there can be. Zero for others. */
	__u32 entry_count;
	/** @brief Protocol "ring", *out:* where in the mapping begins what the
	 *  driver may write, a multiple of the page size. Zero for others. */
	__u32 driver_offset;
	/** @brief Protocol "ring", *out:* where in the mapping the completion ring
	 *  of channel 0 begins. Zero for others. */
	__u32 channel_offset;
	/** @brief Protocol "ring", *out:* bytes from one channel's completion ring
	 *  to the next one's. Zero for others. */
	__u32 channel_stride;
	/** @brief Protocol "ring": for how long, in microseconds, threads of the
	 *  driver look for requests before they sleep, and clients that have one
	 *  request at a time for answers; 0 for not at all. What threads do is up
	 *  to the driver; clients look for at most #KBDUSRING_MAX_LINGER_US. Zero
	 *  for others. */
	__u32 spin_us;
	/** @brief Zero. Room for the settings of each protocol. */
	__u8 reserved[32];
	/** @brief *In:* protocol "ring": address of `payload_memory` bytes of the
	 *  caller's memory for payload, a multiple of the page size (`EINVAL`);
	 *  0 to have the module provide it. Zero for others, and when handed out. */
	__u64 payload_address;
};

/** @brief Argument of KBDUS_IOCTL_CREATE_DEVICE; 256 bytes. */
struct kbdus_config {
	/** @brief What the device is. */
	struct kbdus_device_config device;
	/** @brief How the driver talks to it. */
	struct kbdus_protocol_config protocol;
};

/** @brief Wait until the device is available instead of failing with EBUSY. */
#define KBDUS_ATTACH_F_WAIT_AVAILABLE (1u << 0)
/** @brief All flags of kbdus_attachment::flags. */
#define KBDUS_ATTACH_F_ALL KBDUS_ATTACH_F_WAIT_AVAILABLE

/** @brief How long a driver may take to leave if the successor does not say. */
#define KBDUS_DEFAULT_LEAVE_TIMEOUT_MS 30000

/** @brief Argument of KBDUS_IOCTL_ATTACH_TO_DEVICE; 320 bytes. */
struct kbdus_attachment {
	/** @brief *In:* `device.seqnum` names the device, the rest of `device` is
	 *  not looked at; `protocol` is how the new driver talks. *Out:* the
	 *  whole of both. */
	struct kbdus_config config;
	/** @brief KBDUS_ATTACH_F_... */
	__u32 flags;
	/** @brief Milliseconds given to the present driver to finish what it
	 *  holds and to leave; 0 for #KBDUS_DEFAULT_LEAVE_TIMEOUT_MS. */
	__u32 leave_timeout_ms;
	/** @brief Zero. */
	__u8 reserved[56];
};

/** @} */

/* ------------------------------------------------------------------------- */
/** @name State and statistics
 *  @{ */

/** @brief The states of a device. Edges: INITIALIZED to AVAILABLE,
 *  INITIALIZED to TERMINATED, AVAILABLE to TERMINATED; no other. */
enum kbdus_device_state {
	/** @brief Exists, is not usable by clients yet. */
	KBDUS_DEVICE_STATE_INITIALIZED = 0,
	/** @brief Fully usable. */
	KBDUS_DEVICE_STATE_AVAILABLE = 1,
	/** @brief Over; every operation fails. */
	KBDUS_DEVICE_STATE_TERMINATED = 2,
};

/** @brief Who serves a device. */
enum kbdus_service_state {
	/** @brief A driver is attached. */
	KBDUS_SERVICE_STATE_SERVED = 0,
	/** @brief The driver was asked to leave and has not done so. */
	KBDUS_SERVICE_STATE_LEAVING = 1,
	/** @brief No driver is attached; requests wait. */
	KBDUS_SERVICE_STATE_ORPHAN = 2,
	/** @brief No driver came in time; requests fail with ETIMEDOUT. */
	KBDUS_SERVICE_STATE_EXPIRED = 3,
	/** @brief The device is terminated. */
	KBDUS_SERVICE_STATE_NONE = 4,
};

/** @brief Counters of one device since its creation; 128 bytes. */
struct kbdus_device_statistics {
	/** @brief Requests that the block layer gave to the device. */
	__u64 requests;
	/** @brief Requests handed to a driver, repetitions included. */
	__u64 delivered;
	/** @brief Requests answered by a driver without an error. */
	__u64 succeeded;
	/** @brief Requests answered by a driver with an error. */
	__u64 failed;
	/** @brief Requests that went back to the queue because their driver died
	 *  or was replaced. */
	__u64 requeued;
	/** @brief Requests that failed because nobody answered in time. */
	__u64 timed_out;
	/** @brief Requests that failed because the device was terminated. */
	__u64 terminated;
	/** @brief Client ioctls given up because their caller was interrupted. */
	__u64 cancelled;
	/** @brief Replies that came for a request no longer waiting for them. */
	__u64 late_replies;
	/** @brief Replies refused because they name no request of the driver. */
	__u64 bad_replies;
	/** @brief Sessions that were attached, the present one included. */
	__u64 sessions;
	/** @brief Nanoseconds for which nobody served during the last change of
	 *  driver: from the moment the old one took no more requests until the
	 *  new one was ready to take them. 0 if there was none. */
	__u64 last_gap_ns;
	/** @brief Nanoseconds since the device lost its driver; 0 if it has one. */
	__u64 orphaned_ns;
	/** @brief Requests waiting for a driver now. */
	__u32 queued_now;
	/** @brief Requests in the hands of a driver now. */
	__u32 with_driver_now;
	/** @brief Zero. */
	__u8 reserved[16];
};

/** @brief Argument of KBDUS_IOCTL_GET_DEVICE_INFO; 512 bytes. */
struct kbdus_device_info {
	/** @brief *In:* `device.seqnum`; the rest is not looked at. *Out:* the
	 *  device's configuration and the protocol of the present session, whose
	 *  name is empty if there is none. */
	struct kbdus_config config;
	/** @brief *Out:* what happened so far. */
	struct kbdus_device_statistics statistics;
	/** @brief *Out:* enum kbdus_device_state. */
	__u32 state;
	/** @brief *Out:* enum kbdus_service_state. */
	__u32 service;
	/** @brief *Out:* the driver's process, i.e. the one that attached or used
	 *  its protocol last, in the caller's name space; 0 if there is no driver
	 *  or it cannot be seen. */
	__u32 driver_pid;
	/** @brief *Out:* how often clients have the device open. */
	__u32 openers;
	/** @brief *Out:* boolean, whether clients can only read. */
	__u32 read_only;
	/** @brief Zero. */
	__u32 reserved_alignment;
	/** @brief *Out:* bytes of memory that cannot be swapped out, for the requests that
	 *  the device can have, and what it shares with its driver. */
	__u64 memory;
	/** @brief Zero. */
	__u8 reserved[96];
};

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Commands of the control device
 *  @{ */

/**
 * @brief Get the version of the module. Needs no attachment and no capability.
 */
#define KBDUS_IOCTL_GET_VERSION                                                \
	_IOR(KBDUS_IOCTL_TYPE, 0x00, struct kbdus_version)

/**
 * @brief Create a device and attach this control file to it.
 *
 * Returns once the device is able to hand out requests; adding the disk goes on
 * behind it, and the node is only certain to exist once the driver has received
 * KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE. (The kernel reads the partition table
 * while it adds a disk, and the driver must be there to serve those reads.) If
 * it fails, no device is left behind and no seqnum is used up; but if the memory
 * of the argument is taken away during the call (`EFAULT`), the device has been
 * there for a moment, with a seqnum, and is destroyed on its own.
 *
 * Errors: `EINVAL` bad configuration, unknown or refused protocol, or the
 * control file is attached already; `EINPROGRESS` another thread is creating or
 * attaching with it; `ENOSPC` there are `max_devices` devices; `ENOMEM`; `EPERM`
 * without `CAP_SYS_ADMIN`.
 */
#define KBDUS_IOCTL_CREATE_DEVICE                                              \
	_IOWR(KBDUS_IOCTL_TYPE, 0x01, struct kbdus_config)

/**
 * @brief Become the driver of an existing device.
 *
 * A present driver is asked to leave: it takes no more requests, finishes what
 * it holds, flushes, and closes its control file. If it dies instead or takes
 * longer than it is given, what it did not answer goes to the new driver (if
 * the device is recoverable) or the device ends (if not). A recoverable device
 * without a driver is taken over at once.
 *
 * If the memory of the argument is taken away during the call (`EFAULT`), the
 * control file may be attached nevertheless; closing it then is the end of a driver
 * that crashed.
 *
 * Errors: `EINVAL` no such device ever existed, unknown or refused protocol,
 * bad flags, or the control file is attached already; `ENODEV` the device is
 * gone or ended while waiting; `EBUSY` the device is not available yet;
 * `EINPROGRESS` somebody else is about to attach, to the device or this control
 * file; `EINTR` interrupted by a signal, the present driver leaves nevertheless;
 * `ENOMEM`; `EPERM`.
 */
#define KBDUS_IOCTL_ATTACH_TO_DEVICE                                           \
	_IOWR(KBDUS_IOCTL_TYPE, 0x02, struct kbdus_attachment)

/**
 * @brief Replace an index by the seqnum of the device that occupies it now.
 *
 * Errors: `EINVAL` the index is not below `max_devices`; `ENODEV` no device
 * occupies it; `EPERM`.
 */
#define KBDUS_IOCTL_DEVICE_INDEX_TO_SEQNUM _IOWR(KBDUS_IOCTL_TYPE, 0x03, __u64)

/** @brief Argument of KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM; 16 bytes. */
struct kbdus_device_number {
	/** @brief *In:* major number. */
	__u32 major;
	/** @brief *In:* minor number. */
	__u32 minor;
	/** @brief *Out:* seqnum of the device. */
	__u64 seqnum;
};

/**
 * @brief Get the seqnum of the device that has a device number.
 *
 * Errors: `EINVAL` not a number of a BDUS device, or that of a partition;
 * `ENODEV` no such device now; `EPERM`.
 */
#define KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM                                    \
	_IOWR(KBDUS_IOCTL_TYPE, 0x04, struct kbdus_device_number)

/**
 * @brief Write back the device's cached pages and flush it, like fsync(2).
 *
 * Works also while somebody else has the device open exclusively. Succeeds
 * without doing anything on a read-only device.
 *
 * Errors: `EINVAL` no such device ever existed; `ENODEV` it is gone; `EBUSY` it
 * is not available yet; `EINTR` interrupted by a signal, the flush goes on;
 * `EIO`, `ENOSPC`, `ENOLINK`, `ETIMEDOUT` as a client of the device would see;
 * `ENOMEM`; `EPERM`.
 */
#define KBDUS_IOCTL_FLUSH_DEVICE _IOW(KBDUS_IOCTL_TYPE, 0x05, __u64)

/**
 * @brief Ask the present driver of a device to end.
 *
 * A recoverable device that is available waits for a successor then; any other
 * is destroyed. Does nothing if there is no driver. Never waits. Needs no
 * capability if the control file is attached to that very device.
 *
 * Errors: `EINVAL` no such device ever existed; `ENODEV` it is gone; `EPERM`.
 */
#define KBDUS_IOCTL_REQUEST_SESSION_TERMINATION                                \
	_IOW(KBDUS_IOCTL_TYPE, 0x06, __u64)

/**
 * @brief Start destroying a device, recoverable or not, open or not.
 *
 * Nothing is flushed: requests under way and later ones fail. Never waits, for
 * a driver least of all. Succeeds if the device is being destroyed or gone.
 *
 * Errors: `EINVAL` no such device ever existed; `EPERM`.
 */
#define KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION                                 \
	_IOW(KBDUS_IOCTL_TYPE, 0x07, __u64)

/**
 * @brief Wait until a device is gone.
 *
 * When it returns, the node is gone too, and unless the device's driver refuses
 * to end, so is the reference that the driver had on the module.
 *
 * Errors: `EINVAL` no such device ever existed; `EINTR`; `EPERM`.
 */
#define KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED                             \
	_IOW(KBDUS_IOCTL_TYPE, 0x08, __u64)

/**
 * @brief Destroy the device that occupies an index now, and wait until it is
 * gone.
 *
 * The argument points to the index. If the wait is interrupted the call fails
 * with `EAGAIN` and the argument has been replaced by the device's seqnum: go
 * on with KBDUS_IOCTL_STOP_BY_UNIQUEID, which cannot hit another device that
 * took over the index meanwhile.
 *
 * Errors: `EINVAL` the index is not below `max_devices`; `ENODEV` no device
 * occupies it; `EAGAIN`; `EPERM`.
 */
#define KBDUS_IOCTL_STOP_BY_INDEX _IOWR(KBDUS_IOCTL_TYPE, 0x09, __u64)

/**
 * @brief Destroy the device with a seqnum, and wait until it is gone. Succeeds
 * if it is gone already.
 *
 * Errors: `EINVAL` no such device ever existed; `EINTR`; `EPERM`.
 */
#define KBDUS_IOCTL_STOP_BY_UNIQUEID _IOW(KBDUS_IOCTL_TYPE, 0x0a, __u64)

/**
 * @brief Get everything about a device.
 *
 * Errors: `EINVAL` no such device ever existed; `ENODEV` it is gone; `EPERM`.
 */
#define KBDUS_IOCTL_GET_DEVICE_INFO                                            \
	_IOWR(KBDUS_IOCTL_TYPE, 0x0b, struct kbdus_device_info)

/**
 * @brief Replace a number by the lowest seqnum of a device that is not below
 * it: start with 0 and go on with one more than the result to list all devices.
 *
 * Errors: `ENOENT` there is none; `EPERM`.
 */
#define KBDUS_IOCTL_NEXT_DEVICE _IOWR(KBDUS_IOCTL_TYPE, 0x0c, __u64)

/**
 * @brief Say that the driver ends cleanly: closing the control file is then
 * known not to be a crash. Needs no capability.
 *
 * Matters when a driver of a device that is not recoverable is being replaced:
 * the successor takes over if it ended cleanly, the device ends if not.
 *
 * Errors: `EINVAL` the control file is not attached to a device, or its driver
 * took too long to leave and another one was given the device.
 */
#define KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL _IO(KBDUS_IOCTL_TYPE, 0x0d)

/** @} */

/* ------------------------------------------------------------------------- */
/** @name The protocol "ioctl"
 *
 * The driver's thread blocks in a call. Payload is copied between the request's
 * pages and a buffer whose address the driver gives. Any number of threads may
 * call at a time; each uses its own structure and buffer.
 *
 *  @{ */

/** @brief Name of the protocol. */
#define KBDUSIOCTL_PROTOCOL_NAME "ioctl"

/** @brief A request or notification handed to the driver; 64 bytes. */
struct kbdusioctl_request {
	/** @brief *In:* address of `payload_size` bytes (see
	 *  kbdus_protocol_config) for the request's payload. Not looked at if
	 *  there is none. Its content is undefined after a request without. */
	__u64 buffer;
	/** @brief *Out:* names the request in its reply; 0 for a notification. */
	__u64 handle;
	/** @brief *Out:* first byte of the range, 0 if there is no range. */
	__u64 offset;
	/** @brief *Out:* size of the range, or the command of an IOCTL. */
	__u32 length;
	/** @brief *Out:* enum kbdus_request_type. */
	__u32 type;
	/** @brief Zero when handed out; not looked at. */
	__u8 reserved[32];
};

/** @brief The driver's answer to a request; 64 bytes. */
struct kbdusioctl_reply {
	/** @brief Address of the reply's payload, and in the combined call also
	 *  of the room for the next request's payload. */
	__u64 buffer;
	/** @brief The request's handle; 0 if there is nothing to answer. */
	__u64 handle;
	/** @brief 0, or an errno value. READ, WRITE, WRITE_SAME, WRITE_ZEROS,
	 *  FUA_WRITE, FLUSH, DISCARD and SECURE_ERASE can fail with ENOLINK,
	 *  ENOSPC and ETIMEDOUT, IOCTL with 1 to 133 except ENOSYS; the client
	 *  sees EIO for any other value. */
	__s32 error;
	/** @brief Must be zero (`EINVAL`). */
	__u8 reserved[44];
};

/** @brief Argument of the combined call; 64 bytes. `buffer` is common. */
union kbdusioctl_reply_and_request {
	/** @brief *In:* what is answered. */
	struct kbdusioctl_reply reply;
	/** @brief *Out:* what is asked next. */
	struct kbdusioctl_request request;
};

/**
 * @brief Wait for a request or notification.
 *
 * Errors: `EINVAL` the control file is not attached to a device or its session
 * does not use this protocol; `EINTR` interrupted by a signal, nothing was
 * received; `EFAULT` bad argument or buffer, the request goes back to the head
 * of the queue.
 */
#define KBDUSIOCTL_IOCTL_RECEIVE_REQUEST                                       \
	_IOWR(KBDUS_IOCTL_TYPE, 0x20, struct kbdusioctl_request)

/**
 * @brief Answer a request.
 *
 * A late reply, i.e. one to a request that was answered before, timed out, was
 * terminated or was given to another driver, is ignored and succeeds.
 *
 * Errors: `EINVAL` the handle names no request that was ever handed out, or one
 * that another thread is answering, or as for receiving; `EFAULT` bad argument
 * or buffer. The request stays with the driver.
 */
#define KBDUSIOCTL_IOCTL_SEND_REPLY                                            \
	_IOW(KBDUS_IOCTL_TYPE, 0x21, struct kbdusioctl_reply)

/**
 * @brief Answer a request (if the handle is not 0), then wait for the next.
 *
 * If it fails with EINTR the reply has been accepted, and as a repeated reply
 * is ignored, a plain retry is harmless. Other errors are those of the half
 * that failed.
 */
#define KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST                        \
	_IOWR(KBDUS_IOCTL_TYPE, 0x22, union kbdusioctl_reply_and_request)

/** @} */

/* ------------------------------------------------------------------------- */
/** @name The protocol "mmap"
 *
 * The driver's thread blocks in a call, as with "ioctl", but requests, replies
 * and payload lie in memory that the module and the driver share, and a call
 * names a buffer in it by its index. The module allocates the memory when the
 * session begins (all of it, zeroed, and accounted to the caller's control
 * group; `ENOMEM`) and gives it back when the session ends. The driver gets at it
 * by mmap(2) of the control file:
 *
 *         0                    header of buffer 0: union
 *                              kbdusmmap_reply_and_request, 64 bytes
 *         64                   header of buffer 1
 *         ...                  ... of buffer `buffer_count` - 1
 *         payload_offset       payload of buffer 0, `payload_size` bytes
 *           + payload_stride   payload of buffer 1
 *         ...
 *         mapping_size         the end
 *
 * kbdus_protocol_config, as handed back by KBDUS_IOCTL_CREATE_DEVICE or
 * KBDUS_IOCTL_ATTACH_TO_DEVICE, tells these numbers.
 *
 * mmap(2) takes MAP_SHARED and any part of the range. It fails with `EINVAL` if
 * the control file is not attached to a device, if the mapping would be private
 * (MAP_PRIVATE), or if it reaches beyond `mapping_size`; with `ENODEV` if the
 * session does not use this protocol; with `ENOMEM`. The memory may be mapped
 * several times. All pages are there at once, so that serving never waits for
 * memory; a mapping cannot grow (mremap(2) fails with `EFAULT`) and is left out of
 * core dumps. Processes that a driver forks inherit it.
 *
 * A mapping keeps the control file open, like a descriptor: the session ends when
 * the last mapping and the last descriptor are gone. Unmapping does not hinder the
 * module, which can get at the memory in any case.
 *
 * Any number of threads may call at a time, each with a buffer of its own. Of
 * threads that name the same buffer at a time, what one does may get lost in what
 * the other does; no other buffer is affected. The module reads the header of a
 * reply once, during the call; nothing that is written there at other times means
 * anything to it.
 *
 *  @{ */

/** @brief Name of the protocol. */
#define KBDUSMMAP_PROTOCOL_NAME "mmap"

/** @brief A request or notification, as the module writes it in the header of a
 *  buffer; 64 bytes. What it carries is in the buffer's payload, whose other
 *  content is undefined from then on. */
struct kbdusmmap_request {
	/** @brief Names the request in its reply; 0 for a notification. */
	__u64 handle;
	/** @brief First byte of the range, 0 if there is no range. */
	__u64 offset;
	/** @brief Size of the range, or the command of an IOCTL. */
	__u32 length;
	/** @brief enum kbdus_request_type. */
	__u32 type;
	/** @brief Zero. */
	__u8 reserved[40];
};

/** @brief The driver's answer to a request, as it writes it in the header of a
 *  buffer; 64 bytes. What the answer carries is in the same buffer's payload. Any
 *  buffer may be used, not only that of the request. */
struct kbdusmmap_reply {
	/** @brief The request's handle; 0 if there is nothing to answer. */
	__u64 handle;
	/** @brief As kbdusioctl_reply::error. */
	__s32 error;
	/** @brief Must be zero (`EINVAL`). */
	__u8 reserved[52];
};

/** @brief The header of a buffer; 64 bytes. The buffer with index i has its
 *  header at i times 64. Zero when the session begins. */
union kbdusmmap_reply_and_request {
	/** @brief Written by the driver: what is answered. */
	struct kbdusmmap_reply reply;
	/** @brief Written by the module: what is asked. */
	struct kbdusmmap_request request;
};

/**
 * @brief Wait for a request or notification. The argument is the index of the
 * buffer to put it in, not a pointer.
 *
 * The buffer's header is written only if the call succeeds.
 *
 * Errors: `EINVAL` there is no such buffer, the control file is not attached to
 * a device, or its session does not use this protocol; `EINTR` interrupted by a
 * signal, nothing was received.
 */
#define KBDUSMMAP_IOCTL_RECEIVE_REQUEST _IO(KBDUS_IOCTL_TYPE, 0x28)

/**
 * @brief Answer a request. The argument is the index of the buffer that the reply
 * is in.
 *
 * A late reply, i.e. one to a request that was answered before, timed out, was
 * terminated or was given to another driver, is ignored and succeeds.
 *
 * Errors: `EINVAL` the handle names no request that was ever handed out, or one
 * that another thread is answering, reserved bytes are not zero, or as for
 * receiving. The request stays with the driver.
 */
#define KBDUSMMAP_IOCTL_SEND_REPLY _IO(KBDUS_IOCTL_TYPE, 0x29)

/**
 * @brief Answer the request that the reply in a buffer is for (if its handle is not
 * 0), then wait for the next and put it in the same buffer. The argument is the
 * buffer's index.
 *
 * If it fails with EINTR the reply has been accepted and is still in the buffer,
 * and as a repeated reply is ignored, a plain retry is harmless. Other errors are
 * those of the half that failed.
 */
#define KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST                         \
	_IO(KBDUS_IOCTL_TYPE, 0x2a)

/** @} */

/* ------------------------------------------------------------------------- */
/** @name The protocol "uds"
 *
 * Requests and replies are messages in a byte stream, a pair of connected Unix
 * domain sockets. A driver makes the pair by `socketpair(AF_UNIX, SOCK_STREAM,
 * 0, ...)`, hands one end to the module when it creates the device or attaches
 * to it (kbdus_protocol_config::socket_fd_plus_1), closes that end, and uses the
 * other. The module sends struct kbdusuds_request, the driver struct
 * kbdusuds_reply, each with `payload_size` bytes of payload right behind it.
 * Messages follow each other without a gap and may be written and read in pieces
 * of any size. Replies may come in any order.
 *
 * Whoever has the socket serves; whoever has the control file keeps the session.
 * That may be different processes: the socket can be passed on.
 *
 * The module sends requests as long as there is room in the socket, whether or
 * not anybody reads them, and they are in the hands of the driver from then on.
 * A driver that was replaced because it did not leave in time may thus find
 * requests in the socket that its successor has already answered; it finds
 * TERMINATE only behind them.
 *
 * The session ends as if the control file had been closed when the module reads
 * end of file (the driver closed or shut down its end; replies sent before that
 * count), when nothing can be sent because the driver does not read any more,
 * and when a reply is malformed: `reserved` is not zero; `payload_size` is larger
 * than kbdus_protocol_config::payload_size or not what the request needs; or the
 * handle was never handed out. The control file is still to be closed then.
 *
 * The module keeps two buffers of the size of a message, but at least 64 KiB, per
 * session.
 *
 * Errors of KBDUS_IOCTL_CREATE_DEVICE and KBDUS_IOCTL_ATTACH_TO_DEVICE with this
 * protocol, beside their own: `EBADF` no such descriptor; `ENOTSOCK` not a
 * socket; `EINVAL` no descriptor, another family or type, or not connected.
 * Their EINTR may also mean that a fatal signal came.
 *
 *  @{ */

/** @brief Name of the protocol. */
#define KBDUSUDS_PROTOCOL_NAME "uds"

/**
 * @brief A request or notification, from the module to the driver; 64 bytes.
 *
 * TERMINATE is sent once and is the last message: end of file comes after it.
 * Requests that the driver holds may still be answered.
 */
struct kbdusuds_request {
	/** @brief Names the request in its reply; 0 for a notification. */
	__u64 handle;
	/** @brief First byte of the range, 0 if there is no range. */
	__u64 offset;
	/** @brief Size of the range, or the command of an IOCTL. */
	__u32 length;
	/** @brief enum kbdus_request_type. */
	__u32 type;
	/** @brief Bytes of payload behind this: `length` for WRITE and FUA_WRITE,
	 *  `_IOC_SIZE` for an IOCTL with `_IOC_READ`, else 0. */
	__u32 payload_size;
	/** @brief Zero. */
	__u8 reserved[36];
};

/**
 * @brief The driver's answer to a request; 64 bytes.
 *
 * A late reply, i.e. one to a request that was answered before, timed out, was
 * terminated or was given to another driver, is ignored with its payload.
 */
struct kbdusuds_reply {
	/** @brief The request's handle. */
	__u64 handle;
	/** @brief 0 or an errno value, see kbdusioctl_reply::error. */
	__s32 error;
	/** @brief Bytes of payload behind this. If `error` is 0: `length` for
	 *  READ, `_IOC_SIZE` for an IOCTL with `_IOC_WRITE`; else 0. */
	__u32 payload_size;
	/** @brief Must be zero. */
	__u8 reserved[48];
};

/**
 * @brief Say that the calling process serves now: it becomes
 * kbdus_device_info::driver_pid. Changes nothing else.
 *
 * For drivers that become daemons: the module cannot see who uses the socket.
 *
 * Errors: `EINVAL` the control file is not attached to a device or its session
 * does not use this protocol.
 */
#define KBDUSUDS_IOCTL_NOTE_PROCESS _IO(KBDUS_IOCTL_TYPE, 0x40)

/** @} */

/* ------------------------------------------------------------------------- */
/** @name The protocol "ring"
 *
 * Requests, replies and payload lie in memory that the module and the driver
 * share. The module puts each request there as soon as a client has made it, a
 * thread of the driver takes it from there, and replies go back the same way: a
 * call is made only to have replies looked at, once for any number of them, and to
 * wait. kbdus_protocol_config, as handed back by KBDUS_IOCTL_CREATE_DEVICE or
 * KBDUS_IOCTL_ATTACH_TO_DEVICE, tells where what is:
 *
 *         0                    submission ring: struct kbdusring_submission,
 *                              then `entry_count` times struct kbdusring_request
 *         driver_offset        struct kbdusring_driver
 *         channel_offset       completion ring of channel 0: struct
 *                              kbdusring_completion, then `entry_count` times
 *                              struct kbdusring_reply
 *           + channel_stride   completion ring of channel 1
 *         ...                  ... of channel `channel_count` - 1
 *         payload_offset       payload memory, unless it is the driver's own
 *         mapping_size         the end
 *
 * The driver gets at it by mmap(2) of the control file, MAP_SHARED, any part of the
 * range. What lies before `driver_offset` can be mapped for reading only (`EACCES`),
 * so it takes at least two mappings. Everything else is as said of the mapping of the
 * protocol "mmap".
 *
 * *Counters* run freely from 0 to 2^32 - 1 and on from 0. The entry that a counter
 * stands for is the one with the index `counter % entry_count`. Whoever moves a
 * counter does so after writing the entries (with release semantics), whoever reads
 * one does so before reading the entries (with acquire semantics).
 *
 * *Taking a request.* `kbdusring_submission::tail` counts the requests that the module
 * has put in, `kbdusring_driver::head` those that the driver has taken out. A thread reads
 * first `head`, which only others can move meanwhile, and then `tail`. If they differ, it
 * copies the entry that `head` stands for, and then moves `head` by
 * one with an atomic compare-and-exchange; if that fails another thread was quicker,
 * and the copy is worth nothing. The request is the thread's then. An entry may be
 * overwritten once it was taken.
 *
 * When the session is over, because the device is or because another driver was given
 * it, the module moves `head` up to `tail`, so that threads that know nothing of it find
 * no more requests.
 *
 * Until then, requests that have timed out and were not taken yet are taken like others,
 * as the module cannot know that no thread is about to.
 *
 * *Payload* is in the payload memory at kbdusring_request::payload_offset. It belongs
 * to the driver until it answers. That holds for requests as well that have timed out
 * meanwhile, whose memory is not used for anything else until they are answered: a driver
 * that answers none of them gets no more requests at last. The module allocates payload
 * memory to requests as they come; one that finds none waits until others were answered,
 * and those that came later wait behind it.
 *
 * *Memory of the driver's own* (kbdus_protocol_config::payload_address) is used for
 * payload instead of memory that the module provides, so that it can be what the driver
 * registers for its I/O. `payload_offset` is 0 then, and the mapping ends before it.
 * The memory must be private or shared anonymous memory, or that of a memfd_create(2),
 * and writable. The module pins its pages until the control file is closed, and counts
 * them as locked memory of the process (RLIMIT_MEMLOCK, unless it has CAP_IPC_LOCK).
 * Until then it reads and writes those very pages: a driver that unmaps them, or maps
 * something else there, does not see the payload any more. Private memory stays with
 * the process that handed it in; one that it forks off has a copy of its own.
 *
 * *Answering.* Each channel has a completion ring, into which one thread at a time
 * writes; any channel may be used for the answer to any request. The thread writes
 * the entry that kbdusring_completion::tail stands for and then moves that by one.
 * There is room if the thread has the module look before `entry_count` replies wait. The
 * module looks at the completion ring of a channel when KBDUSRING_IOCTL_ENTER names it;
 * at those of all channels now and then while requests are with the driver, so that a
 * reply is not held up by a thread that does something else for long; and at the end of
 * the session, so that replies given until then count.
 *
 * *Clients that look.* A client that has one request at a time may look for its reply
 * instead of sleeping, for at most kbdus_protocol_config::spin_us and as long as that
 * proves worth while, and one that polls does so in any case. Such a client looks at the completion rings of all
 * channels. So no call is needed to have replies looked at if, after the last of them was
 * put in and with a full memory barrier between, kbdusring_submission::reapers is not 0, or
 * if all of them are to requests with #KBDUSRING_REQUEST_POLLED.
 *
 * *Polling.* poll(2), epoll(7) and the like say of the control file that it can be read
 * (`POLLIN`) while there are requests that nobody has taken, or a notification, which
 * #KBDUSRING_ENTER_NOTIFIED brings. With the other protocols, and before the control file
 * is attached, they say `POLLERR`.
 *
 * Errors of KBDUS_IOCTL_CREATE_DEVICE and KBDUS_IOCTL_ATTACH_TO_DEVICE with memory of the
 * driver's own, beside their own: `EFAULT` it is not all there, cannot be written, or is
 * of a kind that cannot be pinned for long, like that of a file; `ENOMEM` it is more than
 * the process may lock.
 *
 * Whatever the driver writes there, no other device and no client is affected, other
 * than by answers to its own requests.
 *
 *  @{ */

/** @brief Name of the protocol. */
#define KBDUSRING_PROTOCOL_NAME "ring"

/** @brief The most channels that a session can have. */
#define KBDUSRING_MAX_CHANNELS 256

/** @brief Bytes of payload memory if the driver does not say. */
#define KBDUSRING_DEFAULT_PAYLOAD_MEMORY (512u << 10)

/** @brief The longest that clients look for answers before they sleep, in microseconds. */
#define KBDUSRING_MAX_LINGER_US 100

/** @brief A request, written by the module; 64 bytes. */
struct kbdusring_request {
	/** @brief Names the request in its reply; never 0. */
	__u64 handle;
	/** @brief First byte of the range, 0 if there is no range. */
	__u64 offset;
	/** @brief Size of the range, or the command of an IOCTL. */
	__u32 length;
	/** @brief enum kbdus_request_type; no notification. */
	__u32 type;
	/** @brief Where in the payload memory is what the request carries, and is
	 *  to be what the answer carries: bytes from its beginning, a multiple of
	 *  the page size. Meaningless if there is neither. */
	__u32 payload_offset;
	/** @brief #KBDUSRING_REQUEST_POLLED or 0. */
	__u32 flags;
	/** @brief Zero. */
	__u8 reserved[32];
};

/** @brief Flag of a request: its client polls (`RWF_HIPRI`, `IORING_SETUP_IOPOLL`), so it
 *  looks for the reply itself. */
#define KBDUSRING_REQUEST_POLLED (1u << 0)

/** @brief Beginning of the submission ring, written by the module; 64 bytes. */
struct kbdusring_submission {
	/** @brief Counts the requests that were put in. */
	__u32 tail;
	/** @brief How many clients are looking for replies themselves, in all channels, and
	 *  will look once more after they have taken themselves out of the count. */
	__u32 reapers;
	/** @brief Zero. */
	__u8 reserved[56];
};

/** @brief What threads of the driver have in common, written by them; 64 bytes. */
struct kbdusring_driver {
	/** @brief Counts the requests that were taken out. */
	__u32 head;
	/** @brief Counts the threads that will soon look for requests, because they
	 *  are looking all the time, or because they are busy with one that does not
	 *  take long. No more than that need not be true: see
	 *  #KBDUSRING_IOCTL_ENTER. */
	__u32 attentive;
	/** @brief Not looked at. */
	__u8 reserved[56];
};

/** @brief Beginning of a completion ring, written by the driver; 64 bytes. */
struct kbdusring_completion {
	/** @brief Counts the replies that were put in. */
	__u32 tail;
	/** @brief Not looked at. */
	__u8 reserved[60];
};

/** @brief An answer, written by the driver; 16 bytes. */
struct kbdusring_reply {
	/** @brief The request's handle. */
	__u64 handle;
	/** @brief As kbdusioctl_reply::error. */
	__s32 error;
	/** @brief Must be zero. */
	__u32 reserved;
};

/** @brief So many requests may wait for each thread that is attentive, see
 *  kbdusring_driver::attentive, before others are woken up. */
#define KBDUSRING_ATTENTION 16

/** @brief Flag of KBDUSRING_IOCTL_ENTER: wait until there is something to do. */
#define KBDUSRING_ENTER_WAIT (1u << 16)

/** @brief Flag of KBDUSRING_IOCTL_ENTER: do not wait, but bring a notification if there
 *  is one. */
#define KBDUSRING_ENTER_NOTIFIED (1u << 17)

/** @brief Result of KBDUSRING_IOCTL_ENTER: there are requests to be taken, or have
 *  been. */
#define KBDUSRING_ENTERED_REQUESTS 0
/** @brief Result of KBDUSRING_IOCTL_ENTER: as KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE. */
#define KBDUSRING_ENTERED_AVAILABLE 1
/** @brief Result of KBDUSRING_IOCTL_ENTER: as KBDUS_REQUEST_TYPE_TERMINATE. */
#define KBDUSRING_ENTERED_TERMINATE 2
/** @brief Result of KBDUSRING_IOCTL_ENTER: as
 *  KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE. */
#define KBDUSRING_ENTERED_FLUSH_AND_TERMINATE 3

/**
 * @brief Look at the replies in a channel's completion ring, then wait for
 * something to do. The argument is the index of the channel, not a pointer, or that
 * with #KBDUSRING_ENTER_WAIT or #KBDUSRING_ENTER_NOTIFIED.
 *
 * With #KBDUSRING_ENTER_WAIT the call returns when there is a notification, which is
 * told by its result, or when there are requests that nobody has taken, which is
 * #KBDUSRING_ENTERED_REQUESTS. Of several threads that wait, one is woken up for each
 * new request, or none as long as kbdusring_driver::attentive says that others will do
 * it in time; if they do not, one is woken up after a while (tens of milliseconds). One
 * that comes too late and finds none enters again. A notification is
 * given to one thread, TERMINATE to each; a thread that was given that takes nothing
 * any more. With #KBDUSRING_ENTER_NOTIFIED alone the call does not wait; its result is a
 * notification if there is one. Without either it does not look for any, and its result
 * is #KBDUSRING_ENTERED_REQUESTS.
 *
 * A late reply, i.e. one to a request that has timed out, was terminated or was given
 * to another driver, is ignored. A request that was answered is not known any more:
 * a second reply is an error.
 *
 * If replies that name nothing are found by chance when the module looks at all
 * channels, they are only counted (kbdus_device_statistics::bad_replies).
 *
 * Errors: `EINVAL` there is no such channel, unknown flags, the control file is not
 * attached to a device, or its session does not use this protocol; or replies named
 * no request that the driver holds, had `reserved` other than zero, or were more than
 * there can be: all others count, and nothing was waited for; `EINTR` interrupted by
 * a signal while waiting.
 */
#define KBDUSRING_IOCTL_ENTER _IO(KBDUS_IOCTL_TYPE, 0x30)

/** @} */

#endif
