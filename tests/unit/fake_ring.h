/* SPDX-License-Identifier: MIT */

/*
 * fake_ring.h: the module's side of the memory of the protocol "ring", played by the
 * pages of a file. What calls do is each test's own.
 */

#ifndef TESTS_UNIT_FAKE_RING_H
#define TESTS_UNIT_FAKE_RING_H

#include <unistd.h>

#include "unit.h"

#define FAKE_RING_CHANNELS 3
/* More requests are not made in any test. */
#define FAKE_RING_REQUESTS 200000

extern struct fake_ring {
	/* The driver's. */
	struct libbdus_session session;
	void *channels[FAKE_RING_CHANNELS];

	struct kbdus_protocol_config config;
	/* The module's own mapping. */
	char *memory;
	/* Requests have the handles from 1 on. */
	uint64_t last_handle;
	/* Of those that are made from now on. */
	uint32_t flags;
	/* How far the completion rings were looked at, and what was found, by handle. */
	uint32_t looked_at[FAKE_RING_CHANNELS];
	unsigned int answers[FAKE_RING_REQUESTS + 1];
	int errors[FAKE_RING_REQUESTS + 1];
} fake_ring;

static inline size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int fake_ring_set_up(void **state);
int fake_ring_tear_down(void **state);
void fake_ring_begin_anew(uint32_t entries, uint32_t payload_size);
void fake_ring_count_from(uint32_t value);

uint32_t *fake_ring_tail(void);
uint32_t *fake_ring_head(void);
uint32_t *fake_ring_reapers(void);
struct kbdusring_completion *fake_ring_completion(uint32_t channel);
uint32_t fake_ring_get(const uint32_t *counter);
void fake_ring_set(uint32_t *counter, uint32_t value);

struct kbdusring_request fake_ring_make(uint64_t handle);
bool fake_ring_is_made(const struct libbdus_request *request, uint64_t handle);
void fake_ring_submit(unsigned int count);
unsigned int fake_ring_look(uint32_t channel);
bool fake_ring_is_idle(void);
void fake_ring_assert_answered(uint64_t last);

unsigned int fake_ring_find_mappings(const char *permissions, char **where);

#endif
