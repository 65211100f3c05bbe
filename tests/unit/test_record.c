/* SPDX-License-Identifier: MIT */

/*
 * Records of devices, in a directory of the test's own: ids, what is read back, who
 * is seen as the driver, and what becomes of damaged ones.
 */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* Devices are looked for by their numbers, and this machine must not have them. */
#define NOBODYS_MAJOR 4000

static char directory[64];

uid_t geteuid(void)
{
	return 0;
}

static int set_up(void **state)
{
	(void)state;

	snprintf(directory, sizeof(directory), "/tmp/test_record.XXXXXX");
	assert_non_null(mkdtemp(directory));
	libbdus_record_directory = directory;
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static uint64_t create(int *fd, uint32_t minor)
{
	struct libbdus_record record;

	assert_int_equal(libbdus_record_create("fuse", &record, fd), 0);
	record.device = (struct kbdus_device_config){
		.seqnum = record.device.seqnum,
		.size = UINT64_C(1) << 40,
		.flags = KBDUS_DEVICE_F_NO_PARTITIONS,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.operations = KBDUS_OP(READ) | KBDUS_OP(FLUSH),
		.max_read_write_size = 1,
		.max_write_same_size = 2,
		.max_write_zeros_size = 3,
		.max_discard_erase_size = UINT32_MAX,
		.max_outstanding_requests = 5,
		.index = 6,
		.major = NOBODYS_MAJOR,
		.minor = minor,
	};
	record.numbers[0] = 8;
	record.numbers[1] = 9;
	/* As is right if there is such a device. */
	snprintf(record.path, sizeof(record.path), "/dev/loop%" PRIu32, minor);
	assert_int_equal(libbdus_record_write(&record), 0);
	return record.device.seqnum;
}

static void test_read_back(void **state)
{
	struct libbdus_record record;
	uint64_t id;
	int fd;

	(void)state;

	id = create(&fd, 16);
	assert_int_equal(id, LIBBDUS_FIRST_RECORDED_ID);
	assert_int_equal(libbdus_record_read(id, &record), 0);
	assert_string_equal(record.backend, "fuse");
	assert_string_equal(record.path, "/dev/loop16");
	assert_int_equal(record.device.seqnum, id);
	assert_int_equal(record.device.size, UINT64_C(1) << 40);
	assert_int_equal(record.device.flags, KBDUS_DEVICE_F_NO_PARTITIONS);
	assert_int_equal(record.device.operations,
			 KBDUS_OP(READ) | KBDUS_OP(FLUSH));
	assert_int_equal(record.device.max_discard_erase_size, UINT32_MAX);
	assert_int_equal(record.device.minor, 16);
	assert_int_equal(record.numbers[0], 8);
	assert_int_equal(record.numbers[1], 9);
	assert_int_equal(record.state, BDUS_DEV_STATE_INITIALIZED);
	assert_int_equal(record.driver_pid, getpid());
	assert_true(record.is_driven);

	libbdus_record_set_state(fd, BDUS_DEV_STATE_TERMINATED, 1);
	assert_int_equal(libbdus_record_read(id, &record), 0);
	assert_int_equal(record.state, BDUS_DEV_STATE_TERMINATED);
	assert_int_equal(record.driver_pid, 1);
	close(fd);
}

/* A process forked off is the driver too, and the last one decides. */
static void test_who_drives(void **state)
{
	struct libbdus_record record;
	int fd, go[2];
	uint64_t id;
	pid_t child;
	char byte;

	(void)state;

	id = create(&fd, 16);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	close(fd);
	assert_int_equal(libbdus_record_read(id, &record), 0);
	assert_true(record.is_driven);

	close(go[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(libbdus_record_read(id, &record), 0);
	assert_false(record.is_driven);
	assert_int_equal(record.driver_pid, 0);
	close(go[0]);
}

/* What the kernel has of one device is not mistaken for that of another, which may
 * have the same id in another directory. */
static void test_names(void **state)
{
	char names[2][LIBBDUS_RECORD_NAME_SIZE];
	struct libbdus_record record;
	uint64_t ids[2], marks[2];
	int fd;

	for (int i = 0; i < 2; ++i) {
		ids[i] = create(&fd, 16);
		close(fd);
		assert_int_equal(libbdus_record_read(ids[i], &record), 0);
		marks[i] = record.mark;
		libbdus_record_name(&record, names[i]);
		tear_down(state);
		set_up(state);
	}
	assert_int_equal(ids[0], ids[1]);
	assert_true(marks[0] != marks[1]);
	assert_string_not_equal(names[0], names[1]);
}

static void test_ids_are_never_used_again(void **state)
{
	struct libbdus_record record;
	int fd;

	(void)state;

	for (uint64_t i = 0; i < 3; ++i) {
		const uint64_t id = create(&fd, 16);

		assert_int_equal(id, LIBBDUS_FIRST_RECORDED_ID + i);
		libbdus_record_remove(id);
		close(fd);
		assert_int_equal(libbdus_record_read(id, &record), -ENODEV);
		assert_int_equal(libbdus_record_read(id + 1, &record), -EINVAL);
	}
	assert_int_equal(libbdus_record_read(0, &record), -EINVAL);
}

static void test_next_and_find(void **state)
{
	uint64_t first, second, id = 0;
	int fds[2];

	(void)state;

	assert_int_equal(libbdus_record_next(&id), -ENOENT);
	first = create(&fds[0], 16);
	second = create(&fds[1], 17);
	assert_int_equal(libbdus_record_next(&id), 0);
	assert_int_equal(id, first);
	++id;
	assert_int_equal(libbdus_record_next(&id), 0);
	assert_int_equal(id, second);
	++id;
	assert_int_equal(libbdus_record_next(&id), -ENOENT);
	assert_int_equal(id, second + 1);

	assert_int_equal(libbdus_record_find(NOBODYS_MAJOR, 17, &id), 0);
	assert_int_equal(id, second);
	assert_int_equal(libbdus_record_find(NOBODYS_MAJOR, 18, &id), -ENOENT);
	assert_int_equal(libbdus_record_find(8, 17, &id), -ENOENT);

	/* Its node may be another device's by now. */
	libbdus_record_set_state(fds[1], BDUS_DEV_STATE_TERMINATED, 0);
	assert_int_equal(libbdus_record_find(NOBODYS_MAJOR, 17, &id), -ENOENT);
	close(fds[0]);
	close(fds[1]);
}

/* A driver died while it made its record: nothing stays behind for long. */
static void test_unfinished(void **state)
{
	struct libbdus_record record;
	uint64_t id, next = 0;
	char path[96];
	int fd;

	(void)state;

	assert_int_equal(libbdus_record_create("fuse", &record, &fd), 0);
	id = record.device.seqnum;
	assert_int_equal(libbdus_record_read(id, &record), -ENODEV);
	assert_int_equal(libbdus_record_next(&next), -ENOENT);
	snprintf(path, sizeof(path), "%s/%" PRIu64, directory, id);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	assert_int_equal(libbdus_record_read(id, &record), -ENODEV);
	assert_int_equal(access(path, F_OK), -1);
}

/* Driver and successor are two places, each for one. */
static void test_claim(void **state)
{
	int fd, successor, other;
	uint64_t id;

	(void)state;

	id = create(&fd, 16);
	assert_int_equal(libbdus_record_claim(id, LIBBDUS_RECORD_DRIVER, &other),
			 -EBUSY);
	assert_int_equal(libbdus_record_claim(id, LIBBDUS_RECORD_SUCCESSOR,
					      &successor), 0);
	assert_int_equal(libbdus_record_claim(id, LIBBDUS_RECORD_SUCCESSOR,
					      &other), -EBUSY);
	close(fd);
	assert_int_equal(libbdus_record_claim(id, LIBBDUS_RECORD_DRIVER, &fd),
			 0);
	close(successor);
	assert_int_equal(libbdus_record_claim(id, LIBBDUS_RECORD_SUCCESSOR,
					      &successor), 0);
	close(successor);
	close(fd);
	assert_int_equal(libbdus_record_claim(id + 1, LIBBDUS_RECORD_DRIVER,
					      &fd), -EINVAL);
}

/* The numbers of a node that are known late, and a node that is gone. */
static void test_late_node(void **state)
{
	struct libbdus_record record;
	uint64_t id, found;
	int fd;

	(void)state;

	id = create(&fd, 16);
	libbdus_record_set_node(fd, 4000000, 4294967295u);
	libbdus_record_set_state(fd, BDUS_DEV_STATE_AVAILABLE, getpid());
	assert_int_equal(libbdus_record_read(id, &record), 0);
	assert_int_equal(record.state, BDUS_DEV_STATE_AVAILABLE);
	assert_int_equal(record.device.major, 4000000);
	assert_int_equal(record.device.minor, 4294967295u);
	assert_int_equal(libbdus_record_find(4000000, 4294967295u, &found), 0);
	assert_int_equal(libbdus_record_find_path("/dev/loop16", &found), 0);
	assert_int_equal(found, id);
	assert_int_equal(libbdus_record_find_path("/dev/loop1", &found), -ENOENT);
	libbdus_record_set_state(fd, BDUS_DEV_STATE_TERMINATED, 0);
	assert_int_equal(libbdus_record_find_path("/dev/loop16", &found),
			 -ENOENT);
	close(fd);
}

/* An orphan's numbers may be those of another disk by now: of one that this machine
 * has, whatever it is. */
static void test_numbers_of_another(void **state)
{
	unsigned int major, minor;
	FILE *file = popen("cat /sys/block/*/dev 2>/dev/null | head -n 1", "r");
	uint64_t id;
	int count;
	int fd;

	(void)state;

	count = fscanf(file, "%u:%u", &major, &minor);
	pclose(file);
	if (count != 2)
		skip();
	create(&fd, 16);
	libbdus_record_set_node(fd, major, minor);
	assert_int_equal(libbdus_record_find(major, minor, &id), -ENOENT);
	close(fd);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN);
}

/* Looking is not telling, and nothing happens to who tells nobody. */
static void test_stop(void **state)
{
	uint64_t id;
	int fds[2];
	int fd;

	(void)state;

	id = create(&fd, 16);
	assert_false(libbdus_record_is_serving(id));
	assert_false(libbdus_record_ask_to_stop(id));
	assert_int_equal(libbdus_record_make_stop(id, fds), 0);
	assert_true(libbdus_record_is_serving(id));
	assert_false(is_readable(fds[0]));
	assert_true(libbdus_record_ask_to_stop(id));
	assert_true(is_readable(fds[0]));
	assert_true(libbdus_record_ask_to_stop(id));
	close(fds[0]);
	assert_false(libbdus_record_is_serving(id));
	assert_false(libbdus_record_ask_to_stop(id));
	close(fds[1]);
	/* Whoever comes next begins anew. */
	assert_int_equal(libbdus_record_make_stop(id, fds), 0);
	assert_false(is_readable(fds[0]));
	close(fds[0]);
	close(fds[1]);
	libbdus_record_remove(id);
	assert_int_not_equal(access(directory, F_OK), -1);
	close(fd);
}

static void test_lock(void **state)
{
	uint64_t id;
	int fd, lock;

	(void)state;

	id = create(&fd, 16);
	assert_int_equal(libbdus_record_lock(id, &lock), 0);
	libbdus_record_remove(id);
	close(lock);
	assert_int_equal(libbdus_record_lock(id, &lock), -ENODEV);
	close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_back),
		TEST(test_who_drives),
		TEST(test_names),
		TEST(test_ids_are_never_used_again),
		TEST(test_next_and_find),
		TEST(test_unfinished),
		TEST(test_claim),
		TEST(test_late_node),
		TEST(test_numbers_of_another),
		TEST(test_stop),
		TEST(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
