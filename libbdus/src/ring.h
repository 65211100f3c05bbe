/* SPDX-License-Identifier: MIT */

/*
 * ring.h: the memory that a session of the protocol "ring" shares with the module, and
 * the side of it that does not depend on how the driver answers.
 *
 * protocol_ring.c and events_ring.c map it here and take requests here, and each has its
 * own way to answer. The layout is that of kbdus.h. No locks: whoever takes moves the
 * head atomically. Trusts the module to keep requests within the memory.
 */

#ifndef LIBBDUS_RING_H
#define LIBBDUS_RING_H

#include "internal.h"

/* A part of the shared memory. */
struct libbdus_ring_part {
	char *memory;
	size_t size;
};

struct libbdus_ring {
	const struct kbdusring_submission *submission;
	const struct kbdusring_request *requests;
	struct kbdusring_driver *driver;
	/* NULL if there can be none, or if it is the driver's own. */
	char *payload;
	/* Turns a counter into an index, in the ring of requests and in those of
	 * replies. */
	uint32_t mask;
	/* Can only be read. */
	struct libbdus_ring_part of_module;
	struct libbdus_ring_part of_driver;
};

int libbdus_ring_map(const struct libbdus_session *session,
		     const struct kbdus_protocol_config *config,
		     struct libbdus_ring *ring);
void libbdus_ring_unmap(struct libbdus_ring *ring);
struct kbdusring_completion *
libbdus_ring_completion(const struct libbdus_ring *ring,
			const struct kbdus_protocol_config *config,
			uint32_t channel);

/* The module may be writing there, if another worker has taken what was in it. */
static inline void libbdus_ring_copy(const struct kbdusring_request *from,
				     struct kbdusring_request *to)
{
	to->handle = __atomic_load_n(&from->handle, __ATOMIC_RELAXED);
	to->offset = __atomic_load_n(&from->offset, __ATOMIC_RELAXED);
	to->length = __atomic_load_n(&from->length, __ATOMIC_RELAXED);
	to->type = __atomic_load_n(&from->type, __ATOMIC_RELAXED);
	to->payload_offset =
		__atomic_load_n(&from->payload_offset, __ATOMIC_RELAXED);
	to->flags = __atomic_load_n(&from->flags, __ATOMIC_RELAXED);
}

/*
 * Take the oldest request. False if there is none.
 *
 * The head is read before the tail: so there is a request if they differ and the head
 * does not move. The other way round it could have gone past the tail as that was read,
 * and an entry would be taken that nothing has been put in. The module moves the head,
 * too, when the session is over.
 */
static inline bool libbdus_ring_take(const struct libbdus_ring *ring,
				     struct kbdusring_request *request)
{
	uint32_t *const head = &ring->driver->head;
	const uint32_t *const tail = &ring->submission->tail;
	uint32_t count = __atomic_load_n(head, __ATOMIC_ACQUIRE);

	while (count != __atomic_load_n(tail, __ATOMIC_ACQUIRE)) {
		libbdus_ring_copy(&ring->requests[count & ring->mask], request);
		if (__atomic_compare_exchange_n(head, &count, count + 1, false,
						__ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
	}

	return false;
}

/* Whether there is no request to be taken. */
static inline bool libbdus_ring_is_empty(const struct libbdus_ring *ring)
{
	/* In this order: see above. */
	const uint32_t head =
		__atomic_load_n(&ring->driver->head, __ATOMIC_ACQUIRE);

	return head == __atomic_load_n(&ring->submission->tail, __ATOMIC_ACQUIRE);
}

/* Whether a client will look at all replies that were put in before. */
static inline bool libbdus_ring_has_reaper(const struct libbdus_ring *ring)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->submission->reapers, __ATOMIC_RELAXED) > 0;
}

#endif
