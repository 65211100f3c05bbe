/* SPDX-License-Identifier: MIT */

/*
 * devices.c: makes many devices and destroys them, one after the other, while somebody
 * measures what that takes.
 *
 *     devices configfs|module|library|command COUNT
 *
 * configfs: null_blk's. module: those of kbdus over $BDUS_PROTOCOL, by calls of the
 * control device alone; nobody serves them and nobody looks for partitions. library:
 * with a thread each that does. command: with `bdus run null`, a process each.
 *
 * Prints a line and waits for one before it begins, when all devices are there, and
 * when none are there any more.
 */

#include <bdus.h>
#include <errno.h>
#include <fcntl.h>
#include <kbdus.h>
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_DEVICES 4000
#define SIZE (256 << 20)
#define STACK_SIZE (64 << 10)
#define NULL_BLK "/sys/kernel/config/nullb/bench"

struct way {
	const char *name;
	void (*create)(int number);
	void (*destroy)(int number);
};

static int files[MAX_DEVICES];
static uint64_t ids[MAX_DEVICES];
static pthread_t threads[MAX_DEVICES];
static sem_t is_available;

static void check(int is_good, const char *what)
{
	if (is_good)
		return;
	fprintf(stderr, "devices: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	check(fd >= 0 && write(fd, text, strlen(text)) > 0 && !close(fd), path);
}

static void create_by_configfs(int number)
{
	char path[64];

	snprintf(path, sizeof(path), NULL_BLK "%d", number);
	check(mkdir(path, 0755) == 0, path);
	strcat(path, "/power");
	write_text(path, "1");
}

static void destroy_by_configfs(int number)
{
	char path[64];

	snprintf(path, sizeof(path), NULL_BLK "%d", number);
	check(rmdir(path) == 0, path);
}

/* As the library asks for one with a thread, whose queue has its default depth. */
static void create_by_module(int number)
{
	const char *protocol = getenv("BDUS_PROTOCOL");
	const int is_ring = strcmp(protocol, KBDUSRING_PROTOCOL_NAME) == 0;
	struct kbdus_config config = {
		.device = {
			.size = SIZE,
			.logical_block_size = 512,
			.operations = KBDUS_OP(READ) | KBDUS_OP(WRITE) |
				      KBDUS_OP(FLUSH),
			.flags = KBDUS_DEVICE_F_NO_PARTITIONS,
			.max_outstanding_requests = is_ring ? 64 : 2,
		},
		.protocol = {
			.buffer_count = is_ring ? 0 : 1,
			.channel_count = is_ring ? 1 : 0,
		},
	};
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);

	check(fd >= 0, KBDUS_CONTROL_PATH);
	snprintf(config.protocol.name, sizeof(config.protocol.name), "%s",
		 protocol);
	check(ioctl(fd, KBDUS_IOCTL_CREATE_DEVICE, &config) == 0, "creating");
	/* The first thing that is told is that the node is there. */
	if (is_ring)
		check(ioctl(fd, KBDUSRING_IOCTL_ENTER, KBDUSRING_ENTER_WAIT) ==
		      KBDUSRING_ENTERED_AVAILABLE, "waiting");
	else
		check(ioctl(fd, KBDUSMMAP_IOCTL_RECEIVE_REQUEST, 0) == 0,
		      "waiting");
	files[number] = fd;
	ids[number] = config.device.seqnum;
}

static void destroy_by_module(int number)
{
	check(ioctl(files[number], KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION,
		    &ids[number]) == 0 && !close(files[number]), "destroying");
	check(bdus_destroy_dev(ids[number]), "waiting");
}

static int on_available(struct bdus_ctx *ctx)
{
	ids[(size_t)ctx->private_data] = ctx->id;
	sem_post(&is_available);
	return 0;
}

static int on_read(char *buffer, uint64_t offset, uint32_t size,
		   struct bdus_ctx *ctx)
{
	(void)buffer, (void)offset, (void)size, (void)ctx;
	return 0;
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	(void)buffer, (void)offset, (void)size, (void)ctx;
	return 0;
}

static int on_flush(struct bdus_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static void *drive(void *number)
{
	const struct bdus_ops ops = {
		.on_device_available = on_available,
		.read = on_read,
		.write = on_write,
		.flush = on_flush,
	};
	const struct bdus_attrs attrs = {
		.size = SIZE,
		.logical_block_size = 512,
		.dont_daemonize = true,
	};

	if (!bdus_run(&ops, &attrs, number)) {
		fprintf(stderr, "devices: %s\n", bdus_get_error_message());
		exit(1);
	}
	return NULL;
}

static void create_by_library(int number)
{
	pthread_attr_t attrs;

	pthread_attr_init(&attrs);
	pthread_attr_setstacksize(&attrs, STACK_SIZE);
	check(!pthread_create(&threads[number], &attrs, drive,
			      (void *)(size_t)number), "a thread");
	pthread_attr_destroy(&attrs);
	sem_wait(&is_available);
}

static void destroy_by_library(int number)
{
	check(bdus_destroy_dev(ids[number]), "destroying");
	pthread_join(threads[number], NULL);
}

/* There are no devices but those made here, each newer than those before. */
static void create_by_command(int number)
{
	char *arguments[] = { "bdus", "run", "null", "size=256M", NULL };
	extern char **environ;
	posix_spawn_file_actions_t actions;
	uint64_t id = number ? ids[number - 1] + 1 : 0;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	check(!posix_spawnp(&pid, "bdus", &actions, NULL, arguments, environ),
	      "bdus");
	posix_spawn_file_actions_destroy(&actions);
	check(waitpid(pid, &status, 0) == pid && status == 0, "bdus run");
	check(bdus_get_next_dev(&id), "finding");
	ids[number] = id;
}

static void destroy_by_command(int number)
{
	check(bdus_destroy_dev(ids[number]), "destroying");
}

static const struct way ways[] = {
	{ "configfs", create_by_configfs, destroy_by_configfs },
	{ "module", create_by_module, destroy_by_module },
	{ "library", create_by_library, destroy_by_library },
	{ "command", create_by_command, destroy_by_command },
};

static void tell(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
	while (getchar() != '\n')
		;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 2 * MAX_DEVICES, 2 * MAX_DEVICES };
	const struct way *way = ways;
	int count;

	if (argc != 3)
		return 2;
	while (strcmp(way->name, argv[1]) != 0)
		++way;
	count = atoi(argv[2]);
	check(count <= MAX_DEVICES && !setrlimit(RLIMIT_NOFILE, &limit) &&
	      !sem_init(&is_available, 0, 0), "starting");

	tell("ready");
	for (int i = 0; i < count; ++i)
		way->create(i);
	tell("created");
	for (int i = 0; i < count; ++i)
		way->destroy(i);
	tell("destroyed");
	return 0;
}
