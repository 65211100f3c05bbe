/* SPDX-License-Identifier: MIT */

/*
 * keeper_nbd.c: a process for each network block device, which outlives a driver that
 * dies.
 *
 * The kernel's module nbd leaves it to others to notice that nobody serves a device:
 * what a dead driver had been sent would wait for ever. And whoever destroys a device
 * must end its connections first, else the kernel waits for a driver that does not read.
 * So a process forked off when the driver starts keeps copies of the connections and a
 * line to the driver, whose end is the end of the driver, however it died. It takes the
 * device apart then, or looks after it until a successor comes, and it can do so when
 * the driver has dropped its privileges.
 *
 * Others ask it for things through a socket in the device's record, one word each, by
 * the functions at the end of this file. Only one of them can be about to become the
 * driver, the heir. Each driver has a keeper of its own; that of a predecessor ends when
 * the heir says that it has taken the device.
 *
 * It is a child as child.c has it, so it uses nothing but system calls and what needs
 * no memory, and it has no signals but SIGKILL. If that ends it, too, clients wait until
 * somebody destroys the device.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* It has its own idea of struct iovec in some versions, so after the others. */
#include <linux/netlink.h>

#include "nbd.h"

/* How long to wait for those that have a device open for a moment, like udev, and for
 * the node to go once nbd has forgotten it. */
#define REMOVE_TIMEOUT_MS 2000
#define NODE_TIMEOUT_MS 200

/* How long somebody that has connected may take to say what for. */
#define REQUEST_TIMEOUT_MS 2000

/* What ps(1) and killall(1) see. */
#define NBD_KEEPER_NAME "bdus-keeper"

/* How often to see whether a device without a driver is still there. */
#define CHECK_MS 1000

/* Descriptors of a keeper, after those of the connections. */
enum { LINE = NBD_CONNECTIONS, LISTENER };

/* ---- the end of a device ---- */

/* Whether the kernel's device is the one that was made, be it without a driver. */
bool libbdus_nbd_is_ours(const struct nbd_keeping *keeping)
{
	char path[LIBBDUS_PATH_SIZE], text[64];

	snprintf(path, sizeof(path), NBD_NODE_FORMAT, keeping->number);
	return libbdus_disk_read(path, "backend", text, sizeof(text)) &&
	       !strcmp(text, keeping->identifier);
}

/* Have the kernel do what a message says, and wait until it has. */
static void tell_kernel(const struct nbd_message *message)
{
	const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			      NETLINK_GENERIC);
	const struct timeval patience = { .tv_sec = 10 };
	char answer[512];
	ssize_t count;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	count = send(fd, message->bytes, message->size, 0);
	if (count == (ssize_t)message->size)
		count = recv(fd, answer, sizeof(answer), 0);
	/* Whether it worked shows elsewhere. */
	(void)count;
	close(fd);
}

/* Wait until the device is gone. False if clients keep it for longer. */
static bool await_removal(const struct nbd_keeping *keeping)
{
	const uint64_t end = libbdus_now_ms() + REMOVE_TIMEOUT_MS;
	char path[LIBBDUS_PATH_SIZE];
	uint64_t node_end;

	snprintf(path, sizeof(path), NBD_NODE_FORMAT, keeping->number);
	while (libbdus_disk_exists(path)) {
		if (libbdus_now_ms() >= end)
			return !libbdus_nbd_is_ours(keeping);
		libbdus_pause();
	}

	node_end = libbdus_now_ms() + NODE_TIMEOUT_MS;
	while (!access(path, F_OK) && libbdus_now_ms() < node_end)
		libbdus_pause();
	return true;
}

/*
 * Have the kernel forget a device, whose connections have ended, or what is left of it.
 * False if clients have it open for longer than some time: for them everything fails, and
 * nothing holds it any more when they are gone. May be done twice.
 */
bool libbdus_nbd_remove_device(const struct nbd_keeping *keeping)
{
	if (libbdus_nbd_is_ours(keeping))
		tell_kernel(&keeping->disconnect);
	return await_removal(keeping);
}

/* ---- the process ---- */

struct keeper {
	const struct nbd_keeping *keeping;
	/* Descriptors of connections: from 0 on. Others may take the places of those
	 * that are not there. */
	int count;
	/* What the driver said. */
	bool is_available;
	bool is_successful;
	bool has_ended;
	/* The driver has gone. */
	bool is_alone;
	/* Who is about to become the driver, or -1. */
	int heir;
	/* When requests have waited for long enough; 0: never. */
	uint64_t deadline;
	/* There is nothing left to do. */
	bool is_done;
};

static void say(int fd, char word)
{
	ssize_t written = send(fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);

	/* Who does not hear it sees the end of the connection. */
	(void)written;
}

static void end_connections(const struct keeper *keeper)
{
	for (int i = 0; i < keeper->count; ++i)
		shutdown(i, SHUT_RDWR);
}

/* If clients keep it, it stays behind as terminated. */
static void end_device(struct keeper *keeper)
{
	const uint64_t dev_id = keeper->keeping->dev_id;

	end_connections(keeper);
	libbdus_record_set_terminated(dev_id);
	if (libbdus_nbd_remove_device(keeper->keeping))
		libbdus_record_remove(dev_id);
	keeper->is_done = true;
}

/* The driver is not there any more, nor is there an heir: what now? */
static void be_alone(struct keeper *keeper)
{
	const struct nbd_keeping *keeping = keeper->keeping;

	if (!keeping->is_recoverable || !keeper->is_available) {
		/* A driver that ends takes its device along; of one that died, it
		 * shall be seen. */
		if (keeper->has_ended) {
			end_device(keeper);
			return;
		}
		end_connections(keeper);
		if (libbdus_nbd_is_ours(keeping))
			tell_kernel(&keeping->disconnect);
		keeper->is_done = true;
		return;
	}

	end_connections(keeper);
	keeper->deadline = keeping->orphan_timeout_ms ?
				   libbdus_now_ms() + keeping->orphan_timeout_ms : 0;
}

/* Without an heir, that is how it stays. */
static void driver_left(struct keeper *keeper)
{
	keeper->is_alone = true;
	if (keeper->heir < 0) {
		be_alone(keeper);
	} else if (keeper->is_successful) {
		say(keeper->heir, NBD_KEEPER_LEFT);
	} else if (keeper->keeping->is_recoverable) {
		end_connections(keeper);
		say(keeper->heir, NBD_KEEPER_ORPHAN);
	} else {
		end_device(keeper);
		say(keeper->heir, NBD_KEEPER_ENDED);
	}
}

static void hear_driver(struct keeper *keeper)
{
	char word;
	const ssize_t count = recv(LINE, &word, 1, 0);

	if (count <= 0)
		driver_left(keeper);
	else if (word == NBD_LINE_AVAILABLE)
		keeper->is_available = true;
	else if (word == NBD_LINE_SUCCESS)
		keeper->is_successful = true;
	else if (word == NBD_LINE_END)
		keeper->has_ended = true;
	/* So that the driver sees when there is nothing more to wait for. */
	if (keeper->is_alone)
		close(LINE);
}

/* Tell the heir that the driver leaves, with copies of the connections. */
static void send_connections(const struct keeper *keeper)
{
	char word = NBD_KEEPER_LEAVING;
	struct iovec part = { .iov_base = &word, .iov_len = 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(NBD_CONNECTIONS * sizeof(int))];
	} control = { .bytes = "" };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
	};
	const size_t size = (size_t)keeper->count * sizeof(int);
	int fds[NBD_CONNECTIONS];

	for (int i = 0; i < keeper->count; ++i)
		fds[i] = i;
	message.msg_controllen = CMSG_SPACE(size);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.header), fds, size);
	if (sendmsg(keeper->heir, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		shutdown(keeper->heir, SHUT_RDWR);
}

/* Somebody wants to be the driver. Returns whether it is the heir now. */
static bool begin_replacement(struct keeper *keeper, int fd)
{
	if (keeper->heir >= 0) {
		say(fd, NBD_KEEPER_BUSY);
		return false;
	}

	keeper->heir = fd;
	if (keeper->is_alone) {
		say(fd, NBD_KEEPER_ORPHAN);
	} else {
		say(LINE, NBD_LINE_LEAVE);
		send_connections(keeper);
	}
	return true;
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };

	return poll(&waiting, 1, timeout_ms) > 0;
}

/* Do what somebody asks for. Returns whether the descriptor stays. */
static bool serve(struct keeper *keeper, int fd)
{
	char word = '\0';

	if (!is_readable(fd, REQUEST_TIMEOUT_MS) || recv(fd, &word, 1, 0) != 1)
		return false;

	switch (word) {
	case NBD_KEEPER_DESTROY:
		end_device(keeper);
		say(fd, NBD_KEEPER_DONE);
		return false;
	case NBD_KEEPER_TERMINATE:
		if (!keeper->is_alone)
			say(LINE, NBD_LINE_TERMINATE);
		say(fd, NBD_KEEPER_DONE);
		return false;
	case NBD_KEEPER_REPLACE:
		return begin_replacement(keeper, fd);
	default:
		return false;
	}
}

static void accept_somebody(struct keeper *keeper)
{
	const int fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && !serve(keeper, fd))
		close(fd);
}

static void hear_heir(struct keeper *keeper)
{
	char word = '\0';
	const ssize_t count = recv(keeper->heir, &word, 1, 0);

	if (count == 1 && word == NBD_KEEPER_TAKEN) {
		say(keeper->heir, NBD_KEEPER_DONE);
		keeper->is_done = true;
		return;
	}
	if (count == 1 && word == NBD_KEEPER_DESTROY) {
		end_device(keeper);
		say(keeper->heir, NBD_KEEPER_DONE);
		return;
	}

	close(keeper->heir);
	keeper->heir = -1;
	if (keeper->is_alone)
		be_alone(keeper);
}

/*
 * Fail what waits for a successor and all that comes until there is one. A connection
 * that has ended already makes the kernel see that waiting is in vain.
 */
static void expire(struct keeper *keeper)
{
	int pair[2];

	keeper->deadline = 0;
	libbdus_record_set_expired(keeper->keeping->dev_id);
	if (!libbdus_nbd_is_ours(keeper->keeping) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	if (dup2(pair[0], NBD_DEAD_SOCKET) == NBD_DEAD_SOCKET) {
		shutdown(pair[1], SHUT_RDWR);
		tell_kernel(&keeper->keeping->fail);
		close(NBD_DEAD_SOCKET);
	}
	close(pair[0]);
	close(pair[1]);
}

static int next_timeout(const struct keeper *keeper)
{
	const uint64_t now = libbdus_now_ms();
	uint64_t timeout = CHECK_MS;

	if (!keeper->is_alone || keeper->heir >= 0)
		return -1;
	if (keeper->deadline && keeper->deadline < now + timeout)
		timeout = keeper->deadline > now ? keeper->deadline - now : 0;
	return (int)timeout;
}

/* See to a device that nobody drives. */
static void look_after_orphan(struct keeper *keeper)
{
	if (keeper->deadline && libbdus_now_ms() >= keeper->deadline)
		expire(keeper);
	/* Somebody else may have taken it apart. */
	if (!libbdus_nbd_is_ours(keeper->keeping))
		keeper->is_done = true;
}

static int count_connections(void)
{
	int count = 0;

	while (count < NBD_CONNECTIONS && fcntl(count, F_GETFD) >= 0)
		++count;
	return count;
}

static void keep(const struct nbd_keeping *keeping)
{
	struct keeper keeper = {
		.keeping = keeping,
		.count = count_connections(),
		.heir = -1,
	};

	while (!keeper.is_done) {
		struct pollfd fds[] = {
			{ .fd = keeper.is_alone ? -1 : LINE, .events = POLLIN },
			{ .fd = LISTENER, .events = POLLIN },
			{ .fd = keeper.heir, .events = POLLIN },
		};
		const int count = poll(fds, 3, next_timeout(&keeper));

		if (count == 0)
			look_after_orphan(&keeper);
		if (count <= 0)
			continue;
		if (fds[0].revents)
			hear_driver(&keeper);
		else if (fds[2].revents)
			hear_heir(&keeper);
		else if (fds[1].revents)
			accept_somebody(&keeper);
	}
}

/* Leave the process that started us, which shall not have to wait for us. */
static struct libbdus_outcome be_keeper(const void *argument)
{
	const struct libbdus_outcome success = { .error = 0 };
	const long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);

	if (pid < 0)
		return (struct libbdus_outcome){ .error = errno };
	if (pid > 0)
		return success;

	/* What the driver was told to start with, it does not wait for. */
	close(LIBBDUS_CHILD_FDS);
	setsid();
	/* So that it is not killed by who means the driver. */
	prctl(PR_SET_NAME, NBD_KEEPER_NAME, 0, 0, 0);
	/* The directory may be on the device itself. */
	if (!chdir("/"))
		keep(argument);
	_exit(0);
}

/* ---- starting one, and talking to it ---- */

static void make_address(uint64_t dev_id, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path),
		 "%s/%" PRIu64 "/keeper", libbdus_record_directory, dev_id);
}

/* Where others find the keeper. Takes the place of a predecessor's. */
static int listen_for(uint64_t dev_id)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0)
		return -errno;
	make_address(dev_id, &address);
	unlink(address.sun_path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 16)) {
		const int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

static int start(const struct nbd_keeping *keeping, const int *fds,
		 unsigned int count, int line, int listener)
{
	struct libbdus_task task = { .run = be_keeper, .argument = keeping };
	struct libbdus_outcome outcome;
	struct libbdus_child child;
	int ret;

	for (unsigned int i = 0; i < NBD_CONNECTIONS; ++i)
		task.fds[i] = i < count ? fds[i] : -1;
	task.fds[LINE] = line;
	task.fds[LISTENER] = listener;

	ret = libbdus_child_start(&task, &child);
	if (!ret)
		ret = libbdus_child_end(&child, &outcome);
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
					       "Failed to start a process");
	}
	return ret;
}

/*
 * Start a keeper. Returns the driver's end of the line to it; what is behind the last
 * copy of that is the end of the driver.
 */
int libbdus_nbd_keeper_start(const struct nbd_keeping *keeping, const int *fds,
			     unsigned int count)
{
	int listener, line[2];
	int ret;

	listener = listen_for(keeping->dev_id);
	if (listener < 0) {
		return libbdus_error_with_errno(-listener,
			"Failed to make a socket for a keeper");
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line)) {
		ret = libbdus_error_with_errno(errno, "Failed to make sockets");
		close(listener);
		return ret;
	}

	ret = start(keeping, fds, count, line[1], listener);
	close(listener);
	close(line[1]);
	if (ret) {
		close(line[0]);
		return ret;
	}

	ret = libbdus_daemonize_keep(line[0]);
	if (ret < 0)
		return libbdus_error_with_errno(-ret, "Failed to keep a socket");
	return ret;
}

/* Connect to the keeper of a device. Returns a descriptor, or a negative value without
 * a message if there is none. */
int libbdus_nbd_keeper_connect(uint64_t dev_id)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0)
		return -errno;
	make_address(dev_id, &address);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		const int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

/* Receive a word, and connections if any come with it. */
static enum nbd_word receive(int fd, int fds[NBD_CONNECTIONS],
			     unsigned int *count)
{
	char word;
	struct iovec part = { .iov_base = &word, .iov_len = 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(NBD_CONNECTIONS * sizeof(int))];
	} control = { .bytes = "" };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *header;

	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != 1)
		return NBD_KEEPER_NONE;

	header = CMSG_FIRSTHDR(&message);
	if (header && fds) {
		*count = (unsigned int)((header->cmsg_len - CMSG_LEN(0)) /
					sizeof(int));
		memcpy(fds, CMSG_DATA(header), *count * sizeof(int));
	}
	return (enum nbd_word)word;
}

/* Wait for what the keeper says next. With connections, if there may be any. */
enum nbd_word libbdus_nbd_keeper_await(int keeper_fd, int timeout_ms,
				       int fds[NBD_CONNECTIONS],
				       unsigned int *count)
{
	struct pollfd waiting = { .fd = keeper_fd, .events = POLLIN };

	switch (poll(&waiting, 1, timeout_ms)) {
	case 1:
		return receive(keeper_fd, fds, count);
	case 0:
		return NBD_KEEPER_LATE;
	default:
		return NBD_KEEPER_INTERRUPTED;
	}
}

/* Ask for something and wait for the answer. Goes on after signals. */
enum nbd_word libbdus_nbd_keeper_ask(int keeper_fd, char request,
				     int timeout_ms)
{
	enum nbd_word word;

	say(keeper_fd, request);
	do {
		word = libbdus_nbd_keeper_await(keeper_fd, timeout_ms, NULL,
						NULL);
	} while (word == NBD_KEEPER_INTERRUPTED);
	return word;
}
