/* SPDX-License-Identifier: MIT */

/*
 * backend_ublk.c: devices that the kernel's own module for block devices in user
 * space makes.
 *
 *     client -> /dev/ublkbN -> ublk_drv -> a ring per worker -> protocol_ublk.c
 *
 * Called by run.c, and by manage.c from any process. A device is made before its
 * driver initializes, but becomes available only when threads wait for its requests.
 * What makes it so waits for them, and for the partition table to be read; and the
 * driver may have no privileges any more by then. So a child does that, which is
 * there from the beginning: the starter.
 *
 * When the driver dies, the kernel removes the node, or has requests wait if the device is
 * recoverable. The record, by which the rest is found, says then that there is no
 * driver. Whoever takes a device apart has the record locked, and tells the driver to
 * end first: removing a disk waits for requests, and only its driver, or its death,
 * can end them. So one that does not end is killed. Owns struct libbdus_ublk from
 * create or attach to close.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ublk.h"

/* Of each queue: enough for clients to be served in batches. */
#define QUEUE_DEPTH 128

/* As the kernel has them. */
#define NUMBER_COUNT (1 << 20)

/* How long a driver may take to leave if nobody said. */
#define LEAVE_TIMEOUT_MS 30000

/* Steps of the starter. */
enum { STEP_RING, STEP_WAIT, STEP_START };

/* What the starter waits for. */
enum { EVENT_HANGUP = 1, EVENT_STARTED };

/* ---- open ---- */

static int ublk_open(struct libbdus_session *session)
{
	int ret;

	if (geteuid() != 0) {
		return libbdus_error(EPERM,
			"Insufficient privileges: the effective user is not root.");
	}

	ret = libbdus_ublk_load();
	if (!ret)
		ret = libbdus_ublk_open_control(&session->fd);
	if (!ret)
		session->protocol = &libbdus_protocol_ublk;
	return ret;
}

/* ---- the kernel's part of a device ---- */

static uint32_t page_size(void)
{
	return (uint32_t)sysconf(_SC_PAGESIZE);
}

/* What a request carries at most: whole pages, and never nothing. */
static uint32_t transfer_size(const struct kbdus_device_config *device)
{
	const uint32_t page = page_size();
	const uint32_t size = device->max_read_write_size;

	return size > page ? (size + page - 1) / page * page : page;
}

static void adjust(struct libbdus_session *session)
{
	struct kbdus_device_config *device = &session->device;
	const long processors = sysconf(_SC_NPROCESSORS_CONF);

	libbdus_attrs_adjust(device);
	/* The kernel makes no more queues than that, and a queue is one thread's. */
	session->workers_limit = session->workers_wanted;
	if (processors > 0 && session->workers_limit > (uint32_t)processors)
		session->workers_limit = (uint32_t)processors;
	if (!device->operations)
		session->workers_limit = 1;
}

static uint8_t shift_of(uint32_t power_of_two)
{
	return (uint8_t)__builtin_ctz(power_of_two);
}

static uint32_t attributes_of(const struct kbdus_device_config *device)
{
	uint32_t attributes = 0;

	if (!(device->operations & KBDUS_OP_WRITE_LIKE))
		attributes |= UBLK_ATTR_READ_ONLY;
	if (device->operations & KBDUS_OP(FLUSH)) {
		attributes |= UBLK_ATTR_VOLATILE_CACHE;
		if (device->operations & KBDUS_OP(FUA_WRITE))
			attributes |= UBLK_ATTR_FUA;
	}
	return attributes;
}

static void describe_parameters(const struct kbdus_device_config *device,
				struct ublk_params *out)
{
	const uint32_t page = page_size();
	const uint32_t transfer = device->max_read_write_size > page ?
					  device->max_read_write_size : page;
	const bool discards = device->operations & KBDUS_OP(DISCARD);

	*out = (struct ublk_params){
		.len = sizeof(*out),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			.attrs = attributes_of(device),
			.logical_bs_shift =
				shift_of(device->logical_block_size),
			.physical_bs_shift =
				shift_of(device->physical_block_size),
			.io_min_shift = shift_of(device->physical_block_size),
			.io_opt_shift = shift_of(device->physical_block_size),
			.max_sectors = transfer / 512,
			.dev_sectors = device->size / 512,
		},
	};

	if (!discards && !device->max_write_zeros_size)
		return;
	out->types |= UBLK_PARAM_TYPE_DISCARD;
	out->discard = (struct ublk_param_discard){
		.discard_granularity = device->logical_block_size,
		.max_discard_sectors =
			discards ? device->max_discard_erase_size / 512 : 0,
		.max_write_zeroes_sectors = device->max_write_zeros_size / 512,
		.max_discard_segments = 1,
	};
}

static uint64_t flags_of(const struct kbdus_device_config *device)
{
	uint64_t flags = UBLK_F_CMD_IOCTL_ENCODE;

	if (device->flags & KBDUS_DEVICE_F_RECOVERABLE)
		flags |= UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
	return flags;
}

static bool is_number_taken(uint32_t number)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/ublk-char/ublkc%" PRIu32,
		 number);
	return !access(path, F_OK);
}

static void set_number(struct libbdus_session *session,
		       struct libbdus_record *record, uint32_t number)
{
	struct libbdus_ublk *ublk = session->holding;

	ublk->number = number;
	session->device.index = number;
	snprintf(session->path, sizeof(session->path), LIBBDUS_UBLK_NODE_FORMAT,
		 number);
	record->numbers[LIBBDUS_UBLK_NUMBER] = number;
	memcpy(record->path, session->path, sizeof(record->path));
}

/*
 * Have the kernel make the device, with the first number that is free. It is recorded
 * before, so that it is found if we die; that it is ours is seen by its mark.
 */
static int add_device(struct libbdus_session *session,
		      struct libbdus_record *record,
		      struct ublksrv_ctrl_dev_info *info)
{
	uint32_t number;
	int ret = -EEXIST;

	for (number = 0; ret == -EEXIST && number < NUMBER_COUNT; ++number) {
		if (is_number_taken(number))
			continue;

		set_number(session, record, number);
		record->device = session->device;
		ret = libbdus_record_write(record);
		if (ret)
			return ret;

		*info = (struct ublksrv_ctrl_dev_info){
			.nr_hw_queues = (uint16_t)session->workers_limit,
			.queue_depth = QUEUE_DEPTH,
			.max_io_buf_bytes = transfer_size(&session->device),
			.dev_id = number,
			.flags = flags_of(&session->device),
			.ublksrv_flags = record->mark,
		};
		ret = libbdus_ublk_tell(session->fd, UBLK_U_CMD_ADD_DEV, number, info,
			      sizeof(*info));
	}

	if (ret == -EEXIST)
		return libbdus_error(ENOSPC, "There are too many ublk devices.");
	if (ret)
		return libbdus_error_with_errno(-ret,
						"Failed to add a ublk device");
	return 0;
}

static int make_device(struct libbdus_session *session,
		       struct libbdus_record *record)
{
	struct kbdus_device_config *device = &session->device;
	struct libbdus_ublk *ublk = session->holding;
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params parameters;
	int ret;

	ret = add_device(session, record, &info);
	if (ret)
		return ret;

	ublk->queue_count = info.nr_hw_queues;
	ublk->queue_depth = info.queue_depth;

	describe_parameters(device, &parameters);
	ret = libbdus_ublk_tell(session->fd, UBLK_U_CMD_SET_PARAMS, ublk->number,
		      &parameters, sizeof(parameters));
	if (ret) {
		return libbdus_error_with_errno(-ret,
			"Failed to set the parameters of %s", session->path);
	}

	session->workers_limit = info.nr_hw_queues;
	device->max_outstanding_requests =
		(uint32_t)info.nr_hw_queues * info.queue_depth;
	record->device = *device;
	return libbdus_record_write(record);
}

/* Get hold of the device's requests, exclusively. Its former driver may need a
 * moment to be gone. */
static int open_requests(const struct libbdus_session *session)
{
	const uint64_t end = libbdus_now_ms() + UBLK_KERNEL_TIMEOUT_MS;
	struct libbdus_ublk *ublk = session->holding;
	char path[LIBBDUS_PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), LIBBDUS_UBLK_CHAR_FORMAT, ublk->number);
	do {
		fd = open(path, O_RDWR | O_CLOEXEC);
	} while (fd < 0 && (errno == EBUSY || errno == EINTR ||
			    errno == ENOENT) &&
		 libbdus_now_ms() < end && (libbdus_pause() || true));

	if (fd < 0)
		return libbdus_error_with_errno(errno, "Failed to open %s",
						path);
	ublk->char_fd = libbdus_daemonize_keep(fd);
	if (ublk->char_fd < 0) {
		return libbdus_error_with_errno(-ublk->char_fd,
						"Failed to keep %s", path);
	}
	return 0;
}

/* ---- the starter ---- */

/* What it does when it is told to. */
struct start {
	uint32_t operation;
	uint32_t number;
};

/* Its descriptors. */
enum { CHILD_CONTROL, CHILD_GO };

static struct libbdus_outcome failure(int step, int error)
{
	return (struct libbdus_outcome){ .error = error, .step = step };
}

/*
 * Make the device available, as soon as all its queues are waited for. Ends at once
 * when the process that was to wait has ended: then nobody can write to the pipe any
 * more.
 */
static struct libbdus_outcome start_device(const void *argument)
{
	const struct start *start = argument;
	struct libbdus_ublk_command command = {
		.operation = start->operation,
		.number = start->number,
	};
	struct io_uring_sqe *entry;
	struct io_uring ring;
	uint64_t whose;
	int32_t pid;
	int result;

	if (read(CHILD_GO, &pid, sizeof(pid)) != sizeof(pid))
		return failure(STEP_WAIT, ECANCELED);
	if (libbdus_ublk_make_ring(&ring, 4, IORING_SETUP_SQE128))
		return failure(STEP_RING, EOPNOTSUPP);

	command.data = (uint64_t)pid;
	if (!libbdus_ublk_add_command(&ring, CHILD_CONTROL, &command,
				      EVENT_STARTED))
		return failure(STEP_RING, EIO);
	entry = io_uring_get_sqe(&ring);
	if (!entry)
		return failure(STEP_RING, EIO);
	/* Only the end of the pipe. */
	io_uring_prep_poll_add(entry, CHILD_GO, 0);
	entry->user_data = EVENT_HANGUP;

	if (!libbdus_ublk_await_result(&ring, &whose, &result))
		return failure(STEP_RING, EIO);
	if (whose == EVENT_HANGUP)
		return failure(STEP_WAIT, ECANCELED);
	return result < 0 ? failure(STEP_START, -result) :
			    (struct libbdus_outcome){ .error = 0 };
}

static int begin_starting(const struct libbdus_session *session,
			  uint32_t operation)
{
	struct libbdus_ublk *ublk = session->holding;
	const struct start start = {
		.operation = operation,
		.number = ublk->number,
	};
	struct libbdus_task task = {
		.run = start_device,
		.argument = &start,
		.fds = { session->fd, -1, -1, -1, -1, -1 },
	};
	int fds[2];
	int ret;

	if (pipe2(fds, O_CLOEXEC))
		return libbdus_error_with_errno(errno, "Failed to make a pipe");
	fds[0] = libbdus_daemonize_keep(fds[0]);
	fds[1] = libbdus_daemonize_keep(fds[1]);

	task.fds[CHILD_GO] = fds[0];
	memcpy(ublk->go_fds, fds, sizeof(fds));
	ret = libbdus_child_start(&task, &ublk->starter);
	if (ret) {
		ublk->starter.fd = -1;
		return ret;
	}
	ublk->starter.fd = libbdus_daemonize_keep(ublk->starter.fd);
	return 0;
}

static void let_go(struct libbdus_ublk *ublk)
{
	libbdus_close(&ublk->go_fds[0]);
	libbdus_close(&ublk->go_fds[1]);
}

/* The numbers of the node are known only when it is there. */
static void get_node(struct libbdus_session *session)
{
	const struct libbdus_ublk *ublk = session->holding;

	if (libbdus_disk_get_numbers(session->path, &session->device.major,
				     &session->device.minor))
		libbdus_record_set_node(ublk->record_fd, session->device.major,
					session->device.minor);
}

/* The starter has ended: say what became of the device. Called by protocol_ublk.c in the
 * thread that began everything. */
int libbdus_ublk_end_starting(const struct libbdus_session *session)
{
	static const char *const steps[] = {
		[STEP_RING] = "set up io_uring for",
		[STEP_WAIT] = "wait for",
		[STEP_START] = "start",
	};
	struct libbdus_ublk *ublk = session->holding;
	struct libbdus_outcome outcome;
	int ret;

	let_go(ublk);
	ret = libbdus_child_end(&ublk->starter, &outcome);
	ublk->starter.fd = -1;
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to %s %s", steps[outcome.step], session->path);
	}
	if (!ret) {
		get_node((struct libbdus_session *)session);
		libbdus_record_set_state(ublk->record_fd,
					 BDUS_DEV_STATE_AVAILABLE, getpid());
	}
	return ret;
}

/* ---- create and attach ---- */

static struct libbdus_ublk *make_holding(struct libbdus_session *session)
{
	struct libbdus_ublk *ublk = malloc(sizeof(*ublk));

	if (!ublk)
		return NULL;
	*ublk = (struct libbdus_ublk){
		.char_fd = -1,
		.record_fd = -1,
		.stop_fds = { -1, -1 },
		.go_fds = { -1, -1 },
		.starter.fd = -1,
		.gate = {
			.lock = PTHREAD_MUTEX_INITIALIZER,
			.changed = PTHREAD_COND_INITIALIZER,
		},
	};
	session->holding = ublk;
	return ublk;
}

/* The device is there, and this will be its driver. */
static int begin_session(struct libbdus_session *session, uint32_t operation)
{
	struct libbdus_ublk *ublk = session->holding;
	int ret;

	session->payload_size = transfer_size(&session->device);
	ret = open_requests(session);
	if (!ret)
		ret = libbdus_record_make_stop(session->device.seqnum,
					       ublk->stop_fds);
	if (!ret)
		ret = begin_starting(session, operation);
	return ret;
}

static int ublk_create(struct libbdus_session *session)
{
	struct libbdus_record record;
	struct libbdus_ublk *ublk;
	int ret;

	adjust(session);
	ublk = make_holding(session);
	if (!ublk)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	ret = libbdus_record_create(libbdus_backend_ublk.traits.name, &record,
				    &ublk->record_fd);
	if (ret)
		return ret;
	session->device.seqnum = record.device.seqnum;
	session->is_unfinished = true;

	ret = make_device(session, &record);
	if (!ret)
		ret = begin_session(session, UBLK_U_CMD_START_DEV);
	return ret;
}

static int ublk_describe(const struct libbdus_session *session, uint64_t dev_id,
			 struct kbdus_device_config *device)
{
	struct libbdus_record record;
	int ret = libbdus_recorded_await(session, dev_id, &record);

	if (ret)
		return ret;
	if (!(record.device.flags & KBDUS_DEVICE_F_RECOVERABLE)) {
		return libbdus_error(EOPNOTSUPP,
			"Backend ublk cannot replace the driver of a device that is not recoverable.");
	}
	*device = record.device;
	return 0;
}

/* Whether a process has not ended with all its threads. */
static bool is_alive(int pid)
{
	char path[64];
	char state = 'X';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = pid > 0 ? fopen(path, "re") : NULL;
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(file);
	return state != 'X' && state != 'Z';
}

/* Have the present driver end and take its place in the record. This waits as long
 * as it may take, or for a signal. */
static int succeed(const struct libbdus_session *session,
		   struct libbdus_ublk *ublk, uint64_t dev_id)
{
	const uint64_t end = libbdus_now_ms() + (session->leave_timeout_ms ?
						 session->leave_timeout_ms :
						 LEAVE_TIMEOUT_MS);
	int ret;

	while ((ret = libbdus_record_claim(dev_id, LIBBDUS_RECORD_DRIVER,
					  &ublk->record_fd)) == -EBUSY) {
		libbdus_record_ask_to_stop(dev_id);
		if (libbdus_now_ms() >= end)
			libbdus_ublk_kill_driver(dev_id);
		if (!libbdus_pause())
			return libbdus_error_with_errno(EINTR, "Interrupted");
	}
	return ret;
}

/*
 * Tell the kernel that there will be another driver. It must have noticed first that
 * there is none, for which the threads of the former one must have ended. EINVAL means
 * that it was told before, by somebody who then failed.
 */
static int start_recovery(const struct libbdus_session *session, uint64_t mark)
{
	const uint64_t end = libbdus_now_ms() + UBLK_KERNEL_TIMEOUT_MS;
	const struct libbdus_ublk *ublk = session->holding;
	struct ublksrv_ctrl_dev_info info;
	int ret;

	for (;;) {
		if (!libbdus_ublk_get_own(session->fd, ublk->number, mark, &info))
			return libbdus_recorded_is_gone(session->device.seqnum);

		ret = -EBUSY;
		if (!is_alive(info.ublksrv_pid))
			ret = libbdus_ublk_tell(session->fd,
				      UBLK_U_CMD_START_USER_RECOVERY,
				      ublk->number, NULL, 0);
		if (!ret || ret == -EINVAL)
			return 0;
		if (ret != -EBUSY || libbdus_now_ms() >= end)
			break;
		libbdus_pause();
	}

	if (ret == -EBUSY) {
		return libbdus_error(EBUSY,
			"The process of the former driver of %s, %d, has not ended.",
			session->path, info.ublksrv_pid);
	}
	return libbdus_error_with_errno(-ret, "Failed to recover %s",
					session->path);
}

static int take_over(struct libbdus_session *session,
		     struct libbdus_ublk *ublk, uint64_t dev_id)
{
	struct ublksrv_ctrl_dev_info info;
	struct libbdus_record record;
	int ret;

	ret = libbdus_recorded_await(session, dev_id, &record);
	if (!ret)
		ret = succeed(session, ublk, dev_id);
	if (!ret)
		ret = libbdus_record_read(dev_id, &record);
	if (ret)
		return ret;
	if (record.state != BDUS_DEV_STATE_AVAILABLE)
		return libbdus_recorded_is_gone(dev_id);

	session->device = record.device;
	memcpy(session->path, record.path, sizeof(session->path));
	ublk->number = record.numbers[LIBBDUS_UBLK_NUMBER];
	libbdus_record_set_state(ublk->record_fd, record.state, getpid());
	ret = start_recovery(session, record.mark);
	if (ret)
		return ret;

	libbdus_ublk_get_own(session->fd, ublk->number, record.mark, &info);
	ublk->queue_count = info.nr_hw_queues;
	ublk->queue_depth = info.queue_depth;
	session->workers_limit = info.nr_hw_queues;
	return 0;
}

/* Nobody else may take the device over meanwhile. */
static int ublk_attach(struct libbdus_session *session, uint64_t dev_id)
{
	struct libbdus_ublk *ublk = make_holding(session);
	int claim;
	int ret;

	if (!ublk)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");

	ret = libbdus_record_claim(dev_id, LIBBDUS_RECORD_SUCCESSOR, &claim);
	if (ret == -EBUSY) {
		return libbdus_error(EINPROGRESS,
			"Another driver is about to take over the device with id %"
			PRIu64 ".", dev_id);
	}
	if (ret)
		return ret;

	ret = take_over(session, ublk, dev_id);
	if (!ret)
		ret = begin_session(session, UBLK_U_CMD_END_USER_RECOVERY);
	close(claim);
	return ret;
}

/* ---- the end of a device ---- */

static void ublk_stop(const struct libbdus_session *session)
{
	struct libbdus_ublk *ublk = session->holding;
	ssize_t written = 0;

	pthread_mutex_lock(&ublk->gate.lock);
	/* Nobody reads any more when all threads have left. */
	if (ublk->stop_fds[0] >= 0)
		written = write(ublk->stop_fds[1], "", 1);
	/* It can only be full of the same. */
	(void)written;
	ublk->gate.is_over = true;
	pthread_cond_broadcast(&ublk->gate.changed);
	pthread_mutex_unlock(&ublk->gate.lock);
}

/* What becomes of the device does not depend on it. */
static void ublk_mark_successful(const struct libbdus_session *session)
{
	(void)session;
}

/* Have the starter end, if the device did not become available. */
static void abandon_starting(struct libbdus_ublk *ublk)
{
	struct libbdus_outcome outcome;

	let_go(ublk);
	if (ublk->starter.fd >= 0)
		libbdus_child_end(&ublk->starter, &outcome);
}

static void ublk_close(struct libbdus_session *session)
{
	struct libbdus_ublk *ublk = session->holding;
	struct libbdus_error error;

	libbdus_error_save(&error);
	if (ublk) {
		libbdus_close(&ublk->char_fd);
		libbdus_close(&ublk->stop_fds[0]);
		libbdus_close(&ublk->stop_fds[1]);
		abandon_starting(ublk);
		if (ublk->record_fd >= 0)
			libbdus_recorded_end(&libbdus_backend_ublk, session,
				     ublk->record_fd);
		libbdus_close(&ublk->record_fd);
		pthread_cond_destroy(&ublk->gate.changed);
		pthread_mutex_destroy(&ublk->gate.lock);
		free(ublk);
	}
	close(session->fd);
	libbdus_error_restore(&error);
}

#else

static int ublk_open(struct libbdus_session *session)
{
	(void)session;

	return libbdus_error(EOPNOTSUPP,
		"This libbdus was built without liburing.");
}

#endif

const struct libbdus_backend libbdus_backend_ublk = {
	.traits = {
		.name = "ublk",
		.node = "/dev/ublkbN",
		.min_kernel = "6.12",
#ifdef LIBBDUS_HAVE_UBLK
		.is_built_in = true,
#endif
		.has_recovery = true,
		.has_replacement = true,
		.removes_while_open = true,
		.has_fua_write = true,
		.has_discard = true,
	},
	.management = &libbdus_management_recorded,
	.recorded = &libbdus_recorded_ublk,
	.open = ublk_open,
#ifdef LIBBDUS_HAVE_UBLK
	.describe = ublk_describe,
	.create = ublk_create,
	.attach = ublk_attach,
	.stop = ublk_stop,
	.mark_successful = ublk_mark_successful,
	.close = ublk_close,
#endif
	.serves_in_one_process = true,
};
