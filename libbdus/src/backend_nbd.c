/* SPDX-License-Identifier: MIT */

/*
 * backend_nbd.c: devices of the kernel's module nbd.
 *
 *     client -> /dev/nbdN -> socket pairs -> protocol_nbd.c
 *
 * Called by run.c, and by manage.c from any process. Each device is one that nbd makes
 * anew and removes afterwards, so that what is changed about it in sysfs is never found
 * by others. The kernel's ends of the connections belong to it, ours to the driver and
 * its keeper (keeper_nbd.c), which does all that happens at the end of a device. A
 * successor gets the connections from the keeper; if the driver is dead, the kernel is
 * given new ones, and sends what was not answered once more.
 *
 * Time-outs of nbd end connections, and one that is not answered in time would be sent
 * to another driver, or to the same one twice. So there are none. What a dead driver
 * was sent is looked at once a second, which nbd does with a single connection only: so
 * many does a recoverable device have.
 *
 * Owns struct nbd_device from create or attach to close.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/blkpg.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nbd.h"

/* The largest device that a file offset can address. */
#define LARGEST_SIZE ((uint64_t)INT64_MAX & ~(uint64_t)511)

/* What network block devices can have under way over each connection. */
#define QUEUE_DEPTH 128

/* What a request takes in a socket beside its data, roughly, and how much of replies
 * may be on its way. */
#define REQUEST_OVERHEAD 4096
#define REPLY_ROOM (2 * 1024 * 1024)

/* Lower numbers are what the module makes for others. */
#define FIRST_NUMBER 16
#define NUMBER_COUNT 4096

/* More than anybody will wait, in seconds. */
#define NEVER 1000000

/* How often the kernel looks after requests of a recoverable device. */
#define IO_TIMEOUT_MS 1000

/* How long requests wait for a successor if nothing else was said. */
#define DEFAULT_ORPHAN_TIMEOUT_MS 30000

/* How long the kernel may take to see that connections have ended. */
#define RECONNECT_TIMEOUT_MS 5000

/* Partitions that a device can have. */
#define PARTITION_COUNT 256

/* Meanings of struct libbdus_record::numbers. */
enum { NBD_NUMBER };

/* ---- open ---- */

static int nbd_open(struct libbdus_session *session)
{
	int ret;

	if (geteuid() != 0) {
		return libbdus_error(EPERM,
			"Insufficient privileges: the effective user is not root.");
	}

	ret = libbdus_nbd_netlink_probe();
	if (!ret)
		session->protocol = &libbdus_protocol_nbd;
	return ret;
}

/* ---- what create and attach share ---- */

static bool is_recoverable(const struct kbdus_device_config *device)
{
	return device->flags & KBDUS_DEVICE_F_RECOVERABLE;
}

/* How long requests wait for a successor; 0 if for ever. */
static uint64_t orphan_timeout_ms(const struct kbdus_device_config *device)
{
	if (device->orphan_timeout_ms == KBDUS_ORPHAN_TIMEOUT_FOREVER)
		return 0;
	return device->orphan_timeout_ms ? device->orphan_timeout_ms :
					   DEFAULT_ORPHAN_TIMEOUT_MS;
}

/* The same for the kernel. It is the keeper that sees to it in time. */
static uint64_t dead_timeout(const struct kbdus_device_config *device)
{
	if (!is_recoverable(device))
		return 0;
	return orphan_timeout_ms(device) ?
		       orphan_timeout_ms(device) / 1000 + 2 : NEVER;
}

void libbdus_nbd_describe_keeping(const struct libbdus_record *record,
				  struct nbd_keeping *keeping)
{
	const struct kbdus_device_config *device = &record->device;

	*keeping = (struct nbd_keeping){
		.dev_id = device->seqnum,
		.number = device->index,
		.is_recoverable = is_recoverable(device),
		.orphan_timeout_ms = orphan_timeout_ms(device),
	};
	libbdus_record_name(record, keeping->identifier);
}

static int allocate(struct libbdus_session *session)
{
	struct nbd_device *device = malloc(sizeof(*device));

	if (!device)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	*device = (struct nbd_device){
		.record_fd = -1, .line_fd = -1, .go_fd = -1, .child.fd = -1,
	};
	session->holding = device;
	return 0;
}

static void make_room(int fd, size_t size)
{
	const int value = size < INT32_MAX / 4 ? (int)size : INT32_MAX / 4;

	/* Else as much as everybody may have. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof(value)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value));
}

/*
 * Make connections: ours survive what a daemon does to its first descriptors.
 *
 * The kernel gets room for all that can be under way. Else those who send would wait
 * for a driver that does not read, and nobody could disconnect the device meanwhile;
 * and from Linux 6.13 on, once such a client was killed, not even the end of the
 * connection would end that waiting soon.
 */
static int make_connections(struct libbdus_session *session, unsigned int count,
			    int kernel_fds[NBD_CONNECTIONS])
{
	const size_t request_size = session->device.max_read_write_size +
				    REQUEST_OVERHEAD;
	struct nbd_device *device = session->holding;
	int pair[2];

	for (unsigned int i = 0; i < count; ++i) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return libbdus_error_with_errno(errno,
				"Failed to make sockets");
		kernel_fds[i] = pair[1];
		make_room(pair[1], QUEUE_DEPTH * request_size);
		make_room(pair[0], REPLY_ROOM);
		pair[0] = libbdus_daemonize_keep(pair[0]);
		if (pair[0] < 0) {
			close(pair[1]);
			return libbdus_error_with_errno(-pair[0],
				"Failed to keep a socket");
		}
		device->fds[device->fd_count++] = pair[0];
	}
	return 0;
}

static void close_connections(struct nbd_device *device)
{
	while (device->fd_count > 0)
		close(device->fds[--device->fd_count]);
}

static void close_all(const int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; ++i)
		close(fds[i]);
}

/* Begin as the driver: from here on, somebody sees to what we leave behind. */
static int start_keeper(struct nbd_device *device)
{
	int ret;

	ret = libbdus_nbd_netlink_prepare(&device->keeping);
	if (!ret)
		ret = libbdus_nbd_keeper_start(&device->keeping, device->fds,
					       device->fd_count);
	if (ret < 0)
		return ret;
	device->line_fd = ret;
	return 0;
}

static void tell_keeper(const struct nbd_device *device, char word)
{
	ssize_t written = send(device->line_fd, &word, 1, MSG_NOSIGNAL);

	/* Without a keeper, there is nobody to care. */
	(void)written;
}

static int begin_protocol(struct libbdus_session *session)
{
	session->payload_size = NBD_PAYLOAD_SIZE;
	return libbdus_protocol_nbd.begin(session, NULL);
}

/* ---- create ---- */

/* As many as can be used at a time. */
static unsigned int count_connections(const struct libbdus_session *session)
{
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int count = session->workers_wanted;

	if (is_recoverable(&session->device))
		return 1;
	if (processors > 0 && count > (unsigned long)processors)
		count = (unsigned int)processors;
	return count < NBD_CONNECTIONS ? count : NBD_CONNECTIONS;
}

static int adjust(struct libbdus_session *session)
{
	struct kbdus_device_config *device = &session->device;

	if (device->size > LARGEST_SIZE) {
		return libbdus_error(EINVAL,
			"Attribute size is %" PRIu64 " but must be at most %" PRIu64
			".", (uint64_t)device->size, LARGEST_SIZE);
	}

	libbdus_attrs_adjust(device);
	/* Network block devices know no other. */
	device->physical_block_size = device->logical_block_size;
	if (device->operations)
		device->max_outstanding_requests =
			QUEUE_DEPTH * count_connections(session);
	return 0;
}

static uint64_t get_flags(const struct kbdus_device_config *device)
{
	const uint32_t operations = device->operations;
	uint64_t flags = NBD_ORDER_HAS_FLAGS | NBD_ORDER_SEVERAL_CONNECTIONS;

	if (!(operations & KBDUS_OP_WRITE_LIKE))
		flags |= NBD_ORDER_READ_ONLY;
	if (operations & KBDUS_OP(FLUSH))
		flags |= NBD_ORDER_FLUSH;
	if (operations & KBDUS_OP(FUA_WRITE))
		flags |= NBD_ORDER_FUA;
	if (operations & KBDUS_OP(DISCARD))
		flags |= NBD_ORDER_TRIM;
	if (operations & KBDUS_OP_WRITE_ZEROS)
		flags |= NBD_ORDER_WRITE_ZEROES;
	return flags;
}

/* Whether a device that is not there any more is still known by this number. */
static bool is_recorded(uint32_t number)
{
	struct libbdus_record record;

	for (uint64_t id = 0; !libbdus_record_next(&id); ++id) {
		if (!libbdus_record_read(id, &record) &&
		    !strcmp(record.backend, libbdus_backend_nbd.traits.name) &&
		    record.numbers[NBD_NUMBER] == number)
			return true;
	}
	return false;
}

/* Find a number that nobody uses, and that none of those who look for one at the same
 * time finds. */
static int find_number(uint64_t mark, uint32_t *number)
{
	char path[LIBBDUS_PATH_SIZE];

	for (uint64_t i = 0; i < NUMBER_COUNT; ++i) {
		*number = FIRST_NUMBER + (uint32_t)((mark + i) % NUMBER_COUNT);
		snprintf(path, sizeof(path), NBD_NODE_FORMAT, *number);
		if (!libbdus_disk_exists(path) && !is_recorded(*number))
			return 0;
	}
	return libbdus_error(ENOSPC,
			     "There are too many network block devices.");
}

static int order_device(const struct libbdus_session *session,
			const int *kernel_fds)
{
	const struct kbdus_device_config *device = &session->device;
	const struct nbd_device *own = session->holding;
	const struct nbd_order order = {
		.number = device->index,
		.identifier = own->keeping.identifier,
		.size = device->size,
		.block_size = device->logical_block_size,
		.flags = get_flags(device),
		/* Without one, it looks after requests every 30 s, and ends the
		 * connection if there are several. */
		.timeout = is_recoverable(device) ? 0 : NEVER,
		.dead_timeout = dead_timeout(device),
		.fds = kernel_fds,
		.fd_count = own->fd_count,
	};

	return libbdus_nbd_netlink_connect(&order);
}

/* Find out what the kernel has made. */
static int look_at_device(struct libbdus_session *session)
{
	struct kbdus_device_config *device = &session->device;
	const struct nbd_device *own = session->holding;

	if (!libbdus_nbd_is_ours(&own->keeping)) {
		return libbdus_error(EOPNOTSUPP,
			"The kernel's module nbd is too old.");
	}
	if (!libbdus_disk_get_numbers(session->path, &device->major,
				      &device->minor))
		return libbdus_error(EIO, "Failed to look at %s",
				     session->path);
	return 0;
}

static void set_number(struct libbdus_session *session,
		       struct libbdus_record *record, uint32_t number)
{
	session->device.index = number;
	snprintf(session->path, sizeof(session->path), NBD_NODE_FORMAT, number);
	record->numbers[NBD_NUMBER] = number;
	memcpy(record->path, session->path, sizeof(record->path));
}

/* Make the device, after somebody was found that will see to its end. */
static int make_device(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	int kernel_fds[NBD_CONNECTIONS];
	const unsigned int count = count_connections(session);
	int ret;

	ret = make_connections(session, count, kernel_fds);
	if (!ret)
		ret = start_keeper(device);
	if (!ret)
		ret = order_device(session, kernel_fds);
	/* Else the kernel's end would not show. */
	close_all(kernel_fds, device->fd_count);
	if (!ret)
		ret = look_at_device(session);
	return ret;
}

/* ---- looking for partitions, in a child ---- */

enum { CHILD_GO };

/* What is written to a file in sysfs, if anything. */
struct setting {
	char path[64];
	char text[16];
};

/* What a child needs to know, which is forked off before initialize() may drop
 * privileges. */
struct looking {
	char path[LIBBDUS_PATH_SIZE];
	bool wants_no_partitions;
	struct setting settings[3];
};

/* The kernel waits until all requests have been answered. That this works is only for
 * the better: requests that are too large are taken to pieces. */
static void apply(const struct setting *setting)
{
	const size_t length = strlen(setting->text);
	ssize_t written = -1;
	int fd;

	if (!length)
		return;
	fd = open(setting->path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		written = write(fd, setting->text, length);
		close(fd);
	}
	(void)written;
}

static void delete_partitions(int fd)
{
	struct blkpg_partition partition = { .pno = 0 };
	struct blkpg_ioctl_arg argument = {
		.op = BLKPG_DEL_PARTITION,
		.datalen = sizeof(partition),
		.data = &partition,
	};

	for (partition.pno = 1; partition.pno < PARTITION_COUNT;
	     ++partition.pno)
		ioctl(fd, BLKPG, &argument);
}

/* The queue is adjusted first. The kernel looks for partitions when a device is opened
 * for the first time, and cannot be told not to. */
static struct libbdus_outcome look_for_partitions(const void *argument)
{
	const struct looking *looking = argument;
	struct libbdus_outcome outcome = { .error = 0 };
	char byte;
	int fd;

	/* The driver has gone. */
	if (read(CHILD_GO, &byte, 1) != 1)
		return outcome;

	for (size_t i = 0; i < sizeof(looking->settings) /
			       sizeof(looking->settings[0]); ++i)
		apply(&looking->settings[i]);

	fd = open(looking->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		outcome.error = errno;
		return outcome;
	}
	if (looking->wants_no_partitions)
		delete_partitions(fd);
	close(fd);
	return outcome;
}

static void describe_looking(const struct kbdus_device_config *device,
			     struct looking *looking)
{
	static const char *const names[] = { "max_sectors_kb", "scheduler",
					     "io_timeout" };

	*looking = (struct looking){
		.wants_no_partitions = device->flags &
				       KBDUS_DEVICE_F_NO_PARTITIONS,
		.settings = { { .text = "" }, { .text = "none" } },
	};
	snprintf(looking->path, sizeof(looking->path), NBD_NODE_FORMAT,
		 device->index);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
		snprintf(looking->settings[i].path,
			 sizeof(looking->settings[i].path),
			 "/sys/block/nbd%" PRIu32 "/queue/%s", device->index,
			 names[i]);

	if (device->max_read_write_size)
		snprintf(looking->settings[0].text,
			 sizeof(looking->settings[0].text), "%" PRIu32,
			 device->max_read_write_size / 1024);
	if (is_recoverable(device))
		snprintf(looking->settings[2].text,
			 sizeof(looking->settings[2].text), "%d",
			 IO_TIMEOUT_MS);
}

static int prepare_looking(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct looking looking;
	struct libbdus_task task = {
		.run = look_for_partitions,
		.argument = &looking,
	};
	int fds[2];
	int ret;

	describe_looking(&session->device, &looking);
	if (pipe2(fds, O_CLOEXEC))
		return libbdus_error_with_errno(errno, "Failed to make a pipe");

	for (int i = 0; i < LIBBDUS_CHILD_FDS; ++i)
		task.fds[i] = -1;
	task.fds[CHILD_GO] = fds[0];
	ret = libbdus_child_start(&task, &device->child);
	close(fds[0]);
	device->go_fd = fds[1];
	if (ret)
		device->child.fd = -1;
	return ret;
}

/* Called by protocol_nbd.c, which serves the device meanwhile. */
void libbdus_nbd_begin_looking(const struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	ssize_t written = write(device->go_fd, "", 1);

	/* If the child was killed, its end will be seen. */
	(void)written;
}

/* It has ended, or will. */
static int end_child(struct nbd_device *device, struct libbdus_outcome *outcome)
{
	const struct libbdus_child child = device->child;

	libbdus_close(&device->go_fd);
	device->child.fd = -1;
	return libbdus_child_end(&child, outcome);
}

int libbdus_nbd_end_looking(const struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct libbdus_outcome outcome;
	int ret;

	ret = end_child(device, &outcome);
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to open %s", session->path);
	}
	if (ret)
		return ret;

	libbdus_record_set_state(device->record_fd, BDUS_DEV_STATE_AVAILABLE,
				 getpid());
	tell_keeper(device, NBD_LINE_AVAILABLE);
	return 0;
}

static int nbd_create(struct libbdus_session *session)
{
	struct libbdus_record record;
	struct nbd_device *device;
	uint32_t number;
	int ret;

	ret = adjust(session);
	if (!ret)
		ret = allocate(session);
	if (ret)
		return ret;

	device = session->holding;
	ret = libbdus_record_create(libbdus_backend_nbd.traits.name, &record,
				    &device->record_fd);
	if (ret)
		return ret;
	session->device.seqnum = record.device.seqnum;
	session->is_unfinished = true;

	ret = find_number(record.mark, &number);
	if (ret)
		return ret;
	set_number(session, &record, number);
	record.device = session->device;
	/* So that the device can be found even if we are killed on the way. */
	ret = libbdus_record_write(&record);
	libbdus_nbd_describe_keeping(&record, &device->keeping);
	if (!ret)
		ret = make_device(session);
	record.device = session->device;
	if (!ret)
		ret = libbdus_record_write(&record);
	if (ret)
		return ret;

	ret = prepare_looking(session);
	return ret ? ret : begin_protocol(session);
}

/* ---- attach ---- */

static int nbd_describe(const struct libbdus_session *session, uint64_t dev_id,
			struct kbdus_device_config *device)
{
	struct libbdus_record record;
	int ret = libbdus_recorded_await(session, dev_id, &record);

	if (!ret)
		*device = record.device;
	return ret;
}

/* Whether the kernel has taken the other end of a connection: else nobody has it, once
 * we have closed it. */
static bool is_connected(int fd)
{
	struct pollfd state = { .fd = fd, .events = POLLRDHUP };

	return poll(&state, 1, 0) == 0;
}

/* Give the kernel a connection in place of one that has ended, or is about to. */
static int reconnect(struct libbdus_session *session)
{
	const uint64_t end = libbdus_now_ms() + RECONNECT_TIMEOUT_MS;
	struct nbd_device *device = session->holding;
	int kernel_fds[NBD_CONNECTIONS];
	const struct nbd_order order = {
		.number = session->device.index,
		.identifier = device->keeping.identifier,
		.dead_timeout = dead_timeout(&session->device),
		.fds = kernel_fds,
		.fd_count = 1,
	};
	int ret;

	if (!libbdus_nbd_is_ours(&device->keeping))
		return libbdus_recorded_is_gone(session->device.seqnum);

	do {
		close_connections(device);
		ret = make_connections(session, 1, kernel_fds);
		if (ret)
			return ret;
		ret = libbdus_nbd_netlink_reconnect(&order);
		close(kernel_fds[0]);
		if (ret || is_connected(device->fds[0]))
			return ret;
		libbdus_pause();
	} while (libbdus_now_ms() < end);

	return libbdus_error(EIO,
		"The kernel does not see that the former driver of nbd%" PRIu32
		" is gone.", order.number);
}

static void keep_fds(struct nbd_device *device, unsigned int count)
{
	for (unsigned int i = 0; i < count; ++i)
		device->fds[i] = libbdus_daemonize_keep(device->fds[i]);
	device->fd_count = count;
}

/* The present driver takes too long. */
static int cut_off(struct libbdus_session *session, int keeper_fd)
{
	struct nbd_device *device = session->holding;

	if (!is_recoverable(&session->device)) {
		libbdus_nbd_keeper_ask(keeper_fd, NBD_KEEPER_DESTROY,
				       NBD_KEEPER_TIMEOUT_MS);
		return libbdus_recorded_is_gone(session->device.seqnum);
	}
	for (unsigned int i = 0; i < device->fd_count; ++i)
		shutdown(device->fds[i], SHUT_RDWR);
	return reconnect(session);
}

/* Wait until the present driver has left, and get hold of its connections. */
static int await_leaving(struct libbdus_session *session, int keeper_fd)
{
	const int timeout_ms = session->leave_timeout_ms &&
			       session->leave_timeout_ms < INT32_MAX ?
		(int)session->leave_timeout_ms : KBDUS_DEFAULT_LEAVE_TIMEOUT_MS;
	struct nbd_device *device = session->holding;
	enum nbd_word word;

	word = libbdus_nbd_keeper_await(keeper_fd, timeout_ms, NULL, NULL);
	switch (word) {
	case NBD_KEEPER_LEFT:
		return 0;
	case NBD_KEEPER_ORPHAN:
		return reconnect(session);
	case NBD_KEEPER_LATE:
		return cut_off(session, keeper_fd);
	case NBD_KEEPER_INTERRUPTED:
		return libbdus_error_with_errno(EINTR,
			"Failed to take over device %" PRIu64,
			(uint64_t)session->device.seqnum);
	default:
		close_connections(device);
		return libbdus_recorded_is_gone(session->device.seqnum);
	}
}

/* Have the present driver leave, if there is one. */
static int succeed(struct libbdus_session *session, int keeper_fd)
{
	const uint64_t dev_id = session->device.seqnum;
	struct nbd_device *device = session->holding;
	const char request = NBD_KEEPER_REPLACE;
	enum nbd_word word = NBD_KEEPER_NONE;
	unsigned int count = 0;

	if (send(keeper_fd, &request, 1, MSG_NOSIGNAL) == 1)
		word = libbdus_nbd_keeper_await(keeper_fd, NBD_KEEPER_TIMEOUT_MS,
						device->fds, &count);
	keep_fds(device, count);

	switch (word) {
	case NBD_KEEPER_LEAVING:
		return await_leaving(session, keeper_fd);
	case NBD_KEEPER_ORPHAN:
		return reconnect(session);
	case NBD_KEEPER_BUSY:
		return libbdus_error(EINPROGRESS,
			"Another driver is about to take over the device with id %"
			PRIu64 ".", dev_id);
	case NBD_KEEPER_INTERRUPTED:
		return libbdus_error_with_errno(EINTR,
			"Failed to take over device %" PRIu64, dev_id);
	default:
		return libbdus_error(EBUSY,
			"The keeper of the device with id %" PRIu64
			" does not answer.", dev_id);
	}
}

/* Become the driver, by way of the present one's keeper. */
static int replace(struct libbdus_session *session, int keeper_fd)
{
	struct nbd_device *device = session->holding;
	int ret;

	ret = succeed(session, keeper_fd);
	if (!ret)
		ret = libbdus_record_take(session->device.seqnum,
					  &device->record_fd);
	if (!ret)
		ret = start_keeper(device);
	if (ret)
		return ret;

	tell_keeper(device, NBD_LINE_AVAILABLE);
	libbdus_nbd_keeper_ask(keeper_fd, NBD_KEEPER_TAKEN, NBD_KEEPER_TIMEOUT_MS);
	return 0;
}

/* The keeper was killed, too. One of those who come now is the first. */
static int succeed_nobody(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct libbdus_record record;
	int lock;
	int ret;

	ret = libbdus_record_lock(session->device.seqnum, &lock);
	if (ret)
		return ret;

	ret = libbdus_recorded_await(session, session->device.seqnum, &record);
	if (!ret && record.is_driven)
		ret = libbdus_error(EBUSY,
			"The keeper of the device with id %" PRIu64
			" is gone, so that its driver cannot be replaced.",
			(uint64_t)session->device.seqnum);
	if (!ret)
		ret = reconnect(session);
	if (!ret)
		ret = libbdus_record_take(session->device.seqnum,
					  &device->record_fd);
	if (!ret)
		ret = start_keeper(device);
	if (!ret)
		tell_keeper(device, NBD_LINE_AVAILABLE);
	close(lock);
	return ret;
}

static int nbd_attach(struct libbdus_session *session, uint64_t dev_id)
{
	struct libbdus_record record;
	struct nbd_device *device;
	int keeper_fd;
	int ret;

	ret = libbdus_recorded_await(session, dev_id, &record);
	if (!ret)
		ret = allocate(session);
	if (ret)
		return ret;

	device = session->holding;
	session->device = record.device;
	memcpy(session->path, record.path, sizeof(session->path));
	libbdus_nbd_describe_keeping(&record, &device->keeping);
	keeper_fd = libbdus_nbd_keeper_connect(dev_id);
	if (keeper_fd >= 0) {
		ret = replace(session, keeper_fd);
		close(keeper_fd);
	} else {
		ret = succeed_nobody(session);
	}
	return ret ? ret : begin_protocol(session);
}

/* ---- the end of a driver ---- */

static void nbd_stop(const struct libbdus_session *session)
{
	const struct nbd_device *device = session->holding;

	for (unsigned int i = 0; i < device->fd_count; ++i)
		shutdown(device->fds[i], SHUT_RDWR);
}

static void nbd_mark_successful(const struct libbdus_session *session)
{
	tell_keeper(session->holding, NBD_LINE_SUCCESS);
}

/* Leave the device to the keeper, and wait until it has done what there is to do: at
 * once, unless that is to take the device apart. */
static void leave_to_keeper(struct nbd_device *device)
{
	struct pollfd line = { .fd = device->line_fd, .events = POLLIN };
	char byte;

	tell_keeper(device, NBD_LINE_END);
	shutdown(device->line_fd, SHUT_WR);
	/* There may be words that nobody listened to any more. */
	while (poll(&line, 1, NBD_KEEPER_TIMEOUT_MS) > 0 &&
	       read(device->line_fd, &byte, 1) > 0)
		;
}

static void nbd_close(struct libbdus_session *session)
{
	struct nbd_device *device = session->holding;
	struct libbdus_outcome outcome;

	if (session->shared)
		session->protocol->end(session);
	if (!device)
		return;

	/* Others see that we are gone when the device has been left. */
	libbdus_close(&device->go_fd);
	close_connections(device);
	if (device->line_fd >= 0)
		leave_to_keeper(device);
	else if (device->record_fd >= 0 && session->is_unfinished)
		libbdus_record_remove(session->device.seqnum);
	libbdus_close(&device->line_fd);
	libbdus_close(&device->record_fd);
	/* Its device fails by now, so that this ends. */
	if (device->child.fd >= 0)
		end_child(device, &outcome);
	free(device);
}

const struct libbdus_backend libbdus_backend_nbd = {
	.traits = {
		.name = "nbd",
		.node = "/dev/nbdN",
		.min_kernel = "5.14",
#ifdef LIBBDUS_HAVE_NBD
		.is_built_in = true,
#endif
		.has_recovery = true,
		.has_replacement = true,
		.has_orphan_time_out = true,
		.has_fua_write = true,
		.has_discard = true,
	},
	.management = &libbdus_management_recorded,
	.recorded = &libbdus_recorded_nbd,
	.open = nbd_open,
	.describe = nbd_describe,
	.create = nbd_create,
	.attach = nbd_attach,
	.stop = nbd_stop,
	.mark_successful = nbd_mark_successful,
	.close = nbd_close,
};
