/* SPDX-License-Identifier: MIT */

/*
 * events.c: a driver without callbacks, of RAM disks, all of them served by one thread.
 *
 *     events [KEY=VALUE]...
 *
 *     devices=N     so many (default: 1)
 *     size=BYTES    of each (default: 1 MiB)
 *     attach=ID     take over this device instead
 *     store=PATH    keep the data in a file, so that a successor finds it
 *     threads=N     have so many others do the work and answer (default: 0)
 *     own=1         hand in memory for payload
 *     hold=N        take the first N requests and do not answer them
 *     lie=1         also answer requests that are not there
 *
 * A batch is answered from its end. Devices are recoverable. Prints the path of each when
 * it is available, "held" for each request that is not answered, and "ended" or what went
 * wrong.
 */

#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_DEVICES 16
#define MAX_THREADS 16
#define BATCH 32
#define MAX_JOBS (MAX_DEVICES * 256)
#define OWN_SIZE (1u << 20)

struct device {
	struct bdus_events *events;
	char *disk;
	/* Under the lock. */
	unsigned int at_work;
	bool is_over;
};

struct job {
	struct device *device;
	struct bdus_request request;
};

static struct device devices[MAX_DEVICES];
static unsigned int device_count = 1, open_count, thread_count, hold_count;
static uint64_t size = 1 << 20;
static uint64_t attach_id = UINT64_MAX;
static const char *store_path;
static bool has_own_memory, is_lying;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct job jobs[MAX_JOBS];
static unsigned int job_count;

static void die(const char *what)
{
	printf("%s: %d: %s\n", what, errno, bdus_get_error_message());
	exit(1);
}

static void set_option(char *word)
{
	const char *value = strchr(word, '=') ? strchr(word, '=') + 1 : "";
	const uint64_t number = strtoull(value, NULL, 10);

	if (!strncmp(word, "devices=", 8))
		device_count = number;
	else if (!strncmp(word, "size=", 5))
		size = number;
	else if (!strncmp(word, "attach=", 7))
		attach_id = number;
	else if (!strncmp(word, "store=", 6))
		store_path = value;
	else if (!strncmp(word, "threads=", 8))
		thread_count = number;
	else if (!strncmp(word, "own=", 4))
		has_own_memory = number;
	else if (!strncmp(word, "hold=", 5))
		hold_count = number;
	else if (!strncmp(word, "lie=", 4))
		is_lying = number;
	else
		die(word);
	if (device_count > MAX_DEVICES || thread_count > MAX_THREADS)
		die(word);
}

static char *map_memory(size_t bytes, const char *path)
{
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	char *memory;

	if (path && (fd < 0 || ftruncate(fd, bytes)))
		die(path);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	if (path)
		close(fd);
	return memory;
}

static void open_device(struct device *device, int epoll)
{
	const struct bdus_attrs created = {
		.size = size,
		.logical_block_size = 512,
		.recoverable = true,
	};
	const struct bdus_attrs taken_over = { .size = 0 };
	struct bdus_events_config config = {
		.operations = BDUS_OPERATION(READ) | BDUS_OPERATION(WRITE) |
			      BDUS_OPERATION(FLUSH) |
			      BDUS_OPERATION(WRITE_ZEROS),
	};
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = device };

	device->disk = map_memory(size, store_path);
	if (has_own_memory) {
		config.memory = map_memory(OWN_SIZE, NULL);
		config.memory_size = OWN_SIZE;
	}
	if (attach_id != UINT64_MAX ?
		    !bdus_events_attach(&device->events, attach_id, &taken_over,
					&config) :
		    !bdus_events_create(&device->events, &created, &config))
		die("open");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, bdus_events_get_fd(device->events),
		      &event))
		die("epoll_ctl");
	open_count++;
}

static int work(struct device *device, const struct bdus_request *request)
{
	size_t used;
	char *memory = bdus_events_get_memory(device->events, &used);
	char *place = device->disk + request->offset;

	if (request->buffer &&
	    ((char *)request->buffer < memory ||
	     (char *)request->buffer + request->size > memory + used))
		die("a buffer is elsewhere");
	switch (request->type) {
	case BDUS_REQUEST_READ:
		memcpy(request->buffer, place, request->size);
		return 0;
	case BDUS_REQUEST_WRITE:
		memcpy(place, request->buffer, request->size);
		return 0;
	case BDUS_REQUEST_WRITE_ZEROS:
		memset(place, 0, request->size);
		return 0;
	case BDUS_REQUEST_FLUSH:
		return 0;
	default:
		return EIO;
	}
}

static void refuses(struct device *device, uint64_t id)
{
	if (bdus_events_answer(device->events, id, 0) || errno != EINVAL)
		die("a lie was believed");
}

static void answer(struct device *device, const struct bdus_request *request)
{
	if (!bdus_events_answer(device->events, request->id,
				work(device, request)))
		die("answer");
	if (is_lying) {
		refuses(device, request->id);
		refuses(device, 0);
		refuses(device, request->id + (UINT64_C(1) << 40));
	}
}

/* What others do: the last job first. */
static void *serve_jobs(void *unused)
{
	struct job job;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (job_count == 0)
			pthread_cond_wait(&changed, &lock);
		job = jobs[--job_count];
		pthread_mutex_unlock(&lock);
		answer(job.device, &job.request);
		if (!bdus_events_submit(job.device->events))
			die("submit");
		pthread_mutex_lock(&lock);
		job.device->at_work--;
		pthread_cond_broadcast(&changed);
	}
	return unused;
}

static void pass_on(struct device *device, const struct bdus_request *request)
{
	pthread_mutex_lock(&lock);
	device->at_work++;
	jobs[job_count++] = (struct job){ device, *request };
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void serve_request(struct device *device,
			  const struct bdus_request *request)
{
	switch (request->type) {
	case BDUS_REQUEST_AVAILABLE:
		puts(bdus_events_get_ctx(device->events)->path);
		return;
	case BDUS_REQUEST_TERMINATE:
	case BDUS_REQUEST_FLUSH_AND_TERMINATE:
		device->is_over = true;
		return;
	default:
		break;
	}
	if (hold_count) {
		hold_count--;
		puts("held");
	} else if (thread_count) {
		pass_on(device, request);
	} else {
		answer(device, request);
	}
}

static void close_device(struct device *device)
{
	pthread_mutex_lock(&lock);
	while (device->at_work)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	bdus_events_close(device->events, true);
	open_count--;
}

static void serve(struct device *device)
{
	struct bdus_request requests[BATCH];
	uint32_t count;

	if (!bdus_events_take(device->events, requests, BATCH, &count))
		die("take");
	while (count > 0)
		serve_request(device, &requests[--count]);
	if (!bdus_events_submit(device->events))
		die("submit");
	if (device->is_over)
		close_device(device);
}

int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[MAX_DEVICES];
	pthread_t thread;
	int count;

	setlinebuf(stdout);
	for (int i = 1; i < argc; i++)
		set_option(argv[i]);
	for (unsigned int i = 0; i < thread_count; i++) {
		if (pthread_create(&thread, NULL, serve_jobs, NULL))
			die("pthread_create");
	}
	for (unsigned int i = 0; i < device_count; i++)
		open_device(&devices[i], epoll);

	while (open_count > 0) {
		count = epoll_wait(epoll, events, MAX_DEVICES, -1);
		if (count < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < count; i++)
			serve(events[i].data.ptr);
	}
	puts("ended");
	return 0;
}
