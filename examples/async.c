/* SPDX-License-Identifier: MIT */

/*
 * async.c: a file as a device, served without callbacks; shows how requests are taken,
 * handed to whatever does the work, and answered when that is done, in any order.
 *
 *     cc -DHAVE_LIBURING -o async async.c -lbdus -luring -pthread
 *     sudo ./async disk.img
 *
 * The work is done by io_uring, which one thread waits for together with new requests;
 * or, without -DHAVE_LIBURING -luring and where io_uring may not be used, by a pool of
 * threads.
 */

#include <bdus.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#define DEPTH 128
#define BATCH 32
#define THREADS 8

/* A request that is being worked on. */
struct io {
	struct bdus_request request;
	/* Bytes that were read or written. */
	uint32_t done;
	struct io *next;
};

static struct bdus_events *events;
static int fd;
/* The device ends, and is to be flushed first. */
static bool is_over, must_flush;

static struct io ios[DEPTH];
static struct io *free_ios;
static unsigned int busy_count;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, bdus_get_error_message());
	exit(1);
}

static struct io *get_io(const struct bdus_request *request)
{
	struct io *io = free_ios;

	free_ios = io->next;
	busy_count++;
	*io = (struct io){ .request = *request };
	return io;
}

static void put_io(struct io *io)
{
	busy_count--;
	io->next = free_ios;
	free_ios = io;
}

/* Takes what there is room for, and has the work begun. Notifications are no work. */
static void take_requests(void (*begin)(struct io *io))
{
	struct bdus_request requests[BATCH];
	uint32_t room = DEPTH - busy_count;
	uint32_t count;

	if (!bdus_events_take(events, requests, room < BATCH ? room : BATCH,
			      &count))
		die("Failed to take requests");

	for (uint32_t i = 0; i < count; i++) {
		switch (requests[i].type) {
		case BDUS_REQUEST_AVAILABLE:
			printf("%s\n", bdus_events_get_ctx(events)->path);
			fflush(stdout);
			break;
		case BDUS_REQUEST_FLUSH_AND_TERMINATE:
			must_flush = true;
			is_over = true;
			break;
		case BDUS_REQUEST_TERMINATE:
			is_over = true;
			break;
		default:
			begin(get_io(&requests[i]));
		}
	}
}

static void answer(const struct io *io, int error)
{
	if (!bdus_events_answer(events, io->request.id, error))
		die("Failed to answer");
}

#ifdef HAVE_LIBURING

/* ---- io_uring ---- */

static struct io_uring ring;

static struct io_uring_sqe *get_sqe(void *data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	while (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	io_uring_sqe_set_data(sqe, data);
	return sqe;
}

/* Begins what is left of it. */
static void begin_io(struct io *io)
{
	const struct bdus_request *request = &io->request;
	struct io_uring_sqe *sqe = get_sqe(io);
	char *buffer = (char *)request->buffer + io->done;
	uint32_t size = request->size - io->done;
	uint64_t offset = request->offset + io->done;

	/* Buffers are in memory that was registered, as number 0. */
	if (request->type == BDUS_REQUEST_READ)
		io_uring_prep_read_fixed(sqe, fd, buffer, size, offset, 0);
	else if (request->type == BDUS_REQUEST_WRITE)
		io_uring_prep_write_fixed(sqe, fd, buffer, size, offset, 0);
	else
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
}

static void end_io(struct io *io, int result)
{
	if (result > 0)
		io->done += result;
	if (result == -EINTR || result == -EAGAIN ||
	    (result > 0 && io->done < io->request.size)) {
		begin_io(io);
		return;
	}
	/* Nothing read: the file is shorter than it was. */
	if (result == 0 && io->done < io->request.size)
		result = -EIO;
	answer(io, result < 0 ? -result : 0);
	put_io(io);
}

static void poll_device(void)
{
	struct io_uring_sqe *sqe = get_sqe(NULL);

	io_uring_prep_poll_add(sqe, 0, POLLIN);
	sqe->flags |= IOSQE_FIXED_FILE;
}

/*
 * The descriptor of the device is registered, too, as number 0: so the device stays with
 * this driver while anything is under way, also if it is killed. The next driver gets
 * the same requests, and must not begin them before.
 */
static bool start_ring(void)
{
	const int device = bdus_events_get_fd(events);
	struct iovec memory;

	if (io_uring_queue_init(DEPTH, &ring, 0) != 0)
		return false;
	memory.iov_base = bdus_events_get_memory(events, &memory.iov_len);
	if (io_uring_register_files(&ring, &device, 1) == 0 &&
	    io_uring_register_buffers(&ring, &memory, 1) == 0)
		return true;
	io_uring_queue_exit(&ring);
	return false;
}

/* One thread, one place to wait. Returns false if there is no io_uring. */
static bool serve_with_ring(void)
{
	struct io_uring_cqe *cqe;
	bool is_polling = false, has_more = true;

	if (!start_ring())
		return false;
	while (!is_over || busy_count > 0) {
		if (has_more && !is_over && busy_count < DEPTH) {
			take_requests(begin_io);
			has_more = false;
		}
		/* Level-triggered: what was not taken is told of at once. */
		if (!is_polling && !is_over && busy_count < DEPTH) {
			poll_device();
			is_polling = true;
		}
		/* Before waiting, have clients get what is done. */
		if (!bdus_events_submit(events))
			die("Failed to submit");
		if (is_over && busy_count == 0)
			break;
		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			struct io *io = io_uring_cqe_get_data(cqe);
			int result = cqe->res;

			io_uring_cqe_seen(&ring, cqe);
			if (io) {
				end_io(io, result);
			} else {
				is_polling = false;
				has_more = true;
			}
		}
	}
	io_uring_unregister_files(&ring);
	io_uring_queue_exit(&ring);
	return true;
}

#else

static bool serve_with_ring(void)
{
	return false;
}

#endif

/* ---- a pool of threads ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct io *queued_ios, **queue_end = &queued_ios;

static int do_io(struct io *io)
{
	const struct bdus_request *request = &io->request;
	ssize_t count;

	if (request->type == BDUS_REQUEST_FLUSH)
		return fdatasync(fd) == 0 ? 0 : errno;

	while (io->done < request->size) {
		char *buffer = (char *)request->buffer + io->done;
		uint32_t size = request->size - io->done;
		uint64_t offset = request->offset + io->done;

		count = request->type == BDUS_REQUEST_READ ?
				pread(fd, buffer, size, offset) :
				pwrite(fd, buffer, size, offset);
		if (count == 0)
			return EIO;
		if (count < 0 && errno != EINTR)
			return errno;
		if (count > 0)
			io->done += count;
	}
	return 0;
}

/* Answers may come from any thread. */
static void *work(void *unused)
{
	struct io *io;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!queued_ios)
			pthread_cond_wait(&changed, &lock);
		io = queued_ios;
		queued_ios = io->next;
		if (!queued_ios)
			queue_end = &queued_ios;
		pthread_mutex_unlock(&lock);

		answer(io, do_io(io));
		if (!bdus_events_submit(events))
			die("Failed to submit");

		pthread_mutex_lock(&lock);
		put_io(io);
		pthread_cond_broadcast(&changed);
	}
	return unused;
}

/* With the lock held. */
static void queue_io(struct io *io)
{
	io->next = NULL;
	*queue_end = io;
	queue_end = &io->next;
	pthread_cond_broadcast(&changed);
}

static void serve_with_threads(void)
{
	struct pollfd polled = { .fd = bdus_events_get_fd(events),
				 .events = POLLIN };
	pthread_t thread;

	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&thread, NULL, work, NULL) != 0)
			die("Failed to start a thread");
	}
	while (!is_over) {
		poll(&polled, 1, -1);
		pthread_mutex_lock(&lock);
		while (busy_count == DEPTH)
			pthread_cond_wait(&changed, &lock);
		take_requests(queue_io);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	while (busy_count > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* ---- the device ---- */

int main(int argc, char **argv)
{
	struct bdus_attrs attrs = {
		.logical_block_size = 512,
		.recoverable = true,
	};
	const struct bdus_events_config config = {
		.operations = BDUS_OPERATION(READ) | BDUS_OPERATION(WRITE) |
			      BDUS_OPERATION(FLUSH),
	};
	struct stat status;
	bool is_successful;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s <file>\n", argv[0]);
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &status) != 0) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 0; i < DEPTH; i++) {
		ios[i].next = free_ios;
		free_ios = &ios[i];
	}

	attrs.size = status.st_size;
	if (!bdus_events_create(&events, &attrs, &config))
		die("Error");
	if (!serve_with_ring())
		serve_with_threads();
	is_successful = !must_flush || fdatasync(fd) == 0;
	bdus_events_close(events, is_successful);
	return is_successful ? 0 : 1;
}
