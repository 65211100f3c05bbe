/* SPDX-License-Identifier: MIT */

/*
 * The sequence of a driver with one thread: which callbacks run, in which order,
 * whatever fails. See test_workers.c for several threads.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

/* What happened, a letter per callback. */
static char trace[64];

/* What each callback returns. */
static struct {
	int initialize, available, terminate, write, flush;
} results;

static struct bdus_attrs seen_attrs;
static uint64_t seen_id;
static bool seen_is_rerun;
static uint32_t seen_minor;
static char seen_path[64];
static void *seen_private_data;
static int private_data;

static void note(char event)
{
	const size_t length = strlen(trace);

	if (length + 1 < sizeof(trace))
		trace[length] = event;
}

static int on_initialize(struct bdus_ctx *ctx)
{
	note('I');
	seen_attrs = *ctx->attrs;
	seen_id = ctx->id;
	seen_is_rerun = ctx->is_rerun;
	seen_minor = ctx->minor;
	seen_private_data = ctx->private_data;
	snprintf(seen_path, sizeof(seen_path), "%s", ctx->path);
	return results.initialize;
}

static int on_available(struct bdus_ctx *ctx)
{
	(void)ctx;
	note('A');
	return results.available;
}

static int on_terminate(struct bdus_ctx *ctx)
{
	(void)ctx;
	note('T');
	/* What callbacks get from the library must not replace what counts. */
	libbdus_error(EBADF, "Inner failure.");
	return results.terminate;
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)buffer;
	(void)offset;
	(void)size;
	(void)ctx;
	note('w');
	return results.write;
}

static int on_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	note('f');
	return results.flush;
}

static const struct bdus_ops ops = {
	.initialize = on_initialize,
	.on_device_available = on_available,
	.terminate = on_terminate,
	.write = on_write,
	.flush = on_flush,
};

static const struct bdus_attrs attrs = {
	.logical_block_size = 512,
	.size = 1 << 20,
	.dont_daemonize = true,
};

#define AVAILABLE KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE
#define TERMINATE KBDUS_REQUEST_TYPE_TERMINATE
#define FLUSH_AND_TERMINATE KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE
#define WRITE KBDUS_REQUEST_TYPE_WRITE

static int set_up(void **state)
{
	(void)state;

	setenv("BDUS_NO_MEMORY_LOCK", "1", 1);
	fake_reset();
	memset(trace, 0, sizeof(trace));
	memset(&results, 0, sizeof(results));
	libbdus_error(0, "%s", "");
	return 0;
}

/* Whatever happened, nothing may be left over. */
static int tear_down(void **state)
{
	(void)state;

	assert_int_equal(fake.closed, fake.opened);
	assert_int_equal(fake.channels_closed, fake.channels_opened);
	return 0;
}

static void push(uint32_t type)
{
	fake_push(type, 0, 512);
}

static int run_with(const struct bdus_ops *with_ops,
		    const struct bdus_attrs *with_attrs)
{
	const struct libbdus_run_args args = {
		.ops = with_ops,
		.attrs = with_attrs,
		.attrs_size = sizeof(*with_attrs),
		.private_data = &private_data,
	};

	return libbdus_run(&fake_backend, &args);
}

static int rerun_with(const struct bdus_ops *with_ops,
		      const struct bdus_attrs *with_attrs)
{
	const struct libbdus_run_args args = {
		.ops = with_ops,
		.attrs = with_attrs,
		.attrs_size = sizeof(*with_attrs),
		.is_rerun = true,
		.dev_id = 7,
	};

	return libbdus_run(&fake_backend, &args);
}

static int run(void)
{
	return run_with(&ops, &attrs);
}

static void test_whole_life(void **state)
{
	(void)state;

	push(WRITE);
	push(AVAILABLE);
	push(WRITE);
	push(WRITE);
	push(TERMINATE);

	assert_int_equal(run(), 0);
	assert_string_equal(trace, "IwAwwT");
	assert_int_equal(fake_answer(0), 0);
	assert_int_equal(fake_answer(2), 0);
	assert_int_equal(fake_answer(3), 0);
	assert_int_equal(fake.marked, 1);
	assert_int_equal(fake.stopped, 0);
	assert_false(fake.was_unfinished);
	assert_false(seen_is_rerun);
	assert_int_equal(seen_id, 42);
	assert_int_equal(seen_minor, 512);
	assert_string_equal(seen_path, "/dev/fake-42");
	assert_int_equal(seen_attrs.max_concurrent_callbacks, 1);
	assert_ptr_equal(seen_private_data, &private_data);
}

static void test_request_failing(void **state)
{
	(void)state;

	results.write = EPERM;
	push(AVAILABLE);
	push(WRITE);
	push(TERMINATE);

	assert_int_equal(run(), 0);
	assert_int_equal(fake_answer(1), EIO);
}

static void test_initialize_failing(void **state)
{
	(void)state;

	results.initialize = ENOMEDIUM;
	assert_int_equal(run(), -ENOMEDIUM);
	assert_message_has("initialize");
	assert_message_has("ENOMEDIUM");
	assert_string_equal(trace, "I");
	assert_int_equal(fake.marked, 0);
	assert_int_equal(fake.exchanges, 0);
	assert_true(fake.was_unfinished);
}

static void test_initialize_aborting(void **state)
{
	(void)state;

	results.initialize = bdus_abort;
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
	assert_string_equal(trace, "I");
}

static void test_negative_result(void **state)
{
	(void)state;

	results.initialize = -EINVAL;
	assert_int_equal(run(), -EIO);
	assert_string_equal(trace, "I");
}

static void test_available_failing(void **state)
{
	(void)state;

	results.available = EBUSY;
	push(AVAILABLE);
	assert_int_equal(run(), -EBUSY);
	assert_message_has("on_device_available");
	assert_string_equal(trace, "IAT");
	assert_int_equal(fake.marked, 0);
	assert_true(fake.stopped > 0);
}

static void test_available_aborting(void **state)
{
	(void)state;

	results.available = bdus_abort;
	push(AVAILABLE);
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
	assert_string_equal(trace, "IAT");
}

static void test_terminate_failing(void **state)
{
	(void)state;

	results.terminate = ENOSPC;
	push(AVAILABLE);
	push(TERMINATE);
	assert_int_equal(run(), -ENOSPC);
	assert_message_has("terminate");
	assert_string_equal(trace, "IAT");
	assert_int_equal(fake.marked, 0);
}

static void test_terminate_aborting(void **state)
{
	(void)state;

	results.terminate = bdus_abort;
	push(AVAILABLE);
	push(TERMINATE);
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
}

static void test_first_failure_counts(void **state)
{
	(void)state;

	results.available = EBUSY;
	results.terminate = ENOSPC;
	push(AVAILABLE);
	assert_int_equal(run(), -EBUSY);
	assert_message_has("on_device_available");
}

static void test_request_aborting(void **state)
{
	(void)state;

	results.write = bdus_abort;
	push(AVAILABLE);
	push(WRITE);
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
	assert_string_equal(trace, "IAwT");
	assert_int_equal(fake_answer(1), -1);
	assert_int_equal(fake.marked, 0);
	assert_true(fake.stopped > 0);
}

static void test_request_aborting_early(void **state)
{
	(void)state;

	results.write = bdus_abort;
	push(WRITE);
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
	assert_string_equal(trace, "IwT");
	assert_int_equal(fake_answer(0), -1);
	assert_true(fake.was_unfinished);
}

static void test_terminated_early(void **state)
{
	(void)state;

	push(TERMINATE);
	assert_int_equal(run(), 0);
	assert_string_equal(trace, "IT");
	assert_int_equal(fake.marked, 1);
	assert_true(fake.was_unfinished);
}

static void test_flush_and_terminate(void **state)
{
	(void)state;

	push(AVAILABLE);
	push(WRITE);
	push(FLUSH_AND_TERMINATE);
	assert_int_equal(run(), 0);
	assert_string_equal(trace, "IAwfT");
	assert_int_equal(fake_answer(1), 0);
	assert_int_equal(fake.marked, 1);
}

static void test_flush_and_terminate_early(void **state)
{
	(void)state;

	push(FLUSH_AND_TERMINATE);
	assert_int_equal(run(), 0);
	assert_string_equal(trace, "IfT");
}

static void test_flush_failing(void **state)
{
	(void)state;

	results.flush = ENOSPC;
	push(AVAILABLE);
	push(FLUSH_AND_TERMINATE);
	assert_int_equal(run(), -EIO);
	assert_message_has("failed to flush before terminating");
	assert_string_equal(trace, "IAfT");
	assert_int_equal(fake.marked, 0);
}

static void test_flush_aborting(void **state)
{
	(void)state;

	results.flush = bdus_abort;
	push(AVAILABLE);
	push(FLUSH_AND_TERMINATE);
	assert_int_equal(run(), -EIO);
	assert_message_begins("Driver aborted");
}

static void test_available_twice(void **state)
{
	(void)state;

	push(AVAILABLE);
	push(AVAILABLE);
	assert_int_equal(run(), -EINVAL);
	assert_string_equal(trace, "IAT");
}

static void test_unknown_request(void **state)
{
	(void)state;

	push(AVAILABLE);
	push(99);
	assert_int_equal(run(), -EINVAL);
	assert_string_equal(trace, "IAT");
}

static void test_exchange_failing(void **state)
{
	(void)state;

	fake.failing_exchange = 1;
	assert_int_equal(run(), -ENODEV);
	assert_string_equal(trace, "IT");

	set_up(state);
	fake.failing_exchange = 2;
	push(AVAILABLE);
	assert_int_equal(run(), -ENODEV);
	assert_string_equal(trace, "IAT");
	assert_message_has("Fake exchange");
}

static void test_no_backend(void **state)
{
	(void)state;

	fake.open_result = -EPERM;
	assert_int_equal(run(), -EPERM);
	assert_string_equal(trace, "");
	assert_int_equal(fake.closed, 0);
}

static void test_create_failing(void **state)
{
	(void)state;

	fake.create_result = -ENOSPC;
	assert_int_equal(run(), -ENOSPC);
	assert_string_equal(trace, "");
}

static void test_no_memory(void **state)
{
	(void)state;

	fake.failing_channel = 1;
	assert_int_equal(run(), -ENOMEM);
	assert_string_equal(trace, "");
}

/* Arguments are looked at before anything is touched. */
static void test_bad_arguments(void **state)
{
	struct bdus_attrs bad_attrs = attrs;
	struct bdus_ops bad_ops = ops;

	(void)state;

	bad_attrs.size = 1;
	bad_ops.fua_write = on_write;
	bad_ops.flush = NULL;
	fake.open_result = -EPERM;

	assert_int_equal(run_with(&ops, &bad_attrs), -EINVAL);
	assert_int_equal(run_with(&bad_ops, &attrs), -EINVAL);
	assert_int_equal(rerun_with(&bad_ops, &attrs), -EINVAL);
	assert_int_equal(run_with(NULL, &attrs), -EINVAL);
	assert_int_equal(run_with(&ops, NULL), -EINVAL);
	assert_string_equal(trace, "");
}

/* Programs of 0.1.0 pass 40 bytes; the sanitizer sees to the 41st. */
static void test_short_attributes(void **state)
{
	struct bdus_attrs *old = malloc(LIBBDUS_ATTRS_SIZE_0_1_0);
	const struct libbdus_run_args args = {
		.ops = &ops,
		.attrs = old,
		.attrs_size = LIBBDUS_ATTRS_SIZE_0_1_0,
	};

	(void)state;

	memcpy(old, &attrs, LIBBDUS_ATTRS_SIZE_0_1_0);
	push(AVAILABLE);
	push(TERMINATE);
	assert_int_equal(libbdus_run(&fake_backend, &args), 0);
	assert_int_equal(seen_attrs.size, attrs.size);
	assert_true(seen_attrs.dont_daemonize);
	assert_int_equal(seen_attrs.request_timeout_ms, 0);
	assert_int_equal(seen_attrs.orphan_timeout_ms, 0);
	free(old);
}

/* The user may free and change what was passed. */
static void test_arguments_are_copied(void **state)
{
	struct bdus_ops *my_ops = malloc(sizeof(*my_ops));
	struct bdus_attrs *my_attrs = malloc(sizeof(*my_attrs));

	(void)state;

	*my_ops = ops;
	*my_attrs = attrs;
	my_attrs->max_write_zeros_size = 512;
	push(TERMINATE);
	assert_int_equal(run_with(my_ops, my_attrs), 0);
	assert_int_equal(my_attrs->max_concurrent_callbacks, 0);
	free(my_ops);
	free(my_attrs);
}

static void print_path(const char *target, char *printed, size_t size)
{
	struct bdus_ops without = ops;
	FILE *file = fopen(target, "w+");
	int real_stdout;
	int ret;

	without.on_device_available = NULL;
	push(AVAILABLE);
	push(TERMINATE);

	fflush(stdout);
	real_stdout = dup(STDOUT_FILENO);
	dup2(fileno(file), STDOUT_FILENO);
	ret = run_with(&without, &attrs);
	clearerr(stdout);
	dup2(real_stdout, STDOUT_FILENO);
	close(real_stdout);

	snprintf(printed, size, "%d", ret);
	rewind(file);
	if (!ret)
		printed[fread(printed, 1, size - 1, file)] = '\0';
	fclose(file);
}

static void test_path_is_printed(void **state)
{
	char name[] = "/tmp/bdus-unit-XXXXXX";
	char printed[64];

	(void)state;

	close(mkstemp(name));
	print_path(name, printed, sizeof(printed));
	unlink(name);
	assert_string_equal(printed, "/dev/fake-42\n");
	assert_string_equal(trace, "IT");
}

static void test_path_cannot_be_printed(void **state)
{
	char printed[64];

	(void)state;

	print_path("/dev/full", printed, sizeof(printed));
	assert_int_equal(atoi(printed), -EIO);
	assert_string_equal(trace, "IT");
	assert_int_equal(fake.marked, 0);
}

static void test_no_callbacks(void **state)
{
	static const struct bdus_ops none;

	(void)state;

	push(TERMINATE);
	assert_int_equal(run_with(&none, &attrs), 0);
	assert_string_equal(trace, "");
}

static void set_existing_device(void)
{
	fake.device = (struct kbdus_device_config){
		.size = 1 << 20,
		.seqnum = 7,
		.logical_block_size = 512,
		.physical_block_size = 512,
		.operations = KBDUS_OP(WRITE),
		.flags = KBDUS_DEVICE_F_RECOVERABLE,
		.max_read_write_size = 65536,
		.max_outstanding_requests = 2,
	};
}

static void test_rerun(void **state)
{
	const struct bdus_attrs mine = {
		.dont_daemonize = true,
		.max_concurrent_callbacks = 1,
	};

	(void)state;

	set_existing_device();
	push(AVAILABLE);
	push(WRITE);
	push(TERMINATE);

	/* There is a flush callback that the device has no use for. */
	assert_int_equal(rerun_with(&ops, &mine), 0);
	assert_string_equal(trace, "IAwT");
	assert_int_equal(fake.created, 0);
	assert_int_equal(fake.attached, 1);
	assert_true(seen_is_rerun);
	assert_int_equal(seen_id, 7);
	assert_true(seen_attrs.recoverable);
	assert_int_equal(seen_attrs.size, 1 << 20);
	assert_int_equal(seen_attrs.max_read_write_size, 65536);
}

static void test_rerun_refused_before_attaching(void **state)
{
	struct bdus_attrs mine = { .dont_daemonize = true };

	(void)state;

	set_existing_device();
	fake.device.operations |= KBDUS_OP(DISCARD);
	assert_int_equal(rerun_with(&ops, &mine), -EINVAL);
	assert_message_has("discard");

	set_existing_device();
	mine.size = 512;
	assert_int_equal(rerun_with(&ops, &mine), -EINVAL);
	assert_message_has("size");

	mine.size = 0;
	fake.describe_result = -ENODEV;
	assert_int_equal(rerun_with(&ops, &mine), -ENODEV);

	assert_int_equal(fake.attached, 0);
	assert_string_equal(trace, "");
}

static void test_attach_failing(void **state)
{
	const struct bdus_attrs mine = { .dont_daemonize = true };

	(void)state;

	set_existing_device();
	fake.attach_result = -EINTR;
	assert_int_equal(rerun_with(&ops, &mine), -EINTR);
	assert_int_equal(fake.attached, 1);
	assert_string_equal(trace, "");
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_life),
		TEST(test_request_failing),
		TEST(test_initialize_failing),
		TEST(test_initialize_aborting),
		TEST(test_negative_result),
		TEST(test_available_failing),
		TEST(test_available_aborting),
		TEST(test_terminate_failing),
		TEST(test_terminate_aborting),
		TEST(test_first_failure_counts),
		TEST(test_request_aborting),
		TEST(test_request_aborting_early),
		TEST(test_terminated_early),
		TEST(test_flush_and_terminate),
		TEST(test_flush_and_terminate_early),
		TEST(test_flush_failing),
		TEST(test_flush_aborting),
		TEST(test_available_twice),
		TEST(test_unknown_request),
		TEST(test_exchange_failing),
		TEST(test_no_backend),
		TEST(test_create_failing),
		TEST(test_no_memory),
		TEST(test_bad_arguments),
		TEST(test_short_attributes),
		TEST(test_arguments_are_copied),
		TEST(test_path_is_printed),
		TEST(test_path_cannot_be_printed),
		TEST(test_no_callbacks),
		TEST(test_rerun),
		TEST(test_rerun_refused_before_attaching),
		TEST(test_attach_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
