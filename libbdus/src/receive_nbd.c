/* SPDX-License-Identifier: MIT */

/*
 * receive_nbd.c: the backend "nbd", from the kernel to workers; who of them does what.
 *
 * The kernel decides which connection a request comes over: by the processor of its
 * client. So any worker must be able to take any request. One worker at a time waits
 * for all connections and reads, with the lock dropped, as much as there is; those
 * that come meanwhile wait, the others take what it has read. As with the protocol
 * "uds": work is attended to while somebody reads and there is nothing left to take or
 * to send. A worker that goes off with a request and leaves work unattended wakes up
 * the next one if callbacks take long. If they are fast it is back before another could
 * have helped, and can send several replies at once; but as nobody knows before, one of
 * those that wait, the watcher, looks from time to time whether things go on, and helps
 * if they do not. Without a watcher, nothing is put off.
 *
 * A driver that leaves reads no more than what is missing of messages that have begun,
 * so that its successor goes on with the same connections where it stopped.
 */

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nbd.h"

/* How long the watcher lets a single callback go on. */
#define PATIENCE_NS 1000000

void libbdus_nbd_notify(struct nbd_channel *channel, uint32_t notice)
{
	channel->has_notice = true;
	channel->notice = notice;
}

/* ---- messages ---- */

static size_t have(const struct nbd_connection *connection)
{
	return connection->end - connection->start;
}

static struct nbd_header read_header(const struct nbd_connection *connection)
{
	struct nbd_header header;

	memcpy(&header, connection->ahead + connection->start, sizeof(header));
	header.magic = be32toh(header.magic);
	header.type = be32toh(header.type);
	header.offset = be64toh(header.offset);
	header.length = be32toh(header.length);
	return header;
}

static size_t payload_of(const struct nbd_header *header)
{
	return (header->type & 0xffff) == NBD_COMMAND_WRITE ? header->length : 0;
}

/* What has been read of the next message. */
enum progress {
	/* Nothing can be taken yet. */
	TOO_LITTLE,
	/* The payload is better read to where it belongs. */
	BEGUN,
	COMPLETE,
};

static enum progress look(const struct nbd_connection *connection,
			  struct nbd_header *header)
{
	size_t payload;

	if (have(connection) < sizeof(*header))
		return TOO_LITTLE;
	*header = read_header(connection);
	payload = payload_of(header);
	if (have(connection) - sizeof(*header) >= payload)
		return COMPLETE;
	return payload > NBD_SMALL_PAYLOAD ? BEGUN : TOO_LITTLE;
}

/* Find a message that can be taken, fairly. */
static enum progress find_message(struct nbd_stream *stream,
				  struct nbd_connection **connection,
				  struct nbd_header *header)
{
	enum progress progress = TOO_LITTLE;

	for (unsigned int i = 0; i < stream->count && !progress; ++i) {
		*connection = &stream->connections[
			(stream->first + i) % stream->count];
		progress = look(*connection, header);
		/* Else it is being read already. */
		if (progress == BEGUN && stream->is_reading)
			progress = TOO_LITTLE;
	}
	return progress;
}

/* How much to read: of a message that has begun, no more than what is missing if
 * somebody else is to read the next one. */
static size_t wanted(const struct nbd_stream *stream,
		     const struct nbd_connection *connection)
{
	struct nbd_header header;

	if (!stream->is_leaving)
		return NBD_AHEAD_SIZE - have(connection);
	if (!have(connection))
		return 0;
	if (have(connection) < sizeof(header))
		return sizeof(header) - have(connection);
	header = read_header(connection);
	return sizeof(header) + payload_of(&header) - have(connection);
}

static bool is_drained(const struct nbd_stream *stream)
{
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (have(&stream->connections[i]))
			return false;
	}
	return true;
}

/* ---- reading ---- */

/* The keeper wants something, or is gone. Locked. */
static void hear_keeper(struct nbd_stream *stream)
{
	char word;
	const ssize_t count = read(stream->line_fd, &word, 1);

	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (count <= 0)
		stream->line_fd = -1;
	else if (word == NBD_LINE_TERMINATE)
		stream->is_over = true;
	else if (word == NBD_LINE_LEAVE)
		stream->is_leaving = true;
}

/* Read what there is, with the lock dropped. Returns how much, 0 if there was
 * nothing. */
static ssize_t read_some(struct nbd_stream *stream, int fd, char *buffer,
			 size_t size, int flags)
{
	ssize_t count;
	int err;

	pthread_mutex_unlock(&stream->lock);
	do {
		count = recv(fd, buffer, size, flags);
	} while (count < 0 && errno == EINTR);
	err = errno;
	pthread_mutex_lock(&stream->lock);

	if (count > 0)
		return count;
	if (count == 0 || err == ECONNRESET)
		stream->is_over = true;
	else if (err != EAGAIN)
		return libbdus_error_with_errno(err,
						"Failed to receive a request");
	return 0;
}

static int read_connection(struct nbd_stream *stream,
			   struct nbd_connection *connection)
{
	ssize_t count;

	/* Part of a message: not much to move. */
	connection->end -= connection->start;
	memmove(connection->ahead, connection->ahead + connection->start,
		connection->end);
	connection->start = 0;

	count = read_some(stream, connection->fd,
			  connection->ahead + connection->end,
			  wanted(stream, connection), MSG_DONTWAIT);
	if (count < 0)
		return (int)count;
	connection->end += (size_t)count;
	return 0;
}

enum { LINE = NBD_CONNECTIONS, CHILD, FD_COUNT };

/* Wait for anything to happen, with the lock dropped. */
static int await_anything(struct nbd_stream *stream,
			  struct pollfd fds[FD_COUNT])
{
	int count;

	for (unsigned int i = 0; i < FD_COUNT; ++i)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (wanted(stream, &stream->connections[i]))
			fds[i].fd = stream->connections[i].fd;
	}
	fds[LINE].fd = stream->line_fd;
	if (stream->phase == NBD_LOOKING)
		fds[CHILD].fd = stream->child_fd;

	pthread_mutex_unlock(&stream->lock);
	do {
		count = poll(fds, FD_COUNT, -1);
	} while (count < 0 && errno == EINTR);
	pthread_mutex_lock(&stream->lock);

	if (count < 0)
		return libbdus_error_with_errno(errno, "Failed to wait");
	return 0;
}

/* Wait until there is something to read, and read it. */
static int read_ahead(struct nbd_stream *stream, struct nbd_channel *channel)
{
	struct pollfd fds[FD_COUNT];
	int ret;

	stream->is_reading = true;
	ret = await_anything(stream, fds);
	if (!ret && fds[LINE].revents)
		hear_keeper(stream);
	for (unsigned int i = 0; i < stream->count && !ret; ++i) {
		if (fds[i].revents &&
		    wanted(stream, &stream->connections[i]))
			ret = read_connection(stream, &stream->connections[i]);
	}
	stream->is_reading = false;

	if (!ret && fds[CHILD].revents)
		libbdus_nbd_notify(channel,
				   KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	return ret;
}

/* Get a payload of which there may be more than there is room for; what does not fit
 * is lost. The lock is dropped while there is some to be read. */
static int take_payload(struct nbd_stream *stream,
			struct nbd_connection *connection, char *payload,
			size_t room, size_t size)
{
	size_t done = size < have(connection) ? size : have(connection);
	ssize_t count = 0;

	memcpy(payload, connection->ahead + connection->start, done);
	connection->start += done;
	if (done == size)
		return 0;

	stream->is_reading = true;
	while (done < size && count >= 0 && !stream->is_over) {
		const size_t at = done < room ? done : 0;
		const size_t part = size - done < room - at ? size - done :
							      room - at;

		count = read_some(stream, connection->fd, payload + at, part, 0);
		if (count > 0)
			done += (size_t)count;
	}
	stream->is_reading = false;
	return count < 0 ? (int)count : 0;
}

static int check_header(const struct nbd_header *header)
{
	if (header->magic == NBD_REQUEST_MAGIC_NUMBER)
		return 0;
	return libbdus_error(EIO,
		"The kernel sent a request with the wrong magic number %#" PRIx32
		".", header->magic);
}

/* How much of a buffer a message or its answer takes. */
static uint32_t room_for(const struct nbd_header *header)
{
	switch (header->type & 0xffff) {
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

/* Take the message that look() saw the header of. */
static int take_message(struct nbd_stream *stream, struct nbd_channel *channel,
			struct nbd_connection *connection,
			const struct nbd_header *header)
{
	const struct libbdus_session *session = stream->owner;
	struct nbd_buffer *buffer;
	int error;
	int ret;

	ret = check_header(header);
	if (ret)
		return ret;
	if ((header->type & 0xffff) == NBD_COMMAND_DISCONNECT) {
		stream->is_over = true;
		return 0;
	}

	buffer = libbdus_nbd_find_buffer(channel, room_for(header));
	if (!buffer)
		return libbdus_nbd_await_progress(stream);

	stream->first = (unsigned int)(connection - stream->connections) + 1;
	connection->start += sizeof(*header);
	ret = take_payload(stream, connection, buffer->payload,
			   session->payload_size, payload_of(header));
	if (ret || stream->is_over)
		return ret;

	channel->connection = connection;
	channel->buffer = buffer;
	channel->has_message = true;
	++stream->taken;
	error = libbdus_nbd_begin_message(session, channel, header);
	return error ? libbdus_nbd_queue_reply(stream, channel, error) : 0;
}

/* ---- who does what ---- */

static bool is_unattended(const struct nbd_stream *stream)
{
	return !stream->is_reading || !is_drained(stream) ||
	       libbdus_nbd_wants_sending(stream);
}

static void wait_as_watcher(struct nbd_stream *stream, bool may_park)
{
	const uint64_t end = libbdus_now_ns() + PATIENCE_NS;
	const struct timespec time = {
		.tv_sec = (time_t)(end / 1000000000),
		.tv_nsec = (long)(end % 1000000000),
	};

	if (may_park) {
		stream->is_parked = true;
		pthread_cond_wait(&stream->watch, &stream->lock);
		stream->is_parked = false;
	} else {
		pthread_cond_timedwait(&stream->watch, &stream->lock, &time);
	}
}

/* Wait until help is wanted: called for, or because nothing goes on. */
static void watch(struct nbd_stream *stream)
{
	unsigned long before = stream->taken;
	bool is_idle = true;

	stream->is_watched = true;
	do {
		before = stream->taken;
		wait_as_watcher(stream, is_idle && !is_unattended(stream));
		is_idle = stream->taken == before;
		if (is_idle && is_unattended(stream)) {
			stream->duration = 10 * NBD_SLOW_CALLBACK_NS;
			break;
		}
	} while (!stream->is_waking && !stream->is_over && !stream->result);
	stream->is_watched = false;
}

/* Wait until there may be something to do. Somebody reads. */
static void wait_for_turn(struct nbd_stream *stream)
{
	if (stream->is_watched) {
		++stream->waiting;
		pthread_cond_wait(&stream->turn, &stream->lock);
		--stream->waiting;
	} else {
		watch(stream);
	}
	stream->is_waking = false;
}

/* Going off with a request: see to what is left to do. */
void libbdus_nbd_leave(struct nbd_stream *stream)
{
	if (!is_unattended(stream) || stream->is_waking)
		return;

	/* A watcher that went to help has no successor yet. */
	if (stream->waiting > 0 && (!stream->is_watched ||
				    stream->duration > NBD_SLOW_CALLBACK_NS)) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->turn);
	} else if (stream->is_watched &&
		   stream->duration > NBD_SLOW_CALLBACK_NS) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->watch);
	} else if (stream->is_parked) {
		stream->is_parked = false;
		pthread_cond_signal(&stream->watch);
	}
}

/* Whether replies must not wait any longer. */
static bool wants_flush(const struct nbd_stream *stream, enum progress progress)
{
	return (progress != COMPLETE || !stream->is_watched ||
		stream->duration > NBD_SLOW_CALLBACK_NS) &&
	       libbdus_nbd_wants_sending(stream);
}

/* There is no more to be read: one of the workers is to flush before it ends. */
static void end_leaving(struct nbd_stream *stream, struct nbd_channel *channel)
{
	stream->is_over = true;
	if (stream->owner->device.operations & KBDUS_OP(FLUSH))
		libbdus_nbd_notify(channel,
				   KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE);
}

/*
 * Wait for a message or a notice, locked. TERMINATE if all is over. Not after a
 * failure.
 */
int libbdus_nbd_receive(struct nbd_stream *stream, struct nbd_channel *channel)
{
	struct nbd_connection *connection;
	enum progress progress;
	struct nbd_header header;
	int ret = 0;

	while (!ret && !channel->has_message && !channel->has_notice &&
	       !stream->is_over && !stream->result) {
		progress = find_message(stream, &connection, &header);
		if (wants_flush(stream, progress))
			ret = libbdus_nbd_flush(stream);
		else if (progress != TOO_LITTLE)
			ret = take_message(stream, channel, connection,
					   &header);
		else if (stream->is_reading)
			wait_for_turn(stream);
		else if (stream->is_leaving && is_drained(stream))
			end_leaving(stream, channel);
		else
			ret = read_ahead(stream, channel);
	}

	if (!ret && !channel->has_message && !channel->has_notice)
		libbdus_nbd_notify(channel, KBDUS_REQUEST_TYPE_TERMINATE);
	return ret;
}
