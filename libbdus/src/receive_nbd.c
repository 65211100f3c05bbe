/* SPDX-License-Identifier: MIT */

/*
 * receive_nbd.c: what comes from the kernel over a network block device's connections, and
 * what else those wait for who read them.
 *
 * Called by stream_receive.c. A message is 28 bytes, with data behind it. The kernel decides
 * which connection it comes over: by the processor of its client. The line to the keeper
 * tells the driver to end, or to leave the connections to a successor, which goes on where
 * this one stopped. Until the device is available there is one worker, which waits for the
 * child that opens it, too, see partitions_nbd.c.
 */

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"

/* ---- messages ---- */

static struct nbd_header read_header(const void *bytes)
{
	struct nbd_header header;

	memcpy(&header, bytes, sizeof(header));
	header.magic = be32toh(header.magic);
	header.type = be32toh(header.type);
	header.offset = be64toh(header.offset);
	header.length = be32toh(header.length);
	return header;
}

static uint32_t command_of(const struct nbd_header *header)
{
	return header->type & 0xffff;
}

static size_t payload_size(const void *bytes)
{
	const struct nbd_header header = read_header(bytes);

	return command_of(&header) == NBD_COMMAND_WRITE ? header.length : 0;
}

/* How much of a buffer a message or its answer takes. */
static size_t room_for(const struct nbd_header *header)
{
	switch (command_of(header)) {
	case NBD_COMMAND_READ:
	case NBD_COMMAND_WRITE:
	/* Zeros may have to be written instead. */
	case NBD_COMMAND_WRITE_ZEROES:
		return header->length < NBD_PAYLOAD_SIZE ? header->length :
							   NBD_PAYLOAD_SIZE;
	default:
		return 0;
	}
}

static int admit(struct stream *stream, const void *bytes, size_t *room)
{
	const struct nbd_header header = read_header(bytes);

	if (header.magic != NBD_REQUEST_MAGIC_NUMBER) {
		return libbdus_error(EIO,
			"The kernel sent a request with the wrong magic number %#"
			PRIx32 ".", header.magic);
	}
	if (command_of(&header) == NBD_COMMAND_DISCONNECT)
		stream->is_over = true;
	*room = room_for(&header);
	return 0;
}

static int take(struct stream *stream, struct stream_place *place,
		const void *bytes)
{
	const struct nbd_header header = read_header(bytes);
	struct nbd_channel *channel = (struct nbd_channel *)place;
	int error;

	error = libbdus_nbd_begin_message(stream->owner, channel, &header);
	return error ? libbdus_nbd_reject(stream, channel, error) : 0;
}

/* ---- waiting ---- */

/* The child has ended: say what became of the device. Nobody else is there. */
static int end_looking(struct nbd_stream *own, struct nbd_channel *channel)
{
	const struct stream *stream = &own->stream;
	int ret;

	own->phase = NBD_AVAILABLE;
	ret = libbdus_nbd_end_looking(stream->owner);
	if (!ret) {
		libbdus_stream_notify(&channel->place,
				      KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
		return 0;
	}

	/* Perhaps because the device was destroyed. */
	for (unsigned int i = 0; i < stream->count; ++i) {
		char byte;

		if (!recv(stream->connections[i].fd, &byte, 1,
			  MSG_PEEK | MSG_DONTWAIT)) {
			libbdus_stream_notify(&channel->place,
					      KBDUS_REQUEST_TYPE_TERMINATE);
			return 0;
		}
	}
	return ret;
}

/*
 * See to it that the device becomes available. A device that was taken over is
 * already.
 */
static void begin_looking(struct nbd_stream *own, struct nbd_channel *channel)
{
	if (own->child_fd >= 0) {
		libbdus_nbd_begin_looking(own->stream.owner);
		own->phase = NBD_LOOKING;
	} else {
		libbdus_stream_notify(&channel->place,
				      KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
		own->phase = NBD_AVAILABLE;
	}
}

/* The keeper wants something, or is gone. */
static void hear_keeper(struct nbd_stream *stream)
{
	char word;
	const ssize_t count = read(stream->line_fd, &word, 1);

	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (count <= 0)
		stream->line_fd = -1;
	else if (word == NBD_LINE_TERMINATE)
		stream->stream.is_over = true;
	else if (word == NBD_LINE_LEAVE)
		stream->stream.is_leaving = true;
}

/* There is no more to be read: one of the workers is to flush before it ends. */
static void end_leaving(struct stream *stream, struct stream_place *place)
{
	stream->is_over = true;
	if (stream->owner->device.operations & KBDUS_OP(FLUSH))
		libbdus_stream_notify(place,
				      KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE);
}

enum { LINE = NBD_CONNECTIONS, CHILD, FD_COUNT };

/* Look for something to happen until the time is over, and let others have the processor
 * between two looks; then sleep. As poll(2). */
static int look_and_poll(struct pollfd fds[FD_COUNT], uint64_t end_ns)
{
	int count = 0;

	while (libbdus_now_ns() < end_ns) {
		count = poll(fds, FD_COUNT, 0);
		if (count)
			return count;
		sched_yield();
	}
	return poll(fds, FD_COUNT, -1);
}

/*
 * Wait for as long as it takes, having looked for a while. Waiting for the rest of a
 * message says nothing about how long it takes clients to ask for something else.
 */
static int wait_long(struct libbdus_spin *spin, struct pollfd fds[FD_COUNT],
		     bool has_begun)
{
	const uint64_t budget = has_begun ? spin->longest_ns : spin->budget_ns;
	const uint64_t began_at = spin->longest_ns ? libbdus_now_ns() : 0;
	int count;

	do {
		count = budget ? look_and_poll(fds, began_at + budget) :
				 poll(fds, FD_COUNT, -1);
	} while (count < 0 && errno == EINTR);
	if (spin->longest_ns && !has_begun)
		libbdus_spin_learn(spin, libbdus_now_ns() - began_at);
	return count;
}

/* Wait for anything to happen, with the lock dropped. */
static int await_anything(struct nbd_stream *own, struct pollfd fds[FD_COUNT])
{
	struct stream *stream = &own->stream;
	const bool has_begun = !libbdus_stream_is_drained(stream);
	int count;

	for (unsigned int i = 0; i < FD_COUNT; ++i)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (libbdus_stream_wanted(stream, &stream->connections[i]))
			fds[i].fd = stream->connections[i].fd;
	}
	fds[LINE].fd = own->line_fd;
	if (own->phase == NBD_LOOKING)
		fds[CHILD].fd = own->child_fd;

	pthread_mutex_unlock(&stream->lock);
	count = wait_long(&stream->spin, fds, has_begun);
	pthread_mutex_lock(&stream->lock);

	if (count < 0)
		return libbdus_error_with_errno(errno, "Failed to wait");
	return 0;
}

/* Wait until there is something to read, and read it. */
static int read_anything(struct nbd_stream *own, struct nbd_channel *channel)
{
	struct stream *stream = &own->stream;
	struct pollfd fds[FD_COUNT];
	int ret;

	ret = await_anything(own, fds);
	if (!ret && fds[LINE].revents)
		hear_keeper(own);
	for (unsigned int i = 0; i < stream->count && !ret; ++i) {
		struct stream_connection *connection = &stream->connections[i];

		if (fds[i].revents && libbdus_stream_wanted(stream, connection))
			ret = libbdus_stream_read(stream, connection,
						  MSG_DONTWAIT);
	}
	if (!ret && fds[CHILD].revents)
		ret = end_looking(own, channel);
	return ret;
}

static int wait_for_messages(struct stream *stream, struct stream_place *place)
{
	struct nbd_channel *channel = (struct nbd_channel *)place;
	struct nbd_stream *own = (struct nbd_stream *)stream;

	if (stream->is_leaving && libbdus_stream_is_drained(stream)) {
		end_leaving(stream, place);
		return 0;
	}
	if (own->phase == NBD_NOT_BEGUN) {
		begin_looking(own, channel);
		return 0;
	}
	return read_anything(own, channel);
}

static int end(struct stream *stream)
{
	stream->is_over = true;
	return 0;
}

const struct libbdus_frames libbdus_nbd_frames = {
	.header_size = sizeof(struct nbd_header),
	.payload_size = payload_size,
	.admit = admit,
	.take = take,
	.wait = wait_for_messages,
	.end = end,
};
