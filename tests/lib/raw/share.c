/* SPDX-License-Identifier: MIT */

/*
 * share.c: memory that the module shares with the driver: mapped, looked at and written
 * to as no driver would.
 */

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport.h"

/* Maps a file (size=, offset=, private=1, readonly=1) under a name. */
static void do_share(struct call *call)
{
	struct file *file = raw_file_of(call);
	size_t size = raw_number_option(call, "size", file->config.mapping_size);
	int protection = PROT_READ;
	void *address;

	if (!raw_number_option(call, "readonly", 0))
		protection |= PROT_WRITE;
	address = mmap(NULL, size, protection,
		       raw_number_option(call, "private", 0) ? MAP_PRIVATE :
							       MAP_SHARED,
		       file->fd, raw_number_option(call, "offset", 0));
	if (raw_answer_result(call, address == MAP_FAILED ? -1 : 0))
		raw_memory_add(raw_option(call, "name"), address, size);
}

/* Unmaps what has a name; without one, what the file was mapped at first. */
static void do_unshare(struct call *call)
{
	const char *name = raw_option(call, "name");
	struct memory *memory;
	struct file *file;

	if (!name) {
		file = raw_file_of(call);
		file->transport->end(file);
		raw_answer(call, "ok");
		return;
	}
	memory = raw_memory_find(name);
	raw_answer_result(call, munmap(memory->address, memory->size));
	*memory->name = '\0';
}

/* Makes a mapping larger. */
static void do_grow(struct call *call)
{
	struct memory *memory = raw_memory_find(raw_option(call, "name"));
	void *address = mremap(memory->address, memory->size,
			       raw_number_option(call, "size", 0),
			       MREMAP_MAYMOVE);

	raw_answer_result(call, address == MAP_FAILED ? -1 : 0);
}

/* The word at= an offset; in the file's first mapping, or a named one. */
static volatile uint64_t *word_of(const struct call *call)
{
	const char *name = raw_option(call, "name");
	char *base = name ? raw_memory_find(name)->address :
			    raw_file_of(call)->shared;

	return (volatile uint64_t *)(base + raw_number_option(call, "at", 0));
}

static void do_peek(struct call *call)
{
	raw_answer(call, "ok value=%llu", (unsigned long long)*word_of(call));
}

static void do_poke(struct call *call)
{
	*word_of(call) = raw_number_option(call, "value", 0);
	raw_answer(call, "ok");
}

/* Where the payload of a buffer is; fills it with a byte. */
static void do_fill(struct call *call)
{
	const struct file *file = raw_file_of(call);

	memset((char *)file->shared + file->config.payload_offset,
	       raw_number_option(call, "value", 0),
	       file->config.mapping_size - file->config.payload_offset);
	raw_answer(call, "ok");
}

volatile bool raw_is_calm;

static uint64_t noise(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Writes to size= bytes at= an offset until somebody says `calm`: value= and 0 by
 * turns, or anything at all, and often nothing.
 */
static void do_hammer(struct call *call)
{
	volatile uint64_t *words = word_of(call);
	size_t count = raw_number_option(call, "size", 8) / 8;
	uint64_t value = raw_number_option(call, "value", 0);
	uint64_t state = 88172645463325252ull;

	for (uint64_t i = 0; !raw_is_calm; i++) {
		if (value)
			words[i % count] = words[i % count] ? 0 : value;
		else
			words[noise(&state) % count] =
				noise(&state) & 3 ? 0 : noise(&state);
	}
	raw_answer(call, "ok");
}

static void do_calm(struct call *call)
{
	raw_is_calm = true;
	raw_answer(call, "ok");
}

/* A child that has the mappings, but no descriptors, and does nothing. */
static void do_fork(struct call *call)
{
	pid_t child = fork();

	if (child == 0) {
		closefrom(0);
		for (;;)
			pause();
	}
	if (raw_answer_result(call, child))
		raw_answer(call, " child=%d", (int)child);
}

const struct verb share_verbs[] = {
	{ "share", do_share },
	{ "unshare", do_unshare },
	{ "grow", do_grow },
	{ "peek", do_peek },
	{ "poke", do_poke },
	{ "fill", do_fill },
	{ "hammer", do_hammer },
	{ "calm", do_calm },
	{ "fork", do_fork },
	{ 0 }
};
