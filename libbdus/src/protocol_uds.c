/* SPDX-License-Identifier: MIT */

/*
 * protocol_uds.c: requests and replies as messages in a Unix domain socket.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the
 * same name in kbdus/. All workers of a session share one end of a socket pair, as
 * stream.c has it; it belongs to struct uds_stream, from before the session begins until
 * it ends, as the module takes the closing of the socket for that of the control file.
 * What the module sends is checked as far as memory safety depends on it.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

/* What the workers of a session share. */
struct uds_stream {
	struct stream stream;
	/* Ours. */
	int fd;
	/* The module's, until it has got hold of it. */
	int module_fd;
};

/* The place of one worker. */
struct uds_channel {
	struct stream_place place;
	/* Of the last message that was taken. */
	struct kbdusuds_request header;
};

/* ---- messages ---- */

static size_t payload_size(const void *header)
{
	const struct kbdusuds_request *request = header;

	return request->payload_size;
}

/* How much an answer without error carries. */
static uint32_t reply_size(uint32_t type, uint32_t length)
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

/* How much a request or its answer carries. */
static uint32_t message_size(const struct kbdusuds_request *header)
{
	const uint32_t size = reply_size(header->type, header->length);

	return size > header->payload_size ? size : header->payload_size;
}

static int admit(struct stream *stream, const void *opaque, size_t *room)
{
	static const uint8_t zeros[sizeof(((struct kbdusuds_request *)0)
						  ->reserved)];
	const struct kbdusuds_request *header = opaque;

	*room = message_size(header);
	if (*room > stream->owner->payload_size) {
		return libbdus_error(EIO,
			"kbdus sent a request of %zu bytes, but at most %" PRIu32
			" were agreed on.",
			*room, stream->owner->payload_size);
	}
	if (memcmp(header->reserved, zeros, sizeof(zeros))) {
		return libbdus_error(EIO,
			"kbdus sent a request whose reserved bytes are not zero.");
	}
	return 0;
}

static int take(struct stream *stream, struct stream_place *place,
		const void *header)
{
	struct uds_channel *channel = (struct uds_channel *)place;

	memcpy(&channel->header, header, sizeof(channel->header));
	/* It counts for all workers. */
	stream->is_over =
		channel->header.type == KBDUS_REQUEST_TYPE_TERMINATE;
	return 0;
}

static int wait_for_messages(struct stream *stream, struct stream_place *place)
{
	(void)place;

	return libbdus_stream_read(stream, &stream->connections[0], 0);
}

static int end(struct stream *stream)
{
	(void)stream;

	return libbdus_error(EIO, "kbdus ended the session.");
}

static const struct libbdus_frames frames = {
	.header_size = sizeof(struct kbdusuds_request),
	.payload_size = payload_size,
	.admit = admit,
	.take = take,
	.wait = wait_for_messages,
	.end = end,
};

/* ---- sessions ---- */

static void uds_end(struct libbdus_session *session)
{
	struct uds_stream *stream = session->shared;

	if (!stream)
		return;

	libbdus_stream_close(&stream->stream);
	libbdus_close(&stream->fd);
	libbdus_close(&stream->module_fd);
	free(stream);
	session->shared = NULL;
}

/* Make the pair. Ours must survive what a daemon does to its first descriptors. */
static int make_pair(struct uds_stream *stream)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;

	stream->module_fd = pair[1];
	stream->fd = libbdus_daemonize_keep(pair[0]);
	if (stream->fd < 0)
		return stream->fd;
	return libbdus_stream_add(&stream->stream, stream->fd);
}

static int uds_prepare(struct libbdus_session *session,
		       struct kbdus_protocol_config *config)
{
	struct uds_stream *stream = malloc(sizeof(*stream));
	int ret;

	if (!stream) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate a connection to kbdus");
	}

	stream->fd = -1;
	stream->module_fd = -1;
	libbdus_stream_open(&stream->stream, &frames, session);
	session->shared = stream;

	ret = make_pair(stream);
	if (ret) {
		uds_end(session);
		return libbdus_error_with_errno(-ret,
			"Failed to make a connection to kbdus");
	}

	config->socket_fd_plus_1 = (uint32_t)stream->module_fd + 1;
	return 0;
}

/* Else the end of the module would not show as the end of the stream. */
static int uds_begin(struct libbdus_session *session,
		     const struct kbdus_protocol_config *config)
{
	struct uds_stream *stream = session->shared;

	(void)config;

	libbdus_close(&stream->module_fd);
	return 0;
}

static void uds_settle(const struct libbdus_session *session)
{
	/* Only for show, so it does not matter if it should fail. */
	ioctl(session->fd, KBDUSUDS_IOCTL_NOTE_PROCESS);
}

/* ---- workers ---- */

static int uds_open(const struct libbdus_session *session, unsigned int index,
		    void **channel)
{
	(void)index;

	return libbdus_stream_open_place(session, sizeof(struct uds_channel),
					 channel);
}

static void uds_populate(const struct libbdus_session *session, void *opaque)
{
	struct uds_stream *stream = session->shared;
	struct uds_channel *channel = opaque;

	libbdus_stream_populate(&stream->stream, sizeof(*stream),
				&channel->place, sizeof(*channel));
}

/* Answer a request, if there is one, and wait for the next. */
static int exchange(struct stream *stream, struct uds_channel *channel,
		    const struct libbdus_request *request, int error)
{
	const struct kbdusuds_reply header = {
		.handle = request->handle,
		.error = error,
		.payload_size = error ? 0 : reply_size(request->type,
						       request->length),
	};
	const struct stream_reply reply = {
		.header = &header,
		.header_size = sizeof(header),
		.payload_size = header.payload_size,
	};

	return libbdus_stream_exchange(stream, &channel->place,
				       request->handle ? &reply : NULL);
}

static int uds_exchange(const struct libbdus_session *session, void *opaque,
			struct libbdus_request *request, int error)
{
	struct uds_stream *stream = session->shared;
	struct uds_channel *channel = opaque;
	struct kbdusuds_request *header = &channel->header;
	int ret;

	ret = exchange(&stream->stream, channel, request, error);
	if (ret)
		return ret;

	if (channel->place.has_notice) {
		*header = (struct kbdusuds_request){
			.type = channel->place.notice,
		};
	}
	*request = (struct libbdus_request){
		.handle = header->handle,
		.offset = header->offset,
		.length = header->length,
		.type = header->type,
		.payload = session->payload_size ?
				   channel->place.buffer->payload : NULL,
	};
	return 0;
}

const struct libbdus_protocol libbdus_protocol_uds = {
	.name = KBDUSUDS_PROTOCOL_NAME,
	.prepare = uds_prepare,
	.begin = uds_begin,
	.settle = uds_settle,
	.end = uds_end,
	.open = uds_open,
	.populate = uds_populate,
	.exchange = uds_exchange,
	.close = libbdus_stream_close_place,
};
