/* SPDX-License-Identifier: MIT */

/*
 * bind_fuse.c: how a device of the backend "fuse" becomes available: its loop device is bound
 * to the file that the driver serves, and its queue is adjusted.
 *
 * Both wait for the driver. So a child does it, see child.c. Called by protocol_fuse.c, which
 * serves meanwhile. Owns nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuse.h"

/* Steps of the child that binds a loop device. */
enum { STEP_OPEN, STEP_CONFIGURE, STEP_ADJUST };

struct binding {
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
static bool forgo_zeroing(const struct binding *binding)
{
	uint64_t range[2] = { 0, binding->config.block_size };

	ioctl(CHILD_LOOP, BLKZEROOUT, range);
	return !has_zeroing();
}

static bool adjust_queue(const struct binding *binding)
{
	const char *const max_sectors = binding->max_sectors;

	if (max_sectors[0] && !write_text(CHILD_MAX_SECTORS, max_sectors,
					  strlen(max_sectors)))
		return false;
	/* Kernels that cannot be told ask once: see do_fsync(). */
	if (binding->wants_no_flushes)
		write_text(CHILD_WRITE_CACHE, "write through", 13);
	if (binding->wants_no_zeroing && !forgo_zeroing(binding))
		return write_text(CHILD_DISCARD, "0", 1);
	return true;
}

static struct libbdus_outcome bind_loop(const void *argument)
{
	const struct binding *binding = argument;
	struct loop_config config = binding->config;
	struct libbdus_outcome outcome = { .step = STEP_OPEN };
	int fd;

	fd = openat(CHILD_MOUNT, binding->name, binding->flags);
	if (fd < 0)
		goto out_failed;

	outcome.step = STEP_CONFIGURE;
	config.fd = (uint32_t)fd;
	if (ioctl(CHILD_LOOP, LOOP_CONFIGURE, &config))
		goto out_failed;

	outcome.step = STEP_ADJUST;
	if (!adjust_queue(binding))
		goto out_failed;
	return outcome;

out_failed:
	outcome.error = errno;
	return outcome;
}

static void describe_binding(const struct libbdus_session *session,
				struct binding *out)
{
	const struct libbdus_fuse *fuse = session->holding;
	const struct kbdus_device_config *device = &session->device;
	const bool is_writable = device->operations & KBDUS_OP_WRITE_LIKE;

	*out = (struct binding){
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

	/* See UNCUT_SIZE in backend_fuse.c. */
	if (device->logical_block_size > 512 && device->max_read_write_size)
		snprintf(out->max_sectors, sizeof(out->max_sectors), "%" PRIu32,
			 device->max_read_write_size / 1024);

	out->wants_no_flushes = !(device->operations & KBDUS_OP(FLUSH));
	out->wants_no_zeroing = (device->operations & KBDUS_OP(DISCARD)) &&
				!(device->operations & KBDUS_OP_WRITE_ZEROS);
}

/* Begin in a child. The file must be served meanwhile. */
int libbdus_fuse_begin_binding(const struct libbdus_session *session,
			       struct libbdus_child *child)
{
	struct libbdus_fuse *fuse = session->holding;
	struct binding binding;
	struct libbdus_task task = {
		.run = bind_loop,
		.argument = &binding,
		.fds = { fuse->mount_fd, fuse->loop.fd,
			 fuse->loop.max_sectors_fd, fuse->loop.discard_fd,
			 fuse->loop.write_zeroes_fd,
			 fuse->loop.write_cache_fd },
	};
	int ret;

	describe_binding(session, &binding);
	ret = libbdus_child_start(&task, child);
	/* Closing the device may wait for it, so that is for the child. */
	libbdus_loop_release(&fuse->loop);
	return ret;
}

/* The child has ended: say what became of the device. */
int libbdus_fuse_end_binding(const struct libbdus_session *session,
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
