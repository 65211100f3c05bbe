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

/* Bring the code of one object into memory for good. */
static int lock_code(struct dl_phdr_info *object, size_t size, void *unused)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)unused;

	for (int i = 0; i < object->dlpi_phnum; ++i) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;
		uintptr_t end = start + segment->p_memsz;

		start -= start % page;
		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X))
			mlock((const void *)start, end - start);
	}

	return 0;
}

/*
 * In the process that serves: keep code and all data that is ever touched. What is
 * not touched takes no memory, else each worker's stack and a sparse RAM disk
 * would. A limit on locked memory would make later allocations fail, so there is
 * no locking under one.
 */
void libbdus_memory_lock(const struct libbdus_memory *memory)
{
	struct rlimit limit;

	if (!memory->is_protected)
		return;

	if (geteuid() != 0 && (getrlimit(RLIMIT_MEMLOCK, &limit) ||
			       limit.rlim_cur != RLIM_INFINITY))
		return;

	if (!mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		dl_iterate_phdr(lock_code, NULL);
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
