/* SPDX-License-Identifier: MIT */

/*
 * backend_fuse.c: devices where no module can be loaded: a loop device on a file
 * that the driver serves.
 *
 *     client -> /dev/loopN -> loop worker -> FUSE connection -> protocol_fuse.c
 *
 * Called by run.c. The file is the only one of a FUSE mount, see connection_fuse.c. The
 * loop device does direct I/O and the file is not cached, so that the one page cache is
 * the device's.
 *
 * A driver that dies ends the connection by dying. What is left then is the loop device,
 * on which everything fails, and the record by which it is found; for that see
 * manage_fuse.c. Owns struct libbdus_fuse from create to close.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fuse.h"

#define FUSE_PATH "/dev/fuse"

/* What loop devices can have under way. */
#define QUEUE_DEPTH 128

/*
 * Requests of loop devices have up to 128 segments, and FUSE cuts a request where
 * the number of pages that they touch would exceed 256. Up to this size it never
 * does, however the segments lie, which is at multiples of 512 bytes.
 */
#define UNCUT_SIZE (128 * 1024)

/* ---- open ---- */

static int open_fuse(void)
{
	const int fd = open(FUSE_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0) {
		const int kept = libbdus_daemonize_keep(fd);

		return kept >= 0 ? kept : libbdus_error_with_errno(-kept,
			"Failed to keep " FUSE_PATH);
	}
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
		return libbdus_error(ENOENT, FUSE_PATH
			" is missing: the kernel has no FUSE, or its module fuse is not loaded.");
	}
	return libbdus_error_with_errno(errno, "Failed to open " FUSE_PATH);
}

static int fuse_open(struct libbdus_session *session)
{
	int ret = libbdus_require_root();

	if (!ret)
		ret = libbdus_fuse_load();
	if (!ret)
		ret = libbdus_loop_probe();
	if (ret)
		return ret;

	session->fd = open_fuse();
	if (session->fd < 0)
		return session->fd;

	session->protocol = &libbdus_protocol_fuse;
	return 0;
}

/* ---- create ---- */

uint32_t libbdus_fuse_transfer_size(const struct kbdus_device_config *device)
{
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	/* Cutting anywhere does no harm if a block is what everything is a
	 * multiple of anyway. */
	if (device->logical_block_size > 512)
		return KBDUS_MAX_READ_WRITE_SIZE;
	return device->max_read_write_size > page ? device->max_read_write_size :
						    page;
}

static void adjust(struct kbdus_device_config *device)
{
	libbdus_attrs_adjust(device);
	/* Loop devices know no other. */
	device->physical_block_size = device->logical_block_size;
	if (device->logical_block_size > 512 &&
	    device->max_read_write_size > UNCUT_SIZE)
		device->max_read_write_size = UNCUT_SIZE;
	if (device->operations)
		device->max_outstanding_requests = QUEUE_DEPTH;
}

/* Make the file system and find out by what its connection is known. */
static int make_connection(const struct libbdus_session *session,
			   struct libbdus_fuse *fuse,
			   struct libbdus_record *record)
{
	struct statx status;
	int fd;

	fd = libbdus_fuse_mount(session->fd, libbdus_fuse_transfer_size(
						     &session->device));
	if (fd < 0)
		return libbdus_error_with_errno(-fd, "Failed to mount FUSE");
	fuse->mount_fd = libbdus_daemonize_keep(fd);
	if (fuse->mount_fd < 0) {
		return libbdus_error_with_errno(-fuse->mount_fd,
						"Failed to keep a mount");
	}

	/* Nobody answers yet, so it must not ask. */
	if (statx(fuse->mount_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0,
		  &status)) {
		return libbdus_error_with_errno(errno,
						"Failed to look at a mount");
	}
	record->numbers[LIBBDUS_FUSE_CONNECTION] = status.stx_dev_minor;

	fd = libbdus_fuse_open_connection(status.stx_dev_minor, "abort", O_WRONLY);
	if (fd < 0) {
		return libbdus_error_with_errno(-fd,
			"Failed to find a FUSE connection");
	}
	fuse->abort_fd = libbdus_daemonize_keep(fd);
	if (fuse->abort_fd < 0) {
		return libbdus_error_with_errno(-fuse->abort_fd,
						"Failed to keep a file");
	}
	return 0;
}

static void set_number(struct libbdus_session *session,
		       struct libbdus_record *record, uint32_t number)
{
	session->device.index = number;
	snprintf(session->path, sizeof(session->path), LIBBDUS_LOOP_NODE_FORMAT,
		 number);
	record->numbers[LIBBDUS_FUSE_LOOP] = number;
	memcpy(record->path, session->path, sizeof(record->path));
	record->device = session->device;
}

/* Get a loop device. It is recorded before, so that it is found if we die. */
static int make_loop(struct libbdus_session *session, struct libbdus_fuse *fuse,
		     struct libbdus_record *record)
{
	uint32_t number = 0;
	struct stat status;
	int ret;

	do {
		ret = libbdus_loop_find(&number);
		if (ret)
			return ret;
		set_number(session, record, number);
		ret = libbdus_record_write(record);
		if (!ret)
			ret = libbdus_loop_reserve(number, &fuse->loop);
	} while (ret == -EEXIST && ++number);
	if (ret)
		return ret;

	if (!fstat(fuse->loop.fd, &status)) {
		session->device.major = major(status.st_rdev);
		session->device.minor = minor(status.st_rdev);
	}
	return 0;
}

static int fuse_create(struct libbdus_session *session)
{
	struct libbdus_record record;
	struct libbdus_fuse *fuse;
	int ret;

	adjust(&session->device);
	fuse = malloc(sizeof(*fuse));
	if (!fuse)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");
	*fuse = (struct libbdus_fuse){
		.record_fd = -1,
		.abort_fd = -1,
		.mount_fd = -1,
		.loop = { .fd = -1, .max_sectors_fd = -1, .discard_fd = -1,
			  .write_zeroes_fd = -1, .write_cache_fd = -1 },
	};
	session->holding = fuse;

	ret = libbdus_record_create(libbdus_backend_fuse.traits.name, &record,
				    &fuse->record_fd);
	if (ret)
		return ret;
	session->device.seqnum = record.device.seqnum;
	session->is_unfinished = true;
	libbdus_record_name(&record, fuse->name);

	ret = make_loop(session, fuse, &record);
	if (!ret)
		ret = make_connection(session, fuse, &record);
	record.device = session->device;
	if (!ret)
		ret = libbdus_record_write(&record);
	if (ret)
		return ret;

	session->payload_size = libbdus_fuse_transfer_size(&session->device);
	return libbdus_protocol_fuse.begin(session, NULL);
}

/* ---- the end of a driver ---- */

static void fuse_stop(const struct libbdus_session *session)
{
	const struct libbdus_fuse *fuse = session->holding;

	libbdus_fuse_abort(fuse->abort_fd);
}

/* The device is destroyed with its driver in any case. */
static void fuse_mark_successful(const struct libbdus_session *session)
{
	(void)session;
}

static void fuse_close(struct libbdus_session *session)
{
	struct libbdus_fuse *fuse = session->holding;

	/* From here on nobody waits for us: neither clients, nor who closes the
	 * loop device. */
	if (fuse && fuse->abort_fd >= 0)
		libbdus_fuse_abort(fuse->abort_fd);
	if (session->shared)
		session->protocol->end(session);
	else
		close(session->fd);
	if (!fuse)
		return;

	libbdus_loop_release(&fuse->loop);
	libbdus_close(&fuse->mount_fd);
	libbdus_close(&fuse->abort_fd);
	if (fuse->record_fd >= 0)
		libbdus_recorded_end(&libbdus_backend_fuse, session,
				     fuse->record_fd);
	libbdus_close(&fuse->record_fd);
	free(fuse);
}

const struct libbdus_backend libbdus_backend_fuse = {
	.traits = {
		.name = "fuse",
		.node = "/dev/loopN",
		.min_kernel = "5.10",
#ifdef LIBBDUS_HAVE_FUSE
		.is_built_in = true,
#endif
	},
	.management = &libbdus_management_recorded,
	.recorded = &libbdus_recorded_fuse,
	.open = fuse_open,
	.create = fuse_create,
	.stop = fuse_stop,
	.mark_successful = fuse_mark_successful,
	.close = fuse_close,
};
