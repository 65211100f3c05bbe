/* SPDX-License-Identifier: MIT */

/*
 * starter_ublk.c: how a ublk device becomes available.
 *
 * What makes it so waits for threads that serve all its queues, and for the partition table
 * to be read; and the driver may have no privileges any more by then. So a child does it,
 * see child.c, which is there from the beginning: the starter. Begun by backend_ublk.c or
 * attach_ublk.c, told to go on by protocol_ublk.c; it is in struct libbdus_ublk.
 */

#include <errno.h>

#include "internal.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ublk.h"

/* Steps of the starter. */
enum { STEP_RING, STEP_WAIT, STEP_START };

/* What the starter waits for. */
enum { EVENT_HANGUP = 1, EVENT_STARTED };

/* What it does when it is told to. */
struct start {
	uint32_t operation;
	uint32_t number;
};

/* Its descriptors. */
enum { CHILD_CONTROL, CHILD_GO };

static struct libbdus_outcome failure(int step, int error)
{
	return (struct libbdus_outcome){ .error = error, .step = step };
}

/*
 * Make the device available, as soon as all its queues are waited for. Ends at once
 * when the process that was to wait has ended: then nobody can write to the pipe any
 * more.
 */
static struct libbdus_outcome start_device(const void *argument)
{
	const struct start *start = argument;
	struct libbdus_ublk_command command = {
		.operation = start->operation,
		.number = start->number,
	};
	struct io_uring_sqe *entry;
	struct io_uring ring;
	uint64_t whose;
	int32_t pid;
	int result;

	if (read(CHILD_GO, &pid, sizeof(pid)) != sizeof(pid))
		return failure(STEP_WAIT, ECANCELED);
	if (libbdus_ublk_make_ring(&ring, 4, IORING_SETUP_SQE128))
		return failure(STEP_RING, EOPNOTSUPP);

	command.data = (uint64_t)pid;
	if (!libbdus_ublk_add_command(&ring, CHILD_CONTROL, &command,
				      EVENT_STARTED))
		return failure(STEP_RING, EIO);
	entry = io_uring_get_sqe(&ring);
	if (!entry)
		return failure(STEP_RING, EIO);
	/* Only the end of the pipe. */
	io_uring_prep_poll_add(entry, CHILD_GO, 0);
	entry->user_data = EVENT_HANGUP;

	if (!libbdus_ublk_await_result(&ring, &whose, &result))
		return failure(STEP_RING, EIO);
	if (whose == EVENT_HANGUP)
		return failure(STEP_WAIT, ECANCELED);
	return result < 0 ? failure(STEP_START, -result) :
			    (struct libbdus_outcome){ .error = 0 };
}

/* Fork the starter off, which is to give that command. */
int libbdus_ublk_begin_starting(const struct libbdus_session *session,
				uint32_t operation)
{
	struct libbdus_ublk *ublk = session->holding;
	const struct start start = {
		.operation = operation,
		.number = ublk->number,
	};
	struct libbdus_task task = {
		.run = start_device,
		.argument = &start,
		.fds = { session->fd, -1, -1, -1, -1, -1 },
	};
	int fds[2];
	int ret;

	if (pipe2(fds, O_CLOEXEC))
		return libbdus_error_with_errno(errno, "Failed to make a pipe");
	fds[0] = libbdus_daemonize_keep(fds[0]);
	fds[1] = libbdus_daemonize_keep(fds[1]);

	task.fds[CHILD_GO] = fds[0];
	memcpy(ublk->go_fds, fds, sizeof(fds));
	ret = libbdus_child_start(&task, &ublk->starter);
	if (ret) {
		ublk->starter.fd = -1;
		return ret;
	}
	ublk->starter.fd = libbdus_daemonize_keep(ublk->starter.fd);
	return 0;
}

static void let_go(struct libbdus_ublk *ublk)
{
	libbdus_close(&ublk->go_fds[0]);
	libbdus_close(&ublk->go_fds[1]);
}

/* The numbers of the node are known only when it is there. */
static void get_node(struct libbdus_session *session)
{
	const struct libbdus_ublk *ublk = session->holding;

	if (libbdus_disk_get_numbers(session->path, &session->device.major,
				     &session->device.minor))
		libbdus_record_set_node(ublk->record_fd, session->device.major,
					session->device.minor);
}

/* The starter has ended: say what became of the device. Called by protocol_ublk.c in the
 * thread that began everything. */
int libbdus_ublk_end_starting(const struct libbdus_session *session)
{
	static const char *const steps[] = {
		[STEP_RING] = "set up io_uring for",
		[STEP_WAIT] = "wait for",
		[STEP_START] = "start",
	};
	struct libbdus_ublk *ublk = session->holding;
	struct libbdus_outcome outcome;
	int ret;

	let_go(ublk);
	ret = libbdus_child_end(&ublk->starter, &outcome);
	ublk->starter.fd = -1;
	if (!ret && outcome.error) {
		ret = libbdus_error_with_errno(outcome.error,
			"Failed to %s %s", steps[outcome.step], session->path);
	}
	if (!ret) {
		get_node((struct libbdus_session *)session);
		libbdus_record_set_state(ublk->record_fd,
					 BDUS_DEV_STATE_AVAILABLE, getpid());
	}
	return ret;
}

/* Have the starter end, if the device did not become available. */
void libbdus_ublk_abandon_starting(struct libbdus_ublk *ublk)
{
	struct libbdus_outcome outcome;

	let_go(ublk);
	if (ublk->starter.fd >= 0)
		libbdus_child_end(&ublk->starter, &outcome);
}

#endif
