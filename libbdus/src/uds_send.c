/* SPDX-License-Identifier: MIT */

/*
 * uds_send.c: the protocol "uds", from workers to the module.
 *
 * Workers put replies into the outbox. One at a time sends what is there, with the
 * lock dropped, and goes on until there is nothing left; so nobody else has to, and
 * several replies leave at once. A buffer is its worker's again when what is in it was
 * sent. When to send is decided in uds_receive.c.
 */

#include <errno.h>
#include <linux/ioctl.h>
#include <string.h>
#include <sys/socket.h>

#include "uds.h"

/* How much an answer without error carries. */
uint32_t libbdus_uds_reply_size(uint32_t type, uint32_t length)
{
	switch (type) {
	case KBDUS_REQUEST_TYPE_READ:
		return length;
	case KBDUS_REQUEST_TYPE_IOCTL:
		return _IOC_DIR(length) & _IOC_WRITE ? _IOC_SIZE(length) : 0;
	default:
		return 0;
	}
}

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
 * Send messages. That nobody reads any more is no failure of ours: the session is
 * over, and what comes next says so.
 */
static int send_messages(const struct uds_stream *stream, struct iovec *parts,
			 int count)
{
	struct msghdr message = { .msg_iov = NULL };
	ssize_t sent;

	while (count > 0) {
		message.msg_iov = parts;
		message.msg_iovlen = (size_t)count;
		sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
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

/* Send all that is to be sent, locked, unless somebody does; the lock is dropped
 * meanwhile. */
int libbdus_uds_flush(struct uds_stream *stream)
{
	struct iovec parts[UDS_OUTBOX_SIZE];
	unsigned long last;
	int count;
	int ret = 0;

	if (stream->is_sending)
		return 0;

	stream->is_sending = true;
	while (stream->unsent > 0 && !ret) {
		count = stream->unsent;
		last = stream->queued;
		memcpy(parts, stream->outbox, (size_t)count * sizeof(*parts));
		stream->unsent = 0;

		pthread_mutex_unlock(&stream->lock);
		ret = send_messages(stream, parts, count);
		pthread_mutex_lock(&stream->lock);

		stream->sent = last;
		pthread_cond_broadcast(&stream->progress);
	}
	stream->is_sending = false;
	return ret;
}

/* Have something sent by somebody, locked; the lock is dropped meanwhile. */
int libbdus_uds_await_progress(struct uds_stream *stream)
{
	if (!stream->is_sending)
		return libbdus_uds_flush(stream);
	pthread_cond_wait(&stream->progress, &stream->lock);
	return 0;
}

/* Put the answer to a request into the outbox, locked. */
int libbdus_uds_queue_reply(struct uds_stream *stream,
			    struct uds_channel *channel,
			    const struct libbdus_request *request, int error)
{
	const struct kbdusuds_reply reply = {
		.handle = request->handle,
		.error = error,
		.payload_size =
			error ? 0 : libbdus_uds_reply_size(request->type,
							   request->length),
	};
	struct uds_buffer *buffer = channel->current;
	int ret;

	while (stream->unsent == UDS_OUTBOX_SIZE) {
		ret = libbdus_uds_await_progress(stream);
		if (ret)
			return ret;
	}

	memcpy(buffer->payload - sizeof(reply), &reply, sizeof(reply));
	buffer->reply = ++stream->queued;
	stream->outbox[stream->unsent++] = (struct iovec){
		.iov_base = buffer->payload - sizeof(reply),
		.iov_len = sizeof(reply) + reply.payload_size,
	};
	return 0;
}

/* Whether a reply has been sent, by its number. */
bool libbdus_uds_is_sent(const struct uds_stream *stream, unsigned long reply)
{
	return (long)(stream->sent - reply) >= 0;
}

/* A buffer of so many bytes that nothing is to be sent from; NULL if none, locked. */
struct uds_buffer *libbdus_uds_find_buffer(const struct uds_stream *stream,
					   struct uds_channel *channel,
					   size_t size)
{
	for (int i = UDS_BUFFERS - 1; i >= 0; --i) {
		struct uds_buffer *buffer = &channel->buffers[i];

		if ((i == 0 || size <= UDS_SMALL_BUFFER_SIZE) &&
		    libbdus_uds_is_sent(stream, buffer->reply))
			return buffer;
	}

	return NULL;
}
