// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol_uds.c: the protocol "uds". Requests and replies are messages in a
 * Unix domain socket whose other end the driver has.
 *
 * Each session has two threads. The sender pulls from the inverter what there
 * is, packs it into a buffer and sends that; the receiver reads what has come,
 * takes the replies apart and answers with them. No request is being copied while
 * a thread waits for the socket: payload goes through the buffers. A driver that
 * does not read stops the sender and nobody else.
 *
 * The receiver alone decides that a driver is gone, by the end of file, so that
 * what was answered before that counts; whoever wants a session to end shuts the
 * socket down and lets it find out. It empties the socket then: there might be
 * the control file's own descriptor in it, which would keep itself open.
 *
 * Owns the module's end of the socket. Trusts nothing that comes out of it.
 */
#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <linux/uio.h>
#include <uapi/linux/sched/types.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "config.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "payload.h"
#include "protocol.h"
#include "session.h"
#include "status.h"

static_assert(sizeof(struct kbdusuds_request) == 64);
static_assert(sizeof(struct kbdusuds_reply) == 64);

/* Room for several small messages at a time. */
#define SMALLEST_BUFFER SZ_64K

/**
 * struct uds - what a session has of a socket
 * @session: whose it is
 * @socket: the module's end, with a reference to its file
 * @payload_size: the largest payload of a message
 * @capacity: the size of each buffer; at least the largest message
 * @outgoing: the sender's buffer
 * @incoming: the receiver's buffer
 * @sender: the thread, not running until the session is attached
 * @receiver: likewise
 * @is_started: they run; fixed before the control file can be closed
 * @received: the receiver has ended the session
 */
struct uds {
	struct kbdus_session *session;
	struct socket *socket;
	size_t payload_size;
	size_t capacity;
	void *outgoing;
	void *incoming;
	struct task_struct *sender;
	struct task_struct *receiver;
	bool is_started;
	struct completion received;
};

/* Gets the socket behind a descriptor, if it is one of those we can use. */
static struct socket *socket_get(int fd)
{
	struct socket *socket;
	int ret;

	socket = sockfd_lookup(fd, &ret);
	if (!socket)
		return ERR_PTR(ret);
	if (socket->sk->sk_family != AF_UNIX || socket->type != SOCK_STREAM ||
	    READ_ONCE(socket->sk->sk_state) != TCP_ESTABLISHED) {
		sockfd_put(socket);
		return ERR_PTR(-EINVAL);
	}
	return socket;
}

/*
 * Whether to try again after an error. Memory comes back, or the socket is shut
 * down. A time-out is an option that the driver set, to no effect.
 */
static bool should_retry(int error)
{
	if (error != -ENOMEM && error != -ENOBUFS && error != -EAGAIN)
		return false;
	schedule_timeout_idle(1);
	return true;
}

/* Sends what is in the buffer; waits for the driver to make room. */
static int outgoing_send(struct uds *uds, size_t size)
{
	size_t sent = 0;

	while (sent < size) {
		struct msghdr message = { .msg_flags = MSG_NOSIGNAL };
		struct kvec vec = {
			.iov_base = uds->outgoing + sent,
			.iov_len = size - sent,
		};
		int ret = kernel_sendmsg(uds->socket, &message, &vec, 1,
					 vec.iov_len);

		if (ret > 0)
			sent += ret;
		else if (!should_retry(ret))
			return ret ?: -EPIPE;
	}
	return 0;
}

/* Makes a message of what was taken. There is room for it. */
static void pack(const struct kbdus_item *item, void *message)
{
	struct kbdusuds_request request = {
		.handle = item->handle,
		.type = item->type,
	};

	if (item->rq) {
		request.offset = kbdus_disk_request_offset(item->rq);
		request.length = kbdus_disk_request_length(item->rq);
		request.payload_size = kbdus_payload_request_size(item);
		WARN_ON_ONCE(!kbdus_payload_export(item,
						   message + sizeof(request),
						   request.payload_size));
	}
	memcpy(message, &request, sizeof(request));
}

static size_t packed_size(const struct kbdus_item *item)
{
	return sizeof(struct kbdusuds_request) +
	       (item->rq ? kbdus_payload_request_size(item) : 0);
}

/* Waits for something to do only if there is nothing to be sent yet. */
static bool outgoing_take(struct uds *uds, bool may_wait,
			  struct kbdus_item *item)
{
	struct kbdus_session *session = uds->session;
	struct kbdus_inverter *inv = session->device->inverter;

	if (may_wait)
		return !kbdus_inverter_take(inv, &session->puller, item);
	return kbdus_inverter_try_take(inv, &session->puller, item);
}

/*
 * Fills the buffer with what there is to do and returns its size. Sets @is_last
 * if the driver gets nothing after that.
 */
static size_t outgoing_fill(struct uds *uds, bool *is_last)
{
	struct kbdus_session *session = uds->session;
	struct kbdus_inverter *inv = session->device->inverter;
	struct kbdus_item item;
	size_t used = 0;
	size_t size;

	while (!*is_last && outgoing_take(uds, !used, &item)) {
		size = packed_size(&item);
		if (size > uds->capacity - used) {
			kbdus_inverter_abort_take(inv, &session->puller, &item,
						  -ENOBUFS);
			break;
		}
		pack(&item, uds->outgoing + used);
		if (kbdus_inverter_commit_take(inv, &session->puller, &item))
			used += size;
		*is_last = item.type == KBDUS_REQUEST_TYPE_TERMINATE;
	}
	return used;
}

static int sender_main(void *argument)
{
	struct uds *uds = argument;
	/* What a driver of ours waits for must not wait for the driver. */
	unsigned int flags = memalloc_noio_save();
	bool is_last = false;
	int ret = 0;

	while (!ret && !is_last)
		ret = outgoing_send(uds, outgoing_fill(uds, &is_last));
	kernel_sock_shutdown(uds->socket, ret ? SHUT_RDWR : SHUT_WR);
	memalloc_noio_restore(flags);
	return 0;
}

/* Reads what has come behind the @used bytes of the buffer; 0 at the end. */
static int incoming_read(struct uds *uds, size_t used)
{
	int ret;

	do {
		struct msghdr message = { 0 };
		struct kvec vec = {
			.iov_base = uds->incoming + used,
			.iov_len = uds->capacity - used,
		};

		ret = kernel_recvmsg(uds->socket, &message, &vec, 1,
				     vec.iov_len, 0);
	} while (ret < 0 && should_retry(ret));
	return ret;
}

/* Accepts an answer. A late one is nobody's fault and changes nothing. */
static int accept_reply(struct kbdus_session *session,
			const struct kbdusuds_reply *reply, void *payload)
{
	struct kbdus_inverter *inv = session->device->inverter;
	int error = kbdus_status_from_wire(reply->error);
	struct kbdus_item item;
	size_t size;
	int ret;

	ret = kbdus_inverter_begin_reply(inv, &session->puller, reply->handle,
					 &item);
	if (ret)
		return ret == -ESTALE ? 0 : ret;
	size = error ? 0 : kbdus_payload_reply_size(&item);
	if (reply->payload_size != size) {
		kbdus_inverter_abort_reply(inv, &session->puller, &item,
					   -EINVAL);
		return -EINVAL;
	}
	if (!error)
		kbdus_payload_import(&item, payload, size);
	kbdus_inverter_commit_reply(inv, &item, error);
	return 0;
}

/*
 * Accepts all complete replies among the @used bytes of the buffer. Returns the
 * size of what is left then and was moved to its beginning, or -EINVAL.
 */
static int incoming_accept(struct uds *uds, size_t used)
{
	struct kbdusuds_reply reply;
	void *next = uds->incoming;
	size_t size;

	while (used >= sizeof(reply)) {
		/* Payloads are of any size: it may be anywhere. */
		memcpy(&reply, next, sizeof(reply));
		if (reply.payload_size > uds->payload_size ||
		    !kbdus_config_is_zero(reply.reserved))
			return -EINVAL;
		size = sizeof(reply) + reply.payload_size;
		if (used < size)
			break;
		if (accept_reply(uds->session, &reply, next + sizeof(reply)))
			return -EINVAL;
		next += size;
		used -= size;
	}
	if (next != uds->incoming)
		memmove(uds->incoming, next, used);
	return used;
}

static int receiver_main(void *argument)
{
	struct uds *uds = argument;
	unsigned int flags = memalloc_noio_save();
	int used = 0;
	int ret;

	do {
		ret = incoming_read(uds, used);
		if (ret > 0)
			used = incoming_accept(uds, used + ret);
	} while (ret > 0 && used >= 0);

	kbdus_session_fail(uds->session);
	kernel_sock_shutdown(uds->socket, SHUT_RDWR);
	while (incoming_read(uds, 0) > 0)
		;
	complete(&uds->received);
	memalloc_noio_restore(flags);
	return 0;
}

/*
 * Makes a thread that may end before it is told to. One that shares a processor
 * with those who wake it up lets them go on: they have more for it. On an idle
 * processor it begins at once.
 */
static struct task_struct *thread_create(struct uds *uds,
					 int (*main)(void *argument),
					 const char *name)
{
	static const struct sched_attr batch = {
		.size = sizeof(batch),
		.sched_policy = SCHED_BATCH,
	};
	struct task_struct *thread;

	thread = kthread_create(main, uds, "bdus_%s/%u", name,
				uds->session->device->config.index);
	if (IS_ERR(thread))
		return thread;
	get_task_struct(thread);
	/* Cannot fail for a thread that just came to be, and is not needed. */
	sched_setattr_nocheck(thread, &batch);
	return thread;
}

static int threads_create(struct uds *uds)
{
	uds->sender = thread_create(uds, sender_main, "send");
	if (IS_ERR(uds->sender))
		return PTR_ERR(uds->sender);
	uds->receiver = thread_create(uds, receiver_main, "recv");
	if (IS_ERR(uds->receiver)) {
		kthread_stop_put(uds->sender);
		return PTR_ERR(uds->receiver);
	}
	return 0;
}

static struct uds *uds_alloc(struct kbdus_session *session)
{
	struct uds *uds = kzalloc(sizeof(*uds), GFP_KERNEL);

	if (!uds)
		return NULL;
	uds->session = session;
	init_completion(&uds->received);
	uds->payload_size = kbdus_payload_size_max(&session->device->config);
	uds->capacity = max_t(size_t, SMALLEST_BUFFER,
			      sizeof(struct kbdusuds_request) +
				      uds->payload_size);
	uds->outgoing = kvmalloc(uds->capacity, GFP_KERNEL_ACCOUNT);
	uds->incoming = kvmalloc(uds->capacity, GFP_KERNEL_ACCOUNT);
	if (uds->outgoing && uds->incoming)
		return uds;
	kvfree(uds->outgoing);
	kvfree(uds->incoming);
	kfree(uds);
	return NULL;
}

static void uds_free(struct uds *uds)
{
	sockfd_put(uds->socket);
	kvfree(uds->outgoing);
	kvfree(uds->incoming);
	kfree(uds);
}

static int protocol_uds_open(struct kbdus_session *session,
			     struct kbdus_protocol_config *config)
{
	u32 fd_plus_1 = config->socket_fd_plus_1;
	struct socket *socket;
	struct uds *uds;
	int ret;

	config->socket_fd_plus_1 = 0;
	if (!fd_plus_1 || !kbdus_config_is_plain(config))
		return -EINVAL;
	socket = socket_get(fd_plus_1 - 1);
	if (IS_ERR(socket))
		return PTR_ERR(socket);
	uds = uds_alloc(session);
	if (!uds) {
		sockfd_put(socket);
		return -ENOMEM;
	}
	uds->socket = socket;
	ret = threads_create(uds);
	if (ret) {
		uds_free(uds);
		return ret;
	}
	config->payload_size = uds->payload_size;
	session->protocol_data = uds;
	return 0;
}

static void protocol_uds_start(struct kbdus_session *session)
{
	struct uds *uds = session->protocol_data;

	uds->is_started = true;
	wake_up_process(uds->sender);
	wake_up_process(uds->receiver);
}

/*
 * The receiver reads what was sent before this and then ends the session, which
 * ends the sender. It must not be stopped earlier: it may not even have begun.
 */
static void protocol_uds_close(struct kbdus_session *session)
{
	struct uds *uds = session->protocol_data;

	kernel_sock_shutdown(uds->socket, SHUT_RDWR);
	if (uds->is_started)
		wait_for_completion(&uds->received);
	kthread_stop_put(uds->receiver);
	kthread_stop_put(uds->sender);
	uds_free(uds);
	session->protocol_data = NULL;
}

/* Being called is enough: session.c notes who calls. */
static long protocol_uds_call(struct kbdus_session *session,
			      unsigned int command, void __user *argument)
{
	return command == KBDUSUDS_IOCTL_NOTE_PROCESS ? 0 : -ENOTTY;
}

static const unsigned int protocol_uds_commands[] = {
	KBDUSUDS_IOCTL_NOTE_PROCESS,
	0,
};

const struct kbdus_protocol kbdus_protocol_uds = {
	.name = KBDUSUDS_PROTOCOL_NAME,
	.commands = protocol_uds_commands,
	.open = protocol_uds_open,
	.start = protocol_uds_start,
	.close = protocol_uds_close,
	.call = protocol_uds_call,
};
