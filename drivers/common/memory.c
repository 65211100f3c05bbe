/* SPDX-License-Identifier: MIT */

/*
 * memory.c: a store as large as you like that takes memory as it is written.
 *
 * A page table with two levels. The directory points to chunks, which are
 * mapped when something is first written into them; the pages of a chunk come
 * from the kernel when they are first touched, and go back to it when they are
 * cleared:
 *
 *     offset = | index in the directory | offset in the chunk |
 *
 *     directory: [ chunk ][ NULL ][ NULL ][ chunk ] ...
 *
 * All functions but memory_destroy() may be called by any number of threads at
 * a time and take no lock: a chunk, once published in the directory, stays
 * mapped until the end. Two threads that copy to the same bytes at the same
 * time race for their content, as on any disk, and for nothing else.
 */

#include "memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The directory has at most this many entries, i.e. 4 MiB. */
#define MAX_CHUNKS (UINT64_C(1) << 19)
#define MIN_CHUNK_SHIFT 21

struct memory {
	unsigned int chunk_shift;
	uint64_t page_size;
	size_t directory_size;
	char **directory;
};

static void *map(size_t size, int protection)
{
	void *address = mmap(NULL, size, protection,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			     0);

	return address == MAP_FAILED ? NULL : address;
}

struct memory *memory_create(uint64_t size)
{
	struct memory *memory = malloc(sizeof(*memory));

	if (!memory)
		return NULL;
	memory->page_size = sysconf(_SC_PAGESIZE);
	memory->chunk_shift = MIN_CHUNK_SHIFT;
	while ((size - 1) >> memory->chunk_shift >= MAX_CHUNKS)
		memory->chunk_shift++;
	memory->directory_size =
		(((size - 1) >> memory->chunk_shift) + 1) * sizeof(char *);
	memory->directory = map(memory->directory_size, PROT_READ | PROT_WRITE);
	if (!memory->directory) {
		free(memory);
		return NULL;
	}
	return memory;
}

void memory_destroy(struct memory *memory)
{
	size_t count = memory->directory_size / sizeof(char *);

	for (size_t i = 0; i < count; i++)
		if (memory->directory[i])
			munmap(memory->directory[i],
			       (size_t)1 << memory->chunk_shift);
	munmap(memory->directory, memory->directory_size);
	free(memory);
}

static uint64_t chunk_size(const struct memory *memory)
{
	return UINT64_C(1) << memory->chunk_shift;
}

static char *get_chunk(struct memory *memory, uint64_t offset)
{
	return __atomic_load_n(&memory->directory[offset >> memory->chunk_shift],
			       __ATOMIC_ACQUIRE);
}

/*
 * The library locks the process in memory, also what will be mapped, so that a
 * plain new mapping would be filled at once and could not give single pages
 * back. An inaccessible one has nothing to fill and can be unlocked first. Huge
 * pages would have a single block written take as much as 512 of them.
 */
static char *map_chunk(size_t size)
{
	char *chunk = map(size, PROT_NONE);

	if (!chunk)
		return NULL;
	munlock(chunk, size);
	madvise(chunk, size, MADV_NOHUGEPAGE);
	if (mprotect(chunk, size, PROT_READ | PROT_WRITE) != 0) {
		munmap(chunk, size);
		return NULL;
	}
	return chunk;
}

static char *get_or_map_chunk(struct memory *memory, uint64_t offset)
{
	char **entry = &memory->directory[offset >> memory->chunk_shift];
	char *present = get_chunk(memory, offset);
	char *chunk;

	if (present)
		return present;
	chunk = map_chunk(chunk_size(memory));
	if (!chunk)
		return NULL;
	if (__atomic_compare_exchange_n(entry, &present, chunk, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return chunk;
	munmap(chunk, chunk_size(memory));
	return present;
}

/* How much of a range lies in the chunk where it begins. */
static uint64_t within_chunk(const struct memory *memory, uint64_t offset,
			     uint64_t size)
{
	uint64_t rest = chunk_size(memory) - (offset & (chunk_size(memory) - 1));

	return size < rest ? size : rest;
}

void memory_read(struct memory *memory, char *buffer, uint64_t offset,
		 uint64_t size)
{
	while (size > 0) {
		uint64_t part = within_chunk(memory, offset, size);
		const char *chunk = get_chunk(memory, offset);

		if (chunk)
			memcpy(buffer,
			       chunk + (offset & (chunk_size(memory) - 1)),
			       part);
		else
			memset(buffer, 0, part);
		buffer += part;
		offset += part;
		size -= part;
	}
}

int memory_write(struct memory *memory, const char *buffer, uint64_t offset,
		 uint64_t size)
{
	while (size > 0) {
		uint64_t part = within_chunk(memory, offset, size);
		char *chunk = get_or_map_chunk(memory, offset);

		if (!chunk)
			return ENOMEM;
		memcpy(chunk + (offset & (chunk_size(memory) - 1)), buffer, part);
		buffer += part;
		offset += part;
		size -= part;
	}
	return 0;
}

static void clear_in_chunk(const struct memory *memory, char *begin, char *end)
{
	uintptr_t mask = memory->page_size - 1;
	char *first = (char *)(((uintptr_t)begin + mask) & ~mask);
	char *last = (char *)((uintptr_t)end & ~mask);

	if (first >= last ||
	    madvise(first, last - first, MADV_DONTNEED) != 0) {
		memset(begin, 0, end - begin);
		return;
	}
	memset(begin, 0, first - begin);
	memset(last, 0, end - last);
}

void memory_clear(struct memory *memory, uint64_t offset, uint64_t size)
{
	while (size > 0) {
		uint64_t part = within_chunk(memory, offset, size);
		char *chunk = get_chunk(memory, offset);

		if (chunk) {
			chunk += offset & (chunk_size(memory) - 1);
			clear_in_chunk(memory, chunk, chunk + part);
		}
		offset += part;
		size -= part;
	}
}
