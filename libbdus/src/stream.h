/* SPDX-License-Identifier: MIT */

/*
 * stream.h: requests and replies as frames in sockets, for any number of workers. What
 * the protocol "uds" and the backend "nbd" share:
 *
 *     stream.c          what workers have, and what they do between two callbacks
 *     stream_receive.c  from the kernel to workers; who of them does what
 *     stream_send.c     from workers to the kernel
 *
 * How frames look is the protocol's, in struct libbdus_frames. Functions are called with
 * the stream's lock held unless said otherwise, and drop it while they wait for anything.
 */

#ifndef LIBBDUS_STREAM_H
#define LIBBDUS_STREAM_H

#include <sys/uio.h>

#include "internal.h"

/* How much is read ahead at most. Payloads that are not small are read to where they
 * belong. */
#define STREAM_AHEAD_SIZE (256 * 1024)
#define STREAM_SMALL_PAYLOAD (STREAM_AHEAD_SIZE / 4)

/* No header is larger. */
#define STREAM_HEADER_SIZE 64

/* Callbacks that take longer on average run at the same time. */
#define STREAM_SLOW_CALLBACK_NS 30000

/* Replies that wait to be sent over a connection. */
#define STREAM_OUTBOX_SIZE 32

/* Buffers of a worker: one for payloads of any size, the others for small ones. */
#define STREAM_BUFFERS 8
#define STREAM_SMALL_BUFFER_SIZE (16 * 1024)

#define STREAM_CONNECTIONS 4

struct stream;
struct stream_place;

/* What a protocol's messages look like, and what it does with them. */
struct libbdus_frames {
	/* Of a message. */
	size_t header_size;
	/* How much comes behind a header. */
	size_t (*payload_size)(const void *header);
	/* A message can be taken: check it, and say how much of a buffer it and its
	 * answer need. May end the stream instead. */
	int (*admit)(struct stream *stream, const void *header, size_t *room);
	/* A message was taken; the payload is in the place's buffer. */
	int (*take)(struct stream *stream, struct stream_place *place,
		    const void *header);
	/* Nobody else reads: wait for something to come, and read ahead or put a notice
	 * in the place. */
	int (*wait)(struct stream *stream, struct stream_place *place);
	/* The other end was closed: end the stream, or fail. */
	int (*end)(struct stream *stream);
};

struct stream_connection {
	int fd;
	/* What was read and not yet taken is from start to end. */
	char *ahead;
	size_t start;
	size_t end;
	/* Replies that nobody has begun to send, oldest first. */
	struct iovec outbox[STREAM_OUTBOX_SIZE];
	int unsent;
	/* Somebody sends, and will send these, too. */
	bool is_sending;
	/* The last message had a payload that was better read to where it belongs, and
	 * the next may, too. */
	bool is_large;
	/* How many replies were ever put into the outbox, and sent. */
	unsigned long queued;
	unsigned long sent;
};

/* What the workers of a session share. */
struct stream {
	const struct libbdus_frames *frames;
	const struct libbdus_session *owner;

	/* Guards all below. */
	pthread_mutex_t lock;
	/* Where workers wait, the watcher aside, and how many do. */
	pthread_cond_t turn;
	unsigned int waiting;
	/* Where the watcher waits, if there is one. */
	pthread_cond_t watch;
	bool is_watched;
	/* The watcher does not even look from time to time. */
	bool is_parked;
	/* Somebody was woken up to have a look and has not got here. */
	bool is_waking;
	/* Somebody reads; only he adds to what was read ahead then. */
	bool is_reading;
	/* For how long he looks before he sleeps: not at all, unless the protocol sets
	 * it. */
	struct libbdus_spin spin;
	/* Messages that were taken, for the watcher. */
	unsigned long taken;
	/* How long callbacks take on average, in nanoseconds. A stall counts, too:
	 * those that hang are not measured. */
	uint64_t duration;
	/* Somebody else goes on with the connections: nothing is read but what is
	 * missing of a message. */
	bool is_leaving;
	/* There is nothing to come any more, for all workers. */
	bool is_over;
	/* So does a failure to receive. */
	int result;
	struct libbdus_error error;
	/* Where workers wait until something was sent. */
	pthread_cond_t progress;

	struct stream_connection connections[STREAM_CONNECTIONS];
	unsigned int count;
	/* The one that is looked at first. */
	unsigned int first;
};

/* Room for one message of a worker. */
struct stream_buffer {
	/* A page of its own; before it, there is room for a reply's header, so that
	 * both are sent as one. */
	char *payload;
	/* The reply that was put here last; it may be sent. NULL if none. */
	const struct stream_connection *connection;
	unsigned long reply;
};

/* The place of one worker. */
struct stream_place {
	char *memory;
	size_t size;
	struct stream_buffer buffers[STREAM_BUFFERS];

	/* The message that waits for an answer, if there is one. */
	bool has_message;
	struct stream_connection *connection;
	struct stream_buffer *buffer;
	/* What came instead of a message: an enum kbdus_request_type. */
	bool has_notice;
	uint32_t notice;

	/* When the callback began; 0 if nobody wants to know. */
	uint64_t began;
	/* Requests until the next that somebody wants to know of. */
	unsigned int unmeasured;
};

struct stream_reply {
	const void *header;
	size_t header_size;
	/* How much of the buffer follows it. */
	size_t payload_size;
};

/* stream.c. No lock. */

void libbdus_stream_open(struct stream *stream,
			 const struct libbdus_frames *frames,
			 const struct libbdus_session *session);
int libbdus_stream_add(struct stream *stream, int fd);
void libbdus_stream_close(struct stream *stream);
int libbdus_stream_open_place(const struct libbdus_session *session,
			      size_t size, void **channel);
void libbdus_stream_close_place(const struct libbdus_session *session,
				void *channel);
void libbdus_stream_populate(struct stream *stream, size_t stream_size,
			     struct stream_place *place, size_t place_size);
int libbdus_stream_exchange(struct stream *stream, struct stream_place *place,
			    const struct stream_reply *reply);

/* stream_receive.c */

void libbdus_stream_notify(struct stream_place *place, uint32_t notice);
size_t libbdus_stream_wanted(const struct stream *stream,
			     const struct stream_connection *connection);
bool libbdus_stream_is_drained(const struct stream *stream);
int libbdus_stream_read(struct stream *stream,
			struct stream_connection *connection, int flags);
int libbdus_stream_receive(struct stream *stream, struct stream_place *place);
void libbdus_stream_go_off(struct stream *stream);

/* stream_send.c */

int libbdus_stream_queue(struct stream *stream, struct stream_place *place,
			 const struct stream_reply *reply);
int libbdus_stream_flush(struct stream *stream);
bool libbdus_stream_wants_sending(const struct stream *stream);
bool libbdus_stream_is_all_sent(const struct stream *stream);
int libbdus_stream_await_progress(struct stream *stream);
struct stream_buffer *libbdus_stream_find_buffer(struct stream_place *place,
						 size_t size);

#endif
