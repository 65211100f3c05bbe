/* SPDX-License-Identifier: MIT */

/*
 * nbd.h: what the files of the backend "nbd" share. In the order of a device's life:
 *
 *     backend_nbd.c     makes devices
 *     connect_nbd.c     what a driver has of its device: connections and a keeper
 *     netlink_nbd.c     what the kernel's module nbd is told
 *     keeper_nbd.c      a process for each device, which outlives a driver that dies
 *     partitions_nbd.c  how a device becomes available
 *     attach_nbd.c      how another driver takes it over
 *     manage_nbd.c      what others do with it
 *     protocol_nbd.c    what workers call
 *     receive_nbd.c     what comes over the connections; how is in stream.h
 */

#ifndef LIBBDUS_NBD_H
#define LIBBDUS_NBD_H

#include "stream.h"

/* ---- what goes over a connection; all numbers are big-endian ---- */

#define NBD_REQUEST_MAGIC_NUMBER 0x25609513u
#define NBD_REPLY_MAGIC_NUMBER 0x67446698u

/* The lower half of struct nbd_header::type. */
enum nbd_command {
	NBD_COMMAND_READ = 0,
	NBD_COMMAND_WRITE = 1,
	NBD_COMMAND_DISCONNECT = 2,
	NBD_COMMAND_FLUSH = 3,
	NBD_COMMAND_TRIM = 4,
	NBD_COMMAND_WRITE_ZEROES = 6,
};

/* In the upper half. */
#define NBD_REQUEST_FUA (1u << 16)
#define NBD_REQUEST_NO_HOLE (1u << 17)

struct nbd_header {
	uint32_t magic;
	uint32_t type;
	/* The kernel's name for it. */
	uint64_t cookie;
	uint64_t offset;
	uint32_t length;
} __attribute__((packed));

struct nbd_answer {
	uint32_t magic;
	uint32_t error;
	uint64_t cookie;
} __attribute__((packed));

/* ---- keeper_nbd.c ---- */

/* Connections that a device has at most. Among the descriptors of a child there are
 * places for them and two of the keeper's own. */
#define NBD_CONNECTIONS STREAM_CONNECTIONS

#define NBD_MESSAGE_SIZE 256

/* Something that the kernel can be told by a process that has no libnl. */
struct nbd_message {
	uint32_t size;
	char bytes[NBD_MESSAGE_SIZE];
};

/* The socket that stands for no driver at all in a message to the kernel. */
#define NBD_DEAD_SOCKET 16

/* All that a keeper needs to know. */
struct nbd_keeping {
	uint64_t dev_id;
	uint32_t number;
	/* What the device is recognised by in sysfs. */
	char identifier[LIBBDUS_RECORD_NAME_SIZE];
	/* The device waits for a successor, for that long; 0: for ever. */
	bool is_recoverable;
	uint64_t orphan_timeout_ms;
	struct nbd_message disconnect;
	/* Fail all requests, and all later ones until there is a driver. */
	struct nbd_message fail;
};

/* What goes over the line between a driver and its keeper: to the driver, */
#define NBD_LINE_LEAVE 'l'
#define NBD_LINE_TERMINATE 't'
/* and to the keeper. */
#define NBD_LINE_AVAILABLE 'a'
#define NBD_LINE_SUCCESS 's'
#define NBD_LINE_END 'e'

/* How the keeper answers. */
enum nbd_word {
	/* Not at all: it is gone, or there was a signal, or not in time. */
	NBD_KEEPER_NONE = 0,
	NBD_KEEPER_INTERRUPTED = 1,
	NBD_KEEPER_LATE = 2,
	/* It has done so. */
	NBD_KEEPER_DONE = 'd',
	/* The driver leaves; with this come its connections. */
	NBD_KEEPER_LEAVING = 'a',
	/* There is no driver, or it died, and new connections are needed. */
	NBD_KEEPER_ORPHAN = 'o',
	/* The driver has left, and whoever asked may use the connections. */
	NBD_KEEPER_LEFT = 'g',
	/* The driver has left, and with it the device. */
	NBD_KEEPER_ENDED = 'e',
	/* Somebody else is about to become the driver. */
	NBD_KEEPER_BUSY = 'b',
};

/* What others may ask of a keeper. */
#define NBD_KEEPER_DESTROY 'd'
#define NBD_KEEPER_TERMINATE 't'
#define NBD_KEEPER_REPLACE 'r'
#define NBD_KEEPER_TAKEN 'x'

/* How long one may take to answer. */
#define NBD_KEEPER_TIMEOUT_MS 10000

int libbdus_nbd_keeper_start(const struct nbd_keeping *keeping,
			     const int *fds, unsigned int count);
int libbdus_nbd_keeper_connect(uint64_t dev_id);
enum nbd_word libbdus_nbd_keeper_ask(int keeper_fd, char request, int timeout_ms);
enum nbd_word libbdus_nbd_keeper_await(int keeper_fd, int timeout_ms,
			 int fds[NBD_CONNECTIONS], unsigned int *count);
bool libbdus_nbd_remove_device(const struct nbd_keeping *keeping);
bool libbdus_nbd_is_ours(const struct nbd_keeping *keeping);

/* ---- netlink_nbd.c ---- */

/* What the kernel is to make. */
struct nbd_order {
	uint32_t number;
	const char *identifier;
	uint64_t size;
	uint64_t block_size;
	uint64_t flags;
	/* In seconds. */
	uint64_t timeout;
	uint64_t dead_timeout;
	const int *fds;
	unsigned int fd_count;
};

/* Flags of an order, as the kernel knows them. */
#define NBD_ORDER_HAS_FLAGS (1u << 0)
#define NBD_ORDER_READ_ONLY (1u << 1)
#define NBD_ORDER_FLUSH (1u << 2)
#define NBD_ORDER_FUA (1u << 3)
#define NBD_ORDER_TRIM (1u << 5)
#define NBD_ORDER_WRITE_ZEROES (1u << 6)
#define NBD_ORDER_SEVERAL_CONNECTIONS (1u << 8)

int libbdus_nbd_netlink_probe(void);
int libbdus_nbd_netlink_connect(const struct nbd_order *order);
int libbdus_nbd_netlink_reconnect(const struct nbd_order *order);
int libbdus_nbd_netlink_prepare(struct nbd_keeping *keeping);

/* ---- connect_nbd.c ---- */

#define NBD_NODE_FORMAT "/dev/nbd%" PRIu32

/* What network block devices can have under way over each connection. */
#define NBD_QUEUE_DEPTH 128

/* More than anybody will wait, in seconds. */
#define NBD_NEVER 1000000

/* What a driver has of its device: its struct libbdus_session::holding. */
struct nbd_device {
	/* The record's, which says that there is a driver; -1 if none. */
	int record_fd;
	/* The line to the keeper: it ends with the last process that is the
	 * driver. */
	int line_fd;
	struct nbd_keeping keeping;
	/* A child that looks for partitions once it is told to by closing this, or
	 * -1. */
	int go_fd;
	struct libbdus_child child;
	/* Our ends of the connections. */
	int fds[NBD_CONNECTIONS];
	unsigned int fd_count;
};

bool libbdus_nbd_is_recoverable(const struct kbdus_device_config *device);
uint64_t libbdus_nbd_dead_timeout(const struct kbdus_device_config *device);
void libbdus_nbd_describe_keeping(const struct libbdus_record *record,
				  struct nbd_keeping *keeping);
int libbdus_nbd_allocate(struct libbdus_session *session);
int libbdus_nbd_make_connections(struct libbdus_session *session,
				 unsigned int count,
				 int kernel_fds[NBD_CONNECTIONS]);
void libbdus_nbd_close_connections(struct nbd_device *device);
int libbdus_nbd_start_keeper(struct nbd_device *device);
void libbdus_nbd_tell_keeper(const struct nbd_device *device, char word);

/* ---- partitions_nbd.c ---- */

int libbdus_nbd_prepare_looking(struct libbdus_session *session);
void libbdus_nbd_begin_looking(const struct libbdus_session *session);
int libbdus_nbd_end_looking(const struct libbdus_session *session);
void libbdus_nbd_abandon_looking(struct nbd_device *device);

/* ---- attach_nbd.c ---- */

int libbdus_nbd_describe(const struct libbdus_session *session, uint64_t dev_id,
			 struct kbdus_device_config *device);
int libbdus_nbd_attach(struct libbdus_session *session, uint64_t dev_id);

/* ---- protocol_nbd.c, receive_nbd.c ---- */

/* Larger requests than the kernel makes of itself, whatever it is told to, until
 * somebody tells it otherwise once more. */
#define NBD_PAYLOAD_SIZE (4 * 1024 * 1024)

/* What the workers of a session share. */
struct nbd_stream {
	struct stream stream;
	/* The keeper's line; -1 if it is not to be listened to. Under the stream's
	 * lock. */
	int line_fd;
	/* A child opens the device, for its partitions to be looked for. Only
	 * worker 0 is there while this changes. */
	enum { NBD_NOT_BEGUN, NBD_LOOKING, NBD_AVAILABLE } phase;
	/* Readable when it has ended. */
	int child_fd;
};

/* The place of one worker. */
struct nbd_channel {
	struct stream_place place;

	/* Of the message in it. */
	uint64_t cookie;
	uint32_t command;
	/* The type that callbacks know it by, its range, what of that was not yet
	 * handed out, and the most that a callback gets at once. */
	uint32_t type;
	uint64_t offset;
	uint64_t length;
	uint64_t rest;
	uint32_t limit;
	/* It is to be durable, which no callback sees to by itself. */
	bool wants_flush;
};

extern const struct libbdus_frames libbdus_nbd_frames;

int libbdus_nbd_begin_message(const struct libbdus_session *session,
			      struct nbd_channel *channel,
			      const struct nbd_header *header);
int libbdus_nbd_reject(struct stream *stream, struct nbd_channel *channel,
		       int error);

#endif
