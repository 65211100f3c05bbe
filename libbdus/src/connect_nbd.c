/* SPDX-License-Identifier: MIT */

/*
 * connect_nbd.c: what a driver has of a network block device, new or taken over.
 *
 * Called by backend_nbd.c and attach_nbd.c: the connections, of which the kernel's ends
 * belong to the device, ours to the driver and its keeper; and the keeper itself. All is
 * owned by struct nbd_device.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"

/* What a request takes in a socket beside its data, roughly, and how much of replies
 * may be on its way. */
#define REQUEST_OVERHEAD 4096
#define REPLY_ROOM (2 * 1024 * 1024)

/* How long requests wait for a successor if nothing else was said. */
#define DEFAULT_ORPHAN_TIMEOUT_MS 30000

/* Whether it waits for a successor when its driver dies. */
bool libbdus_nbd_is_recoverable(const struct kbdus_device_config *device)
{
	return device->flags & KBDUS_DEVICE_F_RECOVERABLE;
}

/* How long requests wait for a successor; 0 if for ever. */
static uint64_t orphan_timeout_ms(const struct kbdus_device_config *device)
{
	if (device->orphan_timeout_ms == KBDUS_ORPHAN_TIMEOUT_FOREVER)
		return 0;
	return device->orphan_timeout_ms ? device->orphan_timeout_ms :
					   DEFAULT_ORPHAN_TIMEOUT_MS;
}

/* The same for the kernel. It is the keeper that sees to it in time. */
uint64_t libbdus_nbd_dead_timeout(const struct kbdus_device_config *device)
{
	if (!libbdus_nbd_is_recoverable(device))
		return 0;
	return orphan_timeout_ms(device) ?
		       orphan_timeout_ms(device) / 1000 + 2 : NBD_NEVER;
}

/* Say what a keeper of a device needs to know, but for messages to the kernel. */
void libbdus_nbd_describe_keeping(const struct libbdus_record *record,
				  struct nbd_keeping *keeping)
{
	const struct kbdus_device_config *device = &record->device;

	*keeping = (struct nbd_keeping){
		.dev_id = device->seqnum,
		.number = device->index,
		.is_recoverable = libbdus_nbd_is_recoverable(device),
		.orphan_timeout_ms = orphan_timeout_ms(device),
	};
	libbdus_record_name(record, keeping->identifier);
}

/* Make the session's struct nbd_device, with nothing in it. */
int libbdus_nbd_allocate(struct libbdus_session *session)
{
	struct nbd_device *device = malloc(sizeof(*device));

	if (!device)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	*device = (struct nbd_device){
		.record_fd = -1, .line_fd = -1, .go_fd = -1, .child.fd = -1,
	};
	session->holding = device;
	return 0;
}

static void make_room(int fd, size_t size)
{
	const int value = size < INT32_MAX / 4 ? (int)size : INT32_MAX / 4;

	/* Else as much as everybody may have. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof(value)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value));
}

/*
 * Make connections: ours survive what a daemon does to its first descriptors.
 *
 * The kernel gets room for all that can be under way. Else those who send would wait
 * for a driver that does not read, and nobody could disconnect the device meanwhile;
 * and from Linux 6.13 on, once such a client was killed, not even the end of the
 * connection would end that waiting soon.
 */
int libbdus_nbd_make_connections(struct libbdus_session *session,
				 unsigned int count,
				 int kernel_fds[NBD_CONNECTIONS])
{
	const size_t request_size = session->device.max_read_write_size +
				    REQUEST_OVERHEAD;
	struct nbd_device *device = session->holding;
	int pair[2];

	for (unsigned int i = 0; i < count; ++i) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return libbdus_error_with_errno(errno,
				"Failed to make sockets");
		kernel_fds[i] = pair[1];
		make_room(pair[1], NBD_QUEUE_DEPTH * request_size);
		make_room(pair[0], REPLY_ROOM);
		pair[0] = libbdus_daemonize_keep(pair[0]);
		if (pair[0] < 0) {
			close(pair[1]);
			return libbdus_error_with_errno(-pair[0],
				"Failed to keep a socket");
		}
		device->fds[device->fd_count++] = pair[0];
	}
	return 0;
}

void libbdus_nbd_close_connections(struct nbd_device *device)
{
	while (device->fd_count > 0)
		close(device->fds[--device->fd_count]);
}

/* Begin as the driver: from here on, somebody sees to what we leave behind. */
int libbdus_nbd_start_keeper(struct nbd_device *device)
{
	int ret;

	ret = libbdus_nbd_netlink_prepare(&device->keeping);
	if (!ret)
		ret = libbdus_nbd_keeper_start(&device->keeping, device->fds,
					       device->fd_count);
	if (ret < 0)
		return ret;
	device->line_fd = ret;
	return 0;
}

void libbdus_nbd_tell_keeper(const struct nbd_device *device, char word)
{
	ssize_t written = send(device->line_fd, &word, 1, MSG_NOSIGNAL);

	/* Without a keeper, there is nobody to care. */
	(void)written;
}
