/* SPDX-License-Identifier: MIT */

/*
 * Drivers without callbacks, down to the system calls and to the memory that is shared
 * with the module, which fake_ring.h plays.
 */

#include <linux/ioctl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "fake_kernel.h"
#include "fake_ring.h"

#define ENTRIES 64
#define PAYLOADS 16

static struct bdus_events *events;
static struct bdus_request requests[2 * ENTRIES];
static uint32_t count;

/* Calls of ENTER, with what flags the last one came, and what the next ones say. */
static unsigned int calls;
static unsigned long last_flags;
static int results[4];
static unsigned int results_given;
static int failure;

static const struct bdus_attrs attrs = {
	.logical_block_size = 512,
	.size = 1 << 20,
};

static const struct bdus_events_config all = {
	.operations = BDUS_OPERATION(READ) | BDUS_OPERATION(WRITE) |
		      BDUS_OPERATION(WRITE_ZEROS) | BDUS_OPERATION(FLUSH) |
		      BDUS_OPERATION(FUA_WRITE) | BDUS_OPERATION(IOCTL),
};

/* ---- the module ---- */

static void lay_out(struct kbdus_protocol_config *config)
{
	const uint32_t page = (uint32_t)page_size();

	config->payload_size = page;
	config->entry_count = ENTRIES;
	config->driver_offset = 2 * page;
	config->channel_offset = config->driver_offset + 64;
	config->channel_stride = 64 + ENTRIES * 16;
	config->mapping_size = config->driver_offset + page;
	config->payload_memory = PAYLOADS * page;
	if (!config->payload_address) {
		config->payload_offset = (uint32_t)config->mapping_size;
		config->mapping_size += config->payload_memory;
	}
	config->payload_address = 0;

	fake_ring.config = *config;
	fake_ring.memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				MAP_SHARED, kernel.mappable_fd, 0);
}

static int enter(unsigned long argument)
{
	++calls;
	last_flags = argument & ~0xffffl;
	assert_int_equal(argument & 0xffff, 0);
	fake_ring_look(0);

	if (failure) {
		errno = failure;
		return -1;
	}
	if (argument & KBDUSRING_ENTER_NOTIFIED && results_given < COUNT(results))
		return results[results_given++];
	return KBDUSRING_ENTERED_REQUESTS;
}

static int set_up_events(void **state)
{
	set_up(state);
	alarm(60);
	memset(&fake_ring, 0, sizeof(fake_ring));
	memset(results, 0, sizeof(results));
	kernel.is_mappable = true;
	kernel.adjust_ring = lay_out;
	kernel.enter = enter;
	unsetenv("BDUS_BACKEND");
	unsetenv("BDUS_PROTOCOL");
	events = NULL;
	calls = 0;
	results_given = 0;
	failure = 0;
	return 0;
}

static void create_device(void)
{
	assert_succeeds(bdus_events_create(&events, &attrs, &all));
}

static void take_up_to(uint32_t capacity, uint32_t expected)
{
	count = 12345;
	assert_succeeds(bdus_events_take(events, requests, capacity, &count));
	assert_int_equal(count, expected);
}

static void close_device(bool is_successful)
{
	bdus_events_close(events, is_successful);
	munmap(fake_ring.memory, 1 << 20);
	errno = ERANGE;
}

/* ---- beginnings ---- */

static void test_create(void **state)
{
	const struct kbdus_config *created = &kernel.created;
	const struct bdus_ctx *ctx;
	size_t size;

	(void)state;

	create_device();
	assert_int_equal(kernel.command_count, 1);
	assert_int_equal(kernel.commands[0], KBDUS_IOCTL_CREATE_DEVICE);
	assert_string_equal(created->protocol.name, "ring");
	assert_int_equal(created->protocol.channel_count, 1);
	assert_int_equal(created->protocol.payload_memory, 4 << 20);
	assert_int_equal(created->protocol.payload_address, 0);
	assert_int_equal(created->device.max_outstanding_requests, 64);
	assert_int_equal(created->device.operations,
			 KBDUS_OP(READ) | KBDUS_OP(WRITE) |
				 KBDUS_OP_WRITE_ZEROS | KBDUS_OP(FLUSH) |
				 KBDUS_OP(FUA_WRITE) | KBDUS_OP(IOCTL));
	assert_int_equal(calls, 0);

	ctx = bdus_events_get_ctx(events);
	assert_int_equal(ctx->id, 5);
	assert_string_equal(ctx->path, "/dev/bdus-5");
	assert_int_equal(ctx->attrs->physical_block_size, 4096);
	assert_int_equal(ctx->major, 240);
	assert_int_equal(ctx->minor, 256);
	assert_false(ctx->is_rerun);
	assert_null(ctx->private_data);
	assert_int_equal(bdus_events_get_fd(events), kernel.mappable_fd);
	assert_non_null(bdus_events_get_memory(events, &size));
	assert_int_equal(size, PAYLOADS * page_size());
	close_device(false);
}

static void test_create_as_wanted(void **state)
{
	struct bdus_attrs deep = attrs;
	struct bdus_events_config large = all;

	(void)state;

	deep.queue_depth = 7;
	large.memory_size = 1 << 20;
	setenv("BDUS_BACKEND", "kbdus", 1);
	setenv("BDUS_PROTOCOL", "ring", 1);
	assert_succeeds(bdus_events_create(&events, &deep, &large));
	assert_int_equal(kernel.created.device.max_outstanding_requests, 7);
	assert_int_equal(kernel.created.protocol.payload_memory, 1 << 20);
	close_device(false);
}

static void test_attach(void **state)
{
	const struct bdus_attrs none = { .leave_timeout_ms = 30 };
	const struct bdus_attrs other = { .size = 2 << 20 };
	struct bdus_events_config less = all;

	(void)state;

	set_info();
	assert_succeeds(bdus_events_attach(&events, 12, &none, &all));
	assert_int_equal(kernel.commands[0], KBDUS_IOCTL_GET_DEVICE_INFO);
	assert_int_equal(kernel.commands[1], KBDUS_IOCTL_ATTACH_TO_DEVICE);
	assert_int_equal(kernel.attached.config.device.seqnum, 12);
	assert_int_equal(kernel.attached.leave_timeout_ms, 30);
	assert_string_equal(kernel.attached.config.protocol.name, "ring");
	assert_true(bdus_events_get_ctx(events)->is_rerun);
	assert_true(bdus_events_get_ctx(events)->attrs->recoverable);
	close_device(false);

	/* The present driver stays. */
	kernel.command_count = 0;
	less.operations &= ~BDUS_OPERATION(READ);
	assert_fails(bdus_events_attach(&events, 12, &none, &less), EINVAL);
	assert_message_has("does not serve read");
	assert_fails(bdus_events_attach(&events, 12, &other, &all), EINVAL);
	for (unsigned int i = 0; i < kernel.command_count; ++i)
		assert_int_equal(kernel.commands[i], KBDUS_IOCTL_GET_DEVICE_INFO);
}

static void test_own_memory(void **state)
{
	const size_t size = 64 * page_size();
	struct bdus_events_config config = all;
	size_t used;

	(void)state;

	config.memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	config.memory_size = size;
	assert_succeeds(bdus_events_create(&events, &attrs, &config));
	assert_int_equal(kernel.created.protocol.payload_address,
			 (uintptr_t)config.memory);
	assert_int_equal(kernel.created.protocol.payload_memory, size);
	assert_ptr_equal(bdus_events_get_memory(events, &used), config.memory);
	assert_int_equal(used, PAYLOADS * page_size());

	fake_ring_submit(1);
	take_up_to(1, 1);
	assert_ptr_equal(requests[0].buffer,
			 (char *)config.memory + page_size());
	close_device(false);
	/* It is still there. */
	memset(config.memory, 1, size);
	munmap(config.memory, size);
}

static void test_refused(void **state)
{
	struct bdus_events_config config = all;
	struct bdus_attrs bad = attrs;
	char *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;

	assert_fails(bdus_events_create(NULL, &attrs, &all), EINVAL);
	assert_fails(bdus_events_create(&events, NULL, &all), EINVAL);
	assert_fails(bdus_events_create(&events, &attrs, NULL), EINVAL);
	bad.size = 0;
	assert_fails(bdus_events_create(&events, &bad, &all), EINVAL);

	for (unsigned int bit = 0; bit < 32; ++bit) {
		config.operations = 1u << bit;
		if (!(all.operations & config.operations) &&
		    bit != BDUS_REQUEST_WRITE_SAME &&
		    bit != BDUS_REQUEST_DISCARD &&
		    bit != BDUS_REQUEST_SECURE_ERASE)
			assert_fails(bdus_events_create(&events, &attrs, &config),
				     EINVAL);
	}
	config.operations = BDUS_OPERATION(FUA_WRITE);
	assert_fails(bdus_events_create(&events, &attrs, &config), EINVAL);

	config = all;
	config.memory = page + 8;
	config.memory_size = page_size();
	assert_fails(bdus_events_create(&events, &attrs, &config), EINVAL);
	config.memory = page;
	config.memory_size = page_size() + 8;
	assert_fails(bdus_events_create(&events, &attrs, &config), EINVAL);
	/* A read may have 256 KiB. */
	config.memory_size = page_size();
	assert_fails(bdus_events_create(&events, &attrs, &config), EINVAL);
	assert_message_has("262144");
	assert_int_equal(kernel.command_count, 0);
	assert_null(events);
	munmap(page, page_size());
}

static void test_elsewhere(void **state)
{
	(void)state;

	setenv("BDUS_BACKEND", "fuse", 1);
	assert_fails(bdus_events_create(&events, &attrs, &all), EOPNOTSUPP);
	assert_message_has("fuse");
	assert_message_has("bdus_run()");
	unsetenv("BDUS_BACKEND");
	setenv("BDUS_PROTOCOL", "mmap", 1);
	assert_fails(bdus_events_create(&events, &attrs, &all), EOPNOTSUPP);
	assert_message_has("mmap");
	setenv("BDUS_PROTOCOL", "smoke signals", 1);
	assert_fails(bdus_events_create(&events, &attrs, &all), EINVAL);
	assert_int_equal(kernel.command_count, 0);
}

static void test_module_refuses(void **state)
{
	static const int errors[] = { EFAULT, ENOMEM, ENOSPC, EINVAL };

	(void)state;

	for (size_t i = 0; i < COUNT(errors); ++i) {
		kernel.failing_command = KBDUS_IOCTL_CREATE_DEVICE;
		kernel.failure = errors[i];
		assert_fails(bdus_events_create(&events, &attrs, &all), errors[i]);
		assert_null(events);
	}
}

/* ---- taking ---- */

/* What fake_ring_make() makes. */
static void assert_made(const struct bdus_request *request, uint64_t handle)
{
	const struct kbdusring_request made = fake_ring_make(handle);
	size_t size;
	char *memory = bdus_events_get_memory(events, &size);
	const bool has_range = made.type != KBDUS_REQUEST_TYPE_IOCTL;

	assert_int_not_equal(request->id, 0);
	assert_int_equal(request->offset, made.offset);
	if (has_range)
		assert_int_equal(request->size, made.length);
	if (made.type == KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP) {
		assert_int_equal(request->type, BDUS_REQUEST_WRITE_ZEROS);
		assert_true(request->may_unmap);
	} else {
		assert_int_equal(request->type, made.type);
		assert_false(request->may_unmap);
	}
	switch (request->type) {
	case BDUS_REQUEST_READ:
	case BDUS_REQUEST_WRITE:
	case BDUS_REQUEST_WRITE_SAME:
	case BDUS_REQUEST_FUA_WRITE:
		assert_ptr_equal(request->buffer, memory + made.payload_offset);
		break;
	default:
		assert_null(request->buffer);
	}
}

static void test_take(void **state)
{
	(void)state;

	create_device();
	take_up_to(0, 0);
	assert_int_equal(calls, 0);

	/* Notifications come first, whatever there is. */
	results[0] = KBDUSRING_ENTERED_AVAILABLE;
	fake_ring_submit(20);
	take_up_to(1, 1);
	assert_int_equal(requests[0].type, BDUS_REQUEST_AVAILABLE);
	assert_int_equal(requests[0].id, 0);
	assert_int_equal(calls, 1);
	assert_int_equal(last_flags, KBDUSRING_ENTER_NOTIFIED);

	/* No call is made while there are requests. */
	take_up_to(8, 8);
	for (uint64_t i = 0; i < 8; ++i)
		assert_made(&requests[i], i + 1);
	take_up_to(100, 12);
	for (uint64_t i = 0; i < 12; ++i)
		assert_made(&requests[i], i + 9);
	assert_int_equal(calls, 1);
	take_up_to(100, 0);
	assert_int_equal(calls, 2);
	close_device(false);
}

static void test_ids_are_unique(void **state)
{
	/* Every second one is held, and there is room for each. */
	uint64_t seen[ENTRIES * 2 - 1];

	(void)state;

	create_device();
	for (unsigned int i = 0; i < COUNT(seen); ++i) {
		fake_ring_submit(1);
		take_up_to(1, 1);
		seen[i] = requests[0].id;
		for (unsigned int j = 0; j < i; ++j)
			assert_true(seen[j] != seen[i]);
		if (i % 2)
			assert_succeeds(bdus_events_answer(events, seen[i], 0));
	}
	close_device(false);
}

static void submit_ioctl(uint32_t command)
{
	struct kbdusring_request *entries = (void *)(fake_ring.memory + 64);
	const uint32_t next = fake_ring_get(fake_ring_tail());

	fake_ring_submit(1);
	entries[next % ENTRIES].type = KBDUS_REQUEST_TYPE_IOCTL;
	entries[next % ENTRIES].length = command;
	entries[next % ENTRIES].payload_offset = 0;
}

static void test_ioctls(void **state)
{
	size_t size;
	char *memory;

	(void)state;

	create_device();
	memory = bdus_events_get_memory(events, &size);

	memset(memory, 7, 16);
	submit_ioctl(_IO(1, 2));
	take_up_to(1, 1);
	assert_int_equal(requests[0].type, BDUS_REQUEST_IOCTL);
	assert_int_equal(requests[0].command, _IO(1, 2));
	assert_int_equal(requests[0].size, 0);
	assert_null(requests[0].buffer);

	submit_ioctl(_IOR(1, 2, uint64_t));
	take_up_to(1, 1);
	assert_ptr_equal(requests[0].buffer, memory);
	assert_int_equal(requests[0].size, 8);
	assert_int_equal(memory[0], 7);

	/* Nothing of others gets out. */
	submit_ioctl(_IOW(1, 2, uint64_t));
	take_up_to(1, 1);
	assert_int_equal(memory[7], 0);
	assert_int_equal(memory[8], 7);
	/* Its own errors get through. */
	assert_succeeds(bdus_events_answer(events, requests[0].id, ENOENT));
	assert_succeeds(bdus_events_submit(events));
	assert_int_equal(fake_ring.errors[3], ENOENT);
	close_device(false);
}

static void test_over(void **state)
{
	static const int ends[] = { KBDUSRING_ENTERED_TERMINATE,
				    KBDUSRING_ENTERED_FLUSH_AND_TERMINATE };
	static const enum bdus_request_type types[] = {
		BDUS_REQUEST_TERMINATE, BDUS_REQUEST_FLUSH_AND_TERMINATE,
	};

	for (unsigned int i = 0; i < COUNT(ends); ++i) {
		uint64_t id;

		set_up_events(state);
		create_device();
		fake_ring_submit(1);
		take_up_to(1, 1);
		id = requests[0].id;
		results[1] = ends[i];
		take_up_to(2, 1);
		assert_int_equal(requests[0].type, types[i]);

		/* Others have what comes now. */
		fake_ring_submit(1);
		calls = 0;
		take_up_to(2, 0);
		assert_int_equal(calls, 0);
		assert_succeeds(bdus_events_answer(events, id, 0));
		assert_succeeds(bdus_events_submit(events));
		assert_int_equal(fake_ring.answers[1], 1);
		close_device(true);
	}
}

static void test_module_makes_no_sense(void **state)
{
	(void)state;

	create_device();
	failure = EINVAL;
	assert_fails(bdus_events_take(events, requests, 1, &count), EIO);
	failure = 0;
	results[0] = 4;
	assert_fails(bdus_events_take(events, requests, 1, &count), EIO);
	fake_ring_submit(1);
	take_up_to(1, 1);
	assert_succeeds(bdus_events_answer(events, requests[0].id, 0));
	failure = EINVAL;
	assert_fails(bdus_events_submit(events), EIO);
	close_device(false);
}

/* ---- answering ---- */

static void test_answers(void **state)
{
	static const struct {
		int given;
		int seen;
	} table[] = {
		{ 0, 0 }, { ENOSPC, ENOSPC }, { ENOLINK, ENOLINK },
		{ ETIMEDOUT, ETIMEDOUT }, { EIO, EIO }, { ENOENT, EIO },
		{ -1, EIO }, { bdus_abort, EIO }, { 100000, EIO },
	};

	(void)state;

	create_device();
	fake_ring_submit(COUNT(table));
	take_up_to(100, COUNT(table));
	calls = 0;
	assert_succeeds(bdus_events_submit(events));
	assert_int_equal(calls, 0);

	/* The last first. */
	for (size_t i = COUNT(table); i-- > 0;) {
		assert_succeeds(bdus_events_answer(events, requests[i].id,
						   table[i].given));
	}
	assert_int_equal(calls, 0);
	assert_succeeds(bdus_events_submit(events));
	assert_int_equal(calls, 1);
	assert_int_equal(last_flags, 0);
	for (size_t i = 0; i < COUNT(table); ++i) {
		assert_int_equal(fake_ring.answers[i + 1], 1);
		assert_int_equal(fake_ring.errors[i + 1], table[i].seen);
	}
	assert_succeeds(bdus_events_submit(events));
	assert_int_equal(calls, 1);
	close_device(false);
}

/* Answer one request, and return how many calls that takes. */
static unsigned int calls_for_answer(void)
{
	fake_ring_submit(1);
	take_up_to(1, 1);
	calls = 0;
	assert_succeeds(bdus_events_answer(events, requests[0].id, 0));
	assert_succeeds(bdus_events_submit(events));
	return calls;
}

static void test_no_call_if_clients_look(void **state)
{
	(void)state;

	create_device();
	assert_int_equal(calls_for_answer(), 1);
	fake_ring.flags = KBDUSRING_REQUEST_POLLED;
	assert_int_equal(calls_for_answer(), 0);
	fake_ring.flags = 0;
	fake_ring_set(fake_ring_reapers(), 1);
	assert_int_equal(calls_for_answer(), 0);
	fake_ring_set(fake_ring_reapers(), 0);
	assert_int_equal(calls_for_answer(), 1);
	close_device(false);
}

static void test_bad_ids(void **state)
{
	uint64_t id;

	(void)state;

	create_device();
	assert_fails(bdus_events_answer(events, 0, 0), EINVAL);
	fake_ring_submit(2);
	take_up_to(1, 1);
	id = requests[0].id;
	assert_fails(bdus_events_answer(events, 0, 0), EINVAL);
	assert_fails(bdus_events_answer(events, id + 1, 0), EINVAL);
	assert_fails(bdus_events_answer(events, id ^ 1ull << 63, 0), EINVAL);
	assert_fails(bdus_events_answer(events, id + ENTRIES, 0), EINVAL);
	assert_fails(bdus_events_answer(events, UINT64_MAX, 0), EINVAL);
	assert_succeeds(bdus_events_answer(events, id, 0));
	assert_fails(bdus_events_answer(events, id, 0), EINVAL);
	assert_message_has("holds no request");
	/* Nor is it the one that has its place now. */
	take_up_to(1, 1);
	assert_fails(bdus_events_answer(events, id, 0), EINVAL);
	assert_succeeds(bdus_events_submit(events));
	assert_int_equal(fake_ring.answers[1], 1);
	assert_int_equal(fake_ring.answers[2], 0);
	close_device(false);
}

static void test_counters_wrap(void **state)
{
	uint64_t answered = 0;

	(void)state;

	create_device();
	fake_ring_count_from(UINT32_MAX - 100);
	for (unsigned int round = 0; round < 20; ++round) {
		fake_ring_submit(ENTRIES);
		take_up_to(2 * ENTRIES, ENTRIES);
		for (uint32_t i = 0; i < ENTRIES; ++i) {
			assert_made(&requests[i], ++answered);
			assert_succeeds(bdus_events_answer(events,
							   requests[i].id, 0));
		}
		assert_succeeds(bdus_events_submit(events));
	}
	for (uint64_t handle = 1; handle <= answered; ++handle)
		assert_int_equal(fake_ring.answers[handle], 1);
	close_device(false);
}

/* ---- threads ---- */

#define THREADS 4
#define MANY 20000

static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int open_requests;
static unsigned int found;

/* Clients have as many requests at a time as there are entries. */
static int enter_under_load(unsigned long argument)
{
	(void)argument;

	pthread_mutex_lock(&module_lock);
	found = fake_ring_look(0);
	open_requests -= found;
	while (open_requests < ENTRIES && fake_ring.last_handle < MANY) {
		fake_ring_submit(1);
		++open_requests;
	}
	pthread_mutex_unlock(&module_lock);
	return KBDUSRING_ENTERED_REQUESTS;
}

static bool are_all_answered(void)
{
	bool are_all;

	pthread_mutex_lock(&module_lock);
	are_all = fake_ring.last_handle == MANY && open_requests == 0;
	pthread_mutex_unlock(&module_lock);
	return are_all;
}

static void *serve(void *argument)
{
	struct bdus_request taken[7];
	uint32_t number;
	bool is_good = true;

	(void)argument;

	while (is_good && !are_all_answered()) {
		is_good = bdus_events_take(events, taken, COUNT(taken), &number);
		while (is_good && number > 0)
			is_good = bdus_events_answer(events, taken[--number].id,
						     0);
		is_good = is_good && bdus_events_submit(events);
	}
	return is_good ? NULL : &events;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	void *result;

	(void)state;

	open_requests = 0;
	kernel.enter = enter_under_load;
	create_device();
	for (unsigned int i = 0; i < THREADS; ++i)
		assert_int_equal(pthread_create(&threads[i], NULL, serve, NULL), 0);
	for (unsigned int i = 0; i < THREADS; ++i) {
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	for (uint64_t handle = 1; handle <= MANY; ++handle)
		assert_int_equal(fake_ring.answers[handle], 1);
	close_device(false);
}

/* ---- the end ---- */

static void test_close(void **state)
{
	const unsigned int last = COUNT(kernel.commands) - 1;

	(void)state;

	assert_true(last > 2);
	bdus_events_close(NULL, true);

	/* The device never was usable: it is waited for. */
	create_device();
	kernel.command_count = 0;
	close_device(false);
	assert_int_equal(kernel.command_count, 1);
	assert_int_equal(kernel.commands[0],
			 KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED);

	for (int is_successful = 0; is_successful < 2; ++is_successful) {
		results_given = 0;
		results[0] = KBDUSRING_ENTERED_AVAILABLE;
		create_device();
		take_up_to(1, 1);
		kernel.command_count = 0;
		close_device(is_successful);
		assert_int_equal(kernel.command_count, is_successful);
		if (is_successful)
			assert_int_equal(kernel.commands[0],
					 KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL);
		assert_int_equal(fcntl(kernel.mappable_fd, F_GETFD), -1);
		errno = ERANGE;
	}
}

#define EVENTS_TEST(function) cmocka_unit_test_setup(function, set_up_events)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVENTS_TEST(test_create),
		EVENTS_TEST(test_create_as_wanted),
		EVENTS_TEST(test_attach),
		EVENTS_TEST(test_own_memory),
		EVENTS_TEST(test_refused),
		EVENTS_TEST(test_elsewhere),
		EVENTS_TEST(test_module_refuses),
		EVENTS_TEST(test_take),
		EVENTS_TEST(test_ids_are_unique),
		EVENTS_TEST(test_ioctls),
		EVENTS_TEST(test_over),
		EVENTS_TEST(test_module_makes_no_sense),
		EVENTS_TEST(test_answers),
		EVENTS_TEST(test_no_call_if_clients_look),
		EVENTS_TEST(test_bad_ids),
		EVENTS_TEST(test_counters_wrap),
		EVENTS_TEST(test_threads),
		EVENTS_TEST(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
