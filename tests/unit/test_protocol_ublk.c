/* SPDX-License-Identifier: MIT */

/*
 * How requests of ublk devices are understood and answered, over a ring whose other
 * end is this test: what callbacks get, what the kernel is told, when answers may wait
 * for each other, and how it ends.
 */

#include "unit.h"

#ifdef LIBBDUS_HAVE_UBLK

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ublk.h"

/* Of the worker that is played: any but the first, which also starts the device. */
#define QUEUE 1
#define DEPTH 64
#define ENTRIES 256
#define PAYLOAD_SIZE 65536

static struct libbdus_ublk ublk;
static struct libbdus_session session;
static struct libbdus_request request;
static void *channel;

/* The ring, of which the kernel's part is played here. */
static unsigned int sq_head, sq_tail, sq_mask = ENTRIES - 1, sq_entries = ENTRIES;
static unsigned int sq_flags, cq_head, cq_tail, cq_mask = ENTRIES - 1;
static struct io_uring_sqe sqes[ENTRIES];
static struct io_uring_cqe cqes[ENTRIES];
static struct ublksrv_io_desc *descriptors;

/* Commands that the kernel has got: how many, and the last ones by tag. */
static unsigned int submissions, fetches, commits;
static struct ublksrv_io_cmd commands[DEPTH];
static bool exited;

/* What completes when the worker waits. */
static uint64_t waiting[16];
static int results[16];
static unsigned int wait_count;

static int queue_init(unsigned int entries, struct io_uring *ring,
		      struct io_uring_params *params)
{
	(void)entries;

	memset(ring, 0, sizeof(*ring));
	ring->flags = params->flags;
	ring->sq = (struct io_uring_sq){
		.khead = &sq_head, .ktail = &sq_tail, .kflags = &sq_flags,
		.kring_mask = &sq_mask, .kring_entries = &sq_entries,
		.ring_mask = ENTRIES - 1, .ring_entries = ENTRIES, .sqes = sqes,
	};
	ring->cq = (struct io_uring_cq){
		.khead = &cq_head, .ktail = &cq_tail, .kring_mask = &cq_mask,
		.ring_mask = ENTRIES - 1, .ring_entries = ENTRIES, .cqes = cqes,
	};
	return 0;
}

static void queue_exit(struct io_uring *ring)
{
	(void)ring;

	exited = true;
}

static int call_register(unsigned int fd, unsigned int operation,
			 const void *argument, unsigned int count)
{
	(void)fd;
	(void)operation;
	(void)argument;
	(void)count;

	return 0;
}

static int register_files(struct io_uring *ring, const int *fds,
			  unsigned int count)
{
	(void)ring;
	(void)fds;

	assert_int_equal(count, 1);
	return 0;
}

static int register_ring(struct io_uring *ring)
{
	(void)ring;

	return 1;
}

static int submit(struct io_uring *ring)
{
	unsigned int count = 0;

	++submissions;
	for (; ring->sq.sqe_head != ring->sq.sqe_tail; ++ring->sq.sqe_head) {
		const struct io_uring_sqe *entry =
			&sqes[ring->sq.sqe_head & (ENTRIES - 1)];
		const struct ublksrv_io_cmd *body =
			(const struct ublksrv_io_cmd *)entry->cmd;

		++count;
		if (entry->opcode != IORING_OP_URING_CMD)
			continue;
		assert_true(entry->flags & IOSQE_FIXED_FILE);
		assert_int_equal(body->q_id, QUEUE);
		assert_int_equal(entry->user_data, body->tag);
		commands[body->tag] = *body;
		if (entry->cmd_op == UBLK_U_IO_FETCH_REQ)
			++fetches;
		else if (entry->cmd_op == UBLK_U_IO_COMMIT_AND_FETCH_REQ)
			++commits;
		else
			fail();
	}
	sq_head = sq_tail = ring->sq.sqe_head;
	return (int)count;
}

static int submit_and_wait(struct io_uring *ring, unsigned int count)
{
	assert_int_equal(count, 1);
	submit(ring);
	--submissions;
	assert_true(wait_count > 0);
	for (unsigned int i = 0; i < wait_count; ++i, ++cq_tail) {
		cqes[cq_tail & cq_mask] = (struct io_uring_cqe){
			.user_data = waiting[i], .res = results[i],
		};
	}
	wait_count = 0;
	return 1;
}

/* Have a request arrive, with others that arrive at the same time. */
static void arrive(uint16_t tag, uint32_t op_flags, uint64_t sector,
		   uint32_t sectors)
{
	descriptors[tag] = (struct ublksrv_io_desc){
		.op_flags = op_flags, .start_sector = sector,
		.nr_sectors = sectors,
	};
	waiting[wait_count] = tag;
	results[wait_count++] = UBLK_IO_RES_OK;
}

static void arrive_stop(void)
{
	waiting[wait_count] = UINT64_MAX;
	results[wait_count++] = POLLIN;
}

static int exchange(int error)
{
	return libbdus_protocol_ublk.exchange(&session, channel, &request,
					      error);
}

static int set_up(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* As the kernel has them. */
	const size_t offset = QUEUE * UBLK_MAX_QUEUE_DEPTH *
			      sizeof(struct ublksrv_io_desc);
	int memory = memfd_create("requests", MFD_CLOEXEC);

	(void)state;

	sq_head = sq_tail = cq_head = cq_tail = 0;
	submissions = fetches = commits = wait_count = 0;
	exited = false;
	libbdus_uring = (struct libbdus_uring){
		.queue_init_params = queue_init, .queue_exit = queue_exit,
		.call_register = call_register,
		.register_files = register_files,
		.register_ring_fd = register_ring, .submit = submit,
		.submit_and_wait = submit_and_wait,
	};
	assert_int_equal(ftruncate(memory, (off_t)(offset + page)), 0);
	descriptors = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
			   memory, (off_t)offset);
	ublk = (struct libbdus_ublk){
		.queue_count = QUEUE + 1, .queue_depth = DEPTH, .char_fd = memory,
		.stop_fds = { dup(memory), -1 }, .record_fd = -1,
		.gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER,
			  .is_open = true },
	};
	session = (struct libbdus_session){
		.protocol = &libbdus_protocol_ublk, .holding = &ublk,
		.workers = QUEUE + 1, .payload_size = PAYLOAD_SIZE,
		.device = { .size = 1 << 20, .logical_block_size = 4096,
			    .max_read_write_size = PAYLOAD_SIZE,
			    .operations = KBDUS_OP_ALL &
					  ~(KBDUS_OP(IOCTL) |
					    KBDUS_OP(DISCARD)) },
	};
	request = (struct libbdus_request){ .handle = 0 };
	assert_int_equal(libbdus_protocol_ublk.open(&session, QUEUE, &channel),
			 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;

	libbdus_protocol_ublk.close(&session, channel);
	assert_true(exited);
	/* Nobody serves any more. */
	assert_int_equal(ublk.char_fd, -1);
	assert_int_equal(ublk.stop_fds[0], -1);
	munmap(descriptors, (size_t)sysconf(_SC_PAGESIZE));
	return 0;
}

static void assert_request(uint32_t type, uint64_t offset, uint32_t length)
{
	assert_int_equal(request.type, type);
	assert_int_equal(request.offset, offset);
	assert_int_equal(request.length, length);
}

static void test_types(void **state)
{
	static const struct {
		uint32_t op_flags;
		uint32_t type;
		bool has_payload;
	} cases[] = {
		{ UBLK_IO_OP_READ, KBDUS_REQUEST_TYPE_READ, true },
		{ UBLK_IO_OP_WRITE, KBDUS_REQUEST_TYPE_WRITE, true },
		{ UBLK_IO_OP_WRITE | UBLK_IO_F_META, KBDUS_REQUEST_TYPE_WRITE,
		  true },
		{ UBLK_IO_OP_WRITE | UBLK_IO_F_FUA,
		  KBDUS_REQUEST_TYPE_FUA_WRITE, true },
		{ UBLK_IO_OP_WRITE_ZEROES,
		  KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP, false },
		{ UBLK_IO_OP_WRITE_ZEROES | UBLK_IO_F_NOUNMAP,
		  KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP, false },
	};

	(void)state;

	for (uint16_t i = 0; i < COUNT(cases); ++i) {
		arrive(i, cases[i].op_flags, 8 * i, 16);
		assert_int_equal(exchange(0), 0);
		assert_request(cases[i].type, 4096 * i, 8192);
		if (cases[i].has_payload)
			assert_int_equal((uintptr_t)request.payload,
					 commands[i].addr);
		else
			assert_null(request.payload);
	}
	assert_int_equal(fetches, DEPTH);

	arrive(7, UBLK_IO_OP_FLUSH, 12345, 0);
	assert_int_equal(exchange(0), 0);
	assert_request(KBDUS_REQUEST_TYPE_FLUSH, 0, 0);
}

/* Data that was moved is counted, errors are negative. */
static void test_answers(void **state)
{
	(void)state;

	arrive(1, UBLK_IO_OP_READ, 0, 8);
	assert_int_equal(exchange(0), 0);
	arrive(2, UBLK_IO_OP_WRITE, 0, 16);
	assert_int_equal(exchange(0), 0);
	assert_int_equal(commands[1].result, 4096);
	arrive(3, UBLK_IO_OP_FLUSH, 0, 0);
	assert_int_equal(exchange(ENOSPC), 0);
	assert_int_equal(commands[2].result, -ENOSPC);
	arrive_stop();
	assert_int_equal(exchange(0), 0);
	assert_int_equal(commands[3].result, 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_TERMINATE);
	assert_int_equal(commits, 3);
}

/* What a callback must not get is answered without it. */
static void test_refused(void **state)
{
	static const struct {
		uint32_t operation;
		uint64_t sector;
		uint32_t sectors;
		int result;
	} cases[] = {
		{ UBLK_IO_OP_DISCARD, 0, 8, -EOPNOTSUPP },
		{ UBLK_IO_OP_WRITE_SAME, 0, 8, -EOPNOTSUPP },
		{ 99, 0, 8, -EOPNOTSUPP },
		{ UBLK_IO_OP_READ, 1, 8, -EIO },
		{ UBLK_IO_OP_READ, 0, 7, -EIO },
		{ UBLK_IO_OP_READ, 0, 0, -EIO },
		{ UBLK_IO_OP_READ, 2040, 16, -EIO },
		{ UBLK_IO_OP_READ, UINT64_C(1) << 54, 8, -EIO },
		{ UBLK_IO_OP_READ, 0, 136, -EIO },
	};

	(void)state;

	for (uint16_t i = 0; i < COUNT(cases); ++i)
		arrive(i, cases[i].operation, cases[i].sector,
		       cases[i].sectors);
	arrive(20, UBLK_IO_OP_READ, 2040, 8);
	assert_int_equal(exchange(0), 0);
	assert_request(KBDUS_REQUEST_TYPE_READ, 1044480, 4096);
	for (uint16_t i = 0; i < COUNT(cases); ++i)
		assert_int_equal(commands[i].result, cases[i].result);
}

/* Answers wait for each other only while callbacks are quick, and not for one that may
 * not be. */
static void test_holding_back(void **state)
{
	unsigned int before;

	(void)state;

	for (uint16_t tag = 0; tag < 6; ++tag)
		arrive(tag, UBLK_IO_OP_READ, 0, 8);
	arrive(6, UBLK_IO_OP_FLUSH, 0, 0);
	assert_int_equal(exchange(0), 0);
	usleep(1000);
	assert_int_equal(exchange(0), 0);
	/* The first one took its time. */
	assert_int_equal(commits, 1);

	before = submissions;
	for (uint16_t tag = 2; tag < 6; ++tag)
		assert_int_equal(exchange(0), 0);
	assert_int_equal(request.handle, 6);
	/* This machine may have been busy; else none was submitted. */
	assert_true(submissions - before <= 4);
	assert_int_equal(exchange(0), 0);
	assert_request(KBDUS_REQUEST_TYPE_FLUSH, 0, 0);
	assert_int_equal(commits, 6);
}

/* The device was stopped by somebody else, or the kernel fails. */
static void test_ends(void **state)
{
	(void)state;

	waiting[0] = 3;
	results[0] = UBLK_IO_RES_ABORT;
	wait_count = 1;
	assert_int_equal(exchange(0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_TERMINATE);
	/* For good. */
	assert_int_equal(exchange(0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_TERMINATE);
	libbdus_protocol_ublk.leave(&session, channel);
	assert_true(exited);
}

static void test_failing(void **state)
{
	(void)state;

	waiting[0] = 3;
	results[0] = -EBUSY;
	wait_count = 1;
	assert_int_equal(exchange(0), -EBUSY);
	assert_message_has("Failed to receive a request");
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_types),
		TEST(test_answers),
		TEST(test_refused),
		TEST(test_holding_back),
		TEST(test_ends),
		TEST(test_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_nothing(void **state)
{
	(void)state;
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
