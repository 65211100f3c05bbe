/* SPDX-License-Identifier: MIT */

/*
 * stream.c: frames in sockets: what workers have, and what they do between two callbacks.
 *
 * Called by protocol_uds.c and protocol_nbd.c. All workers of a session share one or more
 * connections, what was read ahead from them and what is to be sent over them. They are
 * memory and descriptors like any other, so a daemon goes on where its original stopped.
 * Each worker owns a few page-aligned payload buffers. One lock guards it all, and is
 * never held in a system call that waits.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stream.h"

/* The clock is not for nothing, so only every eighth callback is measured. */
#define MEASURED_EACH 8

static void *allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* With a clock that nobody sets. */
static void init_watch(struct stream *stream)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->watch, &attributes);
	pthread_condattr_destroy(&attributes);
}

/* Begin, without connections. libbdus_stream_close() must follow. */
void libbdus_stream_open(struct stream *stream,
			 const struct libbdus_frames *frames,
			 const struct libbdus_session *session)
{
	*stream = (struct stream){
		.frames = frames,
		.owner = session,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.turn = PTHREAD_COND_INITIALIZER,
		/* Slow until proven fast. */
		.duration = 10 * STREAM_SLOW_CALLBACK_NS,
		.progress = PTHREAD_COND_INITIALIZER,
	};
	init_watch(stream);
}

/* Add a connection, whose descriptor stays the caller's. Fails with ENOMEM, without a
 * message. */
int libbdus_stream_add(struct stream *stream, int fd)
{
	struct stream_connection *connection =
		&stream->connections[stream->count];

	connection->fd = fd;
	connection->ahead = allocate(STREAM_AHEAD_SIZE);
	if (!connection->ahead)
		return -ENOMEM;
	++stream->count;
	return 0;
}

void libbdus_stream_close(struct stream *stream)
{
	while (stream->count > 0)
		munmap(stream->connections[--stream->count].ahead,
		       STREAM_AHEAD_SIZE);
	pthread_cond_destroy(&stream->progress);
	pthread_cond_destroy(&stream->watch);
	pthread_cond_destroy(&stream->turn);
	pthread_mutex_destroy(&stream->lock);
}

/* ---- places ---- */

static size_t round_up(size_t size, size_t page)
{
	return (size + page - 1) / page * page;
}

/* Make the buffers: the first one large. */
static bool make_buffers(struct stream_place *place, size_t payload_size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t large = round_up(payload_size, page);
	const size_t small = round_up(STREAM_SMALL_BUFFER_SIZE, page);
	char *next;

	place->size = STREAM_BUFFERS * page + large +
		      (STREAM_BUFFERS - 1) * small;
	place->memory = allocate(place->size);
	if (!place->memory)
		return false;

	next = place->memory;
	for (int i = 0; i < STREAM_BUFFERS; ++i) {
		place->buffers[i].payload = next + page;
		next += page + (i ? small : large);
	}
	place->buffer = &place->buffers[0];
	return true;
}

/* Make a worker's channel of that size, which begins with its place; the rest is zero. */
int libbdus_stream_open_place(const struct libbdus_session *session,
			      size_t size, void **channel)
{
	struct stream_place *place = calloc(1, size);

	if (!place || !make_buffers(place, session->payload_size)) {
		free(place);
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate payload buffers");
	}
	*channel = place;
	return 0;
}

void libbdus_stream_close_place(const struct libbdus_session *session,
				void *channel)
{
	struct stream_place *place = channel;

	(void)session;

	munmap(place->memory, place->size);
	free(place);
}

/* Have all memory of a worker's be there, and what it shares, which costs the later ones
 * little. The sizes are those of the structures that these are the beginning of. */
void libbdus_stream_populate(struct stream *stream, size_t stream_size,
			     struct stream_place *place, size_t place_size)
{
	libbdus_memory_populate(stream, stream_size);
	for (unsigned int i = 0; i < stream->count; ++i)
		libbdus_memory_populate(stream->connections[i].ahead,
					STREAM_AHEAD_SIZE);
	libbdus_memory_populate(place, place_size);
	libbdus_memory_populate(place->memory, place->size);
}

/* ---- between two callbacks ---- */

static void begin_measuring(struct stream_place *place)
{
	place->began = 0;
	if (place->has_message && place->unmeasured-- == 0) {
		place->unmeasured = MEASURED_EACH - 1;
		place->began = libbdus_now_ns();
	}
}

/* Note how long the last callback took, locked. */
static void end_measuring(struct stream *stream, struct stream_place *place,
			  uint64_t duration)
{
	if (duration > 0)
		stream->duration = (7 * stream->duration + duration) / 8;
	if (stream->duration > STREAM_SLOW_CALLBACK_NS)
		place->unmeasured = 0;
}

/* Note whether all went well, locked. One failure is everybody's. */
static int share_result(struct stream *stream, int ret)
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
static int leave_for_ever(struct stream *stream, int ret)
{
	while (!ret && !libbdus_stream_is_all_sent(stream))
		ret = share_result(stream,
				   libbdus_stream_await_progress(stream));

	pthread_cond_broadcast(&stream->turn);
	pthread_cond_broadcast(&stream->watch);
	pthread_cond_broadcast(&stream->progress);
	return ret;
}

/* Answer the message in the place, if there is one, or forget it without a reply; then
 * wait for the next message or a notice. */
int libbdus_stream_exchange(struct stream *stream, struct stream_place *place,
			    const struct stream_reply *reply)
{
	const uint64_t duration =
		place->began ? libbdus_now_ns() - place->began : 0;
	int ret = 0;

	pthread_mutex_lock(&stream->lock);
	end_measuring(stream, place, duration);
	place->has_notice = false;
	if (place->has_message && reply)
		ret = libbdus_stream_queue(stream, place, reply);
	place->has_message = false;
	if (!ret)
		ret = libbdus_stream_receive(stream, place);
	ret = share_result(stream, ret);
	if (ret || stream->is_over)
		ret = leave_for_ever(stream, ret);
	else
		libbdus_stream_go_off(stream);
	pthread_mutex_unlock(&stream->lock);

	begin_measuring(place);
	return ret;
}
