/* SPDX-License-Identifier: MIT */

/*
 * protocol_fuse.c: requests of a loop device, as those of a file.
 *
 * Workers call in here between dispatches; the kernel's half is FUSE, whose
 * language libfuse speaks. Each worker reads messages into memory of its own and
 * has libfuse call one of the functions below, which answers at once or leaves a
 * request in the worker's channel. What covers more than a callback may get is
 * handed out in pieces. No locks: workers share nothing but the session, which
 * libfuse guards.
 *
 * Until the device is available there is one worker, and a child that binds the
 * loop device to the file, see bind_fuse.c: the worker waits for both.
 *
 * libfuse is loaded when it is first needed, so that the library needs it neither
 * when it is built nor where another backend is used.
 */

#include <errno.h>

#include "fuse.h"

#ifdef LIBBDUS_HAVE_FUSE

#define FUSE_USE_VERSION 314

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
#define LIBRARY "libfuse3.so.4"
#else
#define LIBRARY "libfuse3.so.3"
#endif

/* The number of the file; 1 is that of its directory. */
#define FILE_INODE 2

/* Nothing ever changes, so that nobody needs to ask again. Seconds. */
#define FOR_EVER 1e8

/* What comes before the payload of a write. */
#define HEADER_SIZE (sizeof(struct fuse_in_header) + \
		     sizeof(struct fuse_write_in))

/* What the kernel demands beside the payload, at least. */
#define MINIMUM_SIZE FUSE_MIN_READ_BUFFER

/* What is used of libfuse. */
static struct {
	struct fuse_session *(*session_new)(struct fuse_args *args,
					    const struct fuse_lowlevel_ops *ops,
					    size_t size, void *data);
	__typeof__(&fuse_opt_free_args) opt_free_args;
	__typeof__(&fuse_session_mount) session_mount;
	__typeof__(&fuse_session_process_buf) session_process_buf;
	__typeof__(&fuse_session_destroy) session_destroy;
	__typeof__(&fuse_req_userdata) req_userdata;
	__typeof__(&fuse_reply_err) reply_err;
	__typeof__(&fuse_reply_attr) reply_attr;
	__typeof__(&fuse_reply_entry) reply_entry;
	__typeof__(&fuse_reply_open) reply_open;
	__typeof__(&fuse_reply_buf) reply_buf;
	__typeof__(&fuse_reply_write) reply_write;
	__typeof__(&fuse_reply_statfs) reply_statfs;
} lib;

static const struct libbdus_symbol list[] = {
	{ LIBRARY, "fuse_session_new", &lib.session_new },
	{ LIBRARY, "fuse_opt_free_args", &lib.opt_free_args },
	{ LIBRARY, "fuse_session_mount", &lib.session_mount },
	{ LIBRARY, "fuse_session_process_buf", &lib.session_process_buf },
	{ LIBRARY, "fuse_session_destroy", &lib.session_destroy },
	{ LIBRARY, "fuse_req_userdata", &lib.req_userdata },
	{ LIBRARY, "fuse_reply_err", &lib.reply_err },
	{ LIBRARY, "fuse_reply_attr", &lib.reply_attr },
	{ LIBRARY, "fuse_reply_entry", &lib.reply_entry },
	{ LIBRARY, "fuse_reply_open", &lib.reply_open },
	{ LIBRARY, "fuse_reply_buf", &lib.reply_buf },
	{ LIBRARY, "fuse_reply_write", &lib.reply_write },
	{ LIBRARY, "fuse_reply_statfs", &lib.reply_statfs },
};

static struct libbdus_symbols symbols = {
	.list = list,
	.count = sizeof(list) / sizeof(list[0]),
};

/* Get hold of libfuse, once and for all. */
int libbdus_fuse_load(void)
{
	return libbdus_load(&symbols);
}

/* What the workers share. */
struct stream {
	struct fuse_session *session;
	const struct libbdus_session *owner;
	/* Only worker 0 is there while this changes. */
	enum { NOT_BEGUN, BINDING, AVAILABLE } phase;
	struct libbdus_child child;
};

/* The place of one worker. */
struct channel {
	char *memory;
	size_t memory_size;
	/* Where messages are read to: so that the payload of a write is aligned. */
	char *start;
	size_t size;
	char *payload;
	/* The message that waits for an answer, if any, the type that callbacks
	 * know it by, and what of its range was not yet handed out. */
	fuse_req_t pending;
	uint32_t type;
	uint64_t offset;
	uint64_t rest;
	/* The whole of it, and the most that a callback gets at once. */
	uint64_t length;
	uint32_t limit;
};

/* Of the worker that runs: libfuse has no place for it. */
static __thread struct channel *current;

/* ---- what libfuse calls ---- */

static const struct libbdus_session *owner_of(fuse_req_t request)
{
	const struct stream *stream = lib.req_userdata(request);

	return stream->owner;
}

static bool is_available(fuse_req_t request)
{
	const struct stream *stream = lib.req_userdata(request);

	return stream->phase == AVAILABLE;
}

static bool supports(fuse_req_t request, uint32_t operations)
{
	return owner_of(request)->device.operations & operations;
}

static void do_init(void *userdata, struct fuse_conn_info *connection)
{
	const struct stream *stream = userdata;
	const uint32_t size = libbdus_fuse_transfer_size(&stream->owner->device);
	const uint32_t depth = stream->owner->device.max_outstanding_requests;

	connection->max_write = size;
	connection->max_read = size;
	connection->max_background = depth;
	connection->congestion_threshold = depth;
	/* Several requests of the loop device at a time. */
	connection->want = connection->capable & FUSE_CAP_ASYNC_DIO;
}

static void get_attributes(const struct libbdus_session *owner,
			   fuse_ino_t inode, struct stat *out)
{
	*out = (struct stat){
		.st_ino = inode,
		.st_mode = inode == FILE_INODE ? S_IFREG | 0600 :
						 S_IFDIR | 0700,
		.st_nlink = 1,
		.st_blksize = owner->device.logical_block_size,
	};
	if (inode == FILE_INODE) {
		out->st_size = (off_t)owner->device.size;
		out->st_blocks = (blkcnt_t)(owner->device.size / 512);
	}
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	const struct libbdus_session *owner = owner_of(request);
	const struct libbdus_fuse *fuse = owner->holding;
	struct fuse_entry_param entry = {
		.ino = FILE_INODE,
		.attr_timeout = FOR_EVER,
		.entry_timeout = FOR_EVER,
	};

	if (parent != FUSE_ROOT_ID || strcmp(name, fuse->name)) {
		lib.reply_err(request, ENOENT);
		return;
	}
	get_attributes(owner, FILE_INODE, &entry.attr);
	lib.reply_entry(request, &entry);
}

static void do_getattr(fuse_req_t request, fuse_ino_t inode,
		       struct fuse_file_info *info)
{
	struct stat attributes;

	(void)info;

	get_attributes(owner_of(request), inode, &attributes);
	lib.reply_attr(request, &attributes, FOR_EVER);
}

static void do_open(fuse_req_t request, fuse_ino_t inode,
		    struct fuse_file_info *info)
{
	if (inode != FILE_INODE) {
		lib.reply_err(request, EISDIR);
		return;
	}
	/* The page cache is that of the block device. */
	info->direct_io = 1;
	lib.reply_open(request, info);
}

/*
 * The loop device has let go of its file, or will never have it: the driver has
 * nothing to do any more.
 */
static void do_release(fuse_req_t request, fuse_ino_t inode,
		       struct fuse_file_info *info)
{
	const struct libbdus_session *owner = owner_of(request);
	const bool is_over = is_available(request);

	(void)inode;
	(void)info;

	lib.reply_err(request, 0);
	if (is_over)
		libbdus_backend_fuse.stop(owner);
}

/* Loop devices can discard if their file can say how large its blocks are. */
static void do_statfs(fuse_req_t request, fuse_ino_t inode)
{
	const struct kbdus_device_config *device = &owner_of(request)->device;
	const struct statvfs status = {
		.f_bsize = device->logical_block_size,
		.f_frsize = device->logical_block_size,
		.f_blocks = device->size / device->logical_block_size,
	};

	(void)inode;

	if (supports(request, KBDUS_OP_WRITE_ZEROS | KBDUS_OP(DISCARD)))
		lib.reply_statfs(request, &status);
	else
		lib.reply_err(request, ENOSYS);
}

/* Leave a request to a callback, in pieces. */
static void hand_out(fuse_req_t request, uint32_t type, uint64_t offset,
		     uint64_t length, uint32_t limit)
{
	const struct kbdus_device_config *device = &owner_of(request)->device;
	const uint32_t block = device->logical_block_size;

	if (!limit)
		limit = block;
	/* Never what a callback must not get, whatever was done to the queue. */
	if (offset % block || length % block || offset > device->size ||
	    length > device->size - offset) {
		lib.reply_err(request, EIO);
		return;
	}

	current->pending = request;
	current->type = type;
	current->offset = offset;
	current->rest = current->length = length;
	current->limit = limit;
}

static void do_read(fuse_req_t request, fuse_ino_t inode, size_t size,
		    off_t offset, struct fuse_file_info *info)
{
	const struct kbdus_device_config *device = &owner_of(request)->device;

	(void)inode;
	(void)info;

	if (!supports(request, KBDUS_OP(READ)))
		lib.reply_err(request, EOPNOTSUPP);
	else
		hand_out(request, KBDUS_REQUEST_TYPE_READ, (uint64_t)offset,
			 size, device->max_read_write_size);
}

/* The data is where libfuse was given it, in the channel. */
static void do_write(fuse_req_t request, fuse_ino_t inode, const char *data,
		     size_t size, off_t offset, struct fuse_file_info *info)
{
	const struct kbdus_device_config *device = &owner_of(request)->device;

	(void)inode;
	(void)info;

	if (!supports(request, KBDUS_OP(WRITE)))
		lib.reply_err(request, EOPNOTSUPP);
	else if (!is_available(request))
		/* Nobody but the child can write yet, and it does not mean it:
		 * see forgo_zeroing() in bind_fuse.c. */
		lib.reply_write(request, size);
	else if (data != current->payload)
		lib.reply_err(request, EIO);
	else
		hand_out(request, KBDUS_REQUEST_TYPE_WRITE, (uint64_t)offset,
			 size, device->max_read_write_size);
}

/*
 * FUSE never asks again after ENOSYS, as is right for a driver that has nothing to
 * flush. Some kernels ask while they bind a loop device, which is nobody's wish.
 */
static void do_fsync(fuse_req_t request, fuse_ino_t inode, int only_data,
		     struct fuse_file_info *info)
{
	(void)inode;
	(void)only_data;
	(void)info;

	if (!supports(request, KBDUS_OP(FLUSH)))
		lib.reply_err(request, ENOSYS);
	else if (!is_available(request))
		lib.reply_err(request, 0);
	else
		hand_out(request, KBDUS_REQUEST_TYPE_FLUSH, 0, 0, 0);
}

/*
 * What gives space up is zeroing that may, or a discard; the loop device does not
 * tell which. Zeroing is right for both. Without a callback for it, only discards
 * come.
 */
static void do_fallocate(fuse_req_t request, fuse_ino_t inode, int mode,
			 off_t offset, off_t length, struct fuse_file_info *info)
{
	const struct kbdus_device_config *device = &owner_of(request)->device;
	const bool has_zeros = supports(request, KBDUS_OP_WRITE_ZEROS);

	(void)inode;
	(void)info;

	if (has_zeros && (mode & FALLOC_FL_ZERO_RANGE))
		hand_out(request, KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP,
			 (uint64_t)offset, (uint64_t)length,
			 device->max_write_zeros_size);
	else if (has_zeros && (mode & FALLOC_FL_PUNCH_HOLE))
		hand_out(request, KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP,
			 (uint64_t)offset, (uint64_t)length,
			 device->max_write_zeros_size);
	else if (supports(request, KBDUS_OP(DISCARD)) &&
		 (mode & FALLOC_FL_PUNCH_HOLE))
		hand_out(request, KBDUS_REQUEST_TYPE_DISCARD, (uint64_t)offset,
			 (uint64_t)length, device->max_discard_erase_size);
	else
		lib.reply_err(request, EOPNOTSUPP);
}

/* Closing descriptors of the file, which is not flushing it: there is no flush(). */
static const struct fuse_lowlevel_ops operations = {
	.init = do_init,
	.lookup = do_lookup,
	.getattr = do_getattr,
	.open = do_open,
	.release = do_release,
	.statfs = do_statfs,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
	.fallocate = do_fallocate,
};

/* ---- what the library calls ---- */

/* Make libfuse speak on the connection. It owns the session's file then. */
static int fuse_begin(struct libbdus_session *session,
		      const struct kbdus_protocol_config *config)
{
	/* libfuse wants to have heard of it, too. */
	char option[32];
	char *arguments[] = { (char *)"bdus", option, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
	struct stream *stream = calloc(1, sizeof(*stream));
	char mount[32];

	(void)config;

	if (!stream)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	stream->owner = session;
	snprintf(option, sizeof(option), "-omax_read=%" PRIu32,
		 libbdus_fuse_transfer_size(&session->device));
	stream->session = lib.session_new(&args, &operations,
					  sizeof(operations), stream);
	lib.opt_free_args(&args);
	snprintf(mount, sizeof(mount), "/dev/fd/%d", session->fd);
	if (!stream->session ||
	    lib.session_mount(stream->session, mount)) {
		if (stream->session)
			lib.session_destroy(stream->session);
		free(stream);
		return libbdus_error(EIO, "libfuse does not start.");
	}

	session->shared = stream;
	return 0;
}

static void fuse_end(struct libbdus_session *session)
{
	struct stream *stream = session->shared;
	struct libbdus_outcome outcome;

	/* Its device fails by now, so that this ends. */
	if (stream->phase == BINDING)
		libbdus_child_end(&stream->child, &outcome);
	lib.session_destroy(stream->session);
	free(stream);
	session->shared = NULL;
}

static int fuse_open_channel(const struct libbdus_session *session,
			     unsigned int index, void **out)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct channel *channel = calloc(1, sizeof(*channel));

	(void)index;

	if (!channel)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	channel->memory_size = page + session->payload_size + MINIMUM_SIZE;
	channel->memory = mmap(NULL, channel->memory_size,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (channel->memory == MAP_FAILED) {
		free(channel);
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate a payload buffer");
	}

	channel->payload = channel->memory + page;
	channel->start = channel->payload - HEADER_SIZE;
	channel->size = channel->memory_size - page + HEADER_SIZE;
	*out = channel;
	return 0;
}

static void fuse_populate(const struct libbdus_session *session, void *argument)
{
	struct channel *channel = argument;

	libbdus_memory_populate(session->shared, sizeof(struct stream));
	libbdus_memory_populate(channel, sizeof(*channel));
	libbdus_memory_populate(channel->memory, channel->memory_size);
}

static void fuse_close_channel(const struct libbdus_session *session,
			       void *argument)
{
	struct channel *channel = argument;

	(void)session;

	/* Its callback gave up. */
	if (channel->pending)
		lib.reply_err(channel->pending, EIO);
	munmap(channel->memory, channel->memory_size);
	free(channel);
}

/* Answer the message as a whole. The kernel has given up waiting for an answer
 * that it does not take. */
static void reply(struct channel *channel, int error)
{
	const fuse_req_t request = channel->pending;

	channel->pending = NULL;
	if (error)
		lib.reply_err(request, error);
	else if (channel->type == KBDUS_REQUEST_TYPE_READ)
		lib.reply_buf(request, channel->payload, channel->length);
	else if (channel->type == KBDUS_REQUEST_TYPE_WRITE)
		lib.reply_write(request, channel->length);
	else
		lib.reply_err(request, 0);
}

/* Get the next piece of the message in the channel. */
static void take_piece(struct channel *channel, struct libbdus_request *request)
{
	const uint64_t done = channel->length - channel->rest;
	const uint32_t length = channel->rest < channel->limit ?
					(uint32_t)channel->rest : channel->limit;

	*request = (struct libbdus_request){
		.offset = channel->offset + done,
		.length = length,
		.type = channel->type,
		.payload = channel->payload + done,
	};
	if (channel->type != KBDUS_REQUEST_TYPE_READ &&
	    channel->type != KBDUS_REQUEST_TYPE_WRITE)
		request->payload = NULL;
	channel->rest -= length;
}

static void notify(struct libbdus_request *request, uint32_t type)
{
	*request = (struct libbdus_request){ .type = type };
}

/*
 * Read a message and have libfuse look at it. Returns 1 if there was one, 0 if
 * there is none (and nobody waits for any), -ENODEV without a message if there
 * will be no more.
 */
static int receive(const struct stream *stream, struct channel *channel)
{
	struct fuse_buf buffer = { .mem = channel->start };
	ssize_t count;

	do {
		count = read(stream->owner->fd, channel->start, channel->size);
	} while (count < 0 && (errno == EINTR || errno == ENOENT));

	if (count < 0) {
		if (errno == EAGAIN)
			return 0;
		if (errno == ENODEV || errno == ECONNABORTED)
			return -ENODEV;
		return libbdus_error_with_errno(errno,
						"Failed to receive a request");
	}

	buffer.size = (size_t)count;
	current = channel;
	lib.session_process_buf(stream->session, &buffer);
	return 1;
}

/* The child has ended: say what became of the device. */
static int end_binding(struct stream *stream, struct channel *channel,
		       struct libbdus_request *request)
{
	const struct libbdus_session *session = stream->owner;
	const int flags = fcntl(session->fd, F_GETFL);
	int ret;

	stream->phase = NOT_BEGUN;
	ret = libbdus_fuse_end_binding(session, &stream->child);
	if (ret) {
		struct libbdus_error error;
		int received;

		/* Perhaps because the device was destroyed. */
		libbdus_error_save(&error);
		do {
			received = receive(stream, channel);
		} while (received > 0 && !channel->pending);
		libbdus_error_restore(&error);
		if (received != -ENODEV)
			return ret;
		notify(request, KBDUS_REQUEST_TYPE_TERMINATE);
		return 0;
	}

	stream->phase = AVAILABLE;
	fcntl(session->fd, F_SETFL, flags & ~O_NONBLOCK);
	notify(request, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	return 0;
}

/* While there is a child, wait for a message or for its end. */
static int await_child(struct stream *stream, bool *has_ended)
{
	struct pollfd fds[] = {
		{ .fd = stream->owner->fd, .events = POLLIN },
		{ .fd = stream->child.fd, .events = POLLIN },
	};
	int count;

	do {
		count = poll(fds, 2, -1);
	} while (count < 0 && errno == EINTR);

	if (count < 0)
		return libbdus_error_with_errno(errno, "Failed to wait");
	*has_ended = fds[1].revents;
	return 0;
}

/* Get a message while the device is not yet available, or what became of it. */
static int advance(struct stream *stream, struct channel *channel,
		   struct libbdus_request *request, bool *is_notified)
{
	int ret;

	if (stream->phase == NOT_BEGUN) {
		ret = libbdus_fuse_begin_binding(stream->owner,
						 &stream->child);
		if (ret)
			return ret;
		stream->phase = BINDING;
	}

	ret = await_child(stream, is_notified);
	if (ret)
		return ret;
	return *is_notified ? end_binding(stream, channel, request) :
			      receive(stream, channel);
}

static int fuse_exchange(const struct libbdus_session *session, void *argument,
			 struct libbdus_request *request, int error)
{
	struct stream *stream = session->shared;
	struct channel *channel = argument;
	bool is_notified = false;
	int ret;

	if (channel->pending && (error || !channel->rest))
		reply(channel, error);

	while (!channel->pending) {
		if (stream->phase == AVAILABLE)
			ret = receive(stream, channel);
		else
			ret = advance(stream, channel, request, &is_notified);

		if (ret == -ENODEV) {
			notify(request, KBDUS_REQUEST_TYPE_TERMINATE);
			return 0;
		}
		if (ret < 0)
			return ret;
		if (is_notified)
			return 0;
	}

	take_piece(channel, request);
	return 0;
}

/* Other processes see who serves. */
static void fuse_settle(const struct libbdus_session *session)
{
	const struct libbdus_fuse *fuse = session->holding;

	libbdus_record_set_state(fuse->record_fd, BDUS_DEV_STATE_AVAILABLE,
				 getpid());
}

const struct libbdus_protocol libbdus_protocol_fuse = {
	.name = "fuse",
	.begin = fuse_begin,
	.settle = fuse_settle,
	.end = fuse_end,
	.open = fuse_open_channel,
	.populate = fuse_populate,
	.exchange = fuse_exchange,
	.close = fuse_close_channel,
};

#else

int libbdus_fuse_load(void)
{
	return libbdus_error(EOPNOTSUPP,
		"This libbdus was built without libfuse.");
}

const struct libbdus_protocol libbdus_protocol_fuse = { .name = "fuse" };

#endif
