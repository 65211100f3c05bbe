/* SPDX-License-Identifier: MIT */

/*
 * backend_kbdus.c: devices that the module kbdus makes.
 *
 * Called by run.c, and by workers to stop each other. Requests do not pass
 * through here: they go from the control file to the session's protocol. Owns
 * the control file, from open to close; whoever holds it is the driver. No
 * locks: nothing changes after a session has begun.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

static int kbdus_open(struct libbdus_session *session)
{
	int ret;

	ret = libbdus_control_open_checked(&session->fd);
	if (ret)
		return ret;

	ret = libbdus_protocol_choose(LIBBDUS_PROTOCOL_PARAMETER,
				      secure_getenv("BDUS_PROTOCOL"),
				      &session->protocol);
	if (ret)
		close(session->fd);

	return ret;
}

static int kbdus_describe(const struct libbdus_session *session,
			  uint64_t dev_id, struct kbdus_device_config *device)
{
	struct kbdus_device_info info;
	int ret;

	ret = libbdus_control_get_info(session->fd, dev_id, &info);
	if (!ret)
		*device = info.config.device;

	return ret;
}

static int set_protocol(struct libbdus_session *session,
			struct kbdus_protocol_config *config)
{
	snprintf(config->name, sizeof(config->name), "%s",
		 session->protocol->name);

	return session->protocol->prepare ?
		       session->protocol->prepare(session, config) : 0;
}

static int begin_protocol(struct libbdus_session *session,
			  const struct kbdus_protocol_config *config)
{
	return session->protocol->begin ?
		       session->protocol->begin(session, config) : 0;
}

/* Take over what the module made of the configuration. */
static void set_config(struct libbdus_session *session,
		       const struct kbdus_config *config)
{
	session->device = config->device;
	session->payload_size = config->protocol.payload_size;
	snprintf(session->path, sizeof(session->path), LIBBDUS_NODE_FORMAT,
		 (uint64_t)config->device.seqnum);
}

/* A device without requests has no use for a queue. */
static void deepen_queue(const struct libbdus_session *session,
			 struct kbdus_device_config *device)
{
	const uint32_t least = session->protocol->least_depth;

	if (!session->is_depth_wanted && device->operations &&
	    device->max_outstanding_requests < least)
		device->max_outstanding_requests = least;
}

static int kbdus_create(struct libbdus_session *session)
{
	struct kbdus_config config = { .device = session->device };
	int ret;

	deepen_queue(session, &config.device);
	ret = set_protocol(session, &config.protocol);
	if (ret)
		return ret;

	if (ioctl(session->fd, KBDUS_IOCTL_CREATE_DEVICE, &config) < 0) {
		if (errno == ENOSPC) {
			return libbdus_error(ENOSPC,
				"There are too many devices.");
		}
		return libbdus_error_with_errno(errno,
			"Failed to create the device");
	}

	set_config(session, &config);
	session->is_unfinished = true;
	return begin_protocol(session, &config.protocol);
}

static int attach_error(int errnum, uint64_t dev_id)
{
	switch (errnum) {
	case ENODEV:
		return libbdus_error(ENODEV,
			"The device with id %" PRIu64 " no longer exists.",
			dev_id);
	case EBUSY:
		return libbdus_error(EBUSY,
			"The device with id %" PRIu64 " is not yet available.",
			dev_id);
	case EINPROGRESS:
		return libbdus_error(EINPROGRESS,
			"Another driver is about to take over the device with id %"
			PRIu64 ".", dev_id);
	default:
		return libbdus_error_with_errno(errnum,
			"Failed to take over device %" PRIu64, dev_id);
	}
}

/*
 * May wait for the present driver. A signal ends that with EINTR, which is left
 * to the user: by then the present driver has been told to leave.
 */
static int kbdus_attach(struct libbdus_session *session, uint64_t dev_id)
{
	struct kbdus_attachment attachment = {
		.config.device.seqnum = dev_id,
		.leave_timeout_ms = session->leave_timeout_ms,
	};
	int ret;

	if (session->wait_until_available)
		attachment.flags |= KBDUS_ATTACH_F_WAIT_AVAILABLE;
	ret = set_protocol(session, &attachment.config.protocol);
	if (ret)
		return ret;

	if (ioctl(session->fd, KBDUS_IOCTL_ATTACH_TO_DEVICE, &attachment) < 0)
		return attach_error(errno, dev_id);

	set_config(session, &attachment.config);
	return begin_protocol(session, &attachment.config.protocol);
}

/* Needs no privileges for the session's own device, and cannot fail for it. */
static void kbdus_stop(const struct libbdus_session *session)
{
	uint64_t seqnum = session->device.seqnum;

	ioctl(session->fd, KBDUS_IOCTL_REQUEST_SESSION_TERMINATION, &seqnum);
}

static void kbdus_mark_successful(const struct libbdus_session *session)
{
	ioctl(session->fd, KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL);
}

/*
 * Wait until a device is gone that goes on its own. Does its best without
 * privileges, which callbacks may have dropped.
 */
static void await_destruction(uint64_t seqnum)
{
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		ioctl(fd, KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED, &seqnum);
		close(fd);
	}
}

static void kbdus_close(struct libbdus_session *session)
{
	if (session->protocol->end)
		session->protocol->end(session);
	close(session->fd);

	if (session->is_unfinished)
		await_destruction(session->device.seqnum);
}

const struct libbdus_backend libbdus_backend_kbdus = {
	.traits = {
		.name = "kbdus",
		.node = "/dev/bdus-N",
		.min_kernel = "5.10",
		.is_built_in = true,
		.has_recovery = true,
		.has_replacement = true,
		.has_time_out = true,
		.has_orphan_time_out = true,
		.removes_while_open = true,
		.has_fua_write = true,
		.has_discard = true,
		.has_secure_erase = true,
		.has_ioctl = true,
	},
	.management = &libbdus_management_kbdus,
	.open = kbdus_open,
	.describe = kbdus_describe,
	.create = kbdus_create,
	.attach = kbdus_attach,
	.stop = kbdus_stop,
	.mark_successful = kbdus_mark_successful,
	.close = kbdus_close,
};
