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
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

#define FUSE_PATH "/dev/fuse"

/* What loop devices can have under way. */
#define QUEUE_DEPTH 128

/*
 * Requests of loop devices have up to 128 segments, and FUSE cuts a request where
 * the number of pages that they touch would exceed 256. Up to this size it never
 * does, however the segments lie, which is at multiples of 512 bytes.
 */
#define UNCUT_SIZE (128 * 1024)

/* Steps of the child that attaches a loop device. */
enum { STEP_OPEN, STEP_CONFIGURE, STEP_ADJUST };

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

/* ---- attaching the loop device to the file, in a child ---- */

struct attachment {
	char name[LIBBDUS_RECORD_NAME_SIZE];
	int flags;
	struct loop_config config;
	/* In KiB, as a text; empty for what the kernel says. */
	char max_sectors[16];
	/* What was written is durable, so that nobody need flush. */
	bool wants_no_flushes;
	/* Zeroing that may give space up and discarding look the same to us. This
	 * says that there must be none of the former. */
	bool wants_no_zeroing;
};

enum { CHILD_MOUNT, CHILD_LOOP, CHILD_MAX_SECTORS, CHILD_DISCARD,
       CHILD_WRITE_ZEROES, CHILD_WRITE_CACHE };

static bool write_text(int fd, const char *text, size_t length)
{
	return write(fd, text, length) == (ssize_t)length;
}

static bool has_zeroing(void)
{
	char byte = '\0';

	return pread(CHILD_WRITE_ZEROES, &byte, 1, 0) == 1 && byte != '0';
}

/*
 * Make the loop device do without zeroing, if the kernel (from 6.11 on) lets itself
 * be told; it does without discarding, too, where not: asked to zero, it is told by
 * protocol_fuse.c that this is not supported, and asks no more. What it writes
 * instead, protocol_fuse.c does not pass on.
 */
static bool forgo_zeroing(const struct attachment *attachment)
{
	uint64_t range[2] = { 0, attachment->config.block_size };

	ioctl(CHILD_LOOP, BLKZEROOUT, range);
	return !has_zeroing();
}

static bool adjust_queue(const struct attachment *attachment)
{
	const char *const max_sectors = attachment->max_sectors;

	if (max_sectors[0] && !write_text(CHILD_MAX_SECTORS, max_sectors,
					  strlen(max_sectors)))
		return false;
	/* Kernels that cannot be told ask once: see do_fsync(). */
	if (attachment->wants_no_flushes)
		write_text(CHILD_WRITE_CACHE, "write through", 13);
	if (attachment->wants_no_zeroing && !forgo_zeroing(attachment))
		return write_text(CHILD_DISCARD, "0", 1);
	return true;
}

static struct libbdus_outcome attach_loop(const void *argument)
{
	const struct attachment *attachment = argument;
	struct loop_config config = attachment->config;
	struct libbdus_outcome outcome = { .step = STEP_OPEN };
	int fd;

	fd = openat(CHILD_MOUNT, attachment->name, attachment->flags);
	if (fd < 0)
		goto out_failed;

	outcome.step = STEP_CONFIGURE;
	config.fd = (uint32_t)fd;
	if (ioctl(CHILD_LOOP, LOOP_CONFIGURE, &config))
		goto out_failed;

	outcome.step = STEP_ADJUST;
	if (!adjust_queue(attachment))
		goto out_failed;
	return outcome;

out_failed:
	outcome.error = errno;
	return outcome;
}

static void describe_attachment(const struct libbdus_session *session,
				struct attachment *out)
{
	const struct libbdus_fuse *fuse = session->holding;
	const struct kbdus_device_config *device = &session->device;
	const bool is_writable = device->operations & KBDUS_OP_WRITE_LIKE;

	*out = (struct attachment){
		.flags = (is_writable ? O_RDWR : O_RDONLY) | O_DIRECT,
		.config.block_size = device->logical_block_size,
		.config.info.lo_flags = LO_FLAGS_DIRECT_IO,
	};
	memcpy(out->name, fuse->name, sizeof(out->name));
	memcpy(out->config.info.lo_file_name, fuse->name, sizeof(fuse->name));

	if (!is_writable)
		out->config.info.lo_flags |= LO_FLAGS_READ_ONLY;
	if (!(device->flags & KBDUS_DEVICE_F_NO_PARTITIONS))
		out->config.info.lo_flags |= LO_FLAGS_PARTSCAN;

	/* See UNCUT_SIZE. */
	if (device->logical_block_size > 512 && device->max_read_write_size)
		snprintf(out->max_sectors, sizeof(out->max_sectors), "%" PRIu32,
			 device->max_read_write_size / 1024);

	out->wants_no_flushes = !(device->operations & KBDUS_OP(FLUSH));
	out->wants_no_zeroing = (device->operations & KBDUS_OP(DISCARD)) &&
				!(device->operations & KBDUS_OP_WRITE_ZEROS);
}

/* Called by protocol_fuse.c, which serves the file meanwhile. */
int libbdus_fuse_begin_attaching(const struct libbdus_session *session,
				 struct libbdus_child *child)
{
	struct libbdus_fuse *fuse = session->holding;
	struct attachment attachment;
	struct libbdus_task task = {
		.run = attach_loop,
		.argument = &attachment,
		.fds = { fuse->mount_fd, fuse->loop.fd,
			 fuse->loop.max_sectors_fd, fuse->loop.discard_fd,
			 fuse->loop.write_zeroes_fd,
			 fuse->loop.write_cache_fd },
	};
	int ret;

	describe_attachment(session, &attachment);
	ret = libbdus_child_start(&task, child);
	/* Closing the device may wait for it, so that is for the child. */
	libbdus_loop_release(&fuse->loop);
	return ret;
}

int libbdus_fuse_end_attaching(const struct libbdus_session *session,
			       const struct libbdus_child *child)
{
	static const char *const steps[] = {
		[STEP_OPEN] = "open the file of",
		[STEP_CONFIGURE] = "bind",
		[STEP_ADJUST] = "adjust",
	};
	const struct libbdus_fuse *fuse = session->holding;
	struct libbdus_outcome outcome;
	int ret;

	ret = libbdus_child_end(child, &outcome);
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to %s %s", steps[outcome.step], session->path);
	}
	if (!ret)
		libbdus_record_set_state(fuse->record_fd,
					 BDUS_DEV_STATE_AVAILABLE, getpid());
	return ret;
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
