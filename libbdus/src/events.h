/* SPDX-License-Identifier: MIT */

/* events.h: what events.c and events_ring.c know of each other. */

#ifndef LIBBDUS_EVENTS_H
#define LIBBDUS_EVENTS_H

#include <pthread.h>

#include "ring.h"

/* A request in the driver's hands, or room for one. */
struct libbdus_held {
	/* As the driver knows it; 0 if there is none. */
	uint64_t id;
	/* As the module does. */
	uint64_t handle;
	/* enum kbdus_request_type */
	uint32_t type;
	/* Its client looks for the answer. */
	bool is_polled;
	/* The next that is free, if this one is. */
	uint32_t next_free;
};

struct bdus_events {
	struct libbdus_session session;
	struct libbdus_memory memory;
	struct bdus_events_config config;
	struct bdus_attrs attrs;
	struct bdus_ctx *ctx;
	/* The memory shared with the module, fixed while there is a session. */
	struct libbdus_ring ring;
	struct kbdusring_completion *completion;
	struct kbdusring_reply *replies;
	/* NULL if there can be none. */
	char *payload;
	size_t payload_size;
	/* Guards all that follows. Held for the time of a few entries, never while
	 * anything is waited for or copied. */
	pthread_mutex_t lock;
	/* There is nothing to be looked for but requests: the module was asked once. */
	bool has_entered;
	/* The driver was told to end: it takes nothing any more. */
	bool is_over;
	/* Answers that the module was not told to look at. */
	uint32_t waiting;
	/* Of the next request to be taken. */
	uint64_t next_serial;
	uint32_t first_free;
	/* As many as there are entries. */
	struct libbdus_held *held;
};

extern const struct libbdus_protocol libbdus_protocol_events;

/* Under the lock. */
bool libbdus_events_take(struct bdus_events *events,
			 struct bdus_request *request);
bool libbdus_events_put(struct bdus_events *events, uint64_t id, int error);

#endif
