/* SPDX-License-Identifier: MIT */

/*
 * ublk.h: what the files of the backend "ublk" share. In the order of a device's life:
 *
 *     backend_ublk.c   makes devices
 *     control_ublk.c   liburing, and what the kernel is told
 *     starter_ublk.c   how a device becomes available
 *     protocol_ublk.c  what workers call
 *     attach_ublk.c    how another driver takes it over
 *     manage_ublk.c    what others do with it
 *
 * First what the kernel's header of that name lacks where it is older than the
 * kernel, all of it in this one place; then the functions of liburing, which is
 * loaded when it is first needed; then what the backend and its protocol have of
 * a device.
 */

#ifndef LIBBDUS_UBLK_H
#define LIBBDUS_UBLK_H

#include <liburing.h>
#include <linux/ublk_cmd.h>
#include <sys/ioctl.h>

#include "internal.h"

/* ---- the kernel's interface ---- */

#ifndef UBLK_U_CMD_ADD_DEV
#define UBLK_U_CMD_GET_DEV_INFO \
	_IOR('u', UBLK_CMD_GET_DEV_INFO, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_ADD_DEV _IOWR('u', UBLK_CMD_ADD_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_START_DEV \
	_IOWR('u', UBLK_CMD_START_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_STOP_DEV \
	_IOWR('u', UBLK_CMD_STOP_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_SET_PARAMS \
	_IOWR('u', UBLK_CMD_SET_PARAMS, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_START_USER_RECOVERY \
	_IOWR('u', UBLK_CMD_START_USER_RECOVERY, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_END_USER_RECOVERY \
	_IOWR('u', UBLK_CMD_END_USER_RECOVERY, struct ublksrv_ctrl_cmd)
#define UBLK_U_IO_FETCH_REQ \
	_IOWR('u', UBLK_IO_FETCH_REQ, struct ublksrv_io_cmd)
#define UBLK_U_IO_COMMIT_AND_FETCH_REQ \
	_IOWR('u', UBLK_IO_COMMIT_AND_FETCH_REQ, struct ublksrv_io_cmd)
#endif

#ifndef UBLK_U_CMD_GET_FEATURES
#define UBLK_U_CMD_GET_FEATURES _IOR('u', 0x13, struct ublksrv_ctrl_cmd)
#define UBLK_FEATURES_LEN 8
#endif

#ifndef UBLK_U_CMD_DEL_DEV_ASYNC
#define UBLK_U_CMD_DEL_DEV_ASYNC _IOR('u', 0x14, struct ublksrv_ctrl_cmd)
#endif

#ifndef UBLK_F_CMD_IOCTL_ENCODE
#define UBLK_F_CMD_IOCTL_ENCODE (1UL << 6)
#endif

/* ---- control_ublk.c: liburing, and commands to the kernel ---- */

/* What is used of liburing beside what its header has inline. */
struct libbdus_uring {
	__typeof__(&io_uring_queue_init_params) queue_init_params;
	__typeof__(&io_uring_queue_exit) queue_exit;
	__typeof__(&io_uring_register) call_register;
	__typeof__(&io_uring_register_files) register_files;
	__typeof__(&io_uring_register_ring_fd) register_ring_fd;
	__typeof__(&io_uring_submit) submit;
	__typeof__(&io_uring_submit_and_wait) submit_and_wait;
};

extern struct libbdus_uring libbdus_uring;

/* A command to the control device, about one device. */
struct libbdus_ublk_command {
	uint32_t operation;
	uint32_t number;
	/* What it is about, if anything. */
	void *memory;
	uint16_t length;
	/* Some take a number, which is that of the driver's process. */
	uint64_t data;
};

int libbdus_ublk_load(void);
int libbdus_ublk_open_control(int *out_fd);
int libbdus_ublk_make_ring(struct io_uring *ring, unsigned int entries,
			   unsigned int flags);
bool libbdus_ublk_take_result(struct io_uring *ring, uint64_t *whose,
			      int *result);
bool libbdus_ublk_await_result(struct io_uring *ring, uint64_t *whose,
			       int *result);
bool libbdus_ublk_add_command(struct io_uring *ring, int control_fd,
			      const struct libbdus_ublk_command *command,
			      uint64_t whose);
int libbdus_ublk_control(int control_fd,
			 const struct libbdus_ublk_command *command);
int libbdus_ublk_tell(int control_fd, uint32_t operation, uint32_t number,
		      void *memory, size_t length);
bool libbdus_ublk_get_own(int control_fd, uint32_t number, uint64_t mark,
			  struct ublksrv_ctrl_dev_info *info);

/* ---- manage_ublk.c ---- */

void libbdus_ublk_kill_driver(uint64_t dev_id);

/* ---- backend_ublk.c ---- */

/* How long the kernel may take for what depends on nobody. */
#define UBLK_KERNEL_TIMEOUT_MS 10000

/* Meanings of struct libbdus_record::numbers. */
enum { LIBBDUS_UBLK_NUMBER };

/* Until the driver was told that its device is available, there is one callback at
 * a time, and while it is being told there is none. */
struct libbdus_ublk_gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_taken;
	/* Read without the lock, too; never becomes false again. */
	bool is_open;
	bool is_over;
};

/* What they share: the backend's struct libbdus_session::holding. */
struct libbdus_ublk {
	/* The N in the names of its nodes. */
	uint32_t number;
	uint16_t queue_count;
	uint16_t queue_depth;
	/* Where requests come from; -1 when nobody serves any more. */
	int char_fd;
	/* The record's, which says that there is a driver; -1 if none. */
	int record_fd;
	/* A pipe: when there is something to read, the driver is to end. Others look
	 * whether there is a reader for whether it still serves. Under gate.lock while
	 * there are threads. */
	int stop_fds[2];
	/* A child that makes the device available once it is told by a pipe which
	 * process serves, and ends if there will be none. */
	struct libbdus_child starter;
	/* Both ends, so that telling one that was killed raises no signal. */
	int go_fds[2];
	/* Threads that have not left; see protocol_ublk.c. */
	unsigned int serving;
	struct libbdus_ublk_gate gate;
};

#define LIBBDUS_UBLK_NODE_FORMAT "/dev/ublkb%" PRIu32
#define LIBBDUS_UBLK_CHAR_FORMAT "/dev/ublkc%" PRIu32

struct libbdus_ublk *libbdus_ublk_make_holding(struct libbdus_session *session);
int libbdus_ublk_begin_session(struct libbdus_session *session,
			       uint32_t operation);

/* ---- starter_ublk.c ---- */

int libbdus_ublk_begin_starting(const struct libbdus_session *session,
				uint32_t operation);
int libbdus_ublk_end_starting(const struct libbdus_session *session);
void libbdus_ublk_abandon_starting(struct libbdus_ublk *ublk);

/* ---- attach_ublk.c ---- */

int libbdus_ublk_describe(const struct libbdus_session *session,
			  uint64_t dev_id, struct kbdus_device_config *device);
int libbdus_ublk_attach(struct libbdus_session *session, uint64_t dev_id);

#endif
