/* SPDX-License-Identifier: MIT */

/* memory.h: see memory.c. */

#ifndef DRIVERS_COMMON_MEMORY_H
#define DRIVERS_COMMON_MEMORY_H

#include <stdint.h>

struct memory;

/** Returns a store of zeros, or NULL with errno set. */
struct memory *memory_create(uint64_t size);

/** Gives all memory back. No other call may be under way. */
void memory_destroy(struct memory *memory);

/** Copies from the store. What was never written reads as zeros. */
void memory_read(struct memory *memory, char *buffer, uint64_t offset,
		 uint64_t size);

/** Copies into the store. Returns 0 or an errno value. */
int memory_write(struct memory *memory, const char *buffer, uint64_t offset,
		 uint64_t size);

/** Makes a range zeros and gives the memory of all whole pages in it back. */
void memory_clear(struct memory *memory, uint64_t offset, uint64_t size);

#endif
