/* SPDX-License-Identifier: MIT */

/*
 * stream_send.c: frames in sockets, from workers to the kernel.
 *
 * Workers put replies into the outbox of the connection that the request came over.
 * One at a time sends what is there, with the lock dropped, and goes on until there
 * is nothing left; so nobody else has to, and several replies leave at once. A buffer
 * is its worker's again when what is in it was sent. When to send is decided in
 * stream_receive.c.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "stream.h"

/* Leave out what has been sent; returns how many parts are left. */
static int advance(struct iovec **parts, int count, size_t size)
{
	while (count > 0 && size >= (*parts)->iov_len) {
		size -= (*parts)->iov_len;
		++*parts;
		--count;
	}

	if (size > 0) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + size;
		(*parts)->iov_len -= size;
	}
	return count;
}

/*
 * Send messages. That nobody reads any more is no failure of ours: the device is
 * over, and what comes next says so.
 */
static int send_messages(int fd, struct iovec *parts, int count)
{
	struct msghdr message = { .msg_iov = NULL };
	ssize_t sent;

	while (count > 0) {
		message.msg_iov = parts;
		message.msg_iovlen = (size_t)count;
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (sent < 0 && errno != EINTR) {
			return libbdus_error_with_errno(errno,
				"Failed to send a reply");
		}
		if (sent > 0)
			count = advance(&parts, count, (size_t)sent);
	}

	return 0;
}

static int flush_connection(struct stream *stream,
			    struct stream_connection *connection)
{
	struct iovec parts[STREAM_OUTBOX_SIZE];
	unsigned long last;
	int count;
	int ret = 0;

	connection->is_sending = true;
	while (connection->unsent > 0 && !ret) {
		count = connection->unsent;
		last = connection->queued;
		memcpy(parts, connection->outbox,
		       (size_t)count * sizeof(*parts));
		connection->unsent = 0;

		pthread_mutex_unlock(&stream->lock);
		ret = send_messages(connection->fd, parts, count);
		pthread_mutex_lock(&stream->lock);

		connection->sent = last;
		pthread_cond_broadcast(&stream->progress);
	}
	connection->is_sending = false;
	return ret;
}

/* Send all that is to be sent, unless somebody does; the lock is dropped meanwhile. */
int libbdus_stream_flush(struct stream *stream)
{
	int ret = 0;

	for (unsigned int i = 0; i < stream->count && !ret; ++i) {
		struct stream_connection *connection = &stream->connections[i];

		if (connection->unsent > 0 && !connection->is_sending)
			ret = flush_connection(stream, connection);
	}
	return ret;
}

/* Whether there is something to be sent that nobody sends. */
bool libbdus_stream_wants_sending(const struct stream *stream)
{
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (stream->connections[i].unsent > 0 &&
		    !stream->connections[i].is_sending)
			return true;
	}
	return false;
}

/* Whether nothing is left that was ever answered. */
bool libbdus_stream_is_all_sent(const struct stream *stream)
{
	for (unsigned int i = 0; i < stream->count; ++i) {
		if (stream->connections[i].queued !=
		    stream->connections[i].sent)
			return false;
	}
	return true;
}

/* Have something sent by somebody; the lock is dropped meanwhile. */
int libbdus_stream_await_progress(struct stream *stream)
{
	if (libbdus_stream_wants_sending(stream))
		return libbdus_stream_flush(stream);
	pthread_cond_wait(&stream->progress, &stream->lock);
	return 0;
}

/* Put the answer to the worker's message into the outbox. */
int libbdus_stream_queue(struct stream *stream, struct stream_place *place,
			 const struct stream_reply *reply)
{
	struct stream_connection *connection = place->connection;
	struct stream_buffer *buffer = place->buffer;
	char *const start = buffer->payload - reply->header_size;
	int ret;

	while (connection->unsent == STREAM_OUTBOX_SIZE) {
		ret = libbdus_stream_await_progress(stream);
		if (ret)
			return ret;
	}

	memcpy(start, reply->header, reply->header_size);
	buffer->connection = connection;
	buffer->reply = ++connection->queued;
	connection->outbox[connection->unsent++] = (struct iovec){
		.iov_base = start,
		.iov_len = reply->header_size + reply->payload_size,
	};
	place->has_message = false;
	return 0;
}

static bool is_free(const struct stream_buffer *buffer)
{
	return !buffer->connection ||
	       (long)(buffer->connection->sent - buffer->reply) >= 0;
}

/* A buffer of so many bytes that nothing is to be sent from; NULL if none. */
struct stream_buffer *libbdus_stream_find_buffer(struct stream_place *place,
					   size_t size)
{
	for (int i = STREAM_BUFFERS - 1; i >= 0; --i) {
		struct stream_buffer *buffer = &place->buffers[i];

		if ((i == 0 || size <= STREAM_SMALL_BUFFER_SIZE) &&
		    is_free(buffer))
			return buffer;
	}

	return NULL;
}
