/* SPDX-License-Identifier: MIT */

/*
 * The protocol "uds", with the test at the module's end of the socket: messages in
 * pieces and in heaps, the end of the stream, what no module should send.
 */

#include <fcntl.h>
#include <linux/ioctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define PAYLOAD_SIZE (1 << 20)

static const struct libbdus_protocol *const uds = &libbdus_protocol_uds;
static struct libbdus_session session;
static struct libbdus_request request;
static void *channel;
/* What the module has of the session. */
static int module;

static int set_up(void **state)
{
	struct kbdus_protocol_config config = { .payload_size = 0 };
	int fd;

	(void)state;

	session = (struct libbdus_session){ .fd = -1 };
	request = (struct libbdus_request){ .handle = 0 };
	if (uds->prepare(&session, &config))
		return -1;

	/* The module gets its own reference, and the descriptor goes. */
	fd = (int)config.socket_fd_plus_1 - 1;
	module = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	session.payload_size = PAYLOAD_SIZE;
	if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC) ||
	    uds->begin(&session, &config) || fcntl(fd, F_GETFD) >= 0)
		return -1;

	return uds->open(&session, 0, &channel);
}

static int tear_down(void **state)
{
	(void)state;

	uds->close(&session, channel);
	uds->end(&session);
	if (module >= 0)
		close(module);
	return session.shared ? -1 : 0;
}

static void write_all(const void *data, size_t size)
{
	const char *next = data;
	ssize_t count;

	for (; size > 0; size -= (size_t)count, next += count) {
		count = write(module, next, size);
		if (count < 0)
			abort();
	}
}

static void read_all(void *data, size_t size)
{
	if (size > 0)
		assert_int_equal(recv(module, data, size, MSG_WAITALL), size);
}

static void close_module(void)
{
	close(module);
	module = -1;
}

static struct kbdusuds_request make(uint64_t handle, uint32_t type,
				    uint32_t length)
{
	return (struct kbdusuds_request){
		.handle = handle,
		.offset = handle << 12,
		.length = length,
		.type = type,
		.payload_size =
			type == KBDUS_REQUEST_TYPE_WRITE ? length : 0,
	};
}

/* Have something sent, with a payload that tells it from others. */
static void send_request(uint64_t handle, uint32_t type, uint32_t length)
{
	const struct kbdusuds_request message = make(handle, type, length);
	char *payload = malloc(message.payload_size + 1);

	memset(payload, (int)handle, message.payload_size);
	write_all(&message, sizeof(message));
	write_all(payload, message.payload_size);
	free(payload);
}

static void assert_received(uint64_t handle, uint32_t type, uint32_t length)
{
	const struct kbdusuds_request message = make(handle, type, length);

	assert_int_equal(request.handle, message.handle);
	assert_int_equal(request.type, message.type);
	assert_int_equal(request.length, message.length);
	assert_true(request.offset == message.offset);
	assert_non_null(request.payload);
	assert_int_equal((uintptr_t)request.payload %
				 (uintptr_t)sysconf(_SC_PAGESIZE), 0);
	for (size_t i = 0; i < message.payload_size; ++i)
		assert_int_equal(((uint8_t *)request.payload)[i], (uint8_t)handle);
}

static void assert_receives(uint64_t handle, uint32_t type, uint32_t length)
{
	request.handle = 0;
	assert_int_equal(uds->exchange(&session, channel, &request, 0), 0);
	assert_received(handle, type, length);
}

static void assert_failure(const char *text)
{
	request.handle = 0;
	assert_int_equal(uds->exchange(&session, channel, &request, 0), -EIO);
	assert_message_has(text);
}

/* Answer what request is, and see what the module gets. */
static void assert_replies(int error, uint32_t payload_size)
{
	static const uint8_t zeros[sizeof(((struct kbdusuds_reply *)0)->reserved)];
	const uint64_t handle = request.handle;
	struct kbdusuds_reply reply;
	char *payload = malloc(payload_size + 1);

	memset(request.payload, 'r', payload_size);
	send_request(99, KBDUS_REQUEST_TYPE_FLUSH, 0);
	assert_int_equal(uds->exchange(&session, channel, &request, error), 0);
	assert_received(99, KBDUS_REQUEST_TYPE_FLUSH, 0);

	read_all(&reply, sizeof(reply));
	assert_int_equal(reply.handle, handle);
	assert_int_equal(reply.error, error);
	assert_int_equal(reply.payload_size, payload_size);
	assert_memory_equal(reply.reserved, zeros, sizeof(zeros));
	read_all(payload, payload_size);
	assert_memory_equal(payload, request.payload, payload_size);
	assert_int_equal(recv(module, payload, 1, MSG_DONTWAIT), -1);
	free(payload);
}

static void test_exchange(void **state)
{
	char byte;

	(void)state;

	send_request(5, KBDUS_REQUEST_TYPE_WRITE, 4096);
	assert_receives(5, KBDUS_REQUEST_TYPE_WRITE, 4096);
	assert_replies(0, 0);

	send_request(6, KBDUS_REQUEST_TYPE_READ, 4096);
	assert_receives(6, KBDUS_REQUEST_TYPE_READ, 4096);
	assert_replies(0, 4096);

	send_request(7, KBDUS_REQUEST_TYPE_READ, 512);
	assert_receives(7, KBDUS_REQUEST_TYPE_READ, 512);
	assert_replies(ENOSPC, 0);

	send_request(8, KBDUS_REQUEST_TYPE_IOCTL, _IOW('x', 1, char[77]));
	assert_receives(8, KBDUS_REQUEST_TYPE_IOCTL, _IOW('x', 1, char[77]));
	assert_replies(0, 77);

	send_request(9, KBDUS_REQUEST_TYPE_IOCTL, _IOR('x', 1, char[77]));
	assert_receives(9, KBDUS_REQUEST_TYPE_IOCTL, _IOR('x', 1, char[77]));
	assert_replies(0, 0);

	/* A notification is not answered. */
	send_request(0, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE, 0);
	assert_receives(0, KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE, 0);
	send_request(10, KBDUS_REQUEST_TYPE_FLUSH, 0);
	assert_int_equal(uds->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(recv(module, &byte, 1, MSG_DONTWAIT), -1);
}

static void *write_in_pieces(void *argument)
{
	const size_t piece = *(const size_t *)argument;
	char *messages = malloc(4 * (64 + 3000));
	size_t size = 0;

	for (uint64_t i = 1; i <= 4; ++i) {
		struct kbdusuds_request message =
			make(i, KBDUS_REQUEST_TYPE_WRITE, i % 2 ? 3000 : 0);

		memcpy(messages + size, &message, sizeof(message));
		size += sizeof(message);
		memset(messages + size, (int)i, message.payload_size);
		size += message.payload_size;
	}

	for (size_t i = 0; i < size; i += piece)
		write_all(messages + i, piece < size - i ? piece : size - i);

	free(messages);
	return NULL;
}

static void test_pieces(void **state)
{
	static const size_t pieces[] = { 1, 7, 63, 64, 65, 1000, 3064, 100000 };

	(void)state;

	for (size_t i = 0; i < COUNT(pieces); ++i) {
		pthread_t thread;

		pthread_create(&thread, NULL, write_in_pieces,
			       (void *)&pieces[i]);
		for (uint64_t handle = 1; handle <= 4; ++handle) {
			assert_receives(handle, KBDUS_REQUEST_TYPE_WRITE,
					handle % 2 ? 3000 : 0);
		}
		pthread_join(thread, NULL);
	}
}

static void *write_large(void *argument)
{
	(void)argument;

	for (uint64_t i = 1; i <= 3; ++i)
		send_request(i, KBDUS_REQUEST_TYPE_WRITE, PAYLOAD_SIZE);
	return NULL;
}

/* More than is read ahead, and than fits in a socket. */
static void test_large_payload(void **state)
{
	pthread_t thread;

	(void)state;

	pthread_create(&thread, NULL, write_large, NULL);
	for (uint64_t handle = 1; handle <= 3; ++handle)
		assert_receives(handle, KBDUS_REQUEST_TYPE_WRITE, PAYLOAD_SIZE);
	pthread_join(thread, NULL);
}

/* What has come is read at once, and outlives the other end. */
static void test_read_ahead(void **state)
{
	(void)state;

	for (uint64_t handle = 1; handle <= 16; ++handle)
		send_request(handle, KBDUS_REQUEST_TYPE_WRITE, 512);
	assert_receives(1, KBDUS_REQUEST_TYPE_WRITE, 512);
	close_module();
	for (uint64_t handle = 2; handle <= 16; ++handle)
		assert_receives(handle, KBDUS_REQUEST_TYPE_WRITE, 512);

	assert_failure("ended the session");
}

static void test_terminate_is_for_ever(void **state)
{
	(void)state;

	send_request(0, KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE, 0);
	send_request(0, KBDUS_REQUEST_TYPE_TERMINATE, 0);
	shutdown(module, SHUT_WR);
	assert_receives(0, KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE, 0);
	for (int i = 0; i < 3; ++i)
		assert_receives(0, KBDUS_REQUEST_TYPE_TERMINATE, 0);

	/* What is held may still be answered, whether or not anybody listens. */
	request.handle = 3;
	assert_int_equal(uds->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_TERMINATE);
	close_module();
	request.handle = 4;
	assert_int_equal(uds->exchange(&session, channel, &request, 0), 0);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_TERMINATE);
}

static void test_end_between_messages(void **state)
{
	(void)state;

	close_module();
	assert_failure("ended the session");
	request.handle = 4;
	assert_int_equal(uds->exchange(&session, channel, &request, 0), -EIO);
}

static void test_end_in_a_message(void **state)
{
	const struct kbdusuds_request message =
		make(1, KBDUS_REQUEST_TYPE_WRITE, 512);

	(void)state;

	write_all(&message, sizeof(message) - 1);
	close_module();
	assert_failure("ended the session");
}

static void test_end_in_a_payload(void **state)
{
	const struct kbdusuds_request message =
		make(1, KBDUS_REQUEST_TYPE_WRITE, 512);

	(void)state;

	write_all(&message, sizeof(message));
	write_all(&message, 1);
	close_module();
	assert_failure("ended the session");
}

static void test_payload_too_large(void **state)
{
	const struct kbdusuds_request message =
		make(1, KBDUS_REQUEST_TYPE_WRITE, PAYLOAD_SIZE + 1);

	(void)state;

	write_all(&message, sizeof(message));
	assert_failure("1048577");
}

static void test_reserved_bytes(void **state)
{
	struct kbdusuds_request message = make(1, KBDUS_REQUEST_TYPE_FLUSH, 0);

	(void)state;

	message.reserved[sizeof(message.reserved) - 1] = 1;
	write_all(&message, sizeof(message));
	assert_failure("reserved");
}

#define WORKERS 4
#define ROUNDS 16

/* Answers one read after the other with bytes of which one is like the other. */
static void *work(void *argument)
{
	struct libbdus_request own = { .handle = 0 };
	void *own_channel;

	(void)argument;

	if (uds->open(&session, 1, &own_channel))
		return "open";
	while (!uds->exchange(&session, own_channel, &own, 0)) {
		if (own.type == KBDUS_REQUEST_TYPE_TERMINATE) {
			uds->close(&session, own_channel);
			return NULL;
		}
		memset(own.payload, (int)own.handle, own.length);
	}
	return "exchange";
}

/* Replies of several workers do not get mixed up; all of them see the end. */
static void test_workers(void **state)
{
	static uint8_t payload[PAYLOAD_SIZE];
	pthread_t threads[WORKERS];
	struct kbdusuds_reply reply;
	void *result;

	(void)state;

	for (size_t i = 0; i < WORKERS; ++i)
		pthread_create(&threads[i], NULL, work, NULL);
	for (uint64_t i = 1; i <= ROUNDS; ++i)
		send_request(i, KBDUS_REQUEST_TYPE_READ, PAYLOAD_SIZE);
	send_request(0, KBDUS_REQUEST_TYPE_TERMINATE, 0);
	shutdown(module, SHUT_WR);

	for (size_t i = 0; i < ROUNDS; ++i) {
		read_all(&reply, sizeof(reply));
		assert_in_range(reply.handle, 1, ROUNDS);
		assert_int_equal(reply.payload_size, PAYLOAD_SIZE);
		read_all(payload, PAYLOAD_SIZE);
		for (size_t j = 0; j < PAYLOAD_SIZE; ++j) {
			if (payload[j] != reply.handle)
				fail();
		}
	}
	for (size_t i = 0; i < WORKERS; ++i) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
}

static void test_no_payload(void **state)
{
	void *none;

	(void)state;

	session.payload_size = 0;
	assert_int_equal(uds->open(&session, 1, &none), 0);
	write_all(&(struct kbdusuds_request){ .type = KBDUS_REQUEST_TYPE_FLUSH },
		  sizeof(struct kbdusuds_request));
	assert_int_equal(uds->exchange(&session, none, &request, 0), 0);
	assert_null(request.payload);
	uds->close(&session, none);
	session.payload_size = PAYLOAD_SIZE;

	/* A session that never had a stream. */
	uds->end(&(struct libbdus_session){ .fd = -1 });
}

static void send_two(uint64_t first, uint32_t first_length, uint64_t second,
		     uint32_t second_length)
{
	const struct kbdusuds_request messages[] = {
		make(first, KBDUS_REQUEST_TYPE_DISCARD, first_length),
		make(second, KBDUS_REQUEST_TYPE_DISCARD, second_length),
	};

	write_all(messages, sizeof(messages));
}

/* Whoever works on a request of length 1 waits for this. */
static pthread_mutex_t hang = PTHREAD_MUTEX_INITIALIZER;

static void *work_or_hang(void *argument)
{
	struct libbdus_request own = { .handle = 0 };
	void *own_channel;

	(void)argument;

	if (uds->open(&session, 1, &own_channel))
		return "open";
	while (!uds->exchange(&session, own_channel, &own, 0)) {
		if (own.type == KBDUS_REQUEST_TYPE_TERMINATE) {
			uds->close(&session, own_channel);
			return NULL;
		}
		if (own.length == 1) {
			pthread_mutex_lock(&hang);
			pthread_mutex_unlock(&hang);
		}
	}
	return "exchange";
}

/* However fast callbacks were: one that hangs does not hold up what came with it,
 * or comes later. */
static void test_one_hangs(void **state)
{
	pthread_t threads[WORKERS];
	struct kbdusuds_reply reply;
	uint64_t handle = 1;
	void *result;

	(void)state;

	for (size_t i = 0; i < WORKERS; ++i)
		pthread_create(&threads[i], NULL, work_or_hang, NULL);
	for (; handle <= 1000; ++handle) {
		send_request(handle, KBDUS_REQUEST_TYPE_DISCARD, 512);
		read_all(&reply, sizeof(reply));
		assert_int_equal(reply.handle, handle);
	}

	pthread_mutex_lock(&hang);
	for (int i = 0; i < WORKERS - 1; ++i) {
		/* One that is answered, and the one that hangs right behind it. */
		send_two(handle, 512, handle + 1, 1);
		read_all(&reply, sizeof(reply));
		assert_int_equal(reply.handle, handle);
		handle += 2;
		for (int j = 0; j < 2; ++j) {
			send_request(handle, KBDUS_REQUEST_TYPE_DISCARD, 512);
			read_all(&reply, sizeof(reply));
			assert_int_equal(reply.handle, handle++);
		}
	}
	pthread_mutex_unlock(&hang);
	for (int i = 0; i < WORKERS - 1; ++i)
		read_all(&reply, sizeof(reply));

	send_request(0, KBDUS_REQUEST_TYPE_TERMINATE, 0);
	for (size_t i = 0; i < WORKERS; ++i) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exchange),
		TEST(test_pieces),
		TEST(test_large_payload),
		TEST(test_read_ahead),
		TEST(test_terminate_is_for_ever),
		TEST(test_end_between_messages),
		TEST(test_end_in_a_message),
		TEST(test_end_in_a_payload),
		TEST(test_payload_too_large),
		TEST(test_reserved_bytes),
		TEST(test_workers),
		TEST(test_no_payload),
		TEST(test_one_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
