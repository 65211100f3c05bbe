/* SPDX-License-Identifier: MIT */

/*
 * attach_ublk.c: how a driver takes over a ublk device.
 *
 * Called by run.c, through the table in backend_ublk.c. The present driver is told to end,
 * and killed if it does not in time. The kernel keeps the requests of a recoverable device
 * meanwhile and gives them to whoever serves its queues next.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ublk.h"

/* How long a driver may take to leave if nobody said. */
#define LEAVE_TIMEOUT_MS 30000

int libbdus_ublk_describe(const struct libbdus_session *session, uint64_t dev_id,
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
int libbdus_ublk_attach(struct libbdus_session *session, uint64_t dev_id)
{
	struct libbdus_ublk *ublk = libbdus_ublk_make_holding(session);
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
		ret = libbdus_ublk_begin_session(session, UBLK_U_CMD_END_USER_RECOVERY);
	close(claim);
	return ret;
}

#endif
