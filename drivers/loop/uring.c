/* SPDX-License-Identifier: MIT */

/*
 * uring.c: serves a loop device by io_uring: one thread waits for requests and for the
 * backing at the same time, and has as many requests under way as the device can have.
 *
 * Called instead of bdus_run() where the device is one of the module and spoken to by
 * the protocol "ring", and io_uring is there. Reads, writes and flushes are begun as
 * they come. What takes several attempts is left to a helper, a second thread, which
 * does it by backing.c as callbacks do: zeroing, discarding, and whatever ended in an
 * unusual way. The main thread owns the io_uring and all that is under way there; the
 * helper's queue is under a lock.
 */

#include "uring.h"

#ifdef HAVE_LIBURING

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 32

/* As many as a device can have, so that there is room for each. */
#define MAX_IOS 256

/* Where the descriptor of the device is registered. */
#define DEVICE_FILE 0

/* A request that io_uring works on. */
struct io {
	struct bdus_request request;
	/* Bytes that were read or written. */
	uint32_t done;
	/* Where to. */
	int fd;
	struct io *next;
};

/* A driver serves one device. */
static struct {
	struct bdus_events *events;
	struct backing *backing;
	struct io_uring ring;
	/* Whether the memory of the device is registered. */
	bool has_buffers;
	struct io ios[MAX_IOS];
	struct io *free_ios;
	unsigned int busy_count;
	bool is_polling;
	bool is_over;
	bool must_flush;
	/* DRIVER_EXIT_... */
	int status;
} loop;

/* What the helper has to do, in a ring; under the lock. */
static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct bdus_request queue[4 * MAX_IOS];
	unsigned int head, tail;
	bool is_over;
} helper = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

/* Nothing can be served any more. */
static void fail(void)
{
	driver_error("%s", bdus_get_error_message());
	loop.status = DRIVER_EXIT_FAILURE;
	loop.is_over = true;
}

static void answer(const struct bdus_request *request, int error)
{
	/* It is held, so this cannot fail. */
	bdus_events_answer(loop.events, request->id, error);
}

/* ---- the helper ---- */

static int do_request(const struct bdus_request *request)
{
	struct backing *backing = loop.backing;

	switch (request->type) {
	case BDUS_REQUEST_READ:
		return backing_read(backing, request->buffer, request->offset,
				    request->size);
	case BDUS_REQUEST_WRITE:
	case BDUS_REQUEST_FUA_WRITE:
		return backing_write(backing, request->buffer, request->offset,
				     request->size,
				     request->type == BDUS_REQUEST_FUA_WRITE);
	case BDUS_REQUEST_WRITE_ZEROS:
		return backing_zero(backing, request->offset, request->size,
				    request->may_unmap);
	case BDUS_REQUEST_DISCARD:
		return backing_discard(backing, request->offset, request->size);
	case BDUS_REQUEST_FLUSH:
		return backing_flush(backing);
	default:
		return EOPNOTSUPP;
	}
}

static bool take_job(struct bdus_request *request)
{
	bool has_job;

	pthread_mutex_lock(&helper.lock);
	while (helper.head == helper.tail && !helper.is_over)
		pthread_cond_wait(&helper.changed, &helper.lock);
	has_job = helper.head != helper.tail;
	if (has_job)
		*request = helper.queue[helper.head++ % (4 * MAX_IOS)];
	pthread_mutex_unlock(&helper.lock);
	return has_job;
}

static void *helper_main(void *unused)
{
	struct bdus_request request;

	while (take_job(&request)) {
		answer(&request, do_request(&request));
		/* If that fails, it also does where the main thread sees it. */
		bdus_events_submit(loop.events);
	}
	return unused;
}

/* There is room, as a device has no more requests. */
static void leave_to_helper(const struct bdus_request *request)
{
	pthread_mutex_lock(&helper.lock);
	helper.queue[helper.tail++ % (4 * MAX_IOS)] = *request;
	pthread_cond_signal(&helper.changed);
	pthread_mutex_unlock(&helper.lock);
}

/* Waits until it has done everything. */
static void end_helper(void)
{
	pthread_mutex_lock(&helper.lock);
	helper.is_over = true;
	pthread_cond_signal(&helper.changed);
	pthread_mutex_unlock(&helper.lock);
	pthread_join(helper.thread, NULL);
}

/* ---- io_uring ---- */

static struct io_uring_sqe *get_sqe(void *data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop.ring);

	while (!sqe) {
		io_uring_submit(&loop.ring);
		sqe = io_uring_get_sqe(&loop.ring);
	}
	io_uring_sqe_set_data(sqe, data);
	return sqe;
}

static int choose_fd(void)
{
	struct backing *backing = loop.backing;

	return __atomic_load_n(&backing->is_direct, __ATOMIC_RELAXED) ?
		       backing->direct_fd :
		       backing->fd;
}

static void begin_transfer(struct io *io, struct io_uring_sqe *sqe)
{
	const struct bdus_request *request = &io->request;
	const bool is_read = request->type == BDUS_REQUEST_READ;
	char *buffer = (char *)request->buffer + io->done;
	const uint32_t size = request->size - io->done;
	const uint64_t offset = request->offset + io->done;

	io->fd = choose_fd();
	if (loop.has_buffers && is_read)
		io_uring_prep_read_fixed(sqe, io->fd, buffer, size, offset, 0);
	else if (loop.has_buffers)
		io_uring_prep_write_fixed(sqe, io->fd, buffer, size, offset, 0);
	else if (is_read)
		io_uring_prep_read(sqe, io->fd, buffer, size, offset);
	else
		io_uring_prep_write(sqe, io->fd, buffer, size, offset);
	if (request->type == BDUS_REQUEST_FUA_WRITE)
		sqe->rw_flags = RWF_DSYNC;
}

/* Begins what is left of it. */
static void begin_io(struct io *io)
{
	struct io_uring_sqe *sqe = get_sqe(io);

	if (io->request.type == BDUS_REQUEST_FLUSH)
		io_uring_prep_fsync(sqe, loop.backing->fd,
				    IORING_FSYNC_DATASYNC);
	else
		begin_transfer(io, sqe);
}

static void begin_request(const struct bdus_request *request)
{
	struct io *io = loop.free_ios;

	if (request->type == BDUS_REQUEST_WRITE_ZEROS ||
	    request->type == BDUS_REQUEST_DISCARD) {
		leave_to_helper(request);
		return;
	}
	loop.free_ios = io->next;
	loop.busy_count++;
	*io = (struct io){ .request = *request };
	begin_io(io);
}

/* Whether something else is to be tried, as backing.c knows to. */
static bool is_unusual(const struct io *io, int result)
{
	if (result == 0)
		return io->done < io->request.size;
	return result == -EINVAL || result == -EINTR || result == -EAGAIN ||
	       result == -EOPNOTSUPP || result == -ENOSYS;
}

static void end_io(struct io *io, int result)
{
	if (result > 0)
		io->done += result;
	if (result > 0 && io->done < io->request.size) {
		begin_io(io);
		return;
	}
	if (is_unusual(io, result))
		leave_to_helper(&io->request);
	else
		answer(&io->request, result < 0 ? -result : 0);
	loop.busy_count--;
	io->next = loop.free_ios;
	loop.free_ios = io;
}

/* ---- serving ---- */

static void become_available(const struct driver_run *run)
{
	int error = run->ops.on_device_available(
		bdus_events_get_ctx(loop.events));

	if (error != 0) {
		driver_error("Callback on_device_available failed: %s",
			     strerror(error));
		loop.status = DRIVER_EXIT_FAILURE;
		loop.is_over = true;
	}
}

static void take_requests(const struct driver_run *run)
{
	const uint32_t room = MAX_IOS - loop.busy_count;
	struct bdus_request requests[BATCH];
	uint32_t count = 0;

	if (!bdus_events_take(loop.events, requests, room < BATCH ? room : BATCH,
			      &count))
		fail();
	for (uint32_t i = 0; i < count; i++) {
		switch (requests[i].type) {
		case BDUS_REQUEST_AVAILABLE:
			become_available(run);
			break;
		case BDUS_REQUEST_FLUSH_AND_TERMINATE:
			loop.must_flush = true;
			loop.is_over = true;
			break;
		case BDUS_REQUEST_TERMINATE:
			loop.is_over = true;
			break;
		default:
			begin_request(&requests[i]);
		}
	}
}

/* What was not taken is told of at once. */
static void poll_device(void)
{
	struct io_uring_sqe *sqe;

	if (loop.is_polling || loop.is_over || loop.busy_count == MAX_IOS)
		return;
	sqe = get_sqe(NULL);
	io_uring_prep_poll_add(sqe, DEVICE_FILE, POLLIN);
	sqe->flags |= IOSQE_FIXED_FILE;
	loop.is_polling = true;
}

/* Returns whether there may be something to take. */
static bool wait_for_something(void)
{
	struct io_uring_cqe *cqe;
	bool has_requests = false;

	io_uring_submit_and_wait(&loop.ring, 1);
	while (io_uring_peek_cqe(&loop.ring, &cqe) == 0) {
		struct io *io = io_uring_cqe_get_data(cqe);
		const int result = cqe->res;

		io_uring_cqe_seen(&loop.ring, cqe);
		if (io) {
			end_io(io, result);
		} else {
			loop.is_polling = false;
			has_requests = true;
		}
	}
	return has_requests;
}

/* Until the device is to end and nothing is under way here. */
static void serve_requests(const struct driver_run *run)
{
	bool has_requests = true;

	for (;;) {
		if (has_requests && !loop.is_over)
			take_requests(run);
		/* Clients do not wait for what others wait for. */
		if (!bdus_events_submit(loop.events))
			fail();
		if (loop.is_over && loop.busy_count == 0)
			return;
		poll_device();
		has_requests = wait_for_something();
	}
}

static void flush_before_terminating(void)
{
	if (!loop.must_flush || backing_flush(loop.backing) == 0)
		return;
	driver_error("The driver failed to flush before terminating.");
	loop.status = DRIVER_EXIT_FAILURE;
}

static void serve(const struct driver_run *run)
{
	struct bdus_ctx *ctx = bdus_events_get_ctx(loop.events);
	int error = run->ops.initialize(ctx);

	if (error == 0)
		error = pthread_create(&helper.thread, NULL, helper_main, NULL);
	if (error != 0) {
		driver_error("Callback initialize failed: %s", strerror(error));
		loop.status = DRIVER_EXIT_FAILURE;
		return;
	}
	serve_requests(run);
	end_helper();
	flush_before_terminating();
}

/*
 * Has the io_uring hold the device as long as anything is under way. If the driver is
 * killed, what it was writing goes on, and the successor gets the same requests: it must
 * not come before that is over.
 */
static bool hold_device(void)
{
	const int fd = bdus_events_get_fd(loop.events);

	return io_uring_register_files(&loop.ring, &fd, 1) == 0;
}

static void register_buffers(void)
{
	struct iovec memory;

	memory.iov_base = bdus_events_get_memory(loop.events, &memory.iov_len);
	loop.has_buffers =
		memory.iov_base &&
		io_uring_register_buffers(&loop.ring, &memory, 1) == 0;
}

static uint32_t operations_of(const struct bdus_ops *ops)
{
	uint32_t operations = 0;

	if (ops->read)
		operations |= BDUS_OPERATION(READ);
	if (ops->write)
		operations |= BDUS_OPERATION(WRITE);
	if (ops->write_zeros)
		operations |= BDUS_OPERATION(WRITE_ZEROS);
	if (ops->fua_write)
		operations |= BDUS_OPERATION(FUA_WRITE);
	if (ops->flush)
		operations |= BDUS_OPERATION(FLUSH);
	if (ops->discard)
		operations |= BDUS_OPERATION(DISCARD);
	return operations;
}

static bool open_device(const struct driver_run *run)
{
	const struct bdus_events_config config = {
		.operations = operations_of(&run->ops),
	};

	return run->is_replacement ?
		       bdus_events_attach(&loop.events, run->device, &run->attrs,
					  &config) :
		       bdus_events_create(&loop.events, &run->attrs, &config);
}

/*
 * Whether io_uring may be used. There is none made to find out: closing it would
 * interrupt the waiting for a former driver.
 */
static bool is_allowed(void)
{
	return syscall(__NR_io_uring_setup, 1, NULL) < 0 && errno == EFAULT;
}

static bool open_ring(void)
{
	const int error = io_uring_queue_init(MAX_IOS, &loop.ring, 0);

	if (error == 0 && hold_device()) {
		register_buffers();
		return true;
	}
	if (error == 0)
		io_uring_queue_exit(&loop.ring);
	driver_error("There is no io_uring for the device.");
	return false;
}

static void close_ring(void)
{
	io_uring_unregister_files(&loop.ring);
	io_uring_queue_exit(&loop.ring);
}

int uring_serve(const struct driver_run *run, struct backing *backing)
{
	/* Only callbacks are logged. */
	if (run->attrs.log || !is_allowed())
		return -1;
	loop.backing = backing;
	for (int i = 0; i < MAX_IOS; i++) {
		loop.ios[i].next = loop.free_ios;
		loop.free_ios = &loop.ios[i];
	}
	/* Callbacks meet with the same trouble, if it is some, and say so. */
	if (!open_device(run))
		return -1;

	if (open_ring()) {
		serve(run);
		close_ring();
	} else {
		loop.status = DRIVER_EXIT_FAILURE;
	}
	bdus_events_close(loop.events, loop.status == DRIVER_EXIT_OK);
	return loop.status;
}

#else

int uring_serve(const struct driver_run *run, struct backing *backing)
{
	(void)run;
	(void)backing;
	return -1;
}

#endif
