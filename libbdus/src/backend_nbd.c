/* SPDX-License-Identifier: MIT */

/*
 * backend_nbd.c: devices of the kernel's module nbd.
 *
 *     client -> /dev/nbdN -> socket pairs -> protocol_nbd.c
 *
 * Called by run.c. Each device is one that nbd makes anew and removes afterwards, so that
 * what is changed about it in sysfs is never found by others. What a driver has of it is
 * made in connect_nbd.c; partitions_nbd.c makes it available; attach_nbd.c is for
 * successors; and its keeper, a process of its own (keeper_nbd.c), does all that happens
 * at its end.
 *
 * Time-outs of nbd end connections, and one that is not answered in time would be sent
 * to another driver, or to the same one twice. So there are none. What a dead driver
 * was sent is looked at once a second, which nbd does with a single connection only: so
 * many does a recoverable device have.
 *
 * Owns struct nbd_device from create or attach to close.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"

/* The largest device that a file offset can address. */
#define LARGEST_SIZE ((uint64_t)INT64_MAX & ~(uint64_t)511)

/* Lower numbers are what the module makes for others. */
#define FIRST_NUMBER 16
#define NUMBER_COUNT 4096

/* Of reads and writes, if nothing was said: what costs most is whole requests, and the
 * buffers are large enough anyway. */
#define DEFAULT_READ_WRITE_SIZE (1024 * 1024)

/* Meanings of struct libbdus_record::numbers. */
enum { NBD_NUMBER };

/* ---- open ---- */

static int nbd_open(struct libbdus_session *session)
{
	int ret = libbdus_require_root();

	if (!ret)
		ret = libbdus_nbd_netlink_probe();
	if (!ret)
		session->protocol = &libbdus_protocol_nbd;
	return ret;
}

/* ---- create ---- */

/* As many as can be used at a time. */
static unsigned int count_connections(const struct libbdus_session *session)
{
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int count = session->workers_wanted;

	if (libbdus_nbd_is_recoverable(&session->device))
		return 1;
	if (processors > 0 && count > (unsigned long)processors)
		count = (unsigned int)processors;
	return count < NBD_CONNECTIONS ? count : NBD_CONNECTIONS;
}

static int adjust(struct libbdus_session *session)
{
	struct kbdus_device_config *device = &session->device;

	if (device->size > LARGEST_SIZE) {
		return libbdus_error(EINVAL,
			"Attribute size is %" PRIu64 " but must be at most %" PRIu64
			".", (uint64_t)device->size, LARGEST_SIZE);
	}

	if (!device->max_read_write_size)
		device->max_read_write_size = DEFAULT_READ_WRITE_SIZE;
	libbdus_attrs_adjust(device);
	/* Network block devices know no other. */
	device->physical_block_size = device->logical_block_size;
	if (device->operations)
		device->max_outstanding_requests =
			NBD_QUEUE_DEPTH * count_connections(session);
	return 0;
}

static uint64_t get_flags(const struct kbdus_device_config *device)
{
	const uint32_t operations = device->operations;
	uint64_t flags = NBD_ORDER_HAS_FLAGS | NBD_ORDER_SEVERAL_CONNECTIONS;

	if (!(operations & KBDUS_OP_WRITE_LIKE))
		flags |= NBD_ORDER_READ_ONLY;
	if (operations & KBDUS_OP(FLUSH))
		flags |= NBD_ORDER_FLUSH;
	if (operations & KBDUS_OP(FUA_WRITE))
		flags |= NBD_ORDER_FUA;
	if (operations & KBDUS_OP(DISCARD))
		flags |= NBD_ORDER_TRIM;
	if (operations & KBDUS_OP_WRITE_ZEROS)
		flags |= NBD_ORDER_WRITE_ZEROES;
	return flags;
}

/* Whether a device that is not there any more is still known by this number. */
static bool is_recorded(uint32_t number)
{
	struct libbdus_record record;

	for (uint64_t id = 0; !libbdus_record_next(&id); ++id) {
		if (!libbdus_record_read(id, &record) &&
		    !strcmp(record.backend, libbdus_backend_nbd.traits.name) &&
		    record.numbers[NBD_NUMBER] == number)
			return true;
	}
	return false;
}

/* Find a number that nobody uses, and that none of those who look for one at the same
 * time finds. */
static int find_number(uint64_t mark, uint32_t *number)
{
	char path[LIBBDUS_PATH_SIZE];

	for (uint64_t i = 0; i < NUMBER_COUNT; ++i) {
		*number = FIRST_NUMBER + (uint32_t)((mark + i) % NUMBER_COUNT);
		snprintf(path, sizeof(path), NBD_NODE_FORMAT, *number);
		if (!libbdus_disk_exists(path) && !is_recorded(*number))
			return 0;
	}
	return libbdus_error(ENOSPC,
			     "There are too many network block devices.");
}

static void close_all(const int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; ++i)
		close(fds[i]);
}

static int order_device(const struct libbdus_session *session,
			const int *kernel_fds)
{
	const struct kbdus_device_config *device = &session->device;
	const struct nbd_device *own = session->holding;
	const struct nbd_order order = {
		.number = device->index,
		.identifier = own->keeping.identifier,
		.size = device->size,
		.block_size = device->logical_block_size,
		.flags = get_flags(device),
		/* Without one, it looks after requests every 30 s, and ends the
		 * connection if there are several. */
		.timeout = libbdus_nbd_is_recoverable(device) ? 0 : NBD_NEVER,
		.dead_timeout = libbdus_nbd_dead_timeout(device),
		.fds = kernel_fds,
		.fd_count = own->fd_count,
	};

	return libbdus_nbd_netlink_connect(&order);
}

/* Find out what the kernel has made. */
static int look_at_device(struct libbdus_session *session)
{
	struct kbdus_device_config *device = &session->device;
	const struct nbd_device *own = session->holding;

	if (!libbdus_nbd_is_ours(&own->keeping)) {
		return libbdus_error(EOPNOTSUPP,
			"The kernel's module nbd is too old.");
	}
	if (!libbdus_disk_get_numbers(session->path, &device->major,
				      &device->minor))
		return libbdus_error(EIO, "Failed to look at %s",
				     session->path);
	return 0;
}

static void set_number(struct libbdus_session *session,
		       struct libbdus_record *record, uint32_t number)
{
	session->device.index = number;
	snprintf(session->path, sizeof(session->path), NBD_NODE_FORMAT, number);
	record->numbers[NBD_NUMBER] = number;
	memcpy(record->path, session->path, sizeof(record->path));
}

/* Make the device, after somebody was found that will see to its end. */
static int make_device(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	int kernel_fds[NBD_CONNECTIONS];
	const unsigned int count = count_connections(session);
	int ret;

	ret = libbdus_nbd_make_connections(session, count, kernel_fds);
	if (!ret)
		ret = libbdus_nbd_start_keeper(device);
	if (!ret)
		ret = order_device(session, kernel_fds);
	/* Else the kernel's end would not show. */
	close_all(kernel_fds, device->fd_count);
	if (!ret)
		ret = look_at_device(session);
	return ret;
}

static int nbd_create(struct libbdus_session *session)
{
	struct libbdus_record record;
	struct nbd_device *device;
	uint32_t number;
	int ret;

	ret = adjust(session);
	if (!ret)
		ret = libbdus_nbd_allocate(session);
	if (ret)
		return ret;

	device = session->holding;
	ret = libbdus_record_create(libbdus_backend_nbd.traits.name, &record,
				    &device->record_fd);
	if (ret)
		return ret;
	session->device.seqnum = record.device.seqnum;
	session->is_unfinished = true;

	ret = find_number(record.mark, &number);
	if (ret)
		return ret;
	set_number(session, &record, number);
	record.device = session->device;
	/* So that the device can be found even if we are killed on the way. */
	ret = libbdus_record_write(&record);
	libbdus_nbd_describe_keeping(&record, &device->keeping);
	if (!ret)
		ret = make_device(session);
	record.device = session->device;
	if (!ret)
		ret = libbdus_record_write(&record);
	if (ret)
		return ret;

	ret = libbdus_nbd_prepare_looking(session);
	if (ret)
		return ret;
	session->payload_size = NBD_PAYLOAD_SIZE;
	return libbdus_protocol_nbd.begin(session, NULL);
}

/* ---- the end of a driver ---- */

static void nbd_stop(const struct libbdus_session *session)
{
	const struct nbd_device *device = session->holding;

	for (unsigned int i = 0; i < device->fd_count; ++i)
		shutdown(device->fds[i], SHUT_RDWR);
}

static void nbd_mark_successful(const struct libbdus_session *session)
{
	libbdus_nbd_tell_keeper(session->holding, NBD_LINE_SUCCESS);
}

/* Leave the device to the keeper, and wait until it has done what there is to do: at
 * once, unless that is to take the device apart. */
static void leave_to_keeper(struct nbd_device *device)
{
	struct pollfd line = { .fd = device->line_fd, .events = POLLIN };
	char byte;

	libbdus_nbd_tell_keeper(device, NBD_LINE_END);
	shutdown(device->line_fd, SHUT_WR);
	/* There may be words that nobody listened to any more. */
	while (poll(&line, 1, NBD_KEEPER_TIMEOUT_MS) > 0 &&
	       read(device->line_fd, &byte, 1) > 0)
		;
}

static void nbd_close(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;

	if (session->shared)
		session->protocol->end(session);
	if (!device)
		return;

	/* Others see that we are gone when the device has been left. */
	libbdus_close(&device->go_fd);
	libbdus_nbd_close_connections(device);
	if (device->line_fd >= 0)
		leave_to_keeper(device);
	else if (device->record_fd >= 0 && session->is_unfinished)
		libbdus_record_remove(session->device.seqnum);
	libbdus_close(&device->line_fd);
	libbdus_close(&device->record_fd);
	libbdus_nbd_abandon_looking(device);
	free(device);
}

const struct libbdus_backend libbdus_backend_nbd = {
	.traits = {
		.name = "nbd",
		.node = "/dev/nbdN",
		.min_kernel = "5.14",
#ifdef LIBBDUS_HAVE_NBD
		.is_built_in = true,
#endif
		.has_recovery = true,
		.has_replacement = true,
		.has_orphan_time_out = true,
		.has_fua_write = true,
		.has_discard = true,
	},
	.management = &libbdus_management_recorded,
	.recorded = &libbdus_recorded_nbd,
	.open = nbd_open,
	.describe = libbdus_nbd_describe,
	.create = nbd_create,
	.attach = libbdus_nbd_attach,
	.stop = nbd_stop,
	.mark_successful = nbd_mark_successful,
	.close = nbd_close,
};
