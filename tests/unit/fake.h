/* SPDX-License-Identifier: MIT */

/*
 * fake.h: a device without a kernel, behind the backend's and the protocol's seam.
 *
 * A test queues requests and notifications, runs a driver over fake_backend, and
 * looks at what was answered. As with the module, DEVICE_AVAILABLE comes once, and
 * after TERMINATE or FLUSH_AND_TERMINATE went to one worker, TERMINATE goes to all.
 */

#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include "unit.h"

#define FAKE_CAPACITY 256

struct fake_item {
	uint32_t type;
	uint64_t offset;
	uint32_t length;
};

/* All under lock while workers run. */
extern struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;

	/* What is to be received, in this order. */
	struct fake_item queue[FAKE_CAPACITY];
	unsigned int queued;
	unsigned int taken;
	bool is_stopping;
	/* By handle, which is the number in the queue plus one. -1: none yet. */
	int answers[FAKE_CAPACITY + 1];

	/* What the next calls fail with, if not 0 (negative errno values). */
	int open_result;
	int describe_result;
	int create_result;
	int attach_result;
	/* The channel and the exchange (counted from 1) that fail; 0 for none. */
	unsigned int failing_channel;
	unsigned int failing_exchange;

	/* Whether the device becomes available only when all workers exchange. */
	bool needs_all;

	/* The device that can be described and attached to. */
	struct kbdus_device_config device;

	/* How often the backend and its protocol were called. */
	unsigned int opened, closed, described, created, attached;
	unsigned int stopped, marked;
	unsigned int channels_opened, channels_closed, exchanges;
	/* Workers that have exchanged for the first time, and that have left. */
	unsigned int present, left;
	/* What close() saw. */
	bool was_unfinished;
} fake;

extern const struct libbdus_backend fake_backend;

void fake_reset(void);
void fake_push(uint32_t type, uint64_t offset, uint32_t length);
void fake_await_taken(unsigned int count);
int fake_answer(unsigned int item);

#endif
