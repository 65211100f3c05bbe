/* SPDX-License-Identifier: MIT */

/* fake_ring.c: see fake_ring.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_ring.h"

#define PAYLOADS 16
#define FILE_SIZE (4 << 20)

struct fake_ring fake_ring;

static struct libbdus_session *const session = &fake_ring.session;
static struct kbdus_protocol_config *const config = &fake_ring.config;

/* ---- sessions ---- */

static uint32_t round_up(size_t size, size_t unit)
{
	return (uint32_t)((size + unit - 1) / unit * unit);
}

/* Where the module puts things is its own business. */
static void lay_out(uint32_t entries, uint32_t payload_size)
{
	const size_t page = page_size();

	config->payload_size = payload_size;
	config->channel_count = FAKE_RING_CHANNELS;
	config->entry_count = entries;
	config->driver_offset = round_up(64 + entries * 64, page);
	config->channel_offset = config->driver_offset + 64;
	config->channel_stride = round_up(64 + entries * 16, 64);
	config->payload_offset = round_up(
		config->channel_offset +
			FAKE_RING_CHANNELS * config->channel_stride, page);
	config->mapping_size = config->payload_offset + PAYLOADS * page;
	assert_true(config->mapping_size <= FILE_SIZE);
}

static int begin(uint32_t entries, uint32_t payload_size)
{
	lay_out(entries, payload_size);
	if (libbdus_protocol_ring.begin(session, config))
		return -1;

	for (unsigned int i = 0; i < FAKE_RING_CHANNELS; ++i) {
		if (libbdus_protocol_ring.open(session, i,
					       &fake_ring.channels[i]))
			return -1;
	}
	return 0;
}

int fake_ring_set_up(void **state)
{
	(void)state;

	/* What gets lost is waited for. */
	alarm(60);

	memset(&fake_ring, 0, sizeof(fake_ring));
	session->fd = memfd_create("ring", 0);
	session->spin_time_us = BDUS_NO_SPINNING;
	if (ftruncate(session->fd, FILE_SIZE))
		return -1;
	fake_ring.memory = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE,
				MAP_SHARED, session->fd, 0);

	return begin(64, 4096);
}

int fake_ring_tear_down(void **state)
{
	(void)state;

	for (unsigned int i = 0; i < FAKE_RING_CHANNELS; ++i)
		libbdus_protocol_ring.close(session, fake_ring.channels[i]);
	libbdus_protocol_ring.end(session);
	/* As after a failure of begin(). */
	libbdus_protocol_ring.end(session);
	munmap(fake_ring.memory, FILE_SIZE);
	close(session->fd);
	return session->shared ? -1 : 0;
}

/* End the session, and begin another one on the same memory. */
void fake_ring_begin_anew(uint32_t entries, uint32_t payload_size)
{
	libbdus_protocol_ring.end(session);
	assert_int_equal(begin(entries, payload_size), 0);
	fake_ring_count_from(0);
}

/* Have all counters begin there, as if a lot had happened. */
void fake_ring_count_from(uint32_t value)
{
	fake_ring_set(fake_ring_tail(), value);
	fake_ring_set(fake_ring_head(), value);
	for (uint32_t i = 0; i < FAKE_RING_CHANNELS; ++i) {
		fake_ring_set(&fake_ring_completion(i)->tail, value);
		fake_ring.looked_at[i] = value;
	}
}

/* ---- counters ---- */

uint32_t *fake_ring_tail(void)
{
	return &((struct kbdusring_submission *)fake_ring.memory)->tail;
}

uint32_t *fake_ring_reapers(void)
{
	return &((struct kbdusring_submission *)fake_ring.memory)->reapers;
}

uint32_t *fake_ring_head(void)
{
	struct kbdusring_driver *driver =
		(void *)(fake_ring.memory + config->driver_offset);

	return &driver->head;
}

struct kbdusring_completion *fake_ring_completion(uint32_t channel)
{
	return (void *)(fake_ring.memory + config->channel_offset +
			channel * config->channel_stride);
}

uint32_t fake_ring_get(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

void fake_ring_set(uint32_t *counter, uint32_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

/* Whether there is no request that nobody has taken. */
bool fake_ring_is_idle(void)
{
	return fake_ring_get(fake_ring_head()) ==
	       fake_ring_get(fake_ring_tail());
}

/* ---- requests and replies ---- */

/* Each differs in all from those around it. */
struct kbdusring_request fake_ring_make(uint64_t handle)
{
	return (struct kbdusring_request){
		.handle = handle,
		.offset = handle << 32,
		.length = (uint32_t)handle * 512,
		.type = KBDUS_REQUEST_TYPE_READ + handle % 8,
		.payload_offset = (uint32_t)(handle % PAYLOADS * page_size()),
	};
}

bool fake_ring_is_made(const struct libbdus_request *request, uint64_t handle)
{
	const struct kbdusring_request expected = fake_ring_make(handle);

	return request->handle == expected.handle &&
	       request->offset == expected.offset &&
	       request->length == expected.length &&
	       request->type == expected.type;
}

void fake_ring_submit(unsigned int count)
{
	struct kbdusring_request *entries = (void *)(fake_ring.memory + 64);
	const uint32_t mask = config->entry_count - 1;

	for (; count > 0; --count) {
		const uint32_t next = fake_ring_get(fake_ring_tail());

		entries[next & mask] = fake_ring_make(++fake_ring.last_handle);
		entries[next & mask].flags = fake_ring.flags;
		fake_ring_set(fake_ring_tail(), next + 1);
	}
}

/* Look at what is in a completion ring. Returns how many replies there were. */
unsigned int fake_ring_look(uint32_t channel)
{
	const struct kbdusring_completion *completion =
		fake_ring_completion(channel);
	const struct kbdusring_reply *replies = (void *)(completion + 1);
	const uint32_t mask = config->entry_count - 1;
	const uint32_t end = fake_ring_get(&completion->tail);
	uint32_t *next = &fake_ring.looked_at[channel];
	unsigned int count = 0;

	for (; *next != end; ++*next, ++count) {
		const struct kbdusring_reply *reply = &replies[*next & mask];

		if (reply->handle == 0 ||
		    reply->handle > FAKE_RING_REQUESTS || reply->reserved)
			abort();
		++fake_ring.answers[reply->handle];
		fake_ring.errors[reply->handle] = reply->error;
	}

	return count;
}

/* Requests up to that one were answered, once each and with handle % 7, and others were
 * not. */
void fake_ring_assert_answered(uint64_t last)
{
	for (uint64_t handle = 1; handle <= fake_ring.last_handle; ++handle) {
		assert_int_equal(fake_ring.answers[handle], handle <= last);
		if (handle <= last)
			assert_int_equal(fake_ring.errors[handle], handle % 7);
	}
}

/* How often the file is mapped, with such permissions; and where the last one is. */
unsigned int fake_ring_find_mappings(const char *permissions, char **where)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned int count = 0;
	char line[512];

	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, "memfd:ring") || !strstr(line, permissions))
			continue;
		*where = (char *)(uintptr_t)strtoull(line, NULL, 16);
		++count;
	}
	fclose(file);
	return count;
}
