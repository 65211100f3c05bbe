/* SPDX-License-Identifier: MIT */

/*
 * transport_uds.c: the protocol "uds". Payload comes from and goes to the memory
 * "good"; a reply has as much of it as its request needs, unless payload_size=
 * says otherwise. After TERMINATE there is only TERMINATE; end of file without it
 * is EPIPE. Beside the commands that all transports have:
 *
 *     uds_write [from=A] [to=B] KEY=VALUE...
 *                         of the message that reply would send, these bytes
 *     uds_at_end          wait for the end of file, whatever comes before it
 *     uds_shutdown how=N  of our end, see shutdown(2)
 *     uds_close           close our end, not the control file
 *     uds_lend            send the descriptor of the control file to the module
 *     uds_pass            have another process serve in our place
 *     uds_make kind=KIND  a descriptor for socket_fd_plus_1=: pair, closed (a pair
 *                         whose other end is), inet, packets, alone, listening, file
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../drivers/common/libc.h"
#include "transport.h"

static const struct field request_fields[] = {
	FIELD_OF(kbdusuds_request, handle, "handle", NUMBER),
	FIELD_OF(kbdusuds_request, offset, "offset", NUMBER),
	FIELD_OF(kbdusuds_request, length, "length", NUMBER),
	FIELD_OF(kbdusuds_request, type, "type", TYPE),
	FIELD_OF(kbdusuds_request, payload_size, "payload_size", NUMBER),
	{ 0 }
};

static const struct field reply_fields[] = {
	FIELD_OF(kbdusuds_reply, handle, "handle", NUMBER),
	FIELD_OF(kbdusuds_reply, error, "error", NUMBER),
	FIELD_OF(kbdusuds_reply, payload_size, "payload_size", NUMBER),
	{ 0 }
};

/* Our end, and what is needed to answer the latest requests. */
struct stream {
	int fd;
	int module_fd;
	bool is_over;
	pthread_mutex_t lock;
	struct kbdusuds_request latest[64];
	unsigned int count;
};

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Nothing if a case has made the socket. */
static void *prepare(const struct call *call, struct kbdus_protocol_config *config)
{
	struct stream *stream;
	int pair[2];

	if (raw_option(call, "socket_fd_plus_1"))
		return NULL;
	stream = calloc(1, sizeof(*stream));
	if (!stream ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		raw_die("socketpair");
	stream->fd = pair[0];
	stream->module_fd = pair[1];
	pthread_mutex_init(&stream->lock, NULL);
	if (!config->socket_fd_plus_1)
		config->socket_fd_plus_1 = pair[1] + 1;
	return stream;
}

static void discard(void *shared)
{
	struct stream *stream = shared;

	close_if_open(&stream->fd);
	close_if_open(&stream->module_fd);
	free(stream);
}

static void begin(struct file *file)
{
	struct stream *stream = file->shared;

	if (stream)
		close_if_open(&stream->module_fd);
}

static void end(struct file *file)
{
	if (file->shared)
		discard(file->shared);
	file->shared = NULL;
}

static uint32_t payload_size_of(const struct kbdusuds_request *request)
{
	if (request->type == KBDUS_REQUEST_TYPE_READ)
		return request->length;
	if (request->type == KBDUS_REQUEST_TYPE_IOCTL &&
	    _IOC_DIR(request->length) & _IOC_WRITE)
		return _IOC_SIZE(request->length);
	return 0;
}

/* Fills in how much payload the request needs. */
static void complete(struct stream *stream, const struct call *call,
		     struct kbdusuds_reply *reply)
{
	if (raw_option(call, "payload_size") || reply->error)
		return;
	pthread_mutex_lock(&stream->lock);
	for (size_t i = 0; i < 64; i++) {
		if (stream->latest[i].handle == reply->handle && reply->handle)
			reply->payload_size =
				payload_size_of(&stream->latest[i]);
	}
	pthread_mutex_unlock(&stream->lock);
}

/* Sends these bytes of a message; the rest of it is in "good". */
static long send_bytes(struct stream *stream, const void *message, size_t from,
		       size_t to)
{
	const char *payload = raw_memory_find("good")->address;

	while (from < to) {
		bool is_header = from < MESSAGE_SIZE;
		size_t limit = is_header && to > MESSAGE_SIZE ? MESSAGE_SIZE :
								to;
		const char *next = is_header ?
					   (const char *)message + from :
					   payload + from - MESSAGE_SIZE;
		ssize_t sent = send(stream->fd, next, limit - from,
				    MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		from += sent;
	}
	return 0;
}

static long receive(struct stream *stream, struct kbdusuds_request *request)
{
	char *payload = raw_memory_find("good")->address;
	ssize_t count;

	if (stream->is_over) {
		memset(request, 0, sizeof(*request));
		request->type = KBDUS_REQUEST_TYPE_TERMINATE;
		return 0;
	}
	count = recv(stream->fd, request, sizeof(*request), MSG_WAITALL);
	if (count == 0)
		errno = EPIPE;
	if (count <= 0)
		return -1;
	if (count != sizeof(*request))
		raw_die("half a message");
	if (request->payload_size &&
	    recv(stream->fd, payload, request->payload_size, MSG_WAITALL) !=
		    request->payload_size)
		raw_die("half a payload");
	stream->is_over = request->type == KBDUS_REQUEST_TYPE_TERMINATE;
	pthread_mutex_lock(&stream->lock);
	stream->latest[stream->count++ % 64] = *request;
	pthread_mutex_unlock(&stream->lock);
	return 0;
}

static long talk(struct file *file, enum transport_verb verb,
		 const struct call *call, char message[MESSAGE_SIZE])
{
	struct kbdusuds_reply *reply = (struct kbdusuds_reply *)message;
	struct stream *stream = file->shared;

	/* What the module says to one that is not attached. */
	if (!stream)
		return ioctl(file->fd, KBDUSUDS_IOCTL_NOTE_PROCESS);
	if (verb == REPLY || (verb == EXCHANGE && reply->handle)) {
		complete(stream, call, reply);
		if (send_bytes(stream, message, 0,
			       MESSAGE_SIZE + reply->payload_size))
			return -1;
	}
	if (verb == REPLY)
		return 0;
	return receive(stream, (struct kbdusuds_request *)message);
}

static struct stream *stream_of(const struct call *call)
{
	struct file *file = raw_file_of(call);

	if (file->transport != &transport_uds || !file->shared)
		raw_die("not a session over uds");
	return file->shared;
}

static void do_write(struct call *call)
{
	char message[MESSAGE_SIZE] __attribute__((aligned(8))) = { 0 };
	struct kbdusuds_reply *reply = (struct kbdusuds_reply *)message;
	struct stream *stream = stream_of(call);

	raw_set_fields(call, reply_fields, message);
	complete(stream, call, reply);
	raw_answer_result(call, send_bytes(stream, message,
		raw_number_option(call, "from", 0),
		raw_number_option(call, "to",
				  MESSAGE_SIZE + reply->payload_size)));
}

static void do_at_end(struct call *call)
{
	struct stream *stream = stream_of(call);
	char buffer[PAGE];
	ssize_t count;

	do {
		count = recv(stream->fd, buffer, sizeof(buffer), 0);
	} while (count > 0);
	raw_answer_result(call, count);
}

static void do_shutdown(struct call *call)
{
	raw_answer_result(call, shutdown(stream_of(call)->fd,
				raw_number_option(call, "how", SHUT_RDWR)));
}

static void do_close_socket(struct call *call)
{
	close_if_open(&stream_of(call)->fd);
	raw_answer(call, "ok");
}

/* Sends a descriptor with a byte that is no message. */
static long send_descriptor(int socket, int fd)
{
	char byte = 0;
	struct iovec vec = { &byte, 1 };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fd))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &vec,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static int receive_descriptor(int socket)
{
	char byte;
	struct iovec vec = { &byte, 1 };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &vec,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 ||
	    !CMSG_FIRSTHDR(&message))
		_exit(1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void do_lend(struct call *call)
{
	raw_answer_result(call, send_descriptor(stream_of(call)->fd,
						raw_file_of(call)->fd));
}

/* Answers everything until the end. */
static void serve(int fd)
{
	static struct stream stream = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct kbdusuds_request request;

	stream.fd = fd;
	while (!receive(&stream, &request) && !stream.is_over) {
		struct kbdusuds_reply reply = {
			.handle = request.handle,
			.payload_size = payload_size_of(&request),
		};

		if (request.handle &&
		    send_bytes(&stream, &reply, 0,
			       MESSAGE_SIZE + reply.payload_size))
			break;
	}
}

/*
 * The other process is there before, with nothing but a socket of its own, and gets
 * ours like any process that we are no parent of.
 */
static void do_pass(struct call *call)
{
	struct stream *stream = stream_of(call);
	pid_t pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		raw_die("socketpair");
	pid = fork();
	if (pid == 0) {
		dup2(pair[1], 0);
		closefrom(1);
		serve(receive_descriptor(0));
		_exit(0);
	}
	close(pair[1]);
	if (raw_answer_result(call, pid < 0 ? -1 :
			      send_descriptor(pair[0], stream->fd)))
		raw_answer(call, " pid=%d", (int)pid);
	close(pair[0]);
	close_if_open(&stream->fd);
}

static int make(const char *kind)
{
	struct sockaddr_un nameless = { .sun_family = AF_UNIX };
	int pair[2];
	int fd;

	if (!strcmp(kind, "file"))
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (!strcmp(kind, "inet"))
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!strcmp(kind, "alone"))
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!strcmp(kind, "listening")) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		/* No more than the family: an abstract name is made up. */
		if (bind(fd, (struct sockaddr *)&nameless,
			 sizeof(nameless.sun_family)) || listen(fd, 1))
			return -1;
		return fd;
	}
	if (socketpair(AF_UNIX, (strcmp(kind, "packets") ? SOCK_STREAM :
				 SOCK_SEQPACKET) | SOCK_CLOEXEC, 0, pair))
		return -1;
	if (!strcmp(kind, "closed"))
		close(pair[1]);
	return pair[0];
}

static void do_make(struct call *call)
{
	int fd = make(raw_option(call, "kind"));

	if (raw_answer_result(call, fd))
		raw_answer(call, " fd_plus_1=%d", fd + 1);
}

static const struct verb verbs[] = {
	{ "uds_write", do_write },
	{ "uds_at_end", do_at_end },
	{ "uds_shutdown", do_shutdown },
	{ "uds_close", do_close_socket },
	{ "uds_lend", do_lend },
	{ "uds_pass", do_pass },
	{ "uds_make", do_make },
	{ 0 }
};

const struct transport transport_uds = {
	.name = KBDUSUDS_PROTOCOL_NAME,
	.is_socket = true,
	.sends_ahead = true,
	.request_fields = request_fields,
	.reply_fields = reply_fields,
	.prepare = prepare,
	.discard = discard,
	.begin = begin,
	.end = end,
	.talk = talk,
	.verbs = verbs,
};
