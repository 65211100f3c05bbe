/* SPDX-License-Identifier: MIT */

/*
 * How the protocol called "mmap" talks: over a file whose pages play the memory
 * that the module shares.
 */

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#define BUFFERS 3

static struct libbdus_session session = { .fd = -1, .workers_wanted = 5 };
static struct kbdus_protocol_config config;
static void *channels[BUFFERS];
static struct libbdus_request request;

/* The module's own mapping of the memory. */
static char *memory;

/* The next calls of ioctl(2) fail with EINTR, the one after with this. */
static int interruptions;
static int failure;
static unsigned int calls;
static unsigned long index_sent;
static struct kbdusmmap_reply sent;
static struct kbdusmmap_request to_receive;

/* Takes precedence over the C library's own. */
int ioctl(int fd, unsigned long command, ...)
{
	union kbdusmmap_reply_and_request *header;
	va_list args;

	va_start(args, command);
	index_sent = va_arg(args, unsigned long);
	va_end(args);

	assert_int_equal(fd, session.fd);
	assert_int_equal(command,
			 KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST);
	assert_true(index_sent < BUFFERS);

	++calls;
	header = (union kbdusmmap_reply_and_request *)memory + index_sent;
	sent = header->reply;
	if (interruptions > 0) {
		--interruptions;
		errno = EINTR;
		return -1;
	}
	if (failure) {
		errno = failure;
		return -1;
	}
	header->request = to_receive;
	return 0;
}

static int begin(uint32_t payload_size)
{
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

	memset(&config, 0, sizeof(config));
	if (libbdus_protocol_mmap.prepare(&session, &config))
		return -1;
	assert_int_equal(config.buffer_count, 5);

	config.buffer_count = BUFFERS;
	config.payload_size = payload_size;
	config.payload_offset = page;
	config.payload_stride = payload_size ? 2 * page : 0;
	config.mapping_size = page + BUFFERS * config.payload_stride;
	return libbdus_protocol_mmap.begin(&session, &config);
}

static int set_up(void **state)
{
	(void)state;

	session.fd = memfd_create("shared", 0);
	if (ftruncate(session.fd, 1 << 20))
		return -1;
	memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED,
		      session.fd, 0);

	interruptions = 0;
	failure = 0;
	calls = 0;
	memset(&request, 0, sizeof(request));
	to_receive = (struct kbdusmmap_request){
		.handle = 99,
		.offset = 1ull << 40,
		.length = 4096,
		.type = KBDUS_REQUEST_TYPE_WRITE,
	};
	if (begin(5000))
		return -1;
	for (unsigned int i = 0; i < BUFFERS; ++i) {
		if (libbdus_protocol_mmap.open(&session, i, &channels[i]))
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;

	for (unsigned int i = 0; i < BUFFERS; ++i)
		libbdus_protocol_mmap.close(&session, channels[i]);
	libbdus_protocol_mmap.end(&session);
	/* As after a failure of begin(). */
	libbdus_protocol_mmap.end(&session);
	munmap(memory, 1 << 20);
	close(session.fd);
	return 0;
}

static int exchange(unsigned int buffer, int error)
{
	calls = 0;
	return libbdus_protocol_mmap.exchange(&session, channels[buffer],
					      &request, error);
}

static void test_exchange(void **state)
{
	(void)state;

	/* What was there before is no part of the reply. */
	memset(memory, 0xff, 4096);
	assert_int_equal(exchange(0, 0), 0);
	assert_int_equal(index_sent, 0);
	assert_int_equal(sent.handle, 0);
	assert_int_equal(sent.error, 0);
	for (size_t i = 0; i < sizeof(sent.reserved); ++i)
		assert_int_equal(sent.reserved[i], 0);
	assert_int_equal(request.handle, 99);
	assert_true(request.offset == 1ull << 40);
	assert_int_equal(request.length, 4096);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_WRITE);

	assert_int_equal(exchange(0, ENOSPC), 0);
	assert_int_equal(sent.handle, 99);
	assert_int_equal(sent.error, ENOSPC);
}

/* Each buffer is where the module says. */
static void test_buffers(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;

	for (unsigned int i = 0; i < BUFFERS; ++i) {
		char *theirs = memory + page + i * 2 * page;

		request.handle = 0;
		assert_int_equal(exchange(i, 0), 0);
		assert_int_equal(index_sent, i);
		assert_int_equal((uintptr_t)request.payload % page, 0);
		memset(request.payload, 'a' + (int)i, config.payload_size);
		assert_int_equal(theirs[0], 'a' + i);
		assert_int_equal(theirs[config.payload_size - 1], 'a' + i);
		assert_int_equal(theirs[config.payload_size], 0);
	}
	assert_int_equal(libbdus_protocol_mmap.open(&session, BUFFERS,
						    &channels[0]), -EINVAL);
	assert_message_has("worker 3");
}

static void test_interruption(void **state)
{
	(void)state;

	request.handle = 98;
	interruptions = 3;
	assert_int_equal(exchange(1, ENOLINK), 0);
	assert_int_equal(calls, 4);
	assert_int_equal(sent.handle, 98);
	assert_int_equal(sent.error, ENOLINK);
	assert_int_equal(request.handle, 99);
}

static void test_failure(void **state)
{
	(void)state;

	failure = EINVAL;
	assert_int_equal(exchange(0, 0), -EINVAL);
	assert_int_equal(calls, 1);
	assert_message_has("EINVAL");
}

static void test_no_payload(void **state)
{
	(void)state;

	libbdus_protocol_mmap.end(&session);
	assert_int_equal(begin(0), 0);
	assert_int_equal(libbdus_protocol_mmap.open(&session, 2, &channels[2]),
			 0);
	assert_int_equal(exchange(2, 0), 0);
	assert_null(request.payload);
}

static void test_no_mapping(void **state)
{
	struct libbdus_session other = { .fd = -1 };

	(void)state;

	assert_int_equal(libbdus_protocol_mmap.begin(&other, &config), -EBADF);
	assert_message_has("28672 bytes");
	libbdus_protocol_mmap.end(&other);
}

int main(void)
{
#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_exchange),
		TEST(test_buffers),
		TEST(test_interruption),
		TEST(test_failure),
		TEST(test_no_payload),
		TEST(test_no_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
