/* SPDX-License-Identifier: MIT */

/*
 * record.c: devices of which the library itself keeps track, because no module of
 * ours does.
 *
 * Called by backends when they create devices, and by manage_recorded.c on behalf of
 * anybody. record_find.c knows which devices there are, record_stop.c tells drivers to end. A device is a directory, named by its id, that holds
 *
 *     device   what never changes: a line `key value` each
 *     driver   state and process, and the numbers of the node if they were not
 *              known at first; its driver has byte 0 of it locked,
 *              and whoever is about to be its driver byte 1
 *     lock     locked by whoever takes the device apart
 *     keeper   of some backends: a socket of the process that outlives the driver
 *     stop     of some backends: a pipe by which the driver is told to end
 *
 * and beside them is `next`, the next id, so that ids are never used again; whoever
 * makes a directory has it locked. A directory without `device` that nobody holds is
 * removed by whoever comes across it. They are gone after a reboot, as the devices
 * are. The driver's lock is one of an open file description: it passes on to a daemon
 * that is forked off, ends with the last process that has it, and cannot be mistaken
 * for another's. Trusts what it reads, which only root can write.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

const char *libbdus_record_directory = "/run/bdus";

/* Of 5 ms each. */
#define LOCK_ATTEMPTS 2000

/* Written over in one piece, so always of the same length. */
#define STATE_FORMAT "%10" PRIu32
#define STATE_SIZE 10
#define DRIVER_FORMAT STATE_FORMAT " %10" PRIu32 "\n"
#define DRIVER_SIZE (STATE_SIZE + 12)
/* Stands with a state: libbdus_record::is_expired. */
#define EXPIRED (1u << 8)
/* What follows it, perhaps. */
#define NODE_FORMAT DRIVER_FORMAT
#define NODE_SIZE DRIVER_SIZE

#define MEMBER(key, member)                                                    \
	{ key, offsetof(struct libbdus_record, member),                        \
	  sizeof(((struct libbdus_record *)0)->member) }

/* What stands in the file `device`, beside two texts. */
static const struct member {
	const char *key;
	size_t offset;
	size_t size;
} members[] = {
	MEMBER("mark", mark),
	MEMBER("id", device.seqnum),
	MEMBER("size", device.size),
	MEMBER("flags", device.flags),
	MEMBER("logical-block-size", device.logical_block_size),
	MEMBER("physical-block-size", device.physical_block_size),
	MEMBER("operations", device.operations),
	MEMBER("max-read-write-size", device.max_read_write_size),
	MEMBER("max-write-same-size", device.max_write_same_size),
	MEMBER("max-write-zeros-size", device.max_write_zeros_size),
	MEMBER("max-discard-erase-size", device.max_discard_erase_size),
	MEMBER("max-outstanding-requests", device.max_outstanding_requests),
	MEMBER("orphan-timeout-ms", device.orphan_timeout_ms),
	MEMBER("index", device.index),
	MEMBER("major", device.major),
	MEMBER("minor", device.minor),
	MEMBER("number-0", numbers[0]),
	MEMBER("number-1", numbers[1]),
};

#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

/* Where a file of a device is; its directory if that has no name. */
const char *libbdus_record_file(char path[LIBBDUS_RECORD_PATH_SIZE],
				uint64_t dev_id, const char *name)
{
	snprintf(path, LIBBDUS_RECORD_PATH_SIZE, "%s/%" PRIu64 "%s%s", libbdus_record_directory,
		 dev_id, *name ? "/" : "", name);
	return path;
}

static int open_next(int flags)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];

	snprintf(path, sizeof(path), "%s/next", libbdus_record_directory);
	return open(path, flags | O_CLOEXEC, 0600);
}

/* The first id that was never used; that of a file which may be empty. */
static uint64_t read_next(int fd)
{
	char text[32] = "";

	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return LIBBDUS_FIRST_RECORDED_ID;
	return strtoull(text, NULL, 10);
}

static int is_missing(uint64_t dev_id)
{
	const int fd = open_next(O_RDONLY);
	const uint64_t next = read_next(fd);

	if (fd >= 0)
		close(fd);
	if (dev_id < LIBBDUS_FIRST_RECORDED_ID || dev_id >= next) {
		return libbdus_error(EINVAL,
			"There never was a device with id %" PRIu64 ".", dev_id);
	}
	return libbdus_error(ENODEV,
		"The device with id %" PRIu64 " no longer exists.", dev_id);
}

/* Ask for a lock, or with F_OFD_GETLK for whether somebody has it. */
static int lock_byte(int fd, int command, enum libbdus_record_place place,
		     struct flock *lock)
{
	int ret;

	*lock = (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place,
		.l_len = 1,
	};
	do {
		ret = fcntl(fd, command, lock);
	} while (ret && errno == EINTR);

	return ret;
}

/* Make the directory of a device, and be its driver. */
static int make_directory(uint64_t dev_id)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];
	struct flock lock;
	int err;
	int fd;

	if (mkdir(libbdus_record_file(path, dev_id, ""), 0700))
		return -errno;
	fd = open(libbdus_record_file(path, dev_id, "driver"),
		  O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && !lock_byte(fd, F_OFD_SETLK, LIBBDUS_RECORD_DRIVER, &lock))
		return fd;

	err = errno;
	if (fd >= 0)
		close(fd);
	libbdus_record_remove(dev_id);
	return -err;
}

/* Take an id and be the driver. Whoever has the ids' lock sees no directory that is
 * not yet somebody's. */
static int take_id(uint64_t *dev_id)
{
	char text[32];
	int length, ids;
	int fd;

	mkdir(libbdus_record_directory, 0700);
	ids = open_next(O_RDWR | O_CREAT);
	if (ids < 0)
		return -errno;

	flock(ids, LOCK_EX);
	*dev_id = read_next(ids);
	length = snprintf(text, sizeof(text), "%" PRIu64 "\n", *dev_id + 1);
	if (pwrite(ids, text, length, 0) == length)
		fd = make_directory(*dev_id);
	else
		fd = -errno;
	close(ids);
	return fd;
}

/*
 * Take an id and begin a record. The caller is the device's driver until the
 * descriptor, which processes forked off get, is closed for the last time;
 * libbdus_record_write() is to follow.
 */
int libbdus_record_create(const char *backend, struct libbdus_record *record,
			  int *out_fd)
{
	uint64_t dev_id = 0;
	int fd;

	*record = (struct libbdus_record){ .state = BDUS_DEV_STATE_INITIALIZED };
	snprintf(record->backend, sizeof(record->backend), "%s", backend);
	if (getrandom(&record->mark, sizeof(record->mark), 0) !=
	    sizeof(record->mark))
		return libbdus_error_with_errno(errno,
						"Failed to get a random number");

	fd = take_id(&dev_id);
	if (fd < 0) {
		return libbdus_error_with_errno(-fd, "Failed to take an id in %s",
						libbdus_record_directory);
	}

	fd = libbdus_daemonize_keep(fd);
	if (fd < 0) {
		libbdus_record_remove(dev_id);
		return libbdus_error_with_errno(-fd, "Failed to keep a file");
	}

	record->device.seqnum = dev_id;
	*out_fd = fd;
	libbdus_record_set_state(fd, BDUS_DEV_STATE_INITIALIZED, getpid());
	return 0;
}

/* What a device is called where the kernel lets it have a name. */
void libbdus_record_name(const struct libbdus_record *record,
			 char name[LIBBDUS_RECORD_NAME_SIZE])
{
	snprintf(name, LIBBDUS_RECORD_NAME_SIZE, "bdus-%" PRIu64 "-%016" PRIx64,
		 (uint64_t)record->device.seqnum, record->mark);
}

/*
 * Become the driver of a device, or the one that is about to. Whoever is has to close
 * the descriptor. Fails with EBUSY, without a message, if there is one.
 */
int libbdus_record_claim(uint64_t dev_id, enum libbdus_record_place place,
			int *out_fd)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];
	const int fd = open(libbdus_record_file(path, dev_id, "driver"),
			    O_RDWR | O_CLOEXEC);
	struct flock lock;

	if (fd < 0)
		return is_missing(dev_id);
	if (lock_byte(fd, F_OFD_SETLK, place, &lock)) {
		close(fd);
		return -EBUSY;
	}

	*out_fd = libbdus_daemonize_keep(fd);
	if (*out_fd < 0) {
		return libbdus_error_with_errno(-*out_fd, "Failed to keep %s",
						path);
	}
	return 0;
}

/*
 * Become the driver of a device that is available, instead of another one, which may
 * still hold what it got. At most one process at a time.
 */
int libbdus_record_take(uint64_t dev_id, int *out_fd)
{
	char new_path[LIBBDUS_RECORD_PATH_SIZE], path[LIBBDUS_RECORD_PATH_SIZE];
	const int fd = open(libbdus_record_file(new_path, dev_id, "driver.new"),
			    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct flock lock;
	int ret;

	if (fd < 0)
		return is_missing(dev_id);
	libbdus_record_set_state(fd, BDUS_DEV_STATE_AVAILABLE, getpid());
	if (lock_byte(fd, F_OFD_SETLK, LIBBDUS_RECORD_DRIVER, &lock) ||
	    rename(new_path, libbdus_record_file(path, dev_id, "driver"))) {
		ret = libbdus_error_with_errno(errno, "Failed to lock %s",
					       new_path);
		close(fd);
		return ret;
	}

	*out_fd = libbdus_daemonize_keep(fd);
	if (*out_fd < 0) {
		return libbdus_error_with_errno(-*out_fd, "Failed to keep %s",
						path);
	}
	return 0;
}

static uint64_t get_member(const struct libbdus_record *record,
			   const struct member *member)
{
	const char *place = (const char *)record + member->offset;
	uint64_t number = 0;
	uint32_t word;

	if (member->size == sizeof(number)) {
		memcpy(&number, place, sizeof(number));
		return number;
	}
	memcpy(&word, place, sizeof(word));
	return word;
}

static void set_member(struct libbdus_record *record,
		       const struct member *member, uint64_t number)
{
	char *place = (char *)record + member->offset;
	uint32_t word = (uint32_t)number;

	if (member->size == sizeof(number))
		memcpy(place, &number, sizeof(number));
	else
		memcpy(place, &word, sizeof(word));
}

/* Say what the device is, once. It is one that others see from then on. */
int libbdus_record_write(const struct libbdus_record *record)
{
	const uint64_t id = record->device.seqnum;
	char new_path[LIBBDUS_RECORD_PATH_SIZE], path[LIBBDUS_RECORD_PATH_SIZE];
	FILE *file = fopen(libbdus_record_file(new_path, id, "device.new"), "we");
	bool is_written;

	if (!file)
		return libbdus_error_with_errno(errno, "Failed to make %s",
						new_path);

	fprintf(file, "backend %s\npath %s\n", record->backend, record->path);
	for (size_t i = 0; i < MEMBER_COUNT; ++i)
		fprintf(file, "%s %" PRIu64 "\n", members[i].key,
			get_member(record, &members[i]));

	is_written = !ferror(file);
	is_written = !fclose(file) && is_written;
	if (!is_written || rename(new_path, libbdus_record_file(path, id, "device"))) {
		return libbdus_error_with_errno(errno, "Failed to write %s",
						new_path);
	}
	return 0;
}

/* Say in what state the device is, and which process is its driver. May come from
 * one without privileges. */
void libbdus_record_set_state(int fd, uint32_t state, int driver_pid)
{
	char text[DRIVER_SIZE + 1];
	ssize_t written;

	snprintf(text, sizeof(text), DRIVER_FORMAT, state,
		 (uint32_t)driver_pid);
	written = pwrite(fd, text, DRIVER_SIZE, 0);
	/* The first time, reading it tells; later, the room is there. */
	(void)written;
}

static void change_state(uint64_t dev_id, uint32_t state)
{
	char path[LIBBDUS_RECORD_PATH_SIZE], text[STATE_SIZE + 1];
	const int fd = open(libbdus_record_file(path, dev_id, "driver"),
			    O_RDWR | O_CLOEXEC);
	ssize_t written;

	if (fd < 0)
		return;
	snprintf(text, sizeof(text), STATE_FORMAT, state);
	written = pwrite(fd, text, STATE_SIZE, 0);
	(void)written;
	close(fd);
}

/* Say that a device is over, by somebody who need not be its driver. */
void libbdus_record_set_terminated(uint64_t dev_id)
{
	change_state(dev_id, BDUS_DEV_STATE_TERMINATED);
}

/* Say that requests of an available device do not wait for another driver any more.
 * Holds until there is one. */
void libbdus_record_set_expired(uint64_t dev_id)
{
	change_state(dev_id, BDUS_DEV_STATE_AVAILABLE | EXPIRED);
}

/* Say what numbers the node has got, where nobody knew when the record was
 * written. Likewise. */
void libbdus_record_set_node(int fd, uint32_t major, uint32_t minor)
{
	char text[NODE_SIZE + 1];
	ssize_t written;

	snprintf(text, sizeof(text), NODE_FORMAT, major, minor);
	written = pwrite(fd, text, NODE_SIZE, DRIVER_SIZE);
	(void)written;
}

static void parse_line(struct libbdus_record *record, const char *key,
		       const char *value)
{
	if (!strcmp(key, "backend"))
		snprintf(record->backend, sizeof(record->backend), "%.15s",
			 value);
	if (!strcmp(key, "path"))
		snprintf(record->path, sizeof(record->path), "%s", value);

	for (size_t i = 0; i < MEMBER_COUNT; ++i) {
		if (!strcmp(key, members[i].key))
			set_member(record, &members[i],
				   strtoull(value, NULL, 10));
	}
}

static bool read_device(uint64_t dev_id, struct libbdus_record *record)
{
	char path[LIBBDUS_RECORD_PATH_SIZE], key[64], value[64];
	FILE *file = fopen(libbdus_record_file(path, dev_id, "device"), "re");

	if (!file)
		return false;
	while (fscanf(file, "%63s %63s", key, value) == 2)
		parse_line(record, key, value);
	fclose(file);
	return true;
}

static bool read_driver(uint64_t dev_id, struct libbdus_record *record)
{
	char path[LIBBDUS_RECORD_PATH_SIZE], text[DRIVER_SIZE + NODE_SIZE + 1] = "";
	int fd = open(libbdus_record_file(path, dev_id, "driver"), O_RDWR | O_CLOEXEC);
	struct flock lock;
	bool is_read;

	if (fd < 0)
		return false;
	is_read = pread(fd, text, DRIVER_SIZE + NODE_SIZE, 0) >= DRIVER_SIZE &&
		  sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32,
			 &record->state, &record->driver_pid,
			 &record->device.major, &record->device.minor) >= 2 &&
		  !lock_byte(fd, F_OFD_GETLK, LIBBDUS_RECORD_DRIVER, &lock);
	record->is_driven = is_read && lock.l_type != F_UNLCK;
	record->is_expired = record->state & EXPIRED;
	record->state &= ~EXPIRED;
	if (!record->is_driven)
		record->driver_pid = 0;
	close(fd);
	return is_read;
}

/* Forget the device. */
void libbdus_record_remove(uint64_t dev_id)
{
	static const char *const names[] = { "device", "device.new", "driver",
					     "driver.new", "keeper", "lock",
					     "stop", "" };
	char path[LIBBDUS_RECORD_PATH_SIZE];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
		remove(libbdus_record_file(path, dev_id, names[i]));
}

/* Whether somebody holds the directory of a device that may have no record. */
static bool is_held(uint64_t dev_id)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];
	const int fd = open(libbdus_record_file(path, dev_id, "driver"),
			    O_RDWR | O_CLOEXEC);
	struct flock lock;
	bool is_held;

	if (fd < 0)
		return false;
	is_held = lock_byte(fd, F_OFD_GETLK, LIBBDUS_RECORD_DRIVER, &lock) ||
		  lock.l_type != F_UNLCK;
	close(fd);
	return is_held;
}

/* Remove a directory whose maker died before there was a record, if this is one.
 * Somebody else may be making another at this moment: then the next one who looks
 * does it. */
static void sweep(uint64_t dev_id)
{
	const int ids = open_next(O_RDWR);
	char path[LIBBDUS_RECORD_PATH_SIZE];

	if (ids < 0)
		return;
	if (!flock(ids, LOCK_EX | LOCK_NB) &&
	    access(libbdus_record_file(path, dev_id, "device"), F_OK) && !is_held(dev_id))
		libbdus_record_remove(dev_id);
	close(ids);
}

/* Read what is known now. */
int libbdus_record_read(uint64_t dev_id, struct libbdus_record *record)
{
	int ret = libbdus_require_root();

	if (ret)
		return ret;

	*record = (struct libbdus_record){ .state = 0 };
	if (!read_device(dev_id, record)) {
		sweep(dev_id);
		return is_missing(dev_id);
	}
	if (!read_driver(dev_id, record))
		return is_missing(dev_id);
	return 0;
}

/* Who serves the device, as enum bdus_service_state. */
uint32_t libbdus_record_service(const struct libbdus_record *record)
{
	if (record->state == BDUS_DEV_STATE_TERMINATED)
		return BDUS_SERVICE_STATE_NONE;
	if (record->is_driven)
		return BDUS_SERVICE_STATE_SERVED;
	return record->is_expired ? BDUS_SERVICE_STATE_EXPIRED :
				    BDUS_SERVICE_STATE_ORPHAN;
}

/* Wait for a lock, but not for one whose holder is stopped. */
static int lock_in_time(int fd)
{
	for (int i = 0; i < LOCK_ATTEMPTS; ++i) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return -1;
		libbdus_pause();
	}

	errno = EBUSY;
	return -1;
}

/*
 * Wait until nobody else takes the device apart. Closing the descriptor lets the
 * next one do so. Fails with ENODEV if the device is gone.
 */
int libbdus_record_lock(uint64_t dev_id, int *out_fd)
{
	char path[LIBBDUS_RECORD_PATH_SIZE];
	int fd = open(libbdus_record_file(path, dev_id, "lock"),
		      O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 && errno == ENOENT)
		return is_missing(dev_id);
	if (fd < 0 || lock_in_time(fd)) {
		int ret = libbdus_error_with_errno(errno, "Failed to lock %s",
						   path);
		if (fd >= 0)
			close(fd);
		return ret;
	}

	*out_fd = fd;
	return 0;
}
