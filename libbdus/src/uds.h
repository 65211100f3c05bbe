/* SPDX-License-Identifier: MIT */

/*
 * uds.h: what the three files of the protocol "uds" share: protocol_uds.c, which
 * workers call, uds_receive.c and uds_send.c. Functions are called with the stream's
 * lock held unless said otherwise, and drop it while they wait for anything.
 */

#ifndef LIBBDUS_UDS_H
#define LIBBDUS_UDS_H

#include <sys/uio.h>

#include "internal.h"

/* How much is read ahead at most. */
#define UDS_AHEAD_SIZE (256 * 1024)

/* Callbacks that take longer on average run at the same time. */
#define UDS_SLOW_CALLBACK_NS 30000

/* Replies that wait to be sent, of all workers. */
#define UDS_OUTBOX_SIZE 32

/* Buffers of a worker: one for payloads of any size, the others for small ones. */
#define UDS_BUFFERS 8
#define UDS_SMALL_BUFFER_SIZE KBDUS_IOCTL_PAYLOAD_SIZE

/* What the workers of a session share. */
struct uds_stream {
	/* Ours. */
	int fd;
	/* The module's, until it has got hold of it. */
	int module_fd;

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
	/* Messages that were taken, for the watcher. */
	unsigned long taken;
	/* How long callbacks take on average, in nanoseconds. A stall counts, too:
	 * those that hang are not measured. */
	uint64_t duration;
	/* What was read and not yet taken is from start to end. */
	char *ahead;
	size_t start;
	size_t end;
	/* TERMINATE came, which counts for all workers. */
	bool is_over;
	/* So does a failure to receive. */
	int result;
	struct libbdus_error error;

	/* Replies that nobody has begun to send, oldest first. */
	struct iovec outbox[UDS_OUTBOX_SIZE];
	int unsent;
	/* Somebody sends, and will send these, too. */
	bool is_sending;
	/* Where workers wait until something was sent. */
	pthread_cond_t progress;
	/* How many replies were ever put into the outbox, and sent. */
	unsigned long queued;
	unsigned long sent;
};

/* The place of one message of a worker. */
struct uds_buffer {
	/* A page of its own; before it, there is room for a reply's header, so that
	 * both are sent as one. */
	char *payload;
	/* The number of the reply that was put here last; it may be sent. */
	unsigned long reply;
};

/* The place of one worker. */
struct uds_channel {
	char *memory;
	size_t size;
	struct uds_buffer buffers[UDS_BUFFERS];
	/* Where the last request is that was taken, until it is answered. */
	struct uds_buffer *current;
	bool has_taken;
	/* When that began; 0 if nobody wants to know. */
	uint64_t began;
	/* Requests until the next that somebody wants to know of. */
	unsigned int unmeasured;
};

/* ---- uds_receive.c ---- */

int libbdus_uds_receive(const struct libbdus_session *session,
			struct uds_channel *channel,
			struct kbdusuds_request *header);
void libbdus_uds_leave(struct uds_stream *stream);

/* ---- uds_send.c ---- */

uint32_t libbdus_uds_reply_size(uint32_t type, uint32_t length);
int libbdus_uds_queue_reply(struct uds_stream *stream,
			    struct uds_channel *channel,
			    const struct libbdus_request *request, int error);
int libbdus_uds_flush(struct uds_stream *stream);
int libbdus_uds_await_progress(struct uds_stream *stream);
bool libbdus_uds_is_sent(const struct uds_stream *stream, unsigned long reply);
struct uds_buffer *libbdus_uds_find_buffer(const struct uds_stream *stream,
					   struct uds_channel *channel,
					   size_t size);

#endif
