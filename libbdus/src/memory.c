/* SPDX-License-Identifier: MIT */

/*
 * memory.c: keeps a driver from waiting for memory that waits for the driver.
 *
 * Called by run.c around a driver's callbacks. Everything here is done as far as
 * privileges and kernel allow, says nothing if they do not, and can be switched off
 * by BDUS_NO_MEMORY_LOCK=1. What needs privileges and is inherited by processes
 * forked off comes before initialize(), which may drop them; locks are not
 * inherited and come last. Owns the process' oom_score_adj while there are
 * drivers, under a lock of its own. Memory stays locked when they are done, as
 * nobody can tell our locks from the program's.
 */

#include <alloca.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal.h"

/* Since Linux 5.14; headers may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* What callbacks and system calls find of a worker's stack. */
#define STACK_SIZE (64 * 1024)

#define OOM_SCORE_PATH "/proc/self/oom_score_adj"

/* Nearly the last to be killed. Never would turn a driver that leaks into a
 * system that is stuck. */
#define OOM_SCORE_DRIVER (-900)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Runs that are protected; under lock. */
static unsigned int runs;
/* What the last of them has to put back; under lock. */
static int oom_score_before;
static bool is_oom_score_set;

static bool read_oom_score(int *score)
{
	FILE *file = fopen(OOM_SCORE_PATH, "re");
	bool is_read;

	if (!file)
		return false;

	is_read = fscanf(file, "%d", score) == 1;
	fclose(file);
	return is_read;
}

static bool write_oom_score(int score)
{
	FILE *file = fopen(OOM_SCORE_PATH, "we");
	bool is_written;

	if (!file)
		return false;

	is_written = fprintf(file, "%d\n", score) > 0;
	return !fclose(file) && is_written;
}

static void lower_oom_score(void)
{
	pthread_mutex_lock(&lock);
	if (runs++ == 0) {
		is_oom_score_set = read_oom_score(&oom_score_before) &&
				   oom_score_before > OOM_SCORE_DRIVER &&
				   write_oom_score(OOM_SCORE_DRIVER);
	}
	pthread_mutex_unlock(&lock);
}

static void restore_oom_score(void)
{
	pthread_mutex_lock(&lock);
	if (--runs == 0 && is_oom_score_set)
		write_oom_score(oom_score_before);
	pthread_mutex_unlock(&lock);
}

/* Before initialize(): get what processes forked off and threads inherit. */
void libbdus_memory_protect(struct libbdus_memory *memory)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *opt_out = secure_getenv("BDUS_NO_MEMORY_LOCK");

	*memory = (struct libbdus_memory){
		.is_protected = !opt_out || strcmp(opt_out, "1"),
	};
	if (!memory->is_protected)
		return;

	if (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0)
		memory->set_io_flusher = !prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);

	/* So that neither locking nor any later allocation needs privileges. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);

	lower_oom_score();
}

/* Write to a byte what is there, whoever else writes to it. */
static void touch(unsigned char *byte)
{
	unsigned char value = __atomic_load_n(byte, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(byte, &value, value, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/*
 * Have writable memory be there, and be this process' own: a daemon shares what is
 * private with its original until one of them writes to it. The content stays.
 */
void libbdus_memory_populate(void *memory, size_t size)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t end = (uintptr_t)memory + size;
	const uintptr_t start = (uintptr_t)memory - (uintptr_t)memory % page;

	if (size == 0 ||
	    !madvise((void *)start, end - start, MADV_POPULATE_WRITE) ||
	    errno != EINVAL)
		return;

	/* An old kernel. */
	for (uintptr_t address = start; address < end; address += page)
		touch((unsigned char *)address);
}

/*
 * The same for what comes next of the calling thread's stack, unless that is small. From
 * the top down and through a frame of ours, as a first thread's stack only grows so.
 */
__attribute__((noinline)) void libbdus_memory_populate_stack(void)
{
	pthread_attr_t attributes;
	void *lowest;
	volatile char *stack;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attributes))
		return;
	pthread_attr_getstack(&attributes, &lowest, &size);
	pthread_attr_destroy(&attributes);

	if (((uintptr_t)&attributes - (uintptr_t)lowest) / 2 < STACK_SIZE)
		return;

	stack = alloca(STACK_SIZE);
	for (size_t i = STACK_SIZE; i > 0; i -= 1024)
		stack[i - 1] = 0;
}

/*
 * Have the initialized variables of one object be there. Others may be a sparse RAM
 * disk; what is read-only by now is written to by nobody.
 */
static int populate_data(struct dl_phdr_info *object, size_t size, void *unused)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t constant_end = 0;

	(void)size;
	(void)unused;

	for (int i = 0; i < object->dlpi_phnum; ++i) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_GNU_RELRO) {
			constant_end = object->dlpi_addr + segment->p_vaddr +
				       segment->p_memsz;
			constant_end -= constant_end % page;
		}
	}

	for (int i = 0; i < object->dlpi_phnum; ++i) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;
		const uintptr_t end = start + segment->p_filesz;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
			continue;
		if (start < constant_end && constant_end < end)
			start = constant_end;
		libbdus_memory_populate((void *)start, end - start);
	}

	return 0;
}

/* Bring the code and constants of one object into memory for good. */
static int lock_constants(struct dl_phdr_info *object, size_t size, void *unused)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)unused;

	for (int i = 0; i < object->dlpi_phnum; ++i) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;
		uintptr_t end = start + segment->p_memsz;

		start -= start % page;
		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
			mlock((const void *)start, end - start);
	}

	return 0;
}

/* A limit on locked memory would make later allocations fail. */
static bool may_lock(void)
{
	struct rlimit limit;

	return geteuid() == 0 || (!getrlimit(RLIMIT_MEMLOCK, &limit) &&
				  limit.rlim_cur == RLIM_INFINITY);
}

/*
 * In the process that serves: keep code, constants and all data that is ever
 * touched. What is not touched takes no memory, else each worker's stack and a sparse
 * RAM disk would; what serving itself touches is populated by those who know it.
 */
void libbdus_memory_lock(const struct libbdus_memory *memory)
{
	if (!memory->is_protected)
		return;

	dl_iterate_phdr(populate_data, NULL);

	if (may_lock() && !mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		dl_iterate_phdr(lock_constants, NULL);
}

/* After terminate(), in the thread that libbdus_memory_protect() was called in. */
void libbdus_memory_unprotect(const struct libbdus_memory *memory)
{
	if (!memory->is_protected)
		return;

	if (memory->set_io_flusher)
		prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);

	restore_oom_score();
}
