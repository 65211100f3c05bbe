/* SPDX-License-Identifier: MIT */

/*
 * The protocol of the backend "nbd", with the test at the kernel's end of the sockets:
 * what becomes of each kind of request, messages in pieces and in heaps, several
 * connections and workers, leaving to a successor, the end of a connection, what no
 * kernel should send.
 */

#include <endian.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"
#include "unit.h"

#define LIMIT 65536

static const struct libbdus_protocol *const nbd = &libbdus_protocol_nbd;
static struct nbd_device own;
static struct libbdus_session session;
static struct libbdus_request request;
static void *channel;
/* What the kernel has, and the keeper. */
static int kernel[2];
static int keeper;

static void receive(uint32_t type)
{
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, type);
}

static int set_up(void **state)
{
	int pair[2];

	(void)state;

	own = (struct nbd_device){ .child.fd = -1 };
	for (int i = 0; i < 2; ++i) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		own.fds[own.fd_count++] = pair[0];
		kernel[i] = pair[1];
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	own.line_fd = pair[0];
	keeper = pair[1];

	session = (struct libbdus_session){
		.fd = -1,
		.holding = &own,
		.payload_size = NBD_PAYLOAD_SIZE,
		.device = {
			.size = UINT64_C(1) << 40,
			.logical_block_size = 512,
			.operations = KBDUS_OP_ALL,
			.max_read_write_size = LIMIT,
			.max_write_zeros_size = 2 * LIMIT,
			.max_discard_erase_size = 4 * LIMIT,
		},
	};
	request = (struct libbdus_request){ .handle = 0 };
	if (nbd->begin(&session, NULL) || nbd->open(&session, 0, &channel))
		return -1;
	receive(KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;

	nbd->close(&session, channel);
	nbd->end(&session);
	close(own.line_fd);
	close(keeper);
	for (int i = 0; i < 2; ++i) {
		close(own.fds[i]);
		close(kernel[i]);
	}
	return session.shared ? -1 : 0;
}

static void write_all(int fd, const void *data, size_t size)
{
	const char *next = data;
	ssize_t count;

	for (; size > 0; size -= (size_t)count, next += count) {
		count = write(fd, next, size);
		if (count < 0)
			abort();
	}
}

static struct nbd_header make(uint64_t cookie, uint32_t type, uint64_t offset,
			      uint32_t length)
{
	return (struct nbd_header){
		.magic = htobe32(NBD_REQUEST_MAGIC_NUMBER),
		.type = htobe32(type),
		.cookie = cookie,
		.offset = htobe64(offset),
		.length = htobe32(length),
	};
}

/* Have something sent, with a payload that tells it from others. */
static void ask(int fd, uint64_t cookie, uint32_t type, uint64_t offset,
		uint32_t length)
{
	const struct nbd_header header = make(cookie, type, offset, length);
	char *payload;

	write_all(fd, &header, sizeof(header));
	if ((type & 0xffff) != NBD_COMMAND_WRITE)
		return;
	payload = malloc(length + 1);
	memset(payload, (int)cookie, length);
	write_all(fd, payload, length);
	free(payload);
}

static void assert_request(uint32_t type, uint64_t offset, uint32_t length)
{
	assert_int_equal(request.type, type);
	assert_true(request.offset == offset);
	assert_int_equal(request.length, length);
}

static void assert_payload(const void *payload, int byte, size_t size)
{
	for (size_t i = 0; i < size; ++i)
		assert_int_equal(((const uint8_t *)payload)[i], (uint8_t)byte);
}

static void assert_answered(int fd, uint64_t cookie, int error)
{
	struct nbd_answer answer;

	assert_int_equal(recv(fd, &answer, sizeof(answer), MSG_WAITALL),
			 sizeof(answer));
	assert_int_equal(be32toh(answer.magic), NBD_REPLY_MAGIC_NUMBER);
	assert_int_equal(be32toh(answer.error), error);
	assert_true(answer.cookie == cookie);
}

static void assert_silent(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Answer what was received, and receive something else, over another connection. That is
 * answered by whatever comes next. */
static void answer(int error)
{
	ask(kernel[1], 99, NBD_COMMAND_FLUSH, 0, 0);
	assert_int_equal(nbd->exchange(&session, channel, &request, error), 0);
	assert_request(KBDUS_REQUEST_TYPE_FLUSH, 0, 0);
}

/* Have a request asked for and answered, all of which is one call of a callback. */
static void assert_passes(uint32_t asked, uint32_t type, int error)
{
	ask(kernel[0], 7, asked, 4096, 512);
	receive(type);
	assert_request(type, 4096, 512);
	answer(error);
	assert_answered(kernel[0], 7, error);
	assert_silent(kernel[0]);
}

static void assert_refused(uint32_t asked, uint64_t offset, uint32_t length,
			   int error)
{
	ask(kernel[0], 8, asked, offset, length);
	ask(kernel[1], 99, NBD_COMMAND_FLUSH, 0, 0);
	receive(KBDUS_REQUEST_TYPE_FLUSH);
	assert_answered(kernel[0], 8, error);
	assert_silent(kernel[0]);
}

static void test_read(void **state)
{
	char payload[4096];

	(void)state;

	ask(kernel[0], 7, NBD_COMMAND_READ, 8192, sizeof(payload));
	receive(KBDUS_REQUEST_TYPE_READ);
	assert_request(KBDUS_REQUEST_TYPE_READ, 8192, sizeof(payload));
	assert_int_equal((uintptr_t)request.payload %
				 (uintptr_t)sysconf(_SC_PAGESIZE), 0);
	memset(request.payload, 'r', sizeof(payload));
	answer(0);
	assert_answered(kernel[0], 7, 0);
	assert_int_equal(recv(kernel[0], payload, sizeof(payload), MSG_WAITALL),
			 sizeof(payload));
	assert_payload(payload, 'r', sizeof(payload));
}

/* Without data, and the connection goes on. */
static void test_errors(void **state)
{
	static const int errors[] = { ENOSPC, EIO, ETIMEDOUT, ENOLINK };

	(void)state;

	for (size_t i = 0; i < COUNT(errors); ++i)
		assert_passes(NBD_COMMAND_READ, KBDUS_REQUEST_TYPE_READ,
			      errors[i]);
}

static void test_kinds(void **state)
{
	(void)state;

	assert_passes(NBD_COMMAND_WRITE, KBDUS_REQUEST_TYPE_WRITE, 0);
	assert_passes(NBD_COMMAND_WRITE | NBD_REQUEST_FUA,
		      KBDUS_REQUEST_TYPE_FUA_WRITE, 0);
	assert_passes(NBD_COMMAND_TRIM, KBDUS_REQUEST_TYPE_DISCARD, 0);
	assert_passes(NBD_COMMAND_WRITE_ZEROES,
		      KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP, ENOSPC);
	assert_passes(NBD_COMMAND_WRITE_ZEROES | NBD_REQUEST_NO_HOLE,
		      KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP, 0);
}

/* What is to be durable is flushed if no callback does both. */
static void test_flush_follows(void **state)
{
	(void)state;

	session.device.operations &= ~KBDUS_OP(FUA_WRITE);
	ask(kernel[0], 7, NBD_COMMAND_WRITE | NBD_REQUEST_FUA, 0, 512);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_payload(request.payload, 7, 512);
	receive(KBDUS_REQUEST_TYPE_FLUSH);
	assert_silent(kernel[0]);
	answer(0);
	assert_answered(kernel[0], 7, 0);

	ask(kernel[0], 7, NBD_COMMAND_TRIM | NBD_REQUEST_FUA, 0, 512);
	receive(KBDUS_REQUEST_TYPE_DISCARD);
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_FLUSH);
	answer(EIO);
	assert_answered(kernel[0], 7, EIO);
}

static void test_pieces_of_requests(void **state)
{
	(void)state;

	ask(kernel[0], 7, NBD_COMMAND_WRITE, 4096, 2 * LIMIT + 512);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_request(KBDUS_REQUEST_TYPE_WRITE, 4096, LIMIT);
	assert_payload(request.payload, 7, LIMIT);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_request(KBDUS_REQUEST_TYPE_WRITE, 4096 + LIMIT, LIMIT);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_request(KBDUS_REQUEST_TYPE_WRITE, 4096 + 2 * LIMIT, 512);
	assert_payload(request.payload, 7, 512);
	assert_silent(kernel[0]);
	answer(0);
	assert_answered(kernel[0], 7, 0);

	/* The first that fails is the last. */
	ask(kernel[0], 7, NBD_COMMAND_TRIM, 0, 0xfffffe00);
	receive(KBDUS_REQUEST_TYPE_DISCARD);
	assert_request(KBDUS_REQUEST_TYPE_DISCARD, 0, 4 * LIMIT);
	answer(ENOSPC);
	assert_answered(kernel[0], 7, ENOSPC);
}

/* Kernels ask for zeroing although they were told not to. */
static void test_zeroing_without_callback(void **state)
{
	(void)state;

	session.device.operations &= ~KBDUS_OP_WRITE_ZEROS;
	ask(kernel[0], 7, NBD_COMMAND_WRITE, 0, LIMIT);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	ask(kernel[0], 8, NBD_COMMAND_WRITE_ZEROES, 4096, LIMIT + 512);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_request(KBDUS_REQUEST_TYPE_WRITE, 4096, LIMIT);
	assert_payload(request.payload, 0, LIMIT);
	receive(KBDUS_REQUEST_TYPE_WRITE);
	assert_request(KBDUS_REQUEST_TYPE_WRITE, 4096 + LIMIT, 512);
	assert_payload(request.payload, 0, 512);
}

static void test_without_callback(void **state)
{
	(void)state;

	session.device.operations = KBDUS_OP(FLUSH);
	assert_refused(NBD_COMMAND_READ, 0, 512, EOPNOTSUPP);
	assert_refused(NBD_COMMAND_WRITE, 0, 512, EOPNOTSUPP);
	assert_refused(NBD_COMMAND_WRITE | NBD_REQUEST_FUA, 0, 512, EOPNOTSUPP);
	assert_refused(NBD_COMMAND_TRIM, 0, 512, EOPNOTSUPP);
	assert_refused(NBD_COMMAND_WRITE_ZEROES, 0, 512, EOPNOTSUPP);
}

static void test_ranges(void **state)
{
	const uint64_t size = session.device.size;

	(void)state;

	assert_refused(NBD_COMMAND_READ, 0, 0, EINVAL);
	assert_refused(NBD_COMMAND_READ, 1, 512, EINVAL);
	assert_refused(NBD_COMMAND_READ, 0, 513, EINVAL);
	assert_refused(NBD_COMMAND_READ, size, 512, EINVAL);
	assert_refused(NBD_COMMAND_TRIM, size - 512, 1024, EINVAL);
	assert_refused(NBD_COMMAND_READ, UINT64_MAX - 511, 1024, EINVAL);
	assert_refused(NBD_COMMAND_READ, 0, NBD_PAYLOAD_SIZE + 512, EINVAL);
	assert_refused(77, 0, 512, EINVAL);
}

static void *write_too_much(void *argument)
{
	(void)argument;

	ask(kernel[0], 8, NBD_COMMAND_WRITE, 0, NBD_PAYLOAD_SIZE + 512);
	ask(kernel[0], 9, NBD_COMMAND_READ, 0, 512);
	return NULL;
}

/* A payload for which there is no room is skipped. */
static void test_too_large(void **state)
{
	pthread_t thread;

	(void)state;

	pthread_create(&thread, NULL, write_too_much, NULL);
	receive(KBDUS_REQUEST_TYPE_READ);
	pthread_join(thread, NULL);
	assert_answered(kernel[0], 8, EINVAL);
	assert_silent(kernel[0]);
}

static void *write_in_pieces(void *argument)
{
	const size_t piece = *(const size_t *)argument;
	char *messages = malloc(4 * (28 + 3072));
	size_t size = 0;

	for (uint64_t i = 1; i <= 4; ++i) {
		const uint32_t type = i % 2 ? NBD_COMMAND_WRITE :
					      NBD_COMMAND_READ;
		struct nbd_header header = make(i, type, i << 12, 3072);

		memcpy(messages + size, &header, sizeof(header));
		size += sizeof(header);
		if (i % 2) {
			memset(messages + size, (int)i, 3072);
			size += 3072;
		}
	}

	for (size_t i = 0; i < size; i += piece)
		write_all(kernel[0], messages + i,
			  piece < size - i ? piece : size - i);

	free(messages);
	return NULL;
}

static void test_pieces_of_messages(void **state)
{
	static const size_t pieces[] = { 1, 7, 27, 28, 29, 1000, 3100, 100000 };

	(void)state;

	for (size_t i = 0; i < COUNT(pieces); ++i) {
		pthread_t thread;

		pthread_create(&thread, NULL, write_in_pieces,
			       (void *)&pieces[i]);
		for (uint64_t cookie = 1; cookie <= 4; ++cookie) {
			receive(cookie % 2 ? KBDUS_REQUEST_TYPE_WRITE :
					     KBDUS_REQUEST_TYPE_READ);
			assert_true(request.offset == cookie << 12);
			if (cookie % 2)
				assert_payload(request.payload, (int)cookie,
					       3072);
		}
		pthread_join(thread, NULL);
	}
}

struct helper {
	pthread_t thread;
	void *channel;
	struct libbdus_request request;
	int ret;
};

static void *help(void *argument)
{
	struct helper *helper = argument;

	helper->ret = nbd->exchange(&session, helper->channel,
				    &helper->request, 0);
	return NULL;
}

static void begin_helper(struct helper *helper)
{
	*helper = (struct helper){ .ret = 1 };
	assert_int_equal(nbd->open(&session, 1, &helper->channel), 0);
	pthread_create(&helper->thread, NULL, help, helper);
}

static void end_helper(struct helper *helper, uint32_t type)
{
	pthread_join(helper->thread, NULL);
	assert_int_equal(helper->ret, 0);
	assert_int_equal(helper->request.type, type);
	nbd->close(&session, helper->channel);
}

/* Whatever connection requests come over, and whoever is busy. */
static void test_workers_help_each_other(void **state)
{
	struct helper helper;

	(void)state;

	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	ask(kernel[0], 2, NBD_COMMAND_FLUSH, 0, 0);
	receive(KBDUS_REQUEST_TYPE_READ);
	begin_helper(&helper);
	end_helper(&helper, KBDUS_REQUEST_TYPE_FLUSH);

	begin_helper(&helper);
	ask(kernel[1], 3, NBD_COMMAND_TRIM, 0, 512);
	end_helper(&helper, KBDUS_REQUEST_TYPE_DISCARD);
}

/* One reads, and goes off with it for a long time. */
static void test_reader_is_succeeded(void **state)
{
	struct helper helpers[2];

	(void)state;

	begin_helper(&helpers[0]);
	begin_helper(&helpers[1]);
	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	ask(kernel[0], 2, NBD_COMMAND_READ, 0, 512);
	end_helper(&helpers[0], KBDUS_REQUEST_TYPE_READ);
	end_helper(&helpers[1], KBDUS_REQUEST_TYPE_READ);
}

/* What has begun is read to its end and served, and no more. */
static void test_leaving(void **state)
{
	const struct nbd_header header = make(3, NBD_COMMAND_WRITE, 0, 512);
	char message[sizeof(header) + 512];
	struct helper helper;

	(void)state;

	memcpy(message, &header, sizeof(header));
	memset(message + sizeof(header), 3, 512);

	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	write_all(kernel[0], message, 10);
	receive(KBDUS_REQUEST_TYPE_READ);

	/* It has heard when the word has been taken. */
	assert_int_equal(write(keeper, "l", 1), 1);
	begin_helper(&helper);
	while (recv(own.line_fd, message, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
		usleep(1000);
	memcpy(message, &header, sizeof(header));
	write_all(kernel[0], message + 10, sizeof(message) - 10);
	ask(kernel[0], 4, NBD_COMMAND_READ, 0, 512);
	ask(kernel[1], 5, NBD_COMMAND_READ, 0, 512);
	end_helper(&helper, KBDUS_REQUEST_TYPE_WRITE);

	receive(KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE);
	assert_answered(kernel[0], 1, 0);
	assert_int_equal(recv(own.fds[0], message, sizeof(header),
			      MSG_DONTWAIT), sizeof(header));
	assert_memory_equal(message + 8, "\4\0\0\0", 4);
}

/* One worker flushes, the others end; what comes later is for somebody else. */
static void test_flush_when_left(void **state)
{
	struct nbd_header header;

	(void)state;

	assert_int_equal(write(keeper, "l", 1), 1);
	receive(KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE);
	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
	assert_int_equal(recv(own.fds[0], &header, sizeof(header), MSG_DONTWAIT),
			 sizeof(header));
	assert_true(header.cookie == 1);
}

static void test_left_without_flush(void **state)
{
	(void)state;

	session.device.operations &= ~KBDUS_OP(FLUSH);
	assert_int_equal(write(keeper, "l", 1), 1);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
}

static void test_told_to_end(void **state)
{
	(void)state;

	assert_int_equal(write(keeper, "t", 1), 1);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
}

/* The end of the keeper is nobody's. */
static void test_keeper_gone(void **state)
{
	(void)state;

	shutdown(keeper, SHUT_RDWR);
	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	receive(KBDUS_REQUEST_TYPE_READ);
	answer(0);
	assert_answered(kernel[0], 1, 0);
}

static void test_end_of_connection(void **state)
{
	(void)state;

	shutdown(kernel[1], SHUT_RDWR);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
}

static void test_disconnection(void **state)
{
	(void)state;

	ask(kernel[0], 0, NBD_COMMAND_DISCONNECT, 0, 0);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
}

/* The device is gone before its request was answered. */
static void test_late_answer(void **state)
{
	(void)state;

	ask(kernel[0], 1, NBD_COMMAND_READ, 0, 512);
	receive(KBDUS_REQUEST_TYPE_READ);
	shutdown(kernel[0], SHUT_RDWR);
	receive(KBDUS_REQUEST_TYPE_TERMINATE);
}

static void test_wrong_magic(void **state)
{
	struct nbd_header header = make(1, NBD_COMMAND_READ, 0, 512);

	(void)state;

	header.magic = 1;
	write_all(kernel[0], &header, sizeof(header));
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), -EIO);
	assert_message_has("magic");
	assert_int_equal(nbd->exchange(&session, channel, &request, 0), -EIO);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read),
		TEST(test_errors),
		TEST(test_kinds),
		TEST(test_flush_follows),
		TEST(test_pieces_of_requests),
		TEST(test_zeroing_without_callback),
		TEST(test_without_callback),
		TEST(test_ranges),
		TEST(test_too_large),
		TEST(test_pieces_of_messages),
		TEST(test_workers_help_each_other),
		TEST(test_reader_is_succeeded),
		TEST(test_leaving),
		TEST(test_flush_when_left),
		TEST(test_left_without_flush),
		TEST(test_told_to_end),
		TEST(test_keeper_gone),
		TEST(test_end_of_connection),
		TEST(test_disconnection),
		TEST(test_late_answer),
		TEST(test_wrong_magic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
