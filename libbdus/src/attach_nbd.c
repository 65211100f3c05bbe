/* SPDX-License-Identifier: MIT */

/*
 * attach_nbd.c: how a driver takes over a network block device.
 *
 * Called by run.c, through the table in backend_nbd.c. The successor asks the keeper of the
 * present driver and gets its connections, which go on where that driver stopped. If there
 * is no driver, or it does not leave, the kernel is given a new connection, and sends what
 * was not answered once more.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"

/* How long the kernel may take to see that connections have ended. */
#define RECONNECT_TIMEOUT_MS 5000

int libbdus_nbd_describe(const struct libbdus_session *session, uint64_t dev_id,
			struct kbdus_device_config *device)
{
	struct libbdus_record record;
	int ret = libbdus_recorded_await(session, dev_id, &record);

	if (!ret)
		*device = record.device;
	return ret;
}

/* Whether the kernel has taken the other end of a connection: else nobody has it, once
 * we have closed it. */
static bool is_connected(int fd)
{
	struct pollfd state = { .fd = fd, .events = POLLRDHUP };

	return poll(&state, 1, 0) == 0;
}

/* Give the kernel a connection in place of one that has ended, or is about to. */
static int reconnect(struct libbdus_session *session)
{
	const uint64_t end = libbdus_now_ms() + RECONNECT_TIMEOUT_MS;
	struct nbd_device *device = session->holding;
	int kernel_fds[NBD_CONNECTIONS];
	const struct nbd_order order = {
		.number = session->device.index,
		.identifier = device->keeping.identifier,
		.dead_timeout = libbdus_nbd_dead_timeout(&session->device),
		.fds = kernel_fds,
		.fd_count = 1,
	};
	int ret;

	if (!libbdus_nbd_is_ours(&device->keeping))
		return libbdus_recorded_is_gone(session->device.seqnum);

	do {
		libbdus_nbd_close_connections(device);
		ret = libbdus_nbd_make_connections(session, 1, kernel_fds);
		if (ret)
			return ret;
		ret = libbdus_nbd_netlink_reconnect(&order);
		close(kernel_fds[0]);
		if (ret || is_connected(device->fds[0]))
			return ret;
		libbdus_pause();
	} while (libbdus_now_ms() < end);

	return libbdus_error(EIO,
		"The kernel does not see that the former driver of nbd%" PRIu32
		" is gone.", order.number);
}

static void keep_fds(struct nbd_device *device, unsigned int count)
{
	for (unsigned int i = 0; i < count; ++i)
		device->fds[i] = libbdus_daemonize_keep(device->fds[i]);
	device->fd_count = count;
}

/* The present driver takes too long. */
static int cut_off(struct libbdus_session *session, int keeper_fd)
{
	struct nbd_device *device = session->holding;

	if (!libbdus_nbd_is_recoverable(&session->device)) {
		libbdus_nbd_keeper_ask(keeper_fd, NBD_KEEPER_DESTROY,
				       NBD_KEEPER_TIMEOUT_MS);
		return libbdus_recorded_is_gone(session->device.seqnum);
	}
	for (unsigned int i = 0; i < device->fd_count; ++i)
		shutdown(device->fds[i], SHUT_RDWR);
	return reconnect(session);
}

/* Wait until the present driver has left, and get hold of its connections. */
static int await_leaving(struct libbdus_session *session, int keeper_fd)
{
	const int timeout_ms = session->leave_timeout_ms &&
			       session->leave_timeout_ms < INT32_MAX ?
		(int)session->leave_timeout_ms : KBDUS_DEFAULT_LEAVE_TIMEOUT_MS;
	struct nbd_device *device = session->holding;
	enum nbd_word word;

	word = libbdus_nbd_keeper_await(keeper_fd, timeout_ms, NULL, NULL);
	switch (word) {
	case NBD_KEEPER_LEFT:
		return 0;
	case NBD_KEEPER_ORPHAN:
		return reconnect(session);
	case NBD_KEEPER_LATE:
		return cut_off(session, keeper_fd);
	case NBD_KEEPER_INTERRUPTED:
		return libbdus_error_with_errno(EINTR,
			"Failed to take over device %" PRIu64,
			(uint64_t)session->device.seqnum);
	default:
		libbdus_nbd_close_connections(device);
		return libbdus_recorded_is_gone(session->device.seqnum);
	}
}

/* Have the present driver leave, if there is one. */
static int succeed(struct libbdus_session *session, int keeper_fd)
{
	const uint64_t dev_id = session->device.seqnum;
	struct nbd_device *device = session->holding;
	const char request = NBD_KEEPER_REPLACE;
	enum nbd_word word = NBD_KEEPER_NONE;
	unsigned int count = 0;

	if (send(keeper_fd, &request, 1, MSG_NOSIGNAL) == 1)
		word = libbdus_nbd_keeper_await(keeper_fd, NBD_KEEPER_TIMEOUT_MS,
						device->fds, &count);
	keep_fds(device, count);

	switch (word) {
	case NBD_KEEPER_LEAVING:
		return await_leaving(session, keeper_fd);
	case NBD_KEEPER_ORPHAN:
		return reconnect(session);
	case NBD_KEEPER_BUSY:
		return libbdus_error(EINPROGRESS,
			"Another driver is about to take over the device with id %"
			PRIu64 ".", dev_id);
	case NBD_KEEPER_INTERRUPTED:
		return libbdus_error_with_errno(EINTR,
			"Failed to take over device %" PRIu64, dev_id);
	default:
		return libbdus_error(EBUSY,
			"The keeper of the device with id %" PRIu64
			" does not answer.", dev_id);
	}
}

/* Become the driver, by way of the present one's keeper. */
static int replace(struct libbdus_session *session, int keeper_fd)
{
	struct nbd_device *device = session->holding;
	int ret;

	ret = succeed(session, keeper_fd);
	if (!ret)
		ret = libbdus_record_take(session->device.seqnum,
					  &device->record_fd);
	if (!ret)
		ret = libbdus_nbd_start_keeper(device);
	if (ret)
		return ret;

	libbdus_nbd_tell_keeper(device, NBD_LINE_AVAILABLE);
	libbdus_nbd_keeper_ask(keeper_fd, NBD_KEEPER_TAKEN,
			       NBD_KEEPER_TIMEOUT_MS);
	return 0;
}

/* The keeper was killed, too. One of those who come now is the first. */
static int succeed_nobody(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct libbdus_record record;
	int lock;
	int ret;

	ret = libbdus_record_lock(session->device.seqnum, &lock);
	if (ret)
		return ret;

	ret = libbdus_recorded_await(session, session->device.seqnum, &record);
	if (!ret && record.is_driven)
		ret = libbdus_error(EBUSY,
			"The keeper of the device with id %" PRIu64
			" is gone, so that its driver cannot be replaced.",
			(uint64_t)session->device.seqnum);
	if (!ret)
		ret = reconnect(session);
	if (!ret)
		ret = libbdus_record_take(session->device.seqnum,
					  &device->record_fd);
	if (!ret)
		ret = libbdus_nbd_start_keeper(device);
	if (!ret)
		libbdus_nbd_tell_keeper(device, NBD_LINE_AVAILABLE);
	close(lock);
	return ret;
}

int libbdus_nbd_attach(struct libbdus_session *session, uint64_t dev_id)
{
	struct libbdus_record record;
	struct nbd_device *device;
	int keeper_fd;
	int ret;

	ret = libbdus_recorded_await(session, dev_id, &record);
	if (!ret)
		ret = libbdus_nbd_allocate(session);
	if (ret)
		return ret;

	device = session->holding;
	session->device = record.device;
	session->payload_size = NBD_PAYLOAD_SIZE;
	memcpy(session->path, record.path, sizeof(session->path));
	libbdus_nbd_describe_keeping(&record, &device->keeping);
	keeper_fd = libbdus_nbd_keeper_connect(dev_id);
	if (keeper_fd >= 0) {
		ret = replace(session, keeper_fd);
		close(keeper_fd);
	} else {
		ret = succeed_nobody(session);
	}
	return ret ? ret : libbdus_protocol_nbd.begin(session, NULL);
}
