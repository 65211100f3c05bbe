/* SPDX-License-Identifier: MIT */

/*
 * control_ublk.c: liburing, and what is told to the control device of ublk.
 *
 * Called by backend_ublk.c, which knows what the commands mean, and for rings by
 * protocol_ublk.c. A command is one entry of a ring that lives no longer, so that
 * there is nothing to keep, and children can give them, too: nothing here but
 * loading liburing allocates memory. Commands that the kernel may take long for are for
 * children. No locks.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ublk.h"

#define LIBRARY "liburing.so.2"
#define CONTROL_PATH "/dev/ublk-control"
#define SYSCTL_PATH "/proc/sys/kernel/io_uring_disabled"

struct libbdus_uring libbdus_uring;

static const struct libbdus_symbol list[] = {
	{ LIBRARY, "io_uring_queue_init_params", &libbdus_uring.queue_init_params },
	{ LIBRARY, "io_uring_queue_exit", &libbdus_uring.queue_exit },
	{ LIBRARY, "io_uring_register", &libbdus_uring.call_register },
	{ LIBRARY, "io_uring_register_files", &libbdus_uring.register_files },
	{ LIBRARY, "io_uring_register_ring_fd", &libbdus_uring.register_ring_fd },
	{ LIBRARY, "io_uring_submit", &libbdus_uring.submit },
	{ LIBRARY, "io_uring_submit_and_wait", &libbdus_uring.submit_and_wait },
};

static struct libbdus_symbols symbols = {
	.list = list,
	.count = sizeof(list) / sizeof(list[0]),
};

/* Get hold of liburing, once and for all. */
int libbdus_ublk_load(void)
{
	return libbdus_load(&symbols);
}

/* ---- rings ---- */

static int read_sysctl(void)
{
	const int fd = open(SYSCTL_PATH, O_RDONLY | O_CLOEXEC);
	char digit = '0';

	if (fd >= 0 && read(fd, &digit, 1) != 1)
		digit = '0';
	if (fd >= 0)
		close(fd);
	return digit - '0';
}

/* What is wrong is never that the caller is not root, so it is no reason for not
 * trying another backend. */
static int explain_no_ring(int errnum)
{
	const int sysctl = errnum == EPERM ? read_sysctl() : 0;

	if (sysctl) {
		return libbdus_error(EOPNOTSUPP,
			"io_uring is switched off: sysctl kernel.io_uring_disabled is %d.",
			sysctl);
	}
	if (errnum == EPERM || errnum == EACCES) {
		return libbdus_error(EOPNOTSUPP,
			"io_uring is forbidden here, perhaps by a seccomp filter.");
	}
	if (errnum == ENOSYS) {
		return libbdus_error(EOPNOTSUPP,
			"io_uring is not there: the kernel has none, or a seccomp filter hides it.");
	}
	if (errnum == EINVAL) {
		return libbdus_error(EOPNOTSUPP,
			"The kernel's io_uring is too old.");
	}
	return libbdus_error_with_errno(errnum, "Failed to set up io_uring");
}

/* Make a ring with room for so many entries that wait to be submitted. */
int libbdus_ublk_make_ring(struct io_uring *ring, unsigned int entries,
			   unsigned int flags)
{
	struct io_uring_params params = { .flags = flags };
	const int ret = libbdus_uring.queue_init_params(entries, ring, &params);

	return ret ? explain_no_ring(-ret) : 0;
}

/* Get the next result that is there already, without a system call. */
bool libbdus_ublk_take_result(struct io_uring *ring, uint64_t *whose,
			      int *result)
{
	const unsigned int head = *ring->cq.khead;
	const struct io_uring_cqe *entry;

	if (head == io_uring_smp_load_acquire(ring->cq.ktail))
		return false;

	entry = &ring->cq.cqes[head & *ring->cq.kring_mask];
	*whose = entry->user_data;
	*result = entry->res;
	io_uring_cq_advance(ring, 1);
	return true;
}

/* Get the next result. False if the kernel fails. */
bool libbdus_ublk_await_result(struct io_uring *ring, uint64_t *whose,
			       int *result)
{
	while (!libbdus_ublk_take_result(ring, whose, result)) {
		const int ret = libbdus_uring.submit_and_wait(ring, 1);

		if (ret < 0 && ret != -EINTR)
			return false;
	}
	return true;
}

/* ---- commands ---- */

/* Add a command to a new ring, where there is room. */
bool libbdus_ublk_add_command(struct io_uring *ring, int control_fd,
			      const struct libbdus_ublk_command *command,
			      uint64_t whose)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(ring);
	struct ublksrv_ctrl_cmd *body;

	if (!entry)
		return false;

	/* It is twice as long as others. */
	memset(entry, 0, 2 * sizeof(*entry));
	entry->user_data = whose;
	entry->opcode = IORING_OP_URING_CMD;
	entry->fd = control_fd;
	entry->cmd_op = command->operation;
	body = (struct ublksrv_ctrl_cmd *)entry->cmd;
	body->dev_id = command->number;
	body->queue_id = UINT16_MAX;
	body->len = command->length;
	body->addr = (uintptr_t)command->memory;
	body->data[0] = command->data;
	return true;
}

/* Give a command and wait for its end. Returns what it says, a negative errno value
 * if it failed, and leaves a message only if it could not be given. */
int libbdus_ublk_control(int control_fd,
			 const struct libbdus_ublk_command *command)
{
	struct io_uring ring;
	uint64_t whose;
	int result;
	int ret;

	ret = libbdus_ublk_make_ring(&ring, 4, IORING_SETUP_SQE128);
	if (ret)
		return ret;

	if (!libbdus_ublk_add_command(&ring, control_fd, command, 0) ||
	    !libbdus_ublk_await_result(&ring, &whose, &result))
		result = -EIO;
	libbdus_uring.queue_exit(&ring);
	return result;
}

/* ---- the control device ---- */

static int check_features(int fd)
{
	uint64_t features = 0;
	const struct libbdus_ublk_command command = {
		.operation = UBLK_U_CMD_GET_FEATURES,
		.memory = &features,
		.length = UBLK_FEATURES_LEN,
	};
	struct io_uring ring;
	int ret;

	/* Of the kind that serves, which is more than commands need. */
	ret = libbdus_ublk_make_ring(&ring, 4, IORING_SETUP_R_DISABLED |
						       IORING_SETUP_SINGLE_ISSUER |
						       IORING_SETUP_DEFER_TASKRUN);
	if (ret)
		return ret;
	libbdus_uring.queue_exit(&ring);

	ret = libbdus_ublk_control(fd, &command);
	if (ret || !(features & UBLK_F_USER_RECOVERY)) {
		return libbdus_error(EOPNOTSUPP,
			"The kernel's module ublk_drv is too old.");
	}
	return 0;
}

static int open_control_device(void)
{
	const int fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : libbdus_daemonize_keep(fd);
}

/* Open the control device, loading the module if it is not there, and see that the
 * kernel can do all that will be asked of it. */
int libbdus_ublk_open_control(int *out_fd)
{
	int fd = open_control_device();
	int ret;

	if (fd == -ENOENT) {
		libbdus_control_load_module("ublk_drv");
		fd = open_control_device();
	}
	if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO) {
		return libbdus_error(ENOENT,
			CONTROL_PATH " is missing: the kernel's module ublk_drv is not there or could not be loaded (modprobe ublk_drv).");
	}
	if (fd < 0) {
		return libbdus_error_with_errno(-fd,
						"Failed to open " CONTROL_PATH);
	}

	ret = check_features(fd);
	if (ret) {
		close(fd);
		return ret;
	}
	*out_fd = fd;
	return 0;
}

/* Give a command that takes no number. Returns a negative errno value without a message
 * if it fails. */
int libbdus_ublk_tell(int control_fd, uint32_t operation, uint32_t number,
		      void *memory, size_t length)
{
	const struct libbdus_ublk_command command = {
		.operation = operation,
		.number = number,
		.memory = memory,
		.length = (uint16_t)length,
	};

	return libbdus_ublk_control(control_fd, &command);
}

/* Whether the device with a number is that of a record with a mark. */
bool libbdus_ublk_get_own(int control_fd, uint32_t number, uint64_t mark,
			  struct ublksrv_ctrl_dev_info *info)
{
	*info = (struct ublksrv_ctrl_dev_info){ .flags = 0 };
	return !libbdus_ublk_tell(control_fd, UBLK_U_CMD_GET_DEV_INFO, number,
				  info, sizeof(*info)) &&
	       info->ublksrv_flags == mark;
}

#endif
