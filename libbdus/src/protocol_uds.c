/* SPDX-License-Identifier: MIT */

/*
 * protocol_uds.c: requests and replies as messages in a Unix domain socket.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the
 * same name in kbdus/. All workers of a session share one end of a socket pair,
 * what was read ahead from it and what is to be sent over it; all belong to struct
 * uds_stream, from before the session begins until it ends, as the module takes the
 * closing of the socket for that of the control file. They are memory and descriptors
 * like any other, so a daemon goes on where its original stopped. Each worker owns a
 * few page-aligned payload buffers. One lock guards it all, and is never held in a
 * system call that waits. What the module sends is checked as far as memory safety
 * depends on it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "uds.h"

static void *allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void uds_end(struct libbdus_session *session)
{
	struct uds_stream *stream = session->shared;

	if (!stream)
		return;

	if (stream->fd >= 0)
		close(stream->fd);
	if (stream->module_fd >= 0)
		close(stream->module_fd);
	if (stream->ahead)
		munmap(stream->ahead, UDS_AHEAD_SIZE);
	pthread_cond_destroy(&stream->progress);
	pthread_cond_destroy(&stream->watch);
	pthread_cond_destroy(&stream->turn);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
	session->shared = NULL;
}

/* With a clock that nobody sets. */
static void init_watch(struct uds_stream *stream)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->watch, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* Make the pair. Ours must survive what a daemon does to its first descriptors. */
static int make_pair(struct uds_stream *stream)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;

	stream->module_fd = pair[1];
	stream->fd = libbdus_daemonize_keep(pair[0]);
	return stream->fd < 0 ? stream->fd : 0;
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

	*stream = (struct uds_stream){
		.fd = -1,
		.module_fd = -1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.turn = PTHREAD_COND_INITIALIZER,
		/* Slow until proven fast. */
		.duration = 10 * UDS_SLOW_CALLBACK_NS,
		.progress = PTHREAD_COND_INITIALIZER,
		.ahead = allocate(UDS_AHEAD_SIZE),
	};
	init_watch(stream);
	session->shared = stream;

	ret = stream->ahead ? make_pair(stream) : -ENOMEM;
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

	close(stream->module_fd);
	stream->module_fd = -1;
	return 0;
}

static void uds_settle(const struct libbdus_session *session)
{
	/* Only for show, so it does not matter if it should fail. */
	ioctl(session->fd, KBDUSUDS_IOCTL_NOTE_PROCESS);
}

static size_t round_up(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

/* Make the buffers: the first one large. */
static bool make_buffers(struct uds_channel *channel, size_t payload_size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t large = round_up(payload_size, page);
	const size_t small = round_up(UDS_SMALL_BUFFER_SIZE, page);
	char *next;

	channel->size = UDS_BUFFERS * page + large + (UDS_BUFFERS - 1) * small;
	channel->memory = allocate(channel->size);
	if (!channel->memory)
		return false;

	next = channel->memory;
	for (int i = 0; i < UDS_BUFFERS; ++i) {
		channel->buffers[i].payload = next + page;
		next += page + (i ? small : large);
	}
	channel->current = &channel->buffers[0];
	return true;
}

static int uds_open(const struct libbdus_session *session,
		    unsigned int index, void **out)
{
	struct uds_channel *channel = calloc(1, sizeof(*channel));

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
static void uds_populate(const struct libbdus_session *session, void *opaque)
{
	struct uds_stream *stream = session->shared;
	struct uds_channel *channel = opaque;

	libbdus_memory_populate(stream, sizeof(*stream));
	libbdus_memory_populate(stream->ahead, UDS_AHEAD_SIZE);
	libbdus_memory_populate(channel, sizeof(*channel));
	libbdus_memory_populate(channel->memory, channel->size);
}

static void uds_close(const struct libbdus_session *session, void *opaque)
{
	struct uds_channel *channel = opaque;

	(void)session;

	munmap(channel->memory, channel->size);
	free(channel);
}

/* Note whether all went well, locked. One failure is everybody's. */
static int share_result(struct uds_stream *stream, int ret)
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
static int leave_for_ever(struct uds_stream *stream, int ret)
{
	const unsigned long last = stream->queued;

	while (!ret && !libbdus_uds_is_sent(stream, last))
		ret = share_result(stream, libbdus_uds_await_progress(stream));

	pthread_cond_broadcast(&stream->turn);
	pthread_cond_broadcast(&stream->watch);
	pthread_cond_broadcast(&stream->progress);
	return ret;
}

/* The clock is not for nothing, so only every eighth callback is measured. */
#define MEASURED_EACH 8

static void begin_measuring(struct uds_channel *channel)
{
	channel->began = 0;
	if (channel->unmeasured-- == 0) {
		channel->unmeasured = MEASURED_EACH - 1;
		channel->began = libbdus_now_ns();
	}
}

static uint64_t end_measuring(const struct uds_channel *channel)
{
	return channel->began ? libbdus_now_ns() - channel->began : 0;
}

/* Answer a request, if there is one, and wait for the next. */
static int exchange(const struct libbdus_session *session,
		    struct uds_channel *channel,
		    const struct libbdus_request *request, int error,
		    struct kbdusuds_request *header)
{
	const uint64_t duration = end_measuring(channel);
	struct uds_stream *stream = session->shared;
	int ret = 0;

	pthread_mutex_lock(&stream->lock);
	if (duration > 0)
		stream->duration = (7 * stream->duration + duration) / 8;
	if (stream->duration > UDS_SLOW_CALLBACK_NS)
		channel->unmeasured = 0;
	if (request->handle)
		ret = libbdus_uds_queue_reply(stream, channel, request, error);
	if (!ret)
		ret = libbdus_uds_receive(session, channel, header);
	ret = share_result(stream, ret);
	if (ret || stream->is_over)
		ret = leave_for_ever(stream, ret);
	else
		libbdus_uds_leave(stream);
	pthread_mutex_unlock(&stream->lock);
	return ret;
}

static int uds_exchange(const struct libbdus_session *session, void *opaque,
			struct libbdus_request *request, int error)
{
	struct uds_channel *channel = opaque;
	struct kbdusuds_request header;
	int ret;

	ret = exchange(session, channel, request, error, &header);
	if (ret)
		return ret;

	*request = (struct libbdus_request){
		.handle = header.handle,
		.offset = header.offset,
		.length = header.length,
		.type = header.type,
		.payload = session->payload_size ? channel->current->payload :
						   NULL,
	};
	begin_measuring(channel);
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
	.close = uds_close,
};
