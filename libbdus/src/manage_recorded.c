/* SPDX-License-Identifier: MIT */

/*
 * manage_recorded.c: what is done to devices that no module of ours keeps track of.
 *
 * Called by manage.c in any process, and for what is the same there by backends in the
 * driver's. All is known from the device's record; what differs from backend to backend
 * is in a few hooks, struct libbdus_recorded, in manage_<backend>.c. Whoever takes a
 * device apart has its record locked, and says first that it is over. If clients keep
 * something of it, the record stays behind as terminated, and whoever looks at it later
 * tries again. Owns nothing.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

/* Fail, because there is no such device any more. */
int libbdus_recorded_is_gone(uint64_t dev_id)
{
	return libbdus_error(ENODEV,
		"The device with id %" PRIu64 " no longer exists.", dev_id);
}

static int is_not_yet_available(uint64_t dev_id)
{
	return libbdus_error(EBUSY,
		"The device with id %" PRIu64 " is not yet available.", dev_id);
}

/* ---- the end of a device ---- */

/* The same for a device that is locked. */
static int take_apart_locked(const struct libbdus_backend *backend,
			     uint64_t dev_id, enum libbdus_occasion occasion)
{
	struct libbdus_record record;
	int ret;

	if (libbdus_record_read(dev_id, &record)) {
		/* Somebody was faster, or its driver failed while creating it. */
		libbdus_record_remove(dev_id);
		return 0;
	}

	libbdus_record_set_terminated(dev_id);
	ret = backend->recorded->take_apart(&record, occasion);
	if (!ret)
		libbdus_record_remove(dev_id);
	return ret > 0 ? 0 : ret;
}

/* Take a device apart, or what is left of it. */
static int take_apart(const struct libbdus_backend *backend, uint64_t dev_id,
		      enum libbdus_occasion occasion)
{
	int lock;
	int ret;

	ret = libbdus_record_lock(dev_id, &lock);
	if (ret)
		return ret == -ENODEV ? 0 : ret;
	ret = take_apart_locked(backend, dev_id, occasion);
	close(lock);
	return ret;
}

/*
 * In the driver's process, which is about to end: take the device apart, unless somebody
 * else does or somebody else may serve it. Without privileges all that can be done is to
 * say that it is over; whoever looks at the record next does the rest. The message stays
 * that of what happened before.
 */
void libbdus_recorded_end(const struct libbdus_backend *backend,
			  const struct libbdus_session *session, int record_fd)
{
	const uint64_t dev_id = session->device.seqnum;
	struct libbdus_record record;
	struct libbdus_error error;

	if ((session->device.flags & KBDUS_DEVICE_F_RECOVERABLE) &&
	    !session->is_unfinished)
		return;

	libbdus_error_save(&error);
	if (geteuid() != 0)
		libbdus_record_set_state(record_fd, BDUS_DEV_STATE_TERMINATED,
					 0);
	else if (libbdus_record_read(dev_id, &record) ||
		 record.state != BDUS_DEV_STATE_TERMINATED)
		take_apart(backend, dev_id, LIBBDUS_DRIVER_ENDS);
	libbdus_error_restore(&error);
}

/* Read what there is. What had been kept by clients and is not any more is taken away:
 * then it is as if it had never been looked at. */
static int look(const struct libbdus_backend *backend, uint64_t dev_id,
		struct libbdus_record *record)
{
	int ret = libbdus_record_read(dev_id, record);

	if (!ret && record->state == BDUS_DEV_STATE_TERMINATED) {
		take_apart(backend, dev_id, LIBBDUS_LOOKED_AT);
		ret = libbdus_record_read(dev_id, record);
	}
	return ret;
}

/* ---- successors ---- */

/*
 * Read the record of a device that is available and can have another driver; wait for
 * that to be so if it is wanted, or for a signal.
 */
int libbdus_recorded_await(const struct libbdus_session *session,
			   uint64_t dev_id, struct libbdus_record *record)
{
	for (;;) {
		const int ret = libbdus_record_read(dev_id, record);

		if (ret)
			return ret;
		if (record->state == BDUS_DEV_STATE_TERMINATED ||
		    (!record->is_driven && !(record->device.flags &
					     KBDUS_DEVICE_F_RECOVERABLE)))
			return libbdus_recorded_is_gone(dev_id);
		if (record->state == BDUS_DEV_STATE_AVAILABLE)
			return 0;
		if (!session->wait_until_available || !record->is_driven)
			return is_not_yet_available(dev_id);
		if (!libbdus_pause()) {
			return libbdus_error_with_errno(EINTR,
				"Failed to take over device %" PRIu64, dev_id);
		}
	}
}

/* ---- what anybody may ask for ---- */

static int recorded_flush(const struct libbdus_backend *backend,
			  uint64_t dev_id)
{
	struct libbdus_record record;
	int ret = look(backend, dev_id, &record);

	if (ret)
		return ret;
	if (record.state == BDUS_DEV_STATE_TERMINATED)
		return libbdus_recorded_is_gone(dev_id);
	if (!record.is_driven) {
		return libbdus_error(EIO,
			"The device with id %" PRIu64 " has no driver any more.",
			dev_id);
	}
	if (record.state == BDUS_DEV_STATE_INITIALIZED)
		return is_not_yet_available(dev_id);
	if (!(record.device.operations & KBDUS_OP_WRITE_LIKE))
		return 0;
	return libbdus_disk_flush(record.path);
}

static int recorded_destroy(const struct libbdus_backend *backend,
			    uint64_t dev_id)
{
	int ret = 0;

	if (backend->recorded->delegate)
		ret = backend->recorded->delegate(dev_id);
	if (ret)
		return ret > 0 ? 0 : ret;
	return take_apart(backend, dev_id, LIBBDUS_DESTROYED);
}

static int recorded_terminate_driver(const struct libbdus_backend *backend,
				     uint64_t dev_id)
{
	struct libbdus_record record;
	int ret = look(backend, dev_id, &record);

	if (!ret)
		backend->recorded->terminate_driver(&record);
	return ret;
}

static void count_requests(const struct libbdus_recorded *hooks,
			   const struct libbdus_record *record,
			   struct bdus_dev_info *info)
{
	uint32_t waiting;

	if (hooks->has_device && !hooks->has_device(record))
		return;

	waiting = hooks->count_waiting ?
			  hooks->count_waiting(record) :
			  libbdus_disk_count_waiting(record->path);
	if (record->is_driven)
		info->requests_with_driver_now = waiting;
	else
		info->requests_queued_now = waiting;
	info->requests = libbdus_disk_count_answered(record->path) + waiting;
}

static int recorded_get_info(const struct libbdus_backend *backend,
			     uint64_t dev_id, struct bdus_dev_info *info)
{
	struct kbdus_device_info found = { .state = 0 };
	struct libbdus_record record;
	int ret = look(backend, dev_id, &record);

	if (ret)
		return ret;

	found.config.device = record.device;
	found.state = record.state;
	found.service = libbdus_record_service(&record);
	found.driver_pid = record.driver_pid;
	found.read_only = !(record.device.operations & KBDUS_OP_WRITE_LIKE);

	libbdus_info_translate(&found, info);
	snprintf(info->path, sizeof(info->path), "%s", record.path);
	snprintf(info->backend, sizeof(info->backend), "%s", record.backend);
	info->sessions = 1;
	count_requests(backend->recorded, &record, info);
	return 0;
}

const struct libbdus_management libbdus_management_recorded = {
	.flush = recorded_flush,
	.destroy = recorded_destroy,
	.terminate_driver = recorded_terminate_driver,
	.get_info = recorded_get_info,
};
