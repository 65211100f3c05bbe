/* SPDX-License-Identifier: MIT */

/* Which protocol is taken, and how the one called "ioctl" talks. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "unit.h"

static char parameter[] = "/tmp/bdus-unit-XXXXXX";

/* The next calls of ioctl(2) fail with EINTR, the one after with this. */
static int interruptions;
static int failure;
static unsigned int calls;
static struct kbdusioctl_reply sent;
static struct kbdusioctl_request to_receive;

/* Takes precedence over the C library's own. */
int ioctl(int fd, unsigned long command, ...)
{
	union kbdusioctl_reply_and_request *message;
	va_list args;

	va_start(args, command);
	message = va_arg(args, void *);
	va_end(args);

	assert_int_equal(fd, 123);
	assert_int_equal(command,
			 KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST);

	++calls;
	sent = message->reply;
	if (interruptions > 0) {
		--interruptions;
		errno = EINTR;
		return -1;
	}
	if (failure) {
		errno = failure;
		return -1;
	}
	message->request = to_receive;
	return 0;
}

static void set_parameter(const char *text)
{
	FILE *file = fopen(parameter, "w");

	fputs(text, file);
	fclose(file);
}

static int choose_as(const char *name, const char *wanted)
{
	const struct libbdus_protocol *protocol = NULL;
	int ret = libbdus_protocol_choose(parameter, wanted, &protocol);

	if (!ret)
		assert_string_equal(protocol->name, name);
	return ret;
}

static int choose(const char *wanted)
{
	return choose_as("ioctl", wanted);
}

static void test_free_choice(void **state)
{
	static const char *const unset[] = { "\n", "", "(null)\n" };

	(void)state;

	for (size_t i = 0; i < COUNT(unset); ++i) {
		set_parameter(unset[i]);
		assert_int_equal(choose_as("ring", NULL), 0);
		assert_int_equal(choose_as("ring", ""), 0);
		assert_int_equal(choose("ioctl"), 0);
		assert_int_equal(choose_as("mmap", "mmap"), 0);
		assert_int_equal(choose_as("ring", "ring"), 0);

		assert_int_equal(choose("ioctl "), -EINVAL);
		assert_int_equal(choose("nonsense"), -EINVAL);
		assert_message_has("BDUS_PROTOCOL");
		assert_message_has("\"nonsense\"");
		assert_message_has(": ring, mmap, ioctl, uds.");
	}
}

static void test_module_decides(void **state)
{
	(void)state;

	set_parameter("ioctl\n");
	assert_int_equal(choose(NULL), 0);
	assert_int_equal(choose("nonsense"), 0);
	set_parameter("mmap\n");
	assert_int_equal(choose_as("mmap", NULL), 0);
	assert_int_equal(choose_as("mmap", "ioctl"), 0);

	set_parameter("other\n");
	assert_int_equal(choose("ioctl"), -EINVAL);
	assert_message_has("kbdus");
	assert_message_has("\"other\"");

	/* The longest name there can be. */
	set_parameter("abcdefghijklmnopqrstuvwxyz01234\n");
	assert_int_equal(choose(NULL), -EINVAL);
	assert_message_has("\"abcdefghijklmnopqrstuvwxyz01234\"");
}

static void test_no_parameter(void **state)
{
	const struct libbdus_protocol *protocol;

	(void)state;

	assert_int_equal(libbdus_protocol_choose("/nonexistent", "ioctl",
						 &protocol), 0);
	assert_int_equal(libbdus_protocol_choose("/nonexistent", "nonsense",
						 &protocol), -EINVAL);
}

static struct libbdus_session session = { .fd = 123, .payload_size = 65536 };
static void *channel;
static struct libbdus_request request;

static int exchange(int error)
{
	calls = 0;
	return libbdus_protocol_ioctl.exchange(&session, channel, &request,
					       error);
}

static int open_channel(void **state)
{
	(void)state;

	interruptions = 0;
	failure = 0;
	memset(&request, 0, sizeof(request));
	memset(&to_receive, 0, sizeof(to_receive));
	to_receive.handle = 99;
	to_receive.offset = 1ull << 40;
	to_receive.length = 4096;
	to_receive.type = KBDUS_REQUEST_TYPE_WRITE;
	return libbdus_protocol_ioctl.open(&session, 0, &channel);
}

static int close_channel(void **state)
{
	(void)state;

	libbdus_protocol_ioctl.close(&session, channel);
	return 0;
}

static void test_exchange(void **state)
{
	(void)state;

	assert_int_equal((uintptr_t)channel % (uintptr_t)sysconf(_SC_PAGESIZE),
			 0);

	assert_int_equal(exchange(0), 0);
	assert_int_equal(sent.handle, 0);
	assert_int_equal(sent.buffer, (uintptr_t)channel);
	for (size_t i = 0; i < sizeof(sent.reserved); ++i)
		assert_int_equal(sent.reserved[i], 0);
	assert_int_equal(request.handle, 99);
	assert_true(request.offset == 1ull << 40);
	assert_int_equal(request.length, 4096);
	assert_int_equal(request.type, KBDUS_REQUEST_TYPE_WRITE);
	assert_ptr_equal(request.payload, channel);

	assert_int_equal(exchange(ENOSPC), 0);
	assert_int_equal(sent.handle, 99);
	assert_int_equal(sent.error, ENOSPC);
}

static void test_interruption(void **state)
{
	(void)state;

	request.handle = 98;
	interruptions = 3;
	assert_int_equal(exchange(ENOLINK), 0);
	assert_int_equal(calls, 4);
	assert_int_equal(sent.handle, 98);
	assert_int_equal(sent.error, ENOLINK);
	assert_int_equal(request.handle, 99);
}

static void test_failure(void **state)
{
	(void)state;

	failure = EFAULT;
	assert_int_equal(exchange(0), -EFAULT);
	assert_int_equal(calls, 1);
	assert_message_has("EFAULT");
}

static void test_no_payload(void **state)
{
	const struct libbdus_session without = { .fd = 123 };
	void *none = &none;

	(void)state;

	assert_int_equal(libbdus_protocol_ioctl.open(&without, 0, &none), 0);
	assert_null(none);
	libbdus_protocol_ioctl.close(&without, none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_choice),
		cmocka_unit_test(test_module_decides),
		cmocka_unit_test(test_no_parameter),
		cmocka_unit_test_setup_teardown(test_exchange, open_channel,
						close_channel),
		cmocka_unit_test_setup_teardown(test_interruption, open_channel,
						close_channel),
		cmocka_unit_test_setup_teardown(test_failure, open_channel,
						close_channel),
		cmocka_unit_test(test_no_payload),
	};
	int ret;

	close(mkstemp(parameter));
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(parameter);
	return ret;
}
