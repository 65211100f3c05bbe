/* SPDX-License-Identifier: MIT */

/*
 * ublk_null.c: a ublk server that does nothing, as small as it can be: what the
 * kernel's half costs, and no more than that of user space.
 *
 *     ublk-null QUEUES [DEPTH]
 *
 * Prints the path of its node when that is there, and serves until it is killed. As
 * ublk's own example of that name it takes all requests that have completed, answers
 * them all, and then waits for more in one system call.
 */

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/ublk_cmd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAYLOAD_SIZE (512 << 10)
#define SIZE (256 << 20)

#define COMMAND(number) _IOWR('u', number, struct ublksrv_ctrl_cmd)
#define IO_COMMAND(number) _IOWR('u', number, struct ublksrv_io_cmd)

static uint16_t depth = 128; /* of each queue */
static int control_fd, char_fd;
static unsigned int number;

static void check(int result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "ublk-null: %s: %s\n", what, strerror(-result));
	exit(1);
}

static void control(unsigned int operation, void *memory, size_t length,
		    uint64_t data)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	struct io_uring_sqe *entry;
	struct ublksrv_ctrl_cmd *body;
	struct io_uring_cqe *result;
	struct io_uring ring;

	check(io_uring_queue_init_params(4, &ring, &params), "io_uring");
	entry = io_uring_get_sqe(&ring);
	if (!entry)
		exit(1);
	memset(entry, 0, 2 * sizeof(*entry));
	entry->opcode = IORING_OP_URING_CMD;
	entry->fd = control_fd;
	entry->cmd_op = COMMAND(operation);
	body = (struct ublksrv_ctrl_cmd *)entry->cmd;
	body->dev_id = number;
	body->queue_id = UINT16_MAX;
	body->addr = (uintptr_t)memory;
	body->len = (uint16_t)length;
	body->data[0] = data;
	check(io_uring_submit(&ring), "submitting");
	check(io_uring_wait_cqe(&ring, &result), "waiting");
	check(result->res, "a command");
	io_uring_queue_exit(&ring);
}

static void add_command(struct io_uring *ring, unsigned int operation,
			uint16_t queue, uint16_t tag, int32_t result,
			char *payloads)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(ring);
	struct ublksrv_io_cmd *body;

	if (!entry)
		exit(1);
	memset(entry, 0, sizeof(*entry));
	entry->opcode = IORING_OP_URING_CMD;
	entry->flags = IOSQE_FIXED_FILE;
	entry->cmd_op = IO_COMMAND(operation);
	entry->user_data = tag;
	body = (struct ublksrv_io_cmd *)entry->cmd;
	body->q_id = queue;
	body->tag = tag;
	body->result = result;
	body->addr = (uintptr_t)payloads + (size_t)tag * PAYLOAD_SIZE;
}

static void *serve(void *argument)
{
	const uint16_t queue = (uint16_t)(uintptr_t)argument;
	const size_t stride = UBLK_MAX_QUEUE_DEPTH *
			      sizeof(struct ublksrv_io_desc);
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	const struct ublksrv_io_desc *requests;
	struct io_uring_cqe *result;
	struct io_uring ring;
	unsigned int head, count;
	char *payloads;

	check(io_uring_queue_init_params(depth, &ring, &params), "io_uring");
	check(io_uring_register_files(&ring, &char_fd, 1), "a file");
	io_uring_register_ring_fd(&ring);
	requests = mmap(NULL, depth * sizeof(*requests), PROT_READ, MAP_SHARED,
			char_fd, (off_t)(queue * stride));
	payloads = mmap(NULL, (size_t)depth * PAYLOAD_SIZE,
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (requests == MAP_FAILED || payloads == MAP_FAILED)
		check(-ENOMEM, "memory");

	for (uint16_t tag = 0; tag < depth; ++tag)
		add_command(&ring, UBLK_IO_FETCH_REQ, queue, tag, 0, payloads);
	for (;;) {
		io_uring_submit_and_wait(&ring, 1);
		count = 0;
		io_uring_for_each_cqe(&ring, head, result) {
			const uint16_t tag = (uint16_t)result->user_data;

			++count;
			if (result->res != UBLK_IO_RES_OK)
				exit(0);
			add_command(&ring, UBLK_IO_COMMIT_AND_FETCH_REQ, queue,
				    tag,
				    (int32_t)(requests[tag].nr_sectors << 9),
				    payloads);
		}
		io_uring_cq_advance(&ring, count);
	}
	return NULL;
}

static void make_device(uint16_t queues)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = queues,
		.queue_depth = depth,
		.max_io_buf_bytes = PAYLOAD_SIZE,
		.dev_id = UINT32_MAX,
	};
	struct ublk_params parameters = {
		.len = sizeof(parameters),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			.logical_bs_shift = 9,
			.physical_bs_shift = 12,
			.io_min_shift = 9,
			.io_opt_shift = 12,
			.max_sectors = PAYLOAD_SIZE >> 9,
			.dev_sectors = SIZE >> 9,
		},
	};
	char path[32];

	number = UINT32_MAX;
	control(UBLK_CMD_ADD_DEV, &info, sizeof(info), 0);
	number = info.dev_id;
	control(UBLK_CMD_SET_PARAMS, &parameters, sizeof(parameters), 0);
	snprintf(path, sizeof(path), "/dev/ublkc%u", number);
	char_fd = open(path, O_RDWR);
	check(char_fd < 0 ? -errno : 0, path);
}

int main(int argc, char **argv)
{
	const int queues = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;

	if (argc > 2)
		depth = (uint16_t)atoi(argv[2]);
	control_fd = open("/dev/ublk-control", O_RDWR);
	check(control_fd < 0 ? -errno : 0, "/dev/ublk-control");
	make_device((uint16_t)queues);
	for (int i = 0; i < queues; ++i)
		check(-pthread_create(&thread, NULL, serve,
				      (void *)(uintptr_t)i), "a thread");
	control(UBLK_CMD_START_DEV, NULL, 0, (uint64_t)getpid());
	printf("/dev/ublkb%u\n", number);
	fflush(stdout);
	pause();
	return 0;
}
