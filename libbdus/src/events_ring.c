/* SPDX-License-Identifier: MIT */

/*
 * events_ring.c: the memory through which a driver without callbacks gets requests and
 * answers them; its layout is the protocol "ring", as kbdus.h has it.
 *
 * events.c calls in. There is one channel, and it is under the lock of the device as
 * everything that the driver writes is, with one exception: the module moves the head,
 * too, when the session is over. Each request that is taken has a place in a table
 * until it is answered, so that no answer that makes no sense gets to the module. Owns
 * the mappings and the table, from the beginning of the session to its end. Trusts the
 * module to keep requests within the memory.
 */

#include <errno.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"

/* What a device is served with if nothing else is said: requests of the largest size
 * need no more than that to keep any disk busy. */
#define DEFAULT_PAYLOAD_MEMORY (4u << 20)

/* The module uses no more in any case, and counts in 32 bits. */
#define MOST_PAYLOAD_MEMORY (1u << 30)

#define DEFAULT_DEPTH 64

/* An id is the number of its place, and above it a number that is never used again. */
#define PLACE_BITS 16

/* ---- sessions ---- */

static int events_prepare(struct libbdus_session *session,
			  struct kbdus_protocol_config *config)
{
	const struct bdus_events *events = session->shared;
	size_t size = events->config.memory_size;

	if (size > MOST_PAYLOAD_MEMORY)
		size = MOST_PAYLOAD_MEMORY;
	config->channel_count = 1;
	config->payload_memory = size ? (uint32_t)size : DEFAULT_PAYLOAD_MEMORY;
	config->payload_address = (uintptr_t)events->config.memory;
	return 0;
}

static void set_payload(struct bdus_events *events,
			const struct kbdus_protocol_config *config)
{
	if (!config->payload_size)
		return;
	events->payload_size = config->payload_memory;
	events->payload = events->config.memory ? events->config.memory :
						  events->ring.payload;
}

/* Of each ring, and as many places there are. */
static uint32_t entry_count(const struct bdus_events *events)
{
	return events->ring.mask + 1;
}

static int make_table(struct bdus_events *events)
{
	const uint32_t count = entry_count(events);

	events->held = calloc(count, sizeof(*events->held));
	if (!events->held) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate places of %u requests",
			(unsigned int)count);
	}

	for (uint32_t i = 0; i < count; ++i)
		events->held[i].next_free = i + 1;
	libbdus_memory_populate(events->held, count * sizeof(*events->held));
	return 0;
}

static int events_begin(struct libbdus_session *session,
			const struct kbdus_protocol_config *config)
{
	struct bdus_events *events = session->shared;
	int ret;

	ret = libbdus_ring_map(session, config, &events->ring);
	if (ret)
		return ret;

	events->completion = libbdus_ring_completion(&events->ring, config, 0);
	events->replies = (void *)(events->completion + 1);
	set_payload(events, config);
	return make_table(events);
}

static void events_end(struct libbdus_session *session)
{
	struct bdus_events *events = session->shared;

	libbdus_ring_unmap(&events->ring);
	free(events->held);
}

/* Nobody exchanges: there are no workers. */
const struct libbdus_protocol libbdus_protocol_events = {
	.name = KBDUSRING_PROTOCOL_NAME,
	.least_depth = DEFAULT_DEPTH,
	.prepare = events_prepare,
	.begin = events_begin,
	.end = events_end,
};

/* ---- requests ---- */

static uint64_t hold(struct bdus_events *events,
		     const struct kbdusring_request *taken)
{
	const uint32_t place = events->first_free;
	struct libbdus_held *held = &events->held[place];

	events->first_free = held->next_free;
	held->id = ++events->next_serial << PLACE_BITS | place;
	held->handle = taken->handle;
	held->type = taken->type;
	held->is_polled = taken->flags & KBDUSRING_REQUEST_POLLED;
	return held->id;
}

static void set_ioctl(struct bdus_request *request, uint32_t command)
{
	request->command = command;
	request->size = _IOC_SIZE(command);
	if (_IOC_DIR(command) == _IOC_NONE)
		request->buffer = NULL;
	/* Only given to the client: so nothing of earlier requests gets out. */
	if (_IOC_DIR(command) == _IOC_WRITE)
		memset(request->buffer, 0, request->size);
}

static void describe(const struct bdus_events *events,
		     const struct kbdusring_request *taken,
		     struct bdus_request *request)
{
	*request = (struct bdus_request){
		.offset = taken->offset,
		.size = taken->length,
		.type = (enum bdus_request_type)taken->type,
	};

	switch (taken->type) {
	case KBDUS_REQUEST_TYPE_READ:
	case KBDUS_REQUEST_TYPE_WRITE:
	case KBDUS_REQUEST_TYPE_WRITE_SAME:
	case KBDUS_REQUEST_TYPE_FUA_WRITE:
		request->buffer = events->payload + taken->payload_offset;
		break;
	case KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP:
		request->type = BDUS_REQUEST_WRITE_ZEROS;
		request->may_unmap = true;
		break;
	case KBDUS_REQUEST_TYPE_IOCTL:
		request->buffer = events->payload + taken->payload_offset;
		set_ioctl(request, taken->length);
		break;
	}
}

/*
 * Take a request. False if there is none. There is a place for it: there are as many as
 * the module has ids, and it takes an id back only when it has seen the answer.
 */
bool libbdus_events_take(struct bdus_events *events,
			 struct bdus_request *request)
{
	struct kbdusring_request taken;

	if (events->first_free == entry_count(events) ||
	    !libbdus_ring_take(&events->ring, &taken))
		return false;

	describe(events, &taken, request);
	request->id = hold(events, &taken);
	return true;
}

/*
 * Answer a request. False if the driver holds none of that id. There is room in the
 * ring, as there are places.
 */
bool libbdus_events_put(struct bdus_events *events, uint64_t id, int error)
{
	const uint32_t place = id & ((1u << PLACE_BITS) - 1);
	const uint32_t count = events->completion->tail;
	struct libbdus_held *held;

	if (!id || place >= entry_count(events) || events->held[place].id != id)
		return false;

	held = &events->held[place];
	events->replies[count & events->ring.mask] = (struct kbdusring_reply){
		.handle = held->handle,
		.error = libbdus_client_error(held->type, error),
	};
	__atomic_store_n(&events->completion->tail, count + 1, __ATOMIC_RELEASE);
	if (!held->is_polled)
		++events->waiting;

	held->id = 0;
	held->next_free = events->first_free;
	events->first_free = place;
	return true;
}
