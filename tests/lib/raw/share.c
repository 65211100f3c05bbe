/* SPDX-License-Identifier: MIT */

/*
 * share.c: memory that the module shares with the driver: mapped, looked at and written
 * to as no driver would. The one that came with a file's session has no name.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../drivers/common/libc.h"
#include "transport.h"

/*
 * Maps a file (size=, offset=, private=1, readonly=1) under a name; without one, once
 * more as it was mapped at first.
 */
static void do_share(struct call *call)
{
	struct file *file = raw_file_of(call);
	size_t size = raw_number_option(call, "size", file->config.mapping_size);
	const char *name = raw_option(call, "name");
	int protection = PROT_READ;
	void *address;

	if (!name) {
		file->transport->begin(file);
		raw_answer(call, "ok");
		return;
	}
	if (!raw_number_option(call, "readonly", 0))
		protection |= PROT_WRITE;
	address = mmap(NULL, size, protection,
		       raw_number_option(call, "private", 0) ? MAP_PRIVATE :
							       MAP_SHARED,
		       file->fd, raw_number_option(call, "offset", 0));
	if (raw_answer_result(call, address == MAP_FAILED ? -1 : 0))
		raw_memory_add(name, address, size);
}

/* Memory of the driver's own, size= bytes (path=: of a file), under a name; what cannot
 * be written with readonly=1. Tells where it is. */
static void do_make(struct call *call)
{
	const char *path = raw_option(call, "path");
	size_t size = raw_number_option(call, "size", PAGE);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd,
			     0);

	if (address == MAP_FAILED)
		raw_die("mmap");
	if (raw_option(call, "readonly"))
		mprotect(address, size, PROT_READ);
	if (path)
		close(fd);
	raw_memory_add(raw_option(call, "name"), address, size);
	raw_answer(call, "ok address=%llu", (unsigned long long)(uintptr_t)address);
}

/* What poll(2) says of a file at once, or within timeout= milliseconds. */
static void do_poll(struct call *call)
{
	struct pollfd polled = {
		.fd = raw_file_of(call)->fd,
		.events = POLLIN,
	};

	if (raw_answer_result(call, poll(&polled, 1,
					 raw_number_option(call, "timeout", 0)) < 0 ?
					    -1 : 0))
		raw_answer(call, " events=%d", polled.revents);
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

/* Makes a mapping writable. */
static void do_protect(struct call *call)
{
	struct memory *memory = raw_memory_find(raw_option(call, "name"));

	raw_answer_result(call, mprotect(memory->address, memory->size,
					 PROT_READ | PROT_WRITE));
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

/* Fills size= bytes at= an offset with a byte; without these, all payload. */
static void do_fill(struct call *call)
{
	const struct file *file = raw_file_of(call);
	uint64_t at = raw_number_option(call, "at", file->config.payload_offset);

	memset((char *)file->shared + at, raw_number_option(call, "value", 0),
	       raw_number_option(call, "size", file->config.mapping_size - at));
	raw_answer(call, "ok");
}

/* Writes size= bytes at= an offset to a file, path=. */
static void do_save(struct call *call)
{
	FILE *stream = fopen(raw_option(call, "path"), "we");
	size_t size = raw_number_option(call, "size", 0);

	if (!stream ||
	    fwrite((const char *)word_of(call), 1, size, stream) != size ||
	    fclose(stream))
		raw_die("save");
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

/* Calls ioctl() with a command= and an index= until somebody says `calm`. */
static void do_pester(struct call *call)
{
	const struct file *file = raw_file_of(call);
	unsigned long command = raw_number_option(call, "command", 0);
	unsigned long index = raw_number_option(call, "index", 0);
	unsigned long refused = 0;

	while (!raw_is_calm)
		refused += ioctl(file->fd, command, index) < 0;
	raw_answer(call, "ok refused=%lu", refused);
}

/* Maps all there is, reads of it, and unmaps it, until somebody says `calm`. */
static void do_flap(struct call *call)
{
	const struct file *file = raw_file_of(call);
	size_t size = file->config.mapping_size;
	unsigned long rounds = 0;
	volatile char *address;

	for (; !raw_is_calm; rounds++) {
		address = mmap(NULL, size, PROT_READ, MAP_SHARED, file->fd, 0);
		if (address == MAP_FAILED) {
			raw_answer_result(call, -1);
			return;
		}
		for (size_t i = 0; i < size; i += PAGE)
			(void)address[i];
		munmap((void *)address, size);
	}
	raw_answer(call, "ok rounds=%lu", rounds);
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
	{ "make", do_make },
	{ "poll", do_poll },
	{ "grow", do_grow },
	{ "protect", do_protect },
	{ "peek", do_peek },
	{ "poke", do_poke },
	{ "fill", do_fill },
	{ "save", do_save },
	{ "hammer", do_hammer },
	{ "pester", do_pester },
	{ "flap", do_flap },
	{ "calm", do_calm },
	{ "fork", do_fork },
	{ 0 }
};
