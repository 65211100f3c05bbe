/* SPDX-License-Identifier: MIT */

/*
 * memory.c: places for structures and payload, among them such as a driver should not
 * name.
 */

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raw.h"

static struct memory memories[16];

struct memory *raw_memory_add(const char *name, void *address, size_t size)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		struct memory *memory = &memories[i];

		if (*memory->name)
			continue;
		snprintf(memory->name, sizeof(memory->name), "%s", name);
		memory->address = address;
		memory->size = size;
		return memory;
	}
	raw_die("too many memories");
	return NULL;
}

struct memory *raw_memory_find(const char *name)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		if (!strcmp(memories[i].name, name))
			return &memories[i];
	}
	raw_die(name);
	return NULL;
}

static char *map_anonymous(size_t size)
{
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		raw_die("mmap");
	return address;
}

void raw_memories_make(void)
{
	char *half = map_anonymous(2 * PAGE);
	char *less = map_anonymous(2 * PAGE);

	/* Reserved, so that nothing else gets there. */
	mprotect(half + PAGE, PAGE, PROT_NONE);
	mprotect(less + PAGE, PAGE, PROT_NONE);
	raw_memory_add("good", map_anonymous(GOOD_SIZE), GOOD_SIZE);
	raw_memory_add("readonly", map_anonymous(PAGE), PAGE);
	raw_memory_add("half", half, PAGE);
	raw_memory_add("short", less + PAGE - 32, 32);
	raw_memory_add("null", NULL, 0);
	/* Below where the kernel lets anybody map anything. */
	raw_memory_add("unmapped", (char *)PAGE, 0);
	raw_memory_add("kernel", (char *)0xffff888000000000, 0);
	raw_memory_add("top", (char *)0x7ffffffff000 - 32, 0);
}

/* Puts a structure where it is wanted, as much of it as is possible. */
void *raw_memory_place(struct memory *memory, const void *data, size_t size)
{
	bool is_readonly = !strcmp(memory->name, "readonly");

	if (size > memory->size)
		size = memory->size;
	if (is_readonly)
		mprotect(memory->address, PAGE, PROT_READ | PROT_WRITE);
	if (size)
		memcpy(memory->address, data, size);
	if (is_readonly)
		mprotect(memory->address, PAGE, PROT_READ);
	return memory->address;
}

static void do_map(struct call *call)
{
	const char *path = raw_option(call, "path");
	const char *name = raw_option(call, "name");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = raw_number_option(call, "size", 1u << 20);
	void *address;

	if (!raw_answer_result(call, fd))
		return;
	address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		raw_die("mmap");
	raw_memory_add(name, address, 0);
	close(fd);
}

static void do_userfault(struct call *call)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *address = map_anonymous(GOOD_SIZE);

	range.range.start = (uintptr_t)address;
	range.range.len = GOOD_SIZE;
	if (!raw_answer_result(call, fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ||
				 ioctl(fd, UFFDIO_REGISTER, &range) < 0 ? -1 : 0))
		return;
	raw_memory_add(raw_option(call, "name"), address, 0);
}

const struct verb memory_verbs[] = {
	{ "map", do_map },
	{ "userfault", do_userfault },
	{ 0 }
};
