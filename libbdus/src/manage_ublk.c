/* SPDX-License-Identifier: MIT */

/*
 * manage_ublk.c: what the backend "ublk" adds to manage_recorded.c.
 *
 * When a driver dies, the kernel removes the node, or has requests wait if the device is
 * recoverable. Whoever takes a device apart tells the driver to end first: removing a
 * disk waits for requests, and only its driver, or its death, can end them. So one that
 * does not end is killed. What else may wait is done by a child. Owns nothing.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "ublk.h"

/* How long a driver may take to answer what it has in hand when its device is
 * destroyed, and until one that was killed is gone. */
#define STOP_TIMEOUT_MS 2000
#define KILL_TIMEOUT_MS 5000

void libbdus_ublk_kill_driver(uint64_t dev_id)
{
	struct libbdus_record record;

	/* As it is now: it may be another process than when it was asked. */
	if (!libbdus_record_read(dev_id, &record) && record.driver_pid > 1)
		kill((int)record.driver_pid, SIGKILL);
}

static bool stops_serving(uint64_t dev_id, uint64_t timeout_ms)
{
	const uint64_t end = libbdus_now_ms() + timeout_ms;

	while (libbdus_record_is_serving(dev_id)) {
		if (libbdus_now_ms() >= end)
			return false;
		libbdus_pause();
	}
	return true;
}

/* Have the driver stop serving, by all means. */
static void end_driver(uint64_t dev_id)
{
	libbdus_record_ask_to_stop(dev_id);
	if (stops_serving(dev_id, STOP_TIMEOUT_MS))
		return;
	libbdus_ublk_kill_driver(dev_id);
	stops_serving(dev_id, KILL_TIMEOUT_MS);
}

/* ---- removing the kernel's part ---- */

/* The child's descriptor. */
enum { CHILD_CONTROL };

/* What it gets to remove. */
struct removal {
	uint32_t number;
};

static struct libbdus_outcome remove_disk(const void *argument)
{
	const struct removal *removal = argument;
	int ret;

	ret = libbdus_ublk_tell(CHILD_CONTROL, UBLK_U_CMD_STOP_DEV,
				removal->number, NULL, 0);
	if (!ret)
		ret = libbdus_ublk_tell(CHILD_CONTROL, UBLK_U_CMD_DEL_DEV_ASYNC,
					removal->number, NULL, 0);
	return (struct libbdus_outcome){ .error = ret == -ENODEV ? 0 : -ret };
}

/* Remove a device, from whose driver nothing is to be expected any more. */
static int remove_device(int control_fd, uint32_t number)
{
	const struct removal removal = { .number = number };
	const struct libbdus_task task = {
		.run = remove_disk,
		.argument = &removal,
		.fds = { control_fd, -1, -1, -1, -1, -1 },
	};
	struct libbdus_outcome outcome;
	struct libbdus_child child;
	struct pollfd poll_fd;
	int count;
	int ret;

	ret = libbdus_child_start(&task, &child);
	if (ret)
		return ret;

	poll_fd = (struct pollfd){ .fd = child.fd, .events = POLLIN };
	do {
		count = poll(&poll_fd, 1, UBLK_KERNEL_TIMEOUT_MS);
	} while (count < 0 && errno == EINTR);
	if (count <= 0) {
		close(child.fd);
		return libbdus_error(ETIMEDOUT,
			"The kernel does not remove " LIBBDUS_UBLK_NODE_FORMAT
			".", number);
	}

	ret = libbdus_child_end(&child, &outcome);
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to remove " LIBBDUS_UBLK_NODE_FORMAT, number);
	}
	return ret;
}

static int take_apart(const struct libbdus_record *record,
		      enum libbdus_occasion occasion)
{
	const uint32_t number = record->numbers[LIBBDUS_UBLK_NUMBER];
	struct ublksrv_ctrl_dev_info info;
	int control_fd;
	int ret;

	/* Its driver is about to do so. */
	if (occasion == LIBBDUS_LOOKED_AT && record->is_driven)
		return 1;
	if (occasion == LIBBDUS_DESTROYED)
		end_driver(record->device.seqnum);

	ret = libbdus_ublk_load();
	if (!ret)
		ret = libbdus_ublk_open_control(&control_fd);
	/* Without the module there are no devices. */
	if (ret)
		return ret == -ENOENT ? 0 : ret;

	if (libbdus_ublk_get_own(control_fd, number, record->mark, &info))
		ret = remove_device(control_fd, number);
	close(control_fd);
	return ret;
}

#else

static int take_apart(const struct libbdus_record *record,
		      enum libbdus_occasion occasion)
{
	(void)record;
	(void)occasion;

	return libbdus_error(EOPNOTSUPP,
		"This libbdus was built without liburing.");
}

#endif

static void terminate_driver(const struct libbdus_record *record)
{
	libbdus_record_ask_to_stop(record->device.seqnum);
}

const struct libbdus_recorded libbdus_recorded_ublk = {
	.terminate_driver = terminate_driver,
	.take_apart = take_apart,
};
