/* SPDX-License-Identifier: MIT */

/*
 * protocol_nbd.c: requests of a network block device, over socket pairs.
 *
 * Workers call in here between dispatches; the kernel's half is its module nbd, which
 * sends 28 bytes for each request and gets 16 for each answer, with data behind them.
 * Nothing is negotiated: backend_nbd.c told the kernel what it may ask for. What covers
 * more than a callback may get is handed out in pieces, and answered as a whole. How
 * workers share the connections is in stream.c, what comes over them in receive_nbd.c.
 * What the kernel sends is checked as far as callbacks rely on it.
 */

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nbd.h"

/* ---- sessions ---- */

static void nbd_end(struct libbdus_session *session)
{
	struct nbd_stream *stream = session->shared;

	if (!stream)
		return;

	libbdus_stream_close(&stream->stream);
	free(stream);
	session->shared = NULL;
}

static int nbd_begin(struct libbdus_session *session,
		     const struct kbdus_protocol_config *config)
{
	const struct nbd_device *device = session->holding;
	struct nbd_stream *stream = malloc(sizeof(*stream));
	int ret = 0;

	(void)config;

	if (!stream)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	libbdus_stream_open(&stream->stream, &libbdus_nbd_frames, session);
	/* Each look is a system call, and between two requests there is more than with
	 * "ring": only if told so. */
	libbdus_spin_init(&stream->stream.spin,
			  session->spin_time_us ?
				  libbdus_spin_longest(session->spin_time_us) : 0);
	stream->line_fd = device->line_fd;
	stream->phase = NBD_NOT_BEGUN;
	stream->child_fd = device->child.fd;
	session->shared = stream;

	for (unsigned int i = 0; i < device->fd_count && !ret; ++i)
		ret = libbdus_stream_add(&stream->stream, device->fds[i]);
	if (ret) {
		nbd_end(session);
		return libbdus_error_with_errno(-ret,
						"Failed to allocate a buffer");
	}
	return 0;
}

/* Other processes see who serves. */
static void nbd_settle(const struct libbdus_session *session)
{
	const struct nbd_device *device = session->holding;

	libbdus_record_set_state(device->record_fd, BDUS_DEV_STATE_AVAILABLE,
				 getpid());
}

/* ---- workers ---- */

static int nbd_open(const struct libbdus_session *session, unsigned int index,
		    void **channel)
{
	(void)index;

	return libbdus_stream_open_place(session, sizeof(struct nbd_channel),
					 channel);
}

static void nbd_populate(const struct libbdus_session *session, void *opaque)
{
	struct nbd_stream *stream = session->shared;
	struct nbd_channel *channel = opaque;

	libbdus_stream_populate(&stream->stream, sizeof(*stream),
				&channel->place, sizeof(*channel));
}

/* ---- from messages to requests ---- */

static bool supports(const struct kbdus_device_config *device,
		     uint32_t operations)
{
	return device->operations & operations;
}

/* Zeros are written where the driver has no better way: kernels may ask for it even
 * if they were told not to. */
static int begin_zeroing(const struct kbdus_device_config *device,
			 struct nbd_channel *channel, bool may_unmap)
{
	if (supports(device, KBDUS_OP_WRITE_ZEROS)) {
		channel->type = may_unmap ?
				KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP :
				KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP;
		channel->limit = device->max_write_zeros_size;
		return 0;
	}
	if (!supports(device, KBDUS_OP(WRITE)))
		return EOPNOTSUPP;

	channel->type = KBDUS_REQUEST_TYPE_WRITE;
	channel->limit = device->max_read_write_size;
	memset(channel->place.buffer->payload, 0,
	       channel->length < channel->limit ? channel->length :
						  channel->limit);
	return 0;
}

static int begin_writing(const struct kbdus_device_config *device,
			 struct nbd_channel *channel)
{
	channel->limit = device->max_read_write_size;
	channel->type = KBDUS_REQUEST_TYPE_WRITE;
	if (channel->wants_flush && supports(device, KBDUS_OP(FUA_WRITE))) {
		channel->type = KBDUS_REQUEST_TYPE_FUA_WRITE;
		channel->wants_flush = false;
		return 0;
	}
	return supports(device, KBDUS_OP(WRITE)) ? 0 : EOPNOTSUPP;
}

/* Choose the callback for the channel's message. Returns an errno value if there is
 * none. */
static int begin_command(const struct kbdus_device_config *device,
			 struct nbd_channel *channel, bool may_unmap)
{
	switch (channel->command) {
	case NBD_COMMAND_READ:
		channel->type = KBDUS_REQUEST_TYPE_READ;
		channel->limit = device->max_read_write_size;
		channel->wants_flush = false;
		return supports(device, KBDUS_OP(READ)) ? 0 : EOPNOTSUPP;
	case NBD_COMMAND_WRITE:
		return begin_writing(device, channel);
	case NBD_COMMAND_FLUSH:
		channel->type = KBDUS_REQUEST_TYPE_FLUSH;
		channel->offset = channel->length = channel->rest = 0;
		channel->wants_flush = false;
		return supports(device, KBDUS_OP(FLUSH)) ? 0 : EOPNOTSUPP;
	case NBD_COMMAND_TRIM:
		channel->type = KBDUS_REQUEST_TYPE_DISCARD;
		channel->limit = device->max_discard_erase_size;
		return supports(device, KBDUS_OP(DISCARD)) ? 0 : EOPNOTSUPP;
	case NBD_COMMAND_WRITE_ZEROES:
		return begin_zeroing(device, channel, may_unmap);
	default:
		return EINVAL;
	}
}

/* Whether callbacks may get the range of the channel's message. */
static bool is_range_valid(const struct libbdus_session *session,
			   const struct nbd_channel *channel)
{
	const struct kbdus_device_config *device = &session->device;
	const uint32_t block = device->logical_block_size;
	const bool has_payload = channel->command == NBD_COMMAND_READ ||
				 channel->command == NBD_COMMAND_WRITE;

	if (channel->command == NBD_COMMAND_FLUSH)
		return true;
	return channel->offset % block == 0 && channel->length % block == 0 &&
	       channel->length > 0 && channel->offset <= device->size &&
	       channel->length <= device->size - channel->offset &&
	       (!has_payload || channel->length <= session->payload_size);
}

/*
 * Make the message that was taken one for callbacks; its payload is there. Returns the
 * errno value to answer it with if that cannot be, for what no kernel should ask, or
 * only once somebody has changed the queue.
 */
int libbdus_nbd_begin_message(const struct libbdus_session *session,
			      struct nbd_channel *channel,
			      const struct nbd_header *header)
{
	channel->cookie = header->cookie;
	channel->command = header->type & 0xffff;
	channel->offset = header->offset;
	channel->length = channel->rest = header->length;
	channel->wants_flush = (header->type & NBD_REQUEST_FUA) &&
			       supports(&session->device, KBDUS_OP(FLUSH));

	if (!is_range_valid(session, channel))
		return EINVAL;
	return begin_command(&session->device, channel,
			     !(header->type & NBD_REQUEST_NO_HOLE));
}

/* Get the next piece of the message in the channel. */
static void take_piece(struct nbd_channel *channel,
		       struct libbdus_request *request)
{
	const uint64_t done = channel->length - channel->rest;
	const uint32_t length = channel->rest < channel->limit ?
				(uint32_t)channel->rest : channel->limit;
	char *const payload = channel->place.buffer->payload;

	*request = (struct libbdus_request){
		.offset = channel->offset + done,
		.length = length,
		.type = channel->type,
	};
	if (channel->command == NBD_COMMAND_READ ||
	    channel->command == NBD_COMMAND_WRITE)
		request->payload = payload + done;
	else if (channel->type == KBDUS_REQUEST_TYPE_WRITE)
		request->payload = payload;
	channel->rest -= length;
}

/* Go on with the message in the channel; false if there is nothing left to do. */
static bool take_next_piece(struct nbd_channel *channel,
			    struct libbdus_request *request)
{
	if (channel->rest > 0) {
		take_piece(channel, request);
		return true;
	}
	if (channel->wants_flush) {
		*request = (struct libbdus_request){
			.type = KBDUS_REQUEST_TYPE_FLUSH,
		};
		channel->wants_flush = false;
		return true;
	}
	return false;
}

/* ---- exchange ---- */

static struct nbd_answer make_answer(const struct nbd_channel *channel,
				     int error)
{
	return (struct nbd_answer){
		.magic = htobe32(NBD_REPLY_MAGIC_NUMBER),
		.error = htobe32((uint32_t)error),
		.cookie = channel->cookie,
	};
}

/* Answer a message with an error that no callback has seen. Locked. */
int libbdus_nbd_reject(struct stream *stream, struct nbd_channel *channel,
		       int error)
{
	const struct nbd_answer answer = make_answer(channel, error);
	const struct stream_reply reply = {
		.header = &answer,
		.header_size = sizeof(answer),
	};

	return libbdus_stream_queue(stream, &channel->place, &reply);
}

/* Answer the message, if there is one, and wait for the next. */
static int exchange(struct stream *stream, struct nbd_channel *channel,
		    int error)
{
	const bool has_payload = !error && channel->command == NBD_COMMAND_READ;
	const struct nbd_answer answer = make_answer(channel, error);
	const struct stream_reply reply = {
		.header = &answer,
		.header_size = sizeof(answer),
		.payload_size = has_payload ? channel->length : 0,
	};

	return libbdus_stream_exchange(stream, &channel->place, &reply);
}

static int nbd_exchange(const struct libbdus_session *session, void *opaque,
			struct libbdus_request *request, int error)
{
	struct nbd_stream *stream = session->shared;
	struct nbd_channel *channel = opaque;
	int ret;

	if (channel->place.has_message && !error &&
	    take_next_piece(channel, request))
		return 0;

	ret = exchange(&stream->stream, channel, error);
	if (ret)
		return ret;

	if (channel->place.has_notice) {
		*request = (struct libbdus_request){
			.type = channel->place.notice,
		};
		return 0;
	}
	/* Also of what has no range. */
	take_piece(channel, request);
	return 0;
}

const struct libbdus_protocol libbdus_protocol_nbd = {
	.name = "nbd",
	.begin = nbd_begin,
	.settle = nbd_settle,
	.end = nbd_end,
	.open = nbd_open,
	.populate = nbd_populate,
	.exchange = nbd_exchange,
	.close = libbdus_stream_close_place,
};
