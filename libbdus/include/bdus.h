/* SPDX-License-Identifier: MIT */

/**
 * @file bdus.h
 * @brief Block devices in user space: the interface of `libbdus`.
 *
 * A program becomes the *driver* of a block device by filling in a struct
 * bdus_ops with the operations that it implements and a struct bdus_attrs with
 * what the device looks like, and by calling bdus_run():
 *
 * @code{.c}
 * static const struct bdus_ops ops = { .read = my_read, .write = my_write };
 * static const struct bdus_attrs attrs = {
 *         .size = 1 << 30, .logical_block_size = 512,
 * };
 *
 * int main(void)
 * {
 *         if (!bdus_run(&ops, &attrs, NULL)) {
 *                 fprintf(stderr, "Error: %s\n", bdus_get_error_message());
 *                 return 1;
 *         }
 *         return 0;
 * }
 * @endcode
 *
 * Compile with any of C99, C11 and C++11 or later, link with `-lbdus`. Zero the
 * structs that you pass, as designated initialisers do: later versions append
 * fields, and zero always means "as before".
 *
 * Unless said otherwise:
 *
 * - sizes and offsets are bytes;
 * - functions may be called from any thread, several at a time;
 * - functions that return `bool` return false on failure, set `errno`, and set
 *   the message that bdus_get_error_message() returns in the same thread. They
 *   leave both alone on success. Errno values are part of the interface,
 *   message texts are not;
 * - names have been available since version 0.1.0.
 *
 * ### Errors that every function can give
 *
 * All functions that return `bool` but bdus_get_backend_info() look at their
 * arguments first and talk then to what makes the device: to the module `kbdus`,
 * unless it is a device of another backend. So each can fail with these in addition
 * to what is said with it:
 *
 * - `EPERM`: the effective user is not root, or lacks `CAP_SYS_ADMIN`;
 * - `ENOENT`: the module is not loaded and could not be loaded (from bdus_run(): and
 *   no other backend can be used);
 * - `EACCES`: the control device `/dev/bdus-control` cannot be opened;
 * - `EINVAL`: the module's version does not suit that of the library (never
 *   from bdus_get_kbdus_version());
 * - `ENOMEM`, `EMFILE`, `ENFILE`: resources ran out.
 *
 * ### Environment
 *
 * - `BDUS_BACKEND`: what makes the device in bdus_run(): `kbdus`, `ublk`, `nbd`,
 *   `fuse`, or `auto` for the first of them that works and can do what the driver
 *   needs, which is the default; any other value makes it fail with `EINVAL`. Unless
 *   that is `kbdus`, it says on standard error which it took and why. See
 *   bdus_get_backend_info() for what each can do.
 * - `BDUS_PROTOCOL`: name of the protocol by which bdus_run() and bdus_rerun()
 *   talk to the module: `ioctl`, `mmap`, `uds` or `ring`; any other value makes
 *   them fail with `EINVAL`. By default they take the fastest. The module may have
 *   been loaded with a fixed one (`modprobe kbdus protocol=...`), which then
 *   applies whatever this variable says.
 * - `BDUS_NO_MEMORY_LOCK`: if set to `1`, nothing is done of what "Memory" at
 *   bdus_run() says.
 */

#ifndef BDUS_HEADER_BDUS_H
#define BDUS_HEADER_BDUS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------- */
/** @name Versions
 *  @{ */

/** @brief Major version of this header. */
#define BDUS_HEADER_VERSION_MAJOR 0
/** @brief Minor version of this header. */
#define BDUS_HEADER_VERSION_MINOR 1
/** @brief Patch version of this header. */
#define BDUS_HEADER_VERSION_PATCH 3

/**
 * @def BDUS_REQUIRE_VERSION_MAJOR
 * @brief Major version that the including program is written for.
 *
 * A program may define all three BDUS_REQUIRE_VERSION macros before it includes
 * this header. It then compiles only with a header that has everything of that
 * version, compiles only if it uses nothing that is newer, and runs with that
 * version of the library and with every later one of the same minor version.
 * Without them the header's own version is taken.
 */
/**
 * @def BDUS_REQUIRE_VERSION_MINOR
 * @brief Minor version that the including program is written for.
 */
/**
 * @def BDUS_REQUIRE_VERSION_PATCH
 * @brief Patch version that the including program is written for.
 */
#if !defined(BDUS_REQUIRE_VERSION_MAJOR) &&                                    \
	!defined(BDUS_REQUIRE_VERSION_MINOR) &&                                \
	!defined(BDUS_REQUIRE_VERSION_PATCH)
#define BDUS_REQUIRE_VERSION_MAJOR BDUS_HEADER_VERSION_MAJOR
#define BDUS_REQUIRE_VERSION_MINOR BDUS_HEADER_VERSION_MINOR
#define BDUS_REQUIRE_VERSION_PATCH BDUS_HEADER_VERSION_PATCH
#elif !defined(BDUS_REQUIRE_VERSION_MAJOR) ||                                  \
	!defined(BDUS_REQUIRE_VERSION_MINOR) ||                                \
	!defined(BDUS_REQUIRE_VERSION_PATCH)
#error Define all of BDUS_REQUIRE_VERSION_{MAJOR,MINOR,PATCH} or none of them.
#endif

#if (BDUS_REQUIRE_VERSION_MAJOR) != BDUS_HEADER_VERSION_MAJOR ||               \
	(BDUS_REQUIRE_VERSION_MINOR) != BDUS_HEADER_VERSION_MINOR ||           \
	(BDUS_REQUIRE_VERSION_PATCH) > BDUS_HEADER_VERSION_PATCH
#error This is bdus.h version 0.1.3 but an incompatible version was required.
#endif

/** @brief A version of the library or of the module. */
struct bdus_version {
	/** @brief Different values: nothing is compatible. */
	uint32_t major;
	/** @brief Different values: nothing is compatible. */
	uint32_t minor;
	/** @brief A higher one can do all that a lower one can. */
	uint32_t patch;
};

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Drivers
 *  @{ */

struct bdus_ops;
struct bdus_attrs;

/**
 * @brief What the callbacks of a driver get to see.
 *
 * There is one object for each call to bdus_run() or bdus_rerun(). All callbacks
 * share it, and it lives until the call returns.
 */
struct bdus_ctx {
	/** @brief The number that names the device for ever. It is never used
	 *  again, not even after the device is gone. */
	const uint64_t id;

	/** @brief Absolute path of the device's node: `/dev/bdus-<id>` if the
	 *  module makes it. Valid until bdus_run() or bdus_rerun() returns. */
	const char *const path;

	/** @brief The library's copy of the callbacks. */
	const struct bdus_ops *const ops;

	/** @brief The library's copy of the attributes, *after* it and the module
	 *  adjusted them; see struct bdus_attrs. */
	const struct bdus_attrs *const attrs;

	/** @brief Whether the driver runs under bdus_rerun(). */
	const bool is_rerun;

	/** @brief What was passed to bdus_run() or bdus_rerun(). The library never
	 *  looks at it; callbacks may change it, and must then care for races
	 *  among themselves. */
	void *private_data;

#if (BDUS_REQUIRE_VERSION_PATCH) >= 1
	/** @brief Major number of the device's node.
	 *  @since 0.1.1 */
	const uint32_t major;

	/** @brief Minor number of the device's node, i.e. of the whole device.
	 *  @since 0.1.1 */
	const uint32_t minor;
#endif
};

/** @brief Value that callbacks may return. */
enum {
	/**
	 * @brief Give up: end the driver as after a fatal error.
	 *
	 * From a callback that serves a request, the request is not answered. It
	 * fails with `EIO`, or, if the device is recoverable, is given to the
	 * next driver. bdus_ops::terminate is called, and bdus_run() or
	 * bdus_rerun() fails with `EIO`.
	 */
	bdus_abort = INT_MIN
};

/**
 * @brief The operations of a driver.
 *
 * Any of them may be NULL. Which of them are there decides what the device can
 * do:
 *
 * - without `write`, `write_same`, `write_zeros`, `fua_write`, `discard` and
 *   `secure_erase` the device is read-only;
 * - without `read` or `write`, such requests fail with `EOPNOTSUPP`; without
 *   `ioctl`, unknown ioctls fail with `ENOTTY`;
 * - without `write_same` or `write_zeros` the kernel uses `write` instead;
 * - without `flush` the device counts as write-through: what `write` has
 *   finished is durable, and no flushes are sent;
 * - without `fua_write` the kernel uses `write` and `flush` instead; `fua_write`
 *   without `flush` is refused (`EINVAL`).
 *
 * ### What they return
 *
 * 0, an errno value, or ::bdus_abort. The client sees `ENOLINK`, `ENOSPC` and
 * `ETIMEDOUT` as they are, and `EIO` for every other value; from `ioctl` it sees
 * every value from 1 to 133 except `ENOSYS`, and `EIO` otherwise.
 *
 * ### Where they run
 *
 * `initialize`, `on_device_available` and `terminate` never run at the same time
 * as anything else, with one exception: requests come before
 * `on_device_available` has been called, because the kernel reads the partition
 * table while it adds the device. They run in the thread that called bdus_run(),
 * `terminate` in the forked process if there is one.
 *
 * The others run in up to bdus_attrs::max_concurrent_callbacks threads at a time,
 * one of which is that same thread. With 1 they all run in it. Unless that thread has
 * a scheduling policy of its own, these threads have `SCHED_BATCH` while they serve, so
 * that one that is woken up by a client does not preempt it; that same thread gets
 * its own back.
 *
 * ### What they get
 *
 * `offset` and `size` are multiples of bdus_attrs::logical_block_size, `size` is
 * positive and at most the limit named with the callback, and the range is
 * within the device. `buffer` is aligned to the page size, which suffices for
 * files opened with `O_DIRECT`; it belongs to the callback until that returns.
 *
 * A request can come twice: when a driver dies or is replaced before it has
 * answered a request, its successor gets the request again. Ranges of requests
 * under way at the same time can overlap.
 *
 * A callback must not use the driver's own device, which would wait for itself.
 */
struct bdus_ops {
	/**
	 * @brief Called once, before all others.
	 *
	 * Nobody can use the device yet. Under bdus_rerun() the previous driver has
	 * left. May drop privileges; threads started here are lost if the
	 * process becomes a daemon.
	 *
	 * If it fails, bdus_run() or bdus_rerun() fails with the errno value (`EIO`
	 * for ::bdus_abort), and `terminate` is *not* called.
	 */
	int (*initialize)(struct bdus_ctx *ctx);

	/**
	 * @brief Called once the device's node exists, before the process becomes
	 * a daemon. Under bdus_rerun() too.
	 *
	 * If it is NULL, bdus_ctx::path and a newline are written to the standard
	 * output. If it fails, `terminate` is called and bdus_run() or bdus_rerun()
	 * fails with the errno value.
	 */
	int (*on_device_available)(struct bdus_ctx *ctx);

	/**
	 * @brief Called once, after all others, if `initialize` succeeded.
	 *
	 * Not called if the process dies. If it fails, bdus_run() or bdus_rerun()
	 * fails with the errno value, unless there was another error before.
	 */
	int (*terminate)(struct bdus_ctx *ctx);

	/** @brief Read `size` bytes at `offset` into `buffer`. Limit:
	 *  bdus_attrs::max_read_write_size. */
	int (*read)(char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx);

	/** @brief Write `size` bytes from `buffer` at `offset`. Limit:
	 *  bdus_attrs::max_read_write_size. */
	int (*write)(const char *buffer, uint64_t offset, uint32_t size,
		     struct bdus_ctx *ctx);

	/** @brief Write the one logical block in `buffer` to every block of the
	 *  range. Limit: bdus_attrs::max_write_same_size. Linux 5.18 and later
	 *  never ask for it. */
	int (*write_same)(const char *buffer, uint64_t offset, uint32_t size,
			  struct bdus_ctx *ctx);

	/** @brief Zero the range. Its space may be given back if `may_unmap`, and
	 *  must stay allocated if not. Limit: bdus_attrs::max_write_zeros_size. */
	int (*write_zeros)(uint64_t offset, uint32_t size, bool may_unmap,
			   struct bdus_ctx *ctx);

	/** @brief As `write`, and the data is durable before it returns. What was
	 *  written earlier need not be. Limit: bdus_attrs::max_read_write_size. */
	int (*fua_write)(const char *buffer, uint64_t offset, uint32_t size,
			 struct bdus_ctx *ctx);

	/** @brief Make everything durable that was written by calls which had
	 *  returned when this one began. */
	int (*flush)(struct bdus_ctx *ctx);

	/** @brief The content of the range is no longer needed. Limit:
	 *  bdus_attrs::max_discard_erase_size. */
	int (*discard)(uint64_t offset, uint32_t size, struct bdus_ctx *ctx);

	/** @brief Erase the range such that nobody can restore it. Limit:
	 *  bdus_attrs::max_discard_erase_size. */
	int (*secure_erase)(uint64_t offset, uint32_t size,
			    struct bdus_ctx *ctx);

	/**
	 * @brief A client's ioctl(2) that the kernel does not serve itself.
	 *
	 * `argument` depends on the direction in `command`, which BDUS reads from
	 * the *driver's* side, the reverse of the usual sense:
	 *
	 * - `_IO`: NULL;
	 * - `_IOR`: the client's data; changes to it are ignored;
	 * - `_IOW`: zeros; given to the client if the callback returns 0;
	 * - `_IOWR`: the client's data; given back if the callback returns 0.
	 *
	 * Its size is `_IOC_SIZE(command)`. Commands without a direction but with a
	 * size or the other way round, `BLKFLSBUF` and `BLKROSET` never come.
	 */
	int (*ioctl)(uint32_t command, void *argument, struct bdus_ctx *ctx);
};

#if (BDUS_REQUIRE_VERSION_PATCH) >= 3
/** @brief Value of bdus_attrs::orphan_timeout_ms: wait for ever.
 *  @since 0.1.3 */
#define BDUS_ORPHAN_TIMEOUT_FOREVER 0xffffffffu

/** @brief Value of bdus_attrs::spin_time_us: sleep at once.
 *  @since 0.1.3 */
#define BDUS_NO_SPINNING 0xffffffffu
#endif

/**
 * @brief What a device looks like, and how its driver runs.
 *
 * Each field says what bdus_run() accepts (`EINVAL` if it does not) and how it
 * is adjusted; callbacks find the result in bdus_ctx::attrs. bdus_rerun() never
 * changes a device: there 0 stands for the device's own value, the first three
 * must otherwise be equal to it and the four limits must otherwise be at least
 * as large (`EINVAL`), and callbacks see the device's values.
 */
struct bdus_attrs {
	/** @brief Size of the smallest unit that clients can read and write. A
	 *  power of two from 512 to the page size. Mandatory with bdus_run(). */
	uint32_t logical_block_size;

	/** @brief Size of the smallest unit that can be written without reading
	 *  first. A power of two from logical_block_size to the page size, or 0
	 *  for logical_block_size. */
	uint32_t physical_block_size;

	/** @brief Size of the device. A positive multiple of the physical block
	 *  size, at most 2^63 - 512. Mandatory with bdus_run(). */
	uint64_t size;

	/** @brief How many callbacks may run at a time. 0 stands for 1. May be
	 *  lowered: to 1 if no callback serves requests, and to the number of
	 *  requests that the device can have under way (twice this number, at
	 *  most 256). The same with bdus_rerun(). */
	uint32_t max_concurrent_callbacks;

	/** @brief Largest `read`, `write` and `fua_write`. At least the page size,
	 *  or 0 for 256 KiB, with the backend `nbd` 1 MiB. Rounded down to a multiple
	 *  of logical_block_size, at most 1 MiB; 0 if there is none of these
	 *  callbacks. */
	uint32_t max_read_write_size;

	/** @brief Largest `write_same`. At least logical_block_size, or 0 for the
	 *  largest possible. Rounded down to a multiple of logical_block_size; 0
	 *  without the callback. */
	uint32_t max_write_same_size;

	/** @brief Largest `write_zeros`; otherwise as max_write_same_size. */
	uint32_t max_write_zeros_size;

	/** @brief Largest `discard` and `secure_erase`; otherwise as
	 *  max_write_same_size. */
	uint32_t max_discard_erase_size;

	/** @brief Do not look for partitions; the device cannot have any. Ignored
	 *  by bdus_rerun(). */
	bool disable_partition_scanning;

	/** @brief If the driver ends in whatever way, keep the device: it waits for
	 *  a successor that calls bdus_rerun(), and so do its clients. Without
	 *  this the device is destroyed. Ignored by bdus_rerun(). */
	bool recoverable;

	/** @brief Stay in the foreground and in the same process. */
	bool dont_daemonize;

	/** @brief Write a line on standard error for each callback, and a list of
	 *  callbacks and attributes before the first. Nothing can be seen of it
	 *  once the process is a daemon. */
	bool log;

#if (BDUS_REQUIRE_VERSION_PATCH) >= 3
	/** @brief Milliseconds after which a request that the driver has not
	 *  answered fails with `ETIMEDOUT`. 0 stands for the kernel's 30 s. The
	 *  device's `queue/io_timeout` in sysfs changes it later. Ignored by
	 *  bdus_rerun().
	 *  @since 0.1.3 */
	uint32_t request_timeout_ms;

	/** @brief Milliseconds for which requests to a recoverable device wait for
	 *  a successor, counted from the driver's end. Then all that wait, and
	 *  all later ones, fail with `ETIMEDOUT` until one comes. 0 stands for the
	 *  time-out of requests: 30 s, if nothing else is said.
	 *  #BDUS_ORPHAN_TIMEOUT_FOREVER: no limit. Ignored by bdus_rerun().
	 *  @since 0.1.3 */
	uint32_t orphan_timeout_ms;

	/** @brief Milliseconds that bdus_rerun() gives the present driver to finish
	 *  what it has begun and to leave, before it is cut off. 0 stands for
	 *  30 s. Ignored by bdus_run().
	 *  @since 0.1.3 */
	uint32_t leave_timeout_ms;

	/** @brief Have bdus_rerun() wait for a device that is not yet available,
	 *  instead of failing with `EBUSY`. Ignored by bdus_run().
	 *  @since 0.1.3 */
	bool wait_until_available;

	/** @brief Number of requests that the device takes at a time; what clients
	 *  have beyond that waits in their queues. At most 256, to which a larger
	 *  value is adjusted; callbacks run at the same time for no more than
	 *  these. 0 stands for twice max_concurrent_callbacks, and over the
	 *  protocol `ring` for 64 if that is more: it serves many with one system
	 *  call. Other backends than `kbdus` have numbers of their own. Ignored by
	 *  bdus_rerun().
	 *  @since 0.1.3 */
	uint32_t queue_depth;

	/** @brief Microseconds for which a thread at most looks for the next request
	 *  before it sleeps, over the protocol `ring` and with the backend `nbd`, where
	 *  it looks for the rest of a large one, too: clients whose requests come one
	 *  after the other are served several times faster then, at the expense of a
	 *  processor that would have been idle. One thread looks at a time, and none
	 *  whose waits have not been that short of late, or where there is one
	 *  processor only. Over `ring` a client that has one request at a time looks
	 *  for its answer under the same conditions, but for no more than 100. 0
	 *  stands for 50, and with the backend `nbd` for not at all, as does
	 *  #BDUS_NO_SPINNING; more than 10000 is adjusted to that.
	 *  @since 0.1.3 */
	uint32_t spin_time_us;
#endif
};

bool bdus_run_0_1_0_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);
bool bdus_run_0_1_1_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);
bool bdus_run_0_1_3_(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		     void *private_data);
bool bdus_rerun_0_1_0_(uint64_t dev_id, const struct bdus_ops *ops,
		       const struct bdus_attrs *attrs, void *private_data);
bool bdus_rerun_0_1_1_(uint64_t dev_id, const struct bdus_ops *ops,
		       const struct bdus_attrs *attrs, void *private_data);
bool bdus_rerun_0_1_3_(uint64_t dev_id, const struct bdus_ops *ops,
		       const struct bdus_attrs *attrs, void *private_data);

/**
 * @brief Create a block device and be its driver.
 *
 * Returns when the driver has ended: true if it was told to and
 * bdus_ops::terminate succeeded, also if another driver replaced it; false
 * after an error.
 *
 * ### Becoming a daemon
 *
 * Unless bdus_attrs::dont_daemonize is set, the function goes on in another
 * process once bdus_ops::on_device_available has returned: standard input,
 * output and error are redirected to `/dev/null`, the process leads a session of
 * its own and has no terminal, and the original process exits with status 0
 * without running `atexit(3)` handlers. Working directory, umask and other file
 * descriptors stay. So a driver run as a command returns exactly when its device
 * is usable.
 *
 * Several calls may run at the same time in one process if all of them have
 * bdus_attrs::dont_daemonize.
 *
 * ### Signals
 *
 * The library installs no handlers and blocks nothing. A signal that kills the
 * process ends the device like any crash of its driver.
 *
 * ### Memory
 *
 * A driver that waits for memory while the kernel waits for the driver to write
 * pages out is a deadlock. Against it the library locks the process in memory,
 * asks the kernel not to start such writes on its behalf (`PR_SET_IO_FLUSHER`),
 * and makes it one of the last that the kernel kills when memory is short
 * (`oom_score_adj` -900). Locked is the program's code, what the library itself
 * uses to serve (its buffers, but for those of the backend `ublk`, and 64 KiB of
 * each thread's stack), and other data from its first use on, so that sparse memory
 * stays sparse. Child processes inherit all but the locks, which stay after the
 * function has returned. The library does this as far as it is allowed to and
 * silently goes on where it is not; the environment can switch it off. Do not put
 * swap space on such a device all the same.
 *
 * @param ops           The callbacks; copied.
 * @param attrs         The attributes; copied.
 * @param private_data  Becomes bdus_ctx::private_data; may be NULL.
 *
 * @return Whether the driver ended cleanly. Errors: `EINVAL` bad `ops` or
 *         `attrs` (nothing has been created then), an unknown protocol or
 *         backend, or failure to become a daemon; `EOPNOTSUPP` the backend
 *         cannot do what `ops` or `attrs` need (nothing has been created then),
 *         or is not built in; `ENOSPC` too many devices; `EAGAIN` no
 *         more threads; `EIO` a callback returned ::bdus_abort, or
 *         bdus_ops::flush failed before the driver was replaced; the errno value
 *         that bdus_ops::initialize, bdus_ops::on_device_available or
 *         bdus_ops::terminate returned.
 */
static inline bool bdus_run(const struct bdus_ops *ops,
			    const struct bdus_attrs *attrs, void *private_data)
{
#if (BDUS_REQUIRE_VERSION_PATCH) >= 3
	return bdus_run_0_1_3_(ops, attrs, private_data);
#elif (BDUS_REQUIRE_VERSION_PATCH) >= 1
	return bdus_run_0_1_1_(ops, attrs, private_data);
#else
	return bdus_run_0_1_0_(ops, attrs, private_data);
#endif
}

/**
 * @brief Become the driver of an existing device.
 *
 * A present driver is asked to leave and given time to finish what it holds; if
 * it does not, or if it died, this one gets the requests that were left
 * unanswered. Clients notice nothing of it. Otherwise as bdus_run().
 *
 * `ops` must have all callbacks for the requests that the device supports;
 * others are never called.
 *
 * @param dev_id        The device.
 * @param ops           The callbacks; copied.
 * @param attrs         The attributes; copied.
 * @param private_data  Becomes bdus_ctx::private_data; may be NULL.
 *
 * @return As bdus_run(). Further errors: `EINVAL` the device never existed, or
 *         `ops` or `attrs` do not suit it (the present driver stays then);
 *         `ENODEV` it is gone, or was destroyed because the present driver
 *         failed and it is not recoverable; `EBUSY` it is not available yet
 *         (see bdus_attrs::wait_until_available), or what is left of its
 *         former driver is in the way; `EOPNOTSUPP` its backend cannot replace
 *         drivers; `EINPROGRESS` another driver is about to take it over; `EINTR`
 *         interrupted by a signal, the present driver leaves nevertheless.
 */
static inline bool bdus_rerun(uint64_t dev_id, const struct bdus_ops *ops,
			      const struct bdus_attrs *attrs,
			      void *private_data)
{
#if (BDUS_REQUIRE_VERSION_PATCH) >= 3
	return bdus_rerun_0_1_3_(dev_id, ops, attrs, private_data);
#elif (BDUS_REQUIRE_VERSION_PATCH) >= 1
	return bdus_rerun_0_1_1_(dev_id, ops, attrs, private_data);
#else
	return bdus_rerun_0_1_0_(dev_id, ops, attrs, private_data);
#endif
}

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Drivers without callbacks
 *
 * For drivers that do their I/O asynchronously: instead of being called for each
 * request, they take requests when they like, and answer them from any thread and in
 * any order. The library starts no threads and never becomes a daemon. One thread can
 * serve any number of devices, by polling the descriptor of each:
 *
 * @code{.c}
 * while (is_serving) {
 *         poll(&(struct pollfd){ .fd = bdus_events_get_fd(events), .events = POLLIN },
 *              1, -1);
 *         bdus_events_take(events, requests, 32, &count);
 *         for (uint32_t i = 0; i < count; ++i)
 *                 begin(&requests[i]);    // in the end: bdus_events_answer()
 *         bdus_events_submit(events);
 * }
 * @endcode
 *
 * This needs the backend `kbdus` and its protocol `ring`, which is what is used if the
 * environment says nothing.
 *
 *  @{ */

#if (BDUS_REQUIRE_VERSION_PATCH) >= 3

/**
 * @brief A device that is served without callbacks, from bdus_events_create() or
 * bdus_events_attach() to bdus_events_close(). To be used by the process that made it
 * alone, from any of its threads.
 * @since 0.1.3
 */
struct bdus_events;

/**
 * @brief What a driver is asked to do, or told.
 *
 * The first three are *notifications*, which are not answered. The others are
 * requests, with what the callback of struct bdus_ops of that name gets.
 * @since 0.1.3
 */
enum bdus_request_type {
	/** @brief The device's node exists. Comes once, after bdus_events_attach()
	 *  too. Requests may come before it: the kernel reads the partition table
	 *  while it adds the device. */
	BDUS_REQUEST_AVAILABLE = 0,
	/** @brief The driver is to end. Nothing comes after this. What the driver
	 *  holds it may still answer; then it calls bdus_events_close(). */
	BDUS_REQUEST_TERMINATE = 1,
	/** @brief The same, and everything written so far is to be made durable
	 *  first. Comes only when all requests have been answered. */
	BDUS_REQUEST_FLUSH_AND_TERMINATE = 2,
	/** @brief See bdus_ops::read. */
	BDUS_REQUEST_READ = 3,
	/** @brief See bdus_ops::write. */
	BDUS_REQUEST_WRITE = 4,
	/** @brief See bdus_ops::write_same. */
	BDUS_REQUEST_WRITE_SAME = 5,
	/** @brief See bdus_ops::write_zeros and bdus_request::may_unmap. */
	BDUS_REQUEST_WRITE_ZEROS = 6,
	/** @brief See bdus_ops::fua_write. */
	BDUS_REQUEST_FUA_WRITE = 8,
	/** @brief See bdus_ops::flush: covers the writes that had been answered when
	 *  it was taken. */
	BDUS_REQUEST_FLUSH = 9,
	/** @brief See bdus_ops::discard. */
	BDUS_REQUEST_DISCARD = 10,
	/** @brief See bdus_ops::secure_erase. */
	BDUS_REQUEST_SECURE_ERASE = 11,
	/** @brief See bdus_ops::ioctl. */
	BDUS_REQUEST_IOCTL = 12
};

/** @brief The bit of a type of request in bdus_events_config::operations, e.g.
 *  `BDUS_OPERATION(READ) | BDUS_OPERATION(WRITE)`.
 *  @since 0.1.3 */
#define BDUS_OPERATION(type) (1u << BDUS_REQUEST_##type)

/**
 * @brief A request or notification that was taken.
 * @since 0.1.3
 */
struct bdus_request {
	/** @brief Names the request in its answer, to bdus_events_answer(); never used
	 *  again. 0 for a notification. */
	uint64_t id;
	/** @brief First byte of the range; 0 if there is no range. */
	uint64_t offset;
	/** @brief Size of the range, or of what an ioctl carries; 0 if there is
	 *  neither. */
	uint32_t size;
	/** @brief Command of an ioctl; 0 for others. */
	uint32_t command;
	/** @brief What it is. */
	enum bdus_request_type type;
	/** @brief Of BDUS_REQUEST_WRITE_ZEROS: whether the space may be given back. */
	bool may_unmap;
	/** @brief What is to be written, or where to put what was read, or the
	 *  argument of an ioctl. Within the memory that bdus_events_get_memory()
	 *  tells, aligned to the page size; belongs to the driver until it answers.
	 *  NULL if there is nothing to carry. */
	void *buffer;
};

/**
 * @brief What a driver without callbacks says beside struct bdus_attrs. All zeros make
 * a device without any operation.
 * @since 0.1.3
 */
struct bdus_events_config {
	/** @brief BDUS_OPERATION() bits of the requests that the driver serves. They
	 *  decide what the device can do as the callbacks in struct bdus_ops do.
	 *  `FUA_WRITE` needs `FLUSH`. */
	uint32_t operations;
	/** @brief Memory of the driver's own for bdus_request::buffer, such as it has
	 *  registered for its I/O; aligned to the page size. Private or shared
	 *  anonymous memory, or that of a `memfd_create(2)`; writable. It is pinned,
	 *  and counts as locked memory. To be left where it is until
	 *  bdus_events_close() has returned. NULL to have BDUS provide it. */
	void *memory;
	/** @brief Size of `memory`, a multiple of the page size, at least that of the
	 *  largest request; no more of it is used than all requests at a time can
	 *  fill. If that is NULL, how much there is to be: 0 stands for 4 MiB;
	 *  adjusted to a multiple of the page size between the same two bounds. A
	 *  request that finds no memory waits for others to be answered. */
	size_t memory_size;
};

bool bdus_events_create_0_1_3_(struct bdus_events **out_events,
			       const struct bdus_attrs *attrs,
			       const struct bdus_events_config *config);
bool bdus_events_attach_0_1_3_(struct bdus_events **out_events, uint64_t dev_id,
			       const struct bdus_attrs *attrs,
			       const struct bdus_events_config *config);
int bdus_events_get_fd_0_1_3_(const struct bdus_events *events);
struct bdus_ctx *bdus_events_get_ctx_0_1_3_(struct bdus_events *events);
void *bdus_events_get_memory_0_1_3_(const struct bdus_events *events,
				    size_t *out_size);
bool bdus_events_take_0_1_3_(struct bdus_events *events,
			     struct bdus_request *requests, uint32_t capacity,
			     uint32_t *out_count);
bool bdus_events_answer_0_1_3_(struct bdus_events *events, uint64_t id,
			       int error);
bool bdus_events_submit_0_1_3_(struct bdus_events *events);
void bdus_events_close_0_1_3_(struct bdus_events *events, bool is_successful);

/**
 * @brief Create a block device and become its driver, without callbacks.
 *
 * Returns at once; clients can use the device when BDUS_REQUEST_AVAILABLE was taken.
 * Of `attrs`, `max_concurrent_callbacks`, `dont_daemonize` and `log` mean nothing;
 * `queue_depth` is 64 if it is 0.
 *
 * Does for the process what is said of memory at bdus_run(). The calling thread, and
 * those that it starts afterwards, stay marked by `PR_SET_IO_FLUSHER`; others that
 * serve the device are to be marked by the driver itself.
 *
 * @param[out] out_events  The device; left alone on failure.
 * @param      attrs       The attributes; copied.
 * @param      config      The rest; copied.
 *
 * @return Whether it succeeded. Errors: `EINVAL` bad `attrs` or `config`, an argument
 *         is NULL; `EOPNOTSUPP` the environment or the module demands another backend
 *         than `kbdus` or another protocol than `ring`; `EFAULT` the memory in
 *         `config` is not all there, cannot be written, or is that of a file;
 *         `ENOMEM` also if it is more than the process may lock; `ENOSPC` too many
 *         devices.
 *
 * @since 0.1.3
 */
static inline bool bdus_events_create(struct bdus_events **out_events,
				      const struct bdus_attrs *attrs,
				      const struct bdus_events_config *config)
{
	return bdus_events_create_0_1_3_(out_events, attrs, config);
}

/**
 * @brief Become the driver of an existing device, without callbacks.
 *
 * Whether its present or former driver had callbacks does not matter. Waits until a
 * present driver has left, as bdus_rerun() does; `attrs` are as there. Requests that
 * were left unanswered are the first that are taken.
 *
 * @param[out] out_events  The device; left alone on failure.
 * @param      dev_id      The device.
 * @param      attrs       The attributes; copied.
 * @param      config      The rest; copied. Needs all operations of the device.
 *
 * @return As bdus_events_create(). Further errors: `EINVAL`, `ENODEV`, `EBUSY`,
 *         `EINPROGRESS` and `EINTR` as bdus_rerun(); `EOPNOTSUPP` also if the device
 *         is one of another backend.
 *
 * @since 0.1.3
 */
static inline bool bdus_events_attach(struct bdus_events **out_events,
				      uint64_t dev_id,
				      const struct bdus_attrs *attrs,
				      const struct bdus_events_config *config)
{
	return bdus_events_attach_0_1_3_(out_events, dev_id, attrs, config);
}

/**
 * @brief Get the descriptor to poll.
 *
 * `poll(2)`, `epoll(7)`, io_uring and the like say that it can be read (`POLLIN`) while
 * there is something to take. After BDUS_REQUEST_TERMINATE or
 * BDUS_REQUEST_FLUSH_AND_TERMINATE it may stay so. Nothing else is to be done with it.
 *
 * @param events  The device.
 *
 * @return The descriptor, valid until bdus_events_close(). Never fails.
 *
 * @since 0.1.3
 */
static inline int bdus_events_get_fd(const struct bdus_events *events)
{
	return bdus_events_get_fd_0_1_3_(events);
}

/**
 * @brief Get what is known about a device that is served without callbacks.
 *
 * @param events  The device.
 *
 * @return What callbacks would see: the id, the path, the attributes *after* they
 *         were adjusted, and so on. `ops` is NULL; `private_data` is NULL at first,
 *         and the driver's own. Valid until bdus_events_close(). Never fails.
 *
 * @since 0.1.3
 */
static inline struct bdus_ctx *bdus_events_get_ctx(struct bdus_events *events)
{
	return bdus_events_get_ctx_0_1_3_(events);
}

/**
 * @brief Get the memory that all bdus_request::buffer are in, e.g. to register it with
 * io_uring.
 *
 * @param      events    The device.
 * @param[out] out_size  How much of it is used, a multiple of the page size.
 *
 * @return Its beginning; NULL if no request carries anything. Valid until
 *         bdus_events_close(). Never fails.
 *
 * @since 0.1.3
 */
static inline void *bdus_events_get_memory(const struct bdus_events *events,
					   size_t *out_size)
{
	return bdus_events_get_memory_0_1_3_(events, out_size);
}

/**
 * @brief Take requests and notifications, as many as there are and fit. Never waits.
 *
 * Takes no system call unless it finds no requests; if it does not find any, it also
 * does what bdus_events_submit() does. A driver that is told only of changes
 * (edge-triggered `epoll(7)`) is to call it until it takes nothing.
 *
 * @param      events     The device.
 * @param[out] requests   What was taken.
 * @param      capacity   How many fit there.
 * @param[out] out_count  How many there are, 0 if there was nothing; left alone on
 *                        failure.
 *
 * @return Whether it succeeded. Errors: `EIO` what the module says makes no sense.
 *
 * @since 0.1.3
 */
static inline bool bdus_events_take(struct bdus_events *events,
				    struct bdus_request *requests,
				    uint32_t capacity, uint32_t *out_count)
{
	return bdus_events_take_0_1_3_(events, requests, capacity, out_count);
}

/**
 * @brief Answer a request, from any thread and in any order.
 *
 * Takes no system call: the client gets the answer when bdus_events_submit() is called
 * next, by any thread, or a fifth of a second later by itself. An answer to a request
 * that has timed out, or that another driver has been given meanwhile, is ignored.
 *
 * @param events  The device.
 * @param id      The request. Its buffer is not the driver's any more.
 * @param error   0 or an errno value; what clients see of it is as for callbacks, see
 *                struct bdus_ops.
 *
 * @return Whether it succeeded. Errors: `EINVAL` no such request is in the driver's
 *         hands.
 *
 * @since 0.1.3
 */
static inline bool bdus_events_answer(struct bdus_events *events, uint64_t id,
				      int error)
{
	return bdus_events_answer_0_1_3_(events, id, error);
}

/**
 * @brief Have clients get all answers that were given before, by any thread.
 *
 * Takes one system call, however many they are, and none if there are none. It copies
 * what answers carry, so it takes the longer the more that is; several threads that
 * call it at the same time share that work.
 *
 * @param events  The device.
 *
 * @return Whether it succeeded. Errors: `EIO` what the module says makes no sense.
 *
 * @since 0.1.3
 */
static inline bool bdus_events_submit(struct bdus_events *events)
{
	return bdus_events_submit_0_1_3_(events);
}

/**
 * @brief Be the driver of a device no more.
 *
 * No other thread may be using it. Answers that were given count. Requests that were
 * not answered go to the next driver if the device is recoverable, and fail if not. A
 * device that is not recoverable is destroyed, unless another driver waits for it and
 * this one `is_successful`.
 *
 * @param events         The device, or NULL, which does nothing.
 * @param is_successful  Whether the driver ends as it should: if it was to flush, it
 *                       did.
 *
 * @since 0.1.3
 */
static inline void bdus_events_close(struct bdus_events *events,
				     bool is_successful)
{
	bdus_events_close_0_1_3_(events, is_successful);
}

#endif

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Managing devices
 *  @{ */

bool bdus_get_dev_id_from_path_0_1_0_(uint64_t *out_dev_id,
				      const char *dev_path);
bool bdus_flush_dev_0_1_0_(uint64_t dev_id);
bool bdus_destroy_dev_0_1_0_(uint64_t dev_id);

/**
 * @brief Get the id of the device that a path names.
 *
 * Any path of the device's node will do, also a symbolic link to it or another
 * node with the same number.
 *
 * @param[out] out_dev_id  The id; left alone on failure.
 * @param      dev_path    The path.
 *
 * @return Whether it succeeded. Errors: `EACCES`, `ELOOP`, `ENAMETOOLONG`,
 *         `ENOENT`, `ENOTDIR` from resolving the path; `ENOTBLK` it is no block
 *         device; `EINVAL` it is not a BDUS device, or a partition of one;
 *         `ENODEV` it is the node of a BDUS device that is gone.
 */
static inline bool bdus_get_dev_id_from_path(uint64_t *out_dev_id,
					     const char *dev_path)
{
	return bdus_get_dev_id_from_path_0_1_0_(out_dev_id, dev_path);
}

/**
 * @brief Make everything durable that was written to a device, like `fsync(2)`.
 *
 * Waits for it. Works also while somebody else has the device open
 * exclusively. Does nothing if the device is read-only.
 *
 * @param dev_id  The device.
 *
 * @return Whether it succeeded. Errors: `EINVAL` the device never existed;
 *         `ENODEV` it is gone; `EBUSY` it is not available yet; `EINTR`
 *         interrupted by a signal, the flush goes on; `EIO`, `ENOLINK`,
 *         `ENOSPC`, `ETIMEDOUT` the flush or a write failed; `EIO` also if
 *         there is no driver any more.
 */
static inline bool bdus_flush_dev(uint64_t dev_id)
{
	return bdus_flush_dev_0_1_0_(dev_id);
}

/**
 * @brief Destroy a device, recoverable or not, in use or not, and wait until it
 * is gone.
 *
 * Nothing is flushed; see bdus_flush_dev(). Its driver is told to end, but the
 * device goes away whatever the driver does. Succeeds if the device is gone
 * already. Waits for the driver's process to let go of the module, but for no
 * more than five seconds: a driver that destroys its own device waits that long.
 *
 * @param dev_id  The device.
 *
 * @return Whether it succeeded. Errors: `EINVAL` the device never existed;
 *         `EINTR` interrupted by a signal, the device is going away
 *         nevertheless; `ETIMEDOUT` the backend `ublk` or `nbd` does not get
 *         it removed, perhaps as the kernel waits for something else.
 */
static inline bool bdus_destroy_dev(uint64_t dev_id)
{
	return bdus_destroy_dev_0_1_0_(dev_id);
}

#if (BDUS_REQUIRE_VERSION_PATCH) >= 3

bool bdus_terminate_driver_0_1_3_(uint64_t dev_id);
bool bdus_get_next_dev_0_1_3_(uint64_t *dev_id);

/**
 * @brief Ask the present driver of a device to end.
 *
 * A recoverable device then waits for a successor; any other one is destroyed.
 * Does not wait for either. Does nothing if the device has no driver.
 *
 * @param dev_id  The device.
 *
 * @return Whether it succeeded. Errors: `EINVAL` the device never existed;
 *         `ENODEV` it is gone.
 *
 * @since 0.1.3
 */
static inline bool bdus_terminate_driver(uint64_t dev_id)
{
	return bdus_terminate_driver_0_1_3_(dev_id);
}

/**
 * @brief Replace a number by the lowest id of a device that is not below it.
 *
 * Lists all devices:
 *
 * @code{.c}
 * for (uint64_t id = 0; bdus_get_next_dev(&id); ++id)
 *         printf("%" PRIu64 "\n", id);
 * @endcode
 *
 * @param[in,out] dev_id  Where to begin, and what was found. Left alone on
 *                        failure.
 *
 * @return Whether there is one. Errors: `ENOENT` there is none. (Use
 *         bdus_get_kbdus_version() to tell this from a missing module, which is
 *         the same errno value.)
 *
 * @since 0.1.3
 */
static inline bool bdus_get_next_dev(uint64_t *dev_id)
{
	return bdus_get_next_dev_0_1_3_(dev_id);
}

/** @brief Where a device is in its life.
 *  @since 0.1.3 */
enum bdus_dev_state {
	/** @brief "initialized": exists, clients cannot use it yet. */
	BDUS_DEV_STATE_INITIALIZED = 0,
	/** @brief "available": clients can use it. */
	BDUS_DEV_STATE_AVAILABLE = 1,
	/** @brief "terminated": over, everything fails; about to go away. */
	BDUS_DEV_STATE_TERMINATED = 2
};

/** @brief Who serves a device.
 *  @since 0.1.3 */
enum bdus_service_state {
	/** @brief "served": a driver does. */
	BDUS_SERVICE_STATE_SERVED = 0,
	/** @brief "leaving": its driver was asked to end and has not yet. */
	BDUS_SERVICE_STATE_LEAVING = 1,
	/** @brief "orphan": nobody; requests wait for a driver. */
	BDUS_SERVICE_STATE_ORPHAN = 2,
	/** @brief "expired": nobody came in time; requests fail. */
	BDUS_SERVICE_STATE_EXPIRED = 3,
	/** @brief "none": the device is terminated. */
	BDUS_SERVICE_STATE_NONE = 4
};

/**
 * @brief Everything that can be known about a device.
 * @since 0.1.3
 */
struct bdus_dev_info {
	/** @brief The id. */
	uint64_t id;
	/** @brief Path of its node. */
	char path[64];

	/** @brief The slot that it occupies; used again after it is gone. */
	uint32_t index;
	/** @brief Major number of its node. */
	uint32_t major;
	/** @brief Minor number of its node. */
	uint32_t minor;

	/** @brief Present state. */
	enum bdus_dev_state state;
	/** @brief Who serves it now. */
	enum bdus_service_state service;
	/** @brief The driver's process, the daemon if it became one; 0 if there is
	 *  no driver, or none that the caller can see. */
	uint32_t driver_pid;
	/** @brief How often clients have it open, mounts and partitions
	 *  included. */
	uint32_t openers;
	/** @brief Protocol by which the driver talks to the module; "" if there is
	 *  no driver. */
	char protocol[32];

	/** @brief Size. */
	uint64_t size;
	/** @brief See bdus_attrs::logical_block_size. */
	uint32_t logical_block_size;
	/** @brief See bdus_attrs::physical_block_size. */
	uint32_t physical_block_size;
	/** @brief See bdus_attrs::max_read_write_size. */
	uint32_t max_read_write_size;
	/** @brief See bdus_attrs::max_write_same_size. */
	uint32_t max_write_same_size;
	/** @brief See bdus_attrs::max_write_zeros_size. */
	uint32_t max_write_zeros_size;
	/** @brief See bdus_attrs::max_discard_erase_size. */
	uint32_t max_discard_erase_size;
	/** @brief Requests that can be under way at a time. */
	uint32_t max_outstanding_requests;
	/** @brief See bdus_attrs::request_timeout_ms; as when the device was
	 *  created. */
	uint32_t request_timeout_ms;
	/** @brief See bdus_attrs::orphan_timeout_ms. */
	uint32_t orphan_timeout_ms;

	/** @brief Whether the device supports reading. */
	bool supports_read;
	/** @brief Whether the device supports writing. */
	bool supports_write;
	/** @brief Whether bdus_ops::write_same is there. */
	bool supports_write_same;
	/** @brief Whether bdus_ops::write_zeros is there. */
	bool supports_write_zeros;
	/** @brief Whether bdus_ops::fua_write is there. */
	bool supports_fua_write;
	/** @brief Whether bdus_ops::flush is there. */
	bool supports_flush;
	/** @brief Whether bdus_ops::discard is there. */
	bool supports_discard;
	/** @brief Whether bdus_ops::secure_erase is there. */
	bool supports_secure_erase;
	/** @brief Whether bdus_ops::ioctl is there. */
	bool supports_ioctl;
	/** @brief Whether it outlives its driver. */
	bool recoverable;
	/** @brief Whether it can have partitions. */
	bool partition_scanning;
	/** @brief Whether clients can only read. */
	bool read_only;

	/** @brief Requests that clients and the kernel made so far. */
	uint64_t requests;
	/** @brief Requests handed to a driver, repetitions included. */
	uint64_t requests_delivered;
	/** @brief Requests answered by a driver without an error. */
	uint64_t requests_succeeded;
	/** @brief Requests answered by a driver with an error. */
	uint64_t requests_failed;
	/** @brief Requests put back because their driver died or was replaced. */
	uint64_t requests_requeued;
	/** @brief Requests that failed because nobody answered in time. */
	uint64_t requests_timed_out;
	/** @brief Requests that failed because the device was terminated. */
	uint64_t requests_terminated;
	/** @brief Client ioctls given up because their caller was interrupted. */
	uint64_t requests_cancelled;
	/** @brief Replies to a request that no longer waited for them. */
	uint64_t late_replies;
	/** @brief Replies refused because they name no request of the driver. */
	uint64_t bad_replies;
	/** @brief Drivers that the device has had, the present one included. */
	uint64_t sessions;
	/** @brief Nanoseconds for which nobody served during the last change of
	 *  driver; 0 if there was none. */
	uint64_t last_gap_ns;
	/** @brief Nanoseconds since the device lost its driver; 0 if it has
	 *  one. */
	uint64_t orphaned_ns;
	/** @brief Requests that wait for a driver now. */
	uint32_t requests_queued_now;
	/** @brief Requests in the hands of a driver now. */
	uint32_t requests_with_driver_now;

	/** @brief Name of the backend that made it; see bdus_get_backend_info(). */
	char backend[16];

	/** @brief Threads of the driver that can serve at a time without getting into
	 *  each other's way; 0 if that is not limited, or not known. */
	uint32_t concurrency;
	/** @brief Microseconds for which threads look for requests before they
	 *  sleep; 0 if they do not, or it is not known. See
	 *  bdus_attrs::spin_time_us. */
	uint32_t spin_time_us;
	/** @brief Bytes of memory for what requests carry; 0 if there is none that
	 *  is shared with the driver, or it is not known. */
	uint64_t payload_memory;
	/** @brief Bytes of memory that the module has for the requests of the device,
	 *  and shares with its driver; 0 if it is not known. */
	uint64_t memory;
};

bool bdus_get_dev_info_0_1_3_(uint64_t dev_id, struct bdus_dev_info *out_info,
			      size_t info_size);
const char *bdus_get_dev_state_name_0_1_3_(enum bdus_dev_state state);
const char *bdus_get_service_state_name_0_1_3_(enum bdus_service_state state);

/**
 * @brief Get everything about a device.
 *
 * @param      dev_id    The device.
 * @param[out] out_info  What is known; left alone on failure.
 *
 * @return Whether it succeeded. Errors: `EINVAL` the device never existed, or the
 *         program was compiled with a later version of the header; `ENODEV` it is
 *         gone.
 *
 * @since 0.1.3
 */
static inline bool bdus_get_dev_info(uint64_t dev_id,
				     struct bdus_dev_info *out_info)
{
	return bdus_get_dev_info_0_1_3_(dev_id, out_info, sizeof(*out_info));
}

/**
 * @brief Name a state in one lower-case word, as said with each enumerator.
 *
 * @param state  The state.
 *
 * @return A static string; "unknown" if there is no such state. Never fails.
 *
 * @since 0.1.3
 */
static inline const char *bdus_get_dev_state_name(enum bdus_dev_state state)
{
	return bdus_get_dev_state_name_0_1_3_(state);
}

/**
 * @brief Name a state in one lower-case word, as said with each enumerator.
 *
 * @param state  The state.
 *
 * @return A static string; "unknown" if there is no such state. Never fails.
 *
 * @since 0.1.3
 */
static inline const char *
bdus_get_service_state_name(enum bdus_service_state state)
{
	return bdus_get_service_state_name_0_1_3_(state);
}

#endif

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Backends
 *  @{ */

#if (BDUS_REQUIRE_VERSION_PATCH) >= 3

/**
 * @brief A way in which the library makes block devices, what it can do, and
 * whether it can here.
 * @since 0.1.3
 */
struct bdus_backend_info {
	/** @brief Name, as in `BDUS_BACKEND`. */
	char name[16];
	/** @brief What its devices are called, with `N` for a number. */
	char node[32];
	/** @brief Earliest version of Linux. */
	char min_kernel[16];

	/** @brief Whether the library was built with it. */
	bool is_built_in;
	/** @brief Whether the caller could create a device with it now. */
	bool is_usable;
	/** @brief Why not; "" if so. */
	char reason[256];

	/** @brief Whether it can be used without being root. */
	bool is_unprivileged;
	/** @brief Whether devices can outlive their driver
	 *  (bdus_attrs::recoverable). */
	bool has_recovery;
	/** @brief Whether a driver can take over from another one
	 *  (bdus_rerun()). */
	bool has_replacement;
	/** @brief Whether bdus_attrs::request_timeout_ms works. */
	bool has_time_out;
	/** @brief Whether an explicit destruction takes the node away from clients
	 *  that have it open. If not, they only get errors, and it goes when the
	 *  last one closes it. */
	bool removes_while_open;

	/** @brief Whether bdus_ops::fua_write is called. If not, `write` and
	 *  `flush` are instead. */
	bool has_fua_write;
	/** @brief Whether discards and zeroing are told apart. If not,
	 *  bdus_ops::write_zeros with `may_unmap` is called for both if it is
	 *  there, and bdus_ops::discard only if it is not. */
	bool has_discard;
	/** @brief Whether bdus_ops::secure_erase is called. */
	bool has_secure_erase;
	/** @brief Whether bdus_ops::ioctl is called. */
	bool has_ioctl;
	/** @brief Whether bdus_attrs::orphan_timeout_ms works. */
	bool has_orphan_time_out;
};

bool bdus_get_backend_info_0_1_3_(uint32_t index,
				  struct bdus_backend_info *out_info,
				  size_t info_size);

/**
 * @brief Get everything about a backend.
 *
 * @param      index     A number from 0, in the order in which they are tried.
 * @param[out] out_info  What is known; left alone on failure.
 *
 * @return Whether there is one with this number. Errors: `ENOENT` there is none;
 *         `EINVAL` the program was compiled with a later version of the header.
 *
 * @since 0.1.3
 */
static inline bool bdus_get_backend_info(uint32_t index,
					 struct bdus_backend_info *out_info)
{
	return bdus_get_backend_info_0_1_3_(index, out_info, sizeof(*out_info));
}

#endif

/** @} */

/* ------------------------------------------------------------------------- */
/** @name Errors and versions
 *  @{ */

const char *bdus_get_error_message_0_1_0_(void);
const struct bdus_version *bdus_get_libbdus_version_0_1_0_(void);
bool bdus_get_kbdus_version_0_1_0_(struct bdus_version *out_version);

/**
 * @brief Get a text about the last failure in the calling thread.
 *
 * @return A string of at most 1023 characters without a newline at its end,
 *         valid until the next failure of a function of this library in this
 *         thread; "" if there was none. Never fails and never needs privileges.
 */
static inline const char *bdus_get_error_message(void)
{
	return bdus_get_error_message_0_1_0_();
}

/**
 * @brief Get the version of the library that the program runs with, which may be
 * later than that of the header that it was compiled with.
 *
 * @return The version, in static storage. Never fails and never needs
 *         privileges.
 */
static inline const struct bdus_version *bdus_get_libbdus_version(void)
{
	return bdus_get_libbdus_version_0_1_0_();
}

/**
 * @brief Get the version of the module, loading it if need be.
 *
 * @param[out] out_version  The version; left alone on failure.
 *
 * @return Whether it succeeded. Errors: none but those that every function can
 *         give.
 */
static inline bool bdus_get_kbdus_version(struct bdus_version *out_version)
{
	return bdus_get_kbdus_version_0_1_0_(out_version);
}

/** @} */

#ifdef __cplusplus
}
#endif

#endif
