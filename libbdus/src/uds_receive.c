/* SPDX-License-Identifier: MIT */

/*
 * uds_receive.c: the protocol "uds", from the module to workers; who of them does what.
 *
 * One worker at a time reads, with the lock dropped, as much as there is; those that
 * come meanwhile wait, the others take what it has read. Work is attended to while
 * somebody reads and there is nothing left to take or to send. A worker that goes off
 * with a request and leaves work unattended wakes up the next one if callbacks take
 * long. If they are fast it is back before another could have helped, and can send
 * several replies at once; but as nobody knows before, one of those that wait, the
 * watcher, looks from time to time whether things go on, and helps if they do not.
 * Without a watcher, nothing is put off.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "uds.h"

/* Larger payloads are read to where they belong. */
#define SMALL_PAYLOAD (UDS_AHEAD_SIZE / 4)

/* How long the watcher lets a single callback go on. */
#define PATIENCE_NS 1000000

/* Wait for more of the stream. Returns how much there is, at least a byte. */
static ssize_t read_stream(const struct uds_stream *stream, void *buffer,
			   size_t size)
{
	ssize_t count;

	do {
		count = recv(stream->fd, buffer, size, 0);
	} while (count < 0 && errno == EINTR);

	if (count > 0)
		return count;
	if (count == 0 || errno == ECONNRESET)
		return libbdus_error(EIO, "kbdus ended the session.");
	return libbdus_error_with_errno(errno, "Failed to receive a request");
}

/* Add to what was read ahead, locked; the lock is dropped meanwhile. */
static int read_ahead(struct uds_stream *stream)
{
	ssize_t count;

	/* Part of a message: not much to move. */
	stream->end -= stream->start;
	memmove(stream->ahead, stream->ahead + stream->start, stream->end);
	stream->start = 0;

	stream->is_reading = true;
	pthread_mutex_unlock(&stream->lock);
	count = read_stream(stream, stream->ahead + stream->end,
			    UDS_AHEAD_SIZE - stream->end);
	pthread_mutex_lock(&stream->lock);
	stream->is_reading = false;

	if (count < 0)
		return (int)count;
	stream->end += (size_t)count;
	return 0;
}

/* Take some of what was read ahead, which may be all, locked. */
static size_t take_ahead(struct uds_stream *stream, void *buffer, size_t size)
{
	if (size > stream->end - stream->start)
		size = stream->end - stream->start;
	memcpy(buffer, stream->ahead + stream->start, size);
	stream->start += size;
	return size;
}

/* Get a payload, locked; the lock is dropped while there is some to be read. */
static int take_payload(struct uds_stream *stream, char *payload, size_t size)
{
	size_t have = take_ahead(stream, payload, size);
	ssize_t count = 0;

	if (have == size)
		return 0;

	stream->is_reading = true;
	pthread_mutex_unlock(&stream->lock);
	for (; have < size && count >= 0; have += (size_t)count)
		count = read_stream(stream, payload + have, size - have);
	pthread_mutex_lock(&stream->lock);
	stream->is_reading = false;

	return count < 0 ? (int)count : 0;
}

/* How much a request or its answer carries. */
static uint32_t message_size(const struct kbdusuds_request *header)
{
	const uint32_t size = libbdus_uds_reply_size(header->type, header->length);

	return size > header->payload_size ? size : header->payload_size;
}

static int check_header(const struct libbdus_session *session,
			const struct kbdusuds_request *header)
{
	static const uint8_t zeros[sizeof(header->reserved)];

	if (message_size(header) > session->payload_size) {
		return libbdus_error(EIO,
			"kbdus sent a request of %" PRIu32
			" bytes, but at most %" PRIu32 " were agreed on.",
			message_size(header), session->payload_size);
	}
	if (memcmp(header->reserved, zeros, sizeof(zeros))) {
		return libbdus_error(EIO,
			"kbdus sent a request whose reserved bytes are not zero.");
	}

	return 0;
}

/* What has been read of the next message. */
enum progress {
	/* Nothing can be taken yet. */
	TOO_LITTLE,
	/* The payload is better read to where it belongs. */
	BEGUN,
	COMPLETE,
};

static enum progress look(const struct uds_stream *stream,
			  struct kbdusuds_request *header)
{
	const size_t have = stream->end - stream->start;

	if (have < sizeof(*header))
		return TOO_LITTLE;
	memcpy(header, stream->ahead + stream->start, sizeof(*header));
	if (have - sizeof(*header) >= header->payload_size)
		return COMPLETE;
	return header->payload_size > SMALL_PAYLOAD ? BEGUN : TOO_LITTLE;
}

static bool is_unattended(const struct uds_stream *stream)
{
	return !stream->is_reading || stream->start < stream->end ||
	       (stream->unsent > 0 && !stream->is_sending);
}

static void wait_as_watcher(struct uds_stream *stream, bool may_park)
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

/* Wait until help is wanted: called for, or because nothing goes on, locked. */
static void watch(struct uds_stream *stream)
{
	unsigned long before = stream->taken;
	bool is_idle = true;

	stream->is_watched = true;
	do {
		before = stream->taken;
		wait_as_watcher(stream, is_idle && !is_unattended(stream));
		is_idle = stream->taken == before;
		if (is_idle && is_unattended(stream)) {
			stream->duration = 10 * UDS_SLOW_CALLBACK_NS;
			break;
		}
	} while (!stream->is_waking && !stream->is_over && !stream->result);
	stream->is_watched = false;
}

/* Wait until there may be something to do, locked. Somebody reads. */
static void wait_for_turn(struct uds_stream *stream)
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

/* Going off with a request, locked: see to what is left to do. */
void libbdus_uds_leave(struct uds_stream *stream)
{
	if (!is_unattended(stream) || stream->is_waking)
		return;

	/* A watcher that went to help has no successor yet. */
	if (stream->waiting > 0 && (!stream->is_watched ||
				    stream->duration > UDS_SLOW_CALLBACK_NS)) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->turn);
	} else if (stream->is_watched &&
		   stream->duration > UDS_SLOW_CALLBACK_NS) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->watch);
	} else if (stream->is_parked) {
		stream->is_parked = false;
		pthread_cond_signal(&stream->watch);
	}
}

/* Take the message that look() saw the header of. */
static int take_message(const struct libbdus_session *session,
			struct uds_channel *channel,
			const struct kbdusuds_request *header)
{
	struct uds_stream *stream = session->shared;
	struct uds_buffer *buffer;
	int ret;

	ret = check_header(session, header);
	if (ret)
		return ret;

	buffer = libbdus_uds_find_buffer(stream, channel, message_size(header));
	if (!buffer)
		return libbdus_uds_await_progress(stream);

	stream->start += sizeof(*header);
	ret = take_payload(stream, buffer->payload, header->payload_size);
	if (ret)
		return ret;

	channel->current = buffer;
	channel->has_taken = true;
	++stream->taken;
	stream->is_over = header->type == KBDUS_REQUEST_TYPE_TERMINATE;
	return 0;
}

/* Whether replies must not wait any longer. */
static bool wants_flush(const struct uds_stream *stream, enum progress progress)
{
	return stream->unsent > 0 && !stream->is_sending &&
	       (progress != COMPLETE || !stream->is_watched ||
		stream->duration > UDS_SLOW_CALLBACK_NS);
}

/* Wait for a message, locked. Not after there was TERMINATE or a failure. */
int libbdus_uds_receive(const struct libbdus_session *session,
			   struct uds_channel *channel,
			   struct kbdusuds_request *header)
{
	struct uds_stream *stream = session->shared;
	enum progress progress;
	int ret = 0;

	channel->has_taken = false;
	while (!ret && !channel->has_taken && !stream->is_over &&
	       !stream->result) {
		progress = look(stream, header);
		if (wants_flush(stream, progress))
			ret = libbdus_uds_flush(stream);
		else if (progress == COMPLETE ||
			 (progress == BEGUN && !stream->is_reading))
			ret = take_message(session, channel, header);
		else if (stream->is_reading)
			wait_for_turn(stream);
		else
			ret = read_ahead(stream);
	}

	if (!ret && !channel->has_taken) {
		*header = (struct kbdusuds_request){
			.type = KBDUS_REQUEST_TYPE_TERMINATE,
		};
	}
	return ret;
}
