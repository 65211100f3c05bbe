/* SPDX-License-Identifier: MIT */

/*
 * protocol_ublk.c: requests of a ublk device, through a ring of io_uring for each
 * worker.
 *
 * Workers call in here between dispatches; the kernel's half is ublk_drv. A command per
 * request that there can be, a "tag", waits in the ring of the worker that has the
 * queue; it completes when there is a request, which the kernel has described in memory
 * that is mapped here and whose payload is in the tag's own memory, and is answered by
 * the command that waits for the next. All of this the kernel wants from one thread:
 * so it begins in a worker's first exchange and ends when that worker leaves.
 *
 * A worker that finds another request in its ring takes it at once, and its answers go
 * to the kernel when there is none, in the call that waits. That they wait for each
 * other is no harm as long as callbacks return at once, and otherwise they do not:
 * see may_hold_back().
 *
 * Workers share nothing but the backend's gate.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ublk.h"

/* Entries that can wait to be submitted. */
#define RING_SIZE 128

/* A callback that returns in this time is one that did not wait for anything. */
#define QUICK_NS 20000

/* How many answers may wait for another. */
#define MOST_HELD_BACK 16

/* Whose a result is: a queue of the worker and a tag, or one of these. */
#define WHOSE(slot, tag) ((uint64_t)(slot) << 16 | (tag))
#define TAG_OF(whose) ((uint16_t)(whose))
#define SLOT_OF(whose) ((unsigned int)((whose) >> 16))
enum { EVENT_STOP = -1, EVENT_STARTER = -2 };

/* A hardware queue of the device. */
struct queue {
	uint16_t number;
	/* By tag; NULL if not mapped. */
	const struct ublksrv_io_desc *requests;
	char *payloads;
};

/* The place of a worker. */
struct channel {
	unsigned int index;
	struct io_uring ring;
	enum { NEW, SERVING, ENDING, LEFT } phase;
	/* When its callback began, and whether the one before was quick. */
	uint64_t handed_out_at;
	bool is_quick;
	/* Answers that the kernel has not got. */
	unsigned int held_back;
	/* Whether it has passed the gate with a request. */
	bool has_turn;
	unsigned int queue_count;
	struct queue queues[];
};

/* ---- the gate ---- */

/* Wait until nobody else has a turn. False if there will be no more. */
static bool take_turn(struct libbdus_ublk_gate *gate)
{
	bool is_taken;

	pthread_mutex_lock(&gate->lock);
	while (gate->is_taken && !gate->is_open && !gate->is_over)
		pthread_cond_wait(&gate->changed, &gate->lock);
	is_taken = !gate->is_over;
	gate->is_taken = true;
	pthread_mutex_unlock(&gate->lock);
	return is_taken;
}

static void end_turn(struct libbdus_ublk_gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->is_taken = false;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static bool is_open(const struct libbdus_ublk_gate *gate)
{
	return __atomic_load_n(&gate->is_open, __ATOMIC_ACQUIRE);
}

/* ---- places ---- */

static size_t payloads_size(const struct libbdus_session *session)
{
	const struct libbdus_ublk *ublk = session->holding;

	return (size_t)ublk->queue_depth * session->payload_size;
}

static int add_queue(const struct libbdus_session *session,
		     struct channel *channel, uint16_t number)
{
	void *memory = mmap(NULL, payloads_size(session),
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate payload buffers");
	}
	channel->queues[channel->queue_count++] = (struct queue){
		.number = number,
		.payloads = memory,
	};
	return 0;
}

static void free_channel(const struct libbdus_session *session,
			 struct channel *channel)
{
	for (unsigned int i = 0; i < channel->queue_count; ++i)
		munmap(channel->queues[i].payloads, payloads_size(session));
	free(channel);
}

static int make_ring(const struct libbdus_ublk *ublk, struct channel *channel)
{
	struct io_uring_params params = {
		/* Disabled: it belongs to the thread that enables it. */
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		/* All tags at a time, and the events. */
		.cq_entries = channel->queue_count * ublk->queue_depth + 2,
	};
	const int ret = libbdus_uring.queue_init_params(RING_SIZE,
							&channel->ring, &params);

	if (ret)
		return libbdus_error_with_errno(-ret,
						"Failed to set up io_uring");
	return 0;
}

/* Every queue is one worker's, and a worker may have several. */
static int ublk_open_channel(const struct libbdus_session *session,
			     unsigned int index, void **out)
{
	struct libbdus_ublk *ublk = session->holding;
	struct channel *channel;
	int ret = 0;

	channel = calloc(1, sizeof(*channel) + ublk->queue_count *
						       sizeof(struct queue));
	if (!channel)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	channel->index = index;
	for (unsigned int number = index; !ret && number < ublk->queue_count;
	     number += session->workers)
		ret = add_queue(session, channel, (uint16_t)number);
	if (!ret)
		ret = make_ring(ublk, channel);
	if (ret) {
		free_channel(session, channel);
		return ret;
	}

	++ublk->serving;
	*out = channel;
	return 0;
}

/* Nobody serves any more: let the kernel and everybody else know. */
static void stop_serving(struct libbdus_ublk *ublk)
{
	pthread_mutex_lock(&ublk->gate.lock);
	close(ublk->char_fd);
	ublk->char_fd = -1;
	close(ublk->stop_fds[0]);
	ublk->stop_fds[0] = -1;
	pthread_mutex_unlock(&ublk->gate.lock);
}

/*
 * With its ring, what a worker was waiting for ends, and so do requests that it has not
 * answered: they fail, or are kept for a successor.
 */
static void ublk_leave(const struct libbdus_session *session, void *argument)
{
	struct libbdus_ublk *ublk = session->holding;
	const size_t size = ublk->queue_depth * sizeof(struct ublksrv_io_desc);
	struct channel *channel = argument;

	if (channel->phase == LEFT)
		return;
	if (channel->phase != NEW)
		libbdus_uring.submit(&channel->ring);
	libbdus_uring.queue_exit(&channel->ring);
	for (unsigned int i = 0; i < channel->queue_count; ++i) {
		if (channel->queues[i].requests)
			munmap((void *)channel->queues[i].requests, size);
	}
	channel->phase = LEFT;

	if (channel->has_turn)
		end_turn(&ublk->gate);
	if (__atomic_sub_fetch(&ublk->serving, 1, __ATOMIC_ACQ_REL) == 0)
		stop_serving(ublk);
}

static void ublk_close_channel(const struct libbdus_session *session,
			       void *argument)
{
	ublk_leave(session, argument);
	free_channel(session, argument);
}

/* ---- commands ---- */

static int submit(struct channel *channel)
{
	int ret;

	do {
		ret = libbdus_uring.submit(&channel->ring);
	} while (ret == -EINTR);

	if (ret < 0) {
		return libbdus_error_with_errno(-ret,
			"Failed to give commands to io_uring");
	}
	channel->held_back = 0;
	return 0;
}

/* Get room for a command; fails only if the kernel does. */
static int get_entry(struct channel *channel, struct io_uring_sqe **out)
{
	int ret = 0;

	*out = io_uring_get_sqe(&channel->ring);
	if (!*out) {
		ret = submit(channel);
		*out = io_uring_get_sqe(&channel->ring);
	}
	if (!ret && !*out)
		ret = libbdus_error(EIO, "The kernel takes no commands.");
	return ret;
}

/* Answer the request with a tag, if any, and wait for the next. */
static int add_command(struct channel *channel, uint32_t operation,
		       unsigned int slot, uint16_t tag, int32_t result,
		       uint32_t payload_size)
{
	const struct queue *queue = &channel->queues[slot];
	struct ublksrv_io_cmd *body;
	struct io_uring_sqe *entry;
	int ret;

	ret = get_entry(channel, &entry);
	if (ret)
		return ret;

	memset(entry, 0, sizeof(*entry));
	entry->opcode = IORING_OP_URING_CMD;
	/* The only file that the ring knows. */
	entry->fd = 0;
	entry->flags = IOSQE_FIXED_FILE;
	entry->cmd_op = operation;
	entry->user_data = WHOSE(slot, tag);
	body = (struct ublksrv_io_cmd *)entry->cmd;
	body->q_id = queue->number;
	body->tag = tag;
	body->result = result;
	body->addr = (uintptr_t)queue->payloads + (size_t)tag * payload_size;
	return 0;
}

static int add_event(struct channel *channel, int fd, int event)
{
	struct io_uring_sqe *entry;
	int ret = get_entry(channel, &entry);

	if (ret)
		return ret;
	io_uring_prep_poll_add(entry, fd, POLLIN);
	entry->user_data = (uint64_t)event;
	return 0;
}

/* ---- the beginning ---- */

static int map_requests(const struct libbdus_ublk *ublk, struct queue *queue)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t most =
		UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublksrv_io_desc);
	const size_t stride = (most + page - 1) / page * page;
	void *memory = mmap(NULL,
			    ublk->queue_depth * sizeof(struct ublksrv_io_desc),
			    PROT_READ, MAP_SHARED | MAP_POPULATE, ublk->char_fd,
			    UBLKSRV_CMD_BUF_OFFSET +
				    (off_t)(queue->number * stride));

	if (memory == MAP_FAILED)
		return libbdus_error_with_errno(errno,
						"Failed to map requests");
	queue->requests = memory;
	return 0;
}

static int fetch_all(const struct libbdus_session *session,
		     struct channel *channel, unsigned int slot)
{
	const struct libbdus_ublk *ublk = session->holding;
	int ret = 0;

	for (unsigned int tag = 0; !ret && tag < ublk->queue_depth; ++tag)
		ret = add_command(channel, UBLK_U_IO_FETCH_REQ, slot,
				  (uint16_t)tag, 0, session->payload_size);
	return ret;
}

/*
 * Begin to wait for requests. If there are to be no partitions, without the privilege that
 * the kernel demands of those who serve if there are, also of udev and others who would
 * have them looked for later. Newer kernels have a flag, but that is about the beginning
 * only.
 */
static int fetch(const struct libbdus_session *session,
		 struct channel *channel)
{
	struct libbdus_privilege privilege = { .is_given_up = false };
	int ret = 0;

	if (session->device.flags & KBDUS_DEVICE_F_NO_PARTITIONS)
		libbdus_privilege_give_up(&privilege);
	for (unsigned int i = 0; !ret && i < channel->queue_count; ++i)
		ret = fetch_all(session, channel, i);
	if (!ret)
		ret = submit(channel);
	libbdus_privilege_take_back(&privilege);
	return ret;
}

/* Let the starter go. */
static int start(const struct libbdus_session *session,
		 struct channel *channel)
{
	const struct libbdus_ublk *ublk = session->holding;
	const int32_t pid = getpid();

	libbdus_record_set_state(ublk->record_fd,
				 session->is_unfinished ?
					 BDUS_DEV_STATE_INITIALIZED :
					 BDUS_DEV_STATE_AVAILABLE, pid);
	if (write(ublk->go_fds[1], &pid, sizeof(pid)) != sizeof(pid))
		return libbdus_error(EIO, "A process was killed.");
	return add_event(channel, ublk->starter.fd, EVENT_STARTER);
}

/* In the thread that serves from now on. */
static int begin(const struct libbdus_session *session,
		 struct channel *channel)
{
	struct libbdus_ublk *ublk = session->holding;
	int ret;

	channel->phase = SERVING;
	ret = libbdus_uring.call_register((unsigned int)channel->ring.ring_fd,
					  IORING_REGISTER_ENABLE_RINGS, NULL,
					  0);
	if (!ret)
		ret = libbdus_uring.register_files(&channel->ring,
						   &ublk->char_fd, 1);
	if (ret < 0)
		return libbdus_error_with_errno(-ret,
						"Failed to set up io_uring");
	/* It only saves time. */
	libbdus_uring.register_ring_fd(&channel->ring);

	for (unsigned int i = 0; !ret && i < channel->queue_count; ++i)
		ret = map_requests(ublk, &channel->queues[i]);
	if (!ret)
		ret = add_event(channel, ublk->stop_fds[0], EVENT_STOP);
	if (!ret)
		ret = fetch(session, channel);
	if (!ret && channel->index == 0)
		ret = start(session, channel);
	return ret;
}

/* ---- requests ---- */

static uint32_t type_of(uint32_t operation, uint32_t flags)
{
	switch (operation) {
	case UBLK_IO_OP_READ:
		return KBDUS_REQUEST_TYPE_READ;
	case UBLK_IO_OP_WRITE:
		return flags & UBLK_IO_F_FUA ? KBDUS_REQUEST_TYPE_FUA_WRITE :
					       KBDUS_REQUEST_TYPE_WRITE;
	case UBLK_IO_OP_FLUSH:
		return KBDUS_REQUEST_TYPE_FLUSH;
	case UBLK_IO_OP_DISCARD:
		return KBDUS_REQUEST_TYPE_DISCARD;
	case UBLK_IO_OP_WRITE_ZEROES:
		return flags & UBLK_IO_F_NOUNMAP ?
			       KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP :
			       KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP;
	default:
		return KBDUS_REQUEST_TYPE_COUNT;
	}
}

static bool is_data(uint32_t type)
{
	return type == KBDUS_REQUEST_TYPE_READ ||
	       type == KBDUS_REQUEST_TYPE_WRITE ||
	       type == KBDUS_REQUEST_TYPE_FUA_WRITE;
}

/* Answer a request. There is a handle for it, so that it is one of ours. */
static int answer(const struct libbdus_session *session,
		  struct channel *channel,
		  const struct libbdus_request *request, int error)
{
	const uint64_t whose = request->handle - 1;
	int32_t result = -error;

	if (!error && is_data(request->type))
		result = (int32_t)request->length;
	++channel->held_back;
	return add_command(channel, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
			   SLOT_OF(whose), TAG_OF(whose), result,
			   session->payload_size);
}

/* Whether a callback may get what was asked for: never anything else, whatever was
 * done to the device. 0 or an errno value for the client. */
static int check(const struct libbdus_session *session,
		 const struct libbdus_request *request)
{
	const struct kbdus_device_config *device = &session->device;
	const uint64_t size = device->size;

	if (request->type >= KBDUS_REQUEST_TYPE_COUNT ||
	    !(device->operations & UINT32_C(1) << request->type))
		return EOPNOTSUPP;
	if (request->type == KBDUS_REQUEST_TYPE_FLUSH)
		return 0;
	if (!request->length || request->offset > size ||
	    request->length > size - request->offset ||
	    (request->offset | request->length) % device->logical_block_size ||
	    (is_data(request->type) &&
	     request->length > device->max_read_write_size))
		return EIO;
	return 0;
}

static void get_request(const struct libbdus_session *session,
			const struct channel *channel, uint64_t whose,
			struct libbdus_request *out)
{
	const struct queue *queue = &channel->queues[SLOT_OF(whose)];
	const uint16_t tag = TAG_OF(whose);
	const struct ublksrv_io_desc *request = &queue->requests[tag];
	const uint32_t type = type_of(request->op_flags & 0xff,
				      request->op_flags);

	*out = (struct libbdus_request){
		.handle = whose + 1,
		.type = type,
	};
	if (type != KBDUS_REQUEST_TYPE_FLUSH) {
		out->offset = request->start_sector * 512;
		out->length = request->nr_sectors * 512;
	}
	if (is_data(type))
		out->payload = queue->payloads +
			       (size_t)tag * session->payload_size;
}

/*
 * Whether answers may wait until the next callback has returned. One that has something
 * to wait for might wait for them.
 */
static bool may_hold_back(const struct channel *channel,
			  const struct libbdus_request *next)
{
	return channel->is_quick && channel->held_back < MOST_HELD_BACK &&
	       (next->type == KBDUS_REQUEST_TYPE_READ ||
		next->type == KBDUS_REQUEST_TYPE_WRITE);
}

/* ---- exchange ---- */

static void notify(struct libbdus_request *request, uint32_t type)
{
	*request = (struct libbdus_request){ .type = type };
}

/* Submit what there is, and wait for a result. */
static int wait_for_results(struct channel *channel)
{
	const int ret = libbdus_uring.submit_and_wait(&channel->ring, 1);

	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
		return libbdus_error_with_errno(-ret,
			"Failed to wait for a request");
	}
	if (ret >= 0)
		channel->held_back = 0;
	channel->handed_out_at = libbdus_now_ns();
	return 0;
}

/* The starter has ended. Returns 1 if the worker gets to know. */
static int end_starting(const struct libbdus_session *session,
			struct channel *channel,
			struct libbdus_request *request)
{
	struct libbdus_ublk *ublk = session->holding;
	const int ret = libbdus_ublk_end_starting(session);

	/* Perhaps because somebody destroyed the device. */
	if (ret && channel->phase == ENDING)
		return 0;
	if (ret)
		return ret;
	if (!take_turn(&ublk->gate)) {
		channel->phase = ENDING;
		return 0;
	}
	channel->has_turn = true;
	notify(request, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	return 1;
}

/* There is a request. Returns 1 if the worker gets it. */
static int take_request(const struct libbdus_session *session,
			struct channel *channel, uint64_t whose,
			struct libbdus_request *request)
{
	struct libbdus_ublk *ublk = session->holding;
	int error;
	int ret;

	get_request(session, channel, whose, request);
	error = check(session, request);
	if (error)
		return answer(session, channel, request, error);

	if (channel->held_back && !may_hold_back(channel, request)) {
		ret = submit(channel);
		if (ret)
			return ret;
	}
	if (!is_open(&ublk->gate)) {
		if (!take_turn(&ublk->gate)) {
			channel->phase = ENDING;
			return 0;
		}
		channel->has_turn = true;
	}
	return 1;
}

/* Look at a result. Returns 1 if there is something for the worker. */
static int take(const struct libbdus_session *session,
		struct channel *channel, uint64_t whose, int result,
		struct libbdus_request *request)
{
	if (whose == (uint64_t)EVENT_STARTER)
		return end_starting(session, channel, request);
	if (whose == (uint64_t)EVENT_STOP || result == UBLK_IO_RES_ABORT) {
		channel->phase = ENDING;
		return 0;
	}
	if (result != UBLK_IO_RES_OK) {
		return libbdus_error_with_errno(result < 0 ? -result : EIO,
			"Failed to receive a request");
	}
	return take_request(session, channel, whose, request);
}

/* Note how long the callback took, and let others have theirs. */
static int finish(const struct libbdus_session *session,
		  struct channel *channel,
		  const struct libbdus_request *request, int error)
{
	struct libbdus_ublk *ublk = session->holding;
	const uint64_t now = libbdus_now_ns();
	int ret;

	channel->is_quick = now - channel->handed_out_at < QUICK_NS;
	channel->handed_out_at = now;
	ret = answer(session, channel, request, error);
	if (!ret && channel->has_turn) {
		ret = submit(channel);
		channel->has_turn = false;
		end_turn(&ublk->gate);
	}
	return ret;
}

static int ublk_exchange(const struct libbdus_session *session, void *argument,
			 struct libbdus_request *request, int error)
{
	struct channel *channel = argument;
	uint64_t whose;
	int result;
	int ret = 0;

	if (channel->phase == NEW)
		ret = begin(session, channel);
	if (!ret && request->handle)
		ret = finish(session, channel, request, error);

	while (!ret && channel->phase == SERVING) {
		if (libbdus_ublk_take_result(&channel->ring, &whose, &result))
			ret = take(session, channel, whose, result, request);
		else
			ret = wait_for_results(channel);
	}

	if (ret)
		return ret < 0 ? ret : 0;
	notify(request, KBDUS_REQUEST_TYPE_TERMINATE);
	return 0;
}

/* Everybody may serve. Called in the thread that has the turn. */
static void ublk_settle(const struct libbdus_session *session)
{
	struct libbdus_ublk *ublk = session->holding;

	pthread_mutex_lock(&ublk->gate.lock);
	__atomic_store_n(&ublk->gate.is_open, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&ublk->gate.changed);
	pthread_mutex_unlock(&ublk->gate.lock);
}

const struct libbdus_protocol libbdus_protocol_ublk = {
	.name = "ublk",
	.settle = ublk_settle,
	.open = ublk_open_channel,
	.exchange = ublk_exchange,
	.leave = ublk_leave,
	.close = ublk_close_channel,
	.needs_all_workers = true,
};

#else

const struct libbdus_protocol libbdus_protocol_ublk = { .name = "ublk" };

#endif
