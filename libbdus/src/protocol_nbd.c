/* SPDX-License-Identifier: MIT */

/*
 * protocol_nbd.c: requests of a network block device, over socket pairs.
 *
 * Workers call in here between dispatches; the kernel's half is its module nbd, which
 * sends 28 bytes for each request and gets 16 for each answer, with data behind them.
 * Nothing is negotiated: backend_nbd.c told the kernel what it may ask for. What covers
 * more than a callback may get is handed out in pieces, and answered as a whole. One
 * lock guards what the workers share, and is never held in a system call that waits.
 * What the kernel sends is checked as far as callbacks rely on it.
 *
 * Until the device is available there is one worker, and a child that opens it, for
 * its partitions to be looked for, see backend_nbd.c: the worker waits for both.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nbd.h"

static void *allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* ---- sessions ---- */

static void nbd_end(struct libbdus_session *session)
{
	struct nbd_stream *stream = session->shared;

	if (!stream)
		return;

	for (unsigned int i = 0; i < stream->count; ++i) {
		if (stream->connections[i].ahead)
			munmap(stream->connections[i].ahead, NBD_AHEAD_SIZE);
	}
	pthread_cond_destroy(&stream->progress);
	pthread_cond_destroy(&stream->watch);
	pthread_cond_destroy(&stream->turn);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
	session->shared = NULL;
}

/* With a clock that nobody sets. */
static void init_watch(struct nbd_stream *stream)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->watch, &attributes);
	pthread_condattr_destroy(&attributes);
}

static int nbd_begin(struct libbdus_session *session,
		     const struct kbdus_protocol_config *config)
{
	const struct nbd_device *device = session->holding;
	struct nbd_stream *stream = calloc(1, sizeof(*stream));

	(void)config;

	if (!stream)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	stream->owner = session;
	stream->line_fd = device->line_fd;
	stream->child_fd = device->child.fd;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->turn, NULL);
	pthread_cond_init(&stream->progress, NULL);
	init_watch(stream);
	/* Slow until proven fast. */
	stream->duration = 10 * NBD_SLOW_CALLBACK_NS;
	session->shared = stream;

	for (; stream->count < device->fd_count; ++stream->count) {
		struct nbd_connection *connection =
			&stream->connections[stream->count];

		connection->fd = device->fds[stream->count];
		connection->ahead = allocate(NBD_AHEAD_SIZE);
		if (!connection->ahead) {
			nbd_end(session);
			return libbdus_error_with_errno(ENOMEM,
				"Failed to allocate a buffer");
		}
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

static size_t round_up(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

/* Make the buffers: the first one large. */
static bool make_buffers(struct nbd_channel *channel, size_t payload_size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t large = round_up(payload_size, page);
	const size_t small = round_up(NBD_SMALL_BUFFER_SIZE, page);
	char *next;

	channel->size = NBD_BUFFERS * page + large + (NBD_BUFFERS - 1) * small;
	channel->memory = allocate(channel->size);
	if (!channel->memory)
		return false;

	next = channel->memory;
	for (int i = 0; i < NBD_BUFFERS; ++i) {
		channel->buffers[i].payload = next + page;
		next += page + (i ? small : large);
	}
	return true;
}

static int nbd_open(const struct libbdus_session *session, unsigned int index,
		    void **out)
{
	struct nbd_channel *channel = calloc(1, sizeof(*channel));

	(void)index;

	if (!channel || !make_buffers(channel, session->payload_size)) {
		free(channel);
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate payload buffers");
	}

	*out = channel;
	return 0;
}

/* What workers share is populated by each of them, which costs the later ones little. */
static void nbd_populate(const struct libbdus_session *session, void *opaque)
{
	struct nbd_stream *stream = session->shared;
	struct nbd_channel *channel = opaque;

	libbdus_memory_populate(stream, sizeof(*stream));
	for (unsigned int i = 0; i < stream->count; ++i) {
		libbdus_memory_populate(stream->connections[i].ahead,
					NBD_AHEAD_SIZE);
	}
	libbdus_memory_populate(channel, sizeof(*channel));
	libbdus_memory_populate(channel->memory, channel->size);
}

static void nbd_close(const struct libbdus_session *session, void *opaque)
{
	struct nbd_channel *channel = opaque;

	(void)session;

	munmap(channel->memory, channel->size);
	free(channel);
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
	memset(channel->buffer->payload, 0,
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
	char *const payload = channel->buffer->payload;

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

/* The clock is not for nothing, so only every eighth callback is measured. */
#define MEASURED_EACH 8

static void begin_measuring(struct nbd_channel *channel)
{
	channel->began = 0;
	if (channel->unmeasured-- == 0) {
		channel->unmeasured = MEASURED_EACH - 1;
		channel->began = libbdus_now_ns();
	}
}

/* Note how long the last callback took, locked. */
static void end_measuring(struct nbd_stream *stream,
			  struct nbd_channel *channel, uint64_t duration)
{
	if (duration > 0)
		stream->duration = (7 * stream->duration + duration) / 8;
	if (stream->duration > NBD_SLOW_CALLBACK_NS)
		channel->unmeasured = 0;
}

/* Note whether all went well, locked. One failure is everybody's. */
static int share_result(struct nbd_stream *stream, int ret)
{
	if (ret) {
		stream->result = ret;
		libbdus_error_save(&stream->error);
	} else if (stream->result) {
		ret = stream->result;
		libbdus_error_restore(&stream->error);
	}

	return ret;
}

/*
 * Going off for ever, locked: see that what was answered is sent, as its buffers go,
 * and make the others do the same.
 */
static int leave_for_ever(struct nbd_stream *stream, int ret)
{
	while (!ret && !libbdus_nbd_is_all_sent(stream))
		ret = share_result(stream, libbdus_nbd_await_progress(stream));

	pthread_cond_broadcast(&stream->turn);
	pthread_cond_broadcast(&stream->watch);
	pthread_cond_broadcast(&stream->progress);
	return ret;
}

/* The child has ended: say what became of the device. Locked, but nobody else is
 * there. */
static int end_looking(struct nbd_stream *stream, struct nbd_channel *channel)
{
	int ret;

	stream->phase = NBD_AVAILABLE;
	ret = libbdus_nbd_end_looking(stream->owner);
	if (!ret)
		return 0;

	/* Perhaps because the device was destroyed. */
	for (unsigned int i = 0; i < stream->count; ++i) {
		char byte;

		if (!recv(stream->connections[i].fd, &byte, 1,
			  MSG_PEEK | MSG_DONTWAIT)) {
			libbdus_nbd_notify(channel,
					   KBDUS_REQUEST_TYPE_TERMINATE);
			return 0;
		}
	}
	return ret;
}

/*
 * See to it that the device becomes available, locked. A device that was taken over is
 * already.
 */
static void begin_looking(struct nbd_stream *stream,
			  struct nbd_channel *channel)
{
	if (stream->child_fd >= 0) {
		libbdus_nbd_begin_looking(stream->owner);
		stream->phase = NBD_LOOKING;
	} else {
		libbdus_nbd_notify(channel,
				   KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
		stream->phase = NBD_AVAILABLE;
	}
}

/* Answer the message, if there is one, and wait for the next. */
static int exchange(struct nbd_stream *stream, struct nbd_channel *channel,
		    int error)
{
	const uint64_t duration =
		channel->began ? libbdus_now_ns() - channel->began : 0;
	int ret = 0;

	pthread_mutex_lock(&stream->lock);
	end_measuring(stream, channel, duration);
	channel->has_notice = false;
	if (channel->has_message)
		ret = libbdus_nbd_queue_reply(stream, channel, error);
	if (stream->phase == NBD_NOT_BEGUN)
		begin_looking(stream, channel);
	if (!ret && !channel->has_notice)
		ret = libbdus_nbd_receive(stream, channel);
	if (!ret && stream->phase == NBD_LOOKING && channel->has_notice &&
	    channel->notice == KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE)
		ret = end_looking(stream, channel);
	ret = share_result(stream, ret);
	if (ret || stream->is_over)
		ret = leave_for_ever(stream, ret);
	else
		libbdus_nbd_leave(stream);
	pthread_mutex_unlock(&stream->lock);
	return ret;
}

static int nbd_exchange(const struct libbdus_session *session, void *opaque,
			struct libbdus_request *request, int error)
{
	struct nbd_stream *stream = session->shared;
	struct nbd_channel *channel = opaque;
	int ret;

	if (channel->has_message && !error &&
	    take_next_piece(channel, request))
		return 0;

	ret = exchange(stream, channel, error);
	if (ret)
		return ret;

	if (channel->has_notice) {
		*request = (struct libbdus_request){ .type = channel->notice };
		return 0;
	}
	/* Also of what has no range. */
	take_piece(channel, request);
	begin_measuring(channel);
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
	.close = nbd_close,
};
