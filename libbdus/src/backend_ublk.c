/* SPDX-License-Identifier: MIT */

/*
 * backend_ublk.c: devices that the kernel's own module for block devices in user
 * space makes.
 *
 *     client -> /dev/ublkbN -> ublk_drv -> a ring per worker -> protocol_ublk.c
 *
 * Called by run.c. A device is made before its driver initializes, but becomes available
 * only when threads wait for its requests, see starter_ublk.c; attach_ublk.c is for
 * successors. When the driver dies, the record, by which the rest is found, says that there
 * is none; for that see manage_ublk.c. Owns struct libbdus_ublk from create or attach to
 * close.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ublk.h"

/* Of each queue: enough for clients to be served in batches. */
#define QUEUE_DEPTH 128

/* As the kernel has them. */
#define NUMBER_COUNT (1 << 20)

/* ---- open ---- */

static int ublk_open(struct libbdus_session *session)
{
	int ret = libbdus_require_root();

	if (!ret)
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

/* ---- create ---- */

/* Make the session's struct libbdus_ublk, with nothing in it; NULL if there is no memory. */
struct libbdus_ublk *libbdus_ublk_make_holding(struct libbdus_session *session)
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
int libbdus_ublk_begin_session(struct libbdus_session *session,
			       uint32_t operation)
{
	struct libbdus_ublk *ublk = session->holding;
	int ret;

	session->payload_size = transfer_size(&session->device);
	ret = open_requests(session);
	if (!ret)
		ret = libbdus_record_make_stop(session->device.seqnum,
					       ublk->stop_fds);
	if (!ret)
		ret = libbdus_ublk_begin_starting(session, operation);
	return ret;
}

static int ublk_create(struct libbdus_session *session)
{
	struct libbdus_record record;
	struct libbdus_ublk *ublk;
	int ret;

	adjust(session);
	ublk = libbdus_ublk_make_holding(session);
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
		ret = libbdus_ublk_begin_session(session, UBLK_U_CMD_START_DEV);
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

static void ublk_close(struct libbdus_session *session)
{
	struct libbdus_ublk *ublk = session->holding;
	struct libbdus_error error;

	libbdus_error_save(&error);
	if (ublk) {
		libbdus_close(&ublk->char_fd);
		libbdus_close(&ublk->stop_fds[0]);
		libbdus_close(&ublk->stop_fds[1]);
		libbdus_ublk_abandon_starting(ublk);
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
	.describe = libbdus_ublk_describe,
	.create = ublk_create,
	.attach = libbdus_ublk_attach,
	.stop = ublk_stop,
	.mark_successful = ublk_mark_successful,
	.close = ublk_close,
#endif
	.serves_in_one_process = true,
};
