/* SPDX-License-Identifier: MIT */

/*
 * stream_receive.c: frames in sockets, from the kernel to workers; who of them does what.
 *
 * The kernel decides which connection a request comes over. So any worker must be able to
 * take any request. One worker at a time waits for all connections and reads, with the
 * lock dropped, as much as there is; those that come meanwhile wait, the others take what
 * it has read. Work is attended to while somebody reads and there is nothing left to take
 * or to send. A worker that goes off with a request and leaves work unattended wakes up
 * the next one if callbacks take long. If they are fast it is back before another could
 * have helped, and can send several replies at once; but as nobody knows before, one of
 * those that wait, the watcher, looks from time to time whether things go on, and helps
 * if they do not. Without a watcher, nothing is put off.
 *
 * Who leaves the connections to somebody else reads no more than what is missing of
 * messages that have begun.
 */

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "stream.h"

/* How long the watcher lets a single callback go on. */
#define PATIENCE_NS 1000000

/* Have the worker do something else than serve a message. */
void libbdus_stream_notify(struct stream_place *place, uint32_t notice)
{
	place->has_notice = true;
	place->notice = notice;
}

/* ---- what was read ---- */

static size_t have(const struct stream_connection *connection)
{
	return connection->end - connection->start;
}

/* What has been read of the next message. */
enum progress {
	/* Nothing can be taken yet. */
	TOO_LITTLE,
	/* The payload is better read to where it belongs. */
	BEGUN,
	COMPLETE,
};

static enum progress look(const struct stream *stream,
			  const struct stream_connection *connection,
			  void *header)
{
	const size_t header_size = stream->frames->header_size;
	size_t payload;

	if (have(connection) < header_size)
		return TOO_LITTLE;
	memcpy(header, connection->ahead + connection->start, header_size);
	payload = stream->frames->payload_size(header);
	if (have(connection) - header_size >= payload)
		return COMPLETE;
	return payload > STREAM_SMALL_PAYLOAD ? BEGUN : TOO_LITTLE;
}

/* Find a message that can be taken, fairly. */
static enum progress find_message(struct stream *stream,
				  struct stream_connection **connection,
				  void *header)
{
	enum progress progress = TOO_LITTLE;

	for (unsigned int i = 0; i < stream->count && !progress; ++i) {
		*connection = &stream->connections[
			(stream->first + i) % stream->count];
		progress = look(stream, *connection, header);
		/* Else it is being read already. */
		if (progress == BEGUN && stream->is_reading)
			progress = TOO_LITTLE;
	}
	return progress;
}

/* How much to read: of a message that has begun, no more than what is missing if
 * somebody else is to read the next one; and what would only be copied once more is
 * left to be read to where it belongs. */
size_t libbdus_stream_wanted(const struct stream *stream,
			     const struct stream_connection *connection)
{
	const struct libbdus_frames *frames = stream->frames;
	uint64_t header[STREAM_HEADER_SIZE / sizeof(uint64_t)];

	if (!stream->is_leaving) {
		if (connection->is_large &&
		    have(connection) < frames->header_size)
			return frames->header_size - have(connection);
		return STREAM_AHEAD_SIZE - have(connection);
	}
	if (!have(connection))
		return 0;
	if (have(connection) < frames->header_size)
		return frames->header_size - have(connection);
	memcpy(header, connection->ahead + connection->start,
	       frames->header_size);
	return frames->header_size + frames->payload_size(header) -
	       have(connection);
}

/* Whether all has been taken that was read. */
bool libbdus_stream_is_drained(const struct stream *stream)
{
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (have(&stream->connections[i]))
			return false;
	}
	return true;
}

/* ---- reading ---- */

/* Read what there is, without the lock. Returns how much, or a negative errno value
 * without a message; that there is nothing to come is ECONNRESET. */
static ssize_t receive(int fd, char *buffer, size_t size, int flags)
{
	ssize_t count;

	do {
		count = recv(fd, buffer, size, flags);
	} while (count < 0 && errno == EINTR);

	if (count < 0)
		return -errno;
	return count ? count : -ECONNRESET;
}

/* See what a failure to read means. */
static int judge(struct stream *stream, ssize_t count)
{
	if (count >= 0 || count == -EAGAIN)
		return 0;
	if (count == -ECONNRESET)
		return stream->frames->end(stream);
	return libbdus_error_with_errno((int)-count,
					"Failed to receive a request");
}

/* Add to what was read ahead. Flags are those of recv(2). */
int libbdus_stream_read(struct stream *stream,
			struct stream_connection *connection, int flags)
{
	const size_t size = libbdus_stream_wanted(stream, connection);
	ssize_t count;

	/* Part of a message: not much to move. */
	connection->end -= connection->start;
	memmove(connection->ahead, connection->ahead + connection->start,
		connection->end);
	connection->start = 0;

	pthread_mutex_unlock(&stream->lock);
	count = receive(connection->fd, connection->ahead + connection->end,
			size, flags);
	pthread_mutex_lock(&stream->lock);

	if (count > 0)
		connection->end += (size_t)count;
	return judge(stream, count);
}

/*
 * Read some of what is on its way, without the lock. Who sends it does so in small parts,
 * each of which would wake up who sleeps; looking spares both sides that. Where that
 * makes no sense, all is waited for in a single call.
 */
static ssize_t receive_rest(uint64_t longest_ns, int fd, char *buffer,
			    size_t size)
{
	uint64_t end;
	ssize_t count;

	if (!longest_ns)
		return receive(fd, buffer, size, MSG_WAITALL);

	end = libbdus_now_ns() + longest_ns;
	do {
		count = receive(fd, buffer, size, MSG_DONTWAIT);
		if (count != -EAGAIN)
			return count;
		sched_yield();
	} while (libbdus_now_ns() < end);
	return receive(fd, buffer, size, 0);
}

/* Read a payload to where it belongs. What there is no room for is lost. */
static int read_payload(struct stream *stream,
			const struct stream_connection *connection,
			char *payload, size_t room, size_t done, size_t size)
{
	const uint64_t longest_ns = stream->spin.longest_ns;
	ssize_t count = 0;

	stream->is_reading = true;
	pthread_mutex_unlock(&stream->lock);
	while (done < size && count >= 0) {
		const size_t at = done < room ? done : 0;
		const size_t part = size - done < room - at ? size - done :
							      room - at;

		count = receive_rest(longest_ns, connection->fd, payload + at,
				     part);
		if (count > 0)
			done += (size_t)count;
	}
	pthread_mutex_lock(&stream->lock);
	stream->is_reading = false;
	return judge(stream, count);
}

/* Get a payload of which there may be more than there is room for. */
static int take_payload(struct stream *stream,
			struct stream_connection *connection, char *payload,
			size_t size)
{
	const size_t done = size < have(connection) ? size : have(connection);

	memcpy(payload, connection->ahead + connection->start, done);
	connection->start += done;
	if (done == size)
		return 0;
	return read_payload(stream, connection, payload,
			    stream->owner->payload_size, done, size);
}

/* Take the message that look() saw the header of. */
static int take_message(struct stream *stream, struct stream_place *place,
			struct stream_connection *connection,
			const void *header)
{
	const struct libbdus_frames *frames = stream->frames;
	const size_t payload_size = frames->payload_size(header);
	struct stream_buffer *buffer;
	size_t room;
	int ret;

	ret = frames->admit(stream, header, &room);
	if (ret || stream->is_over)
		return ret;
	buffer = libbdus_stream_find_buffer(place, room);
	if (!buffer)
		return libbdus_stream_await_progress(stream);

	stream->first = (unsigned int)(connection - stream->connections) + 1;
	connection->start += frames->header_size;
	connection->is_large = payload_size > STREAM_SMALL_PAYLOAD;
	ret = take_payload(stream, connection, buffer->payload, payload_size);
	if (ret || stream->is_over)
		return ret;

	place->connection = connection;
	place->buffer = buffer;
	place->has_message = true;
	++stream->taken;
	return frames->take(stream, place, header);
}

/* ---- who does what ---- */

static bool is_unattended(const struct stream *stream)
{
	return !stream->is_reading || !libbdus_stream_is_drained(stream) ||
	       libbdus_stream_wants_sending(stream);
}

static void wait_as_watcher(struct stream *stream, bool may_park)
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
static void watch(struct stream *stream)
{
	unsigned long before = stream->taken;
	bool is_idle = true;

	stream->is_watched = true;
	do {
		before = stream->taken;
		wait_as_watcher(stream, is_idle && !is_unattended(stream));
		is_idle = stream->taken == before;
		if (is_idle && is_unattended(stream)) {
			stream->duration = 10 * STREAM_SLOW_CALLBACK_NS;
			break;
		}
	} while (!stream->is_waking && !stream->is_over && !stream->result);
	stream->is_watched = false;
}

/* Wait until there may be something to do. Somebody reads. */
static void wait_for_turn(struct stream *stream)
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
void libbdus_stream_go_off(struct stream *stream)
{
	if (!is_unattended(stream) || stream->is_waking)
		return;

	/* A watcher that went to help has no successor yet. */
	if (stream->waiting > 0 && (!stream->is_watched ||
				    stream->duration > STREAM_SLOW_CALLBACK_NS)) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->turn);
	} else if (stream->is_watched &&
		   stream->duration > STREAM_SLOW_CALLBACK_NS) {
		stream->is_waking = true;
		pthread_cond_signal(&stream->watch);
	} else if (stream->is_parked) {
		stream->is_parked = false;
		pthread_cond_signal(&stream->watch);
	}
}

/* Whether replies must not wait any longer. */
static bool wants_flush(const struct stream *stream, enum progress progress)
{
	return (progress != COMPLETE || !stream->is_watched ||
		stream->duration > STREAM_SLOW_CALLBACK_NS) &&
	       libbdus_stream_wants_sending(stream);
}

static int wait_for_more(struct stream *stream, struct stream_place *place)
{
	int ret;

	stream->is_reading = true;
	ret = stream->frames->wait(stream, place);
	stream->is_reading = false;
	return ret;
}

/* Wait for a message or a notice. TERMINATE if all is over. Not after a failure. */
int libbdus_stream_receive(struct stream *stream, struct stream_place *place)
{
	struct stream_connection *connection;
	uint64_t header[STREAM_HEADER_SIZE / sizeof(uint64_t)];
	enum progress progress;
	int ret = 0;

	while (!ret && !place->has_message && !place->has_notice &&
	       !stream->is_over && !stream->result) {
		progress = find_message(stream, &connection, header);
		if (wants_flush(stream, progress))
			ret = libbdus_stream_flush(stream);
		else if (progress != TOO_LITTLE)
			ret = take_message(stream, place, connection, header);
		else if (stream->is_reading)
			wait_for_turn(stream);
		else
			ret = wait_for_more(stream, place);
	}

	if (!ret && !place->has_message && !place->has_notice)
		libbdus_stream_notify(place, KBDUS_REQUEST_TYPE_TERMINATE);
	return ret;
}
