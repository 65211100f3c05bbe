/* SPDX-License-Identifier: MIT */

/*
 * The process that keeps a network block device whose driver dies: what it says to
 * drivers, successors and others, and what becomes of connections and record. There is
 * no device behind it.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nbd.h"
#include "unit.h"

#define TIMEOUT_MS 10000

static char directory[32];
static struct nbd_keeping keeping;
static uint64_t id;
static int record_fd;
/* The driver's ends, and the kernel's. */
static int fds[2], kernel[2];
static int line;

uid_t geteuid(void)
{
	return 0;
}

static void describe(bool is_recoverable)
{
	keeping = (struct nbd_keeping){
		.dev_id = id,
		.number = 99999,
		.identifier = "bdus-test",
		.is_recoverable = is_recoverable,
	};
}

static int set_up(void **state)
{
	struct libbdus_record record;
	int pair[2];

	(void)state;

	snprintf(directory, sizeof(directory), "/tmp/test_keeper.XXXXXX");
	assert_non_null(mkdtemp(directory));
	libbdus_record_directory = directory;
	assert_int_equal(libbdus_record_create("nbd", &record, &record_fd), 0);
	assert_int_equal(libbdus_record_write(&record), 0);
	id = record.device.seqnum;

	for (int i = 0; i < 2; ++i) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		fds[i] = pair[0];
		kernel[i] = pair[1];
	}
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;

	if (record_fd >= 0)
		close(record_fd);
	for (int i = 0; i < 2; ++i)
		close(kernel[i]);
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

/* The driver has its own copies, which end with it. */
static void start_keeper(void)
{
	line = libbdus_nbd_keeper_start(&keeping, fds, 2);
	assert_true(line > 2);
	for (int i = 0; i < 2; ++i)
		close(fds[i]);
	assert_int_equal(send(line, "a", 1, 0), 1);
}

static void start(bool is_recoverable)
{
	describe(is_recoverable);
	start_keeper();
}

static int connect_to_keeper(void)
{
	const int fd = libbdus_nbd_keeper_connect(id);

	assert_true(fd >= 0);
	return fd;
}

static void assert_hears(int fd, char word)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };
	char byte = '\0';

	assert_int_equal(poll(&waiting, 1, TIMEOUT_MS), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), word ? 1 : 0);
	assert_int_equal(byte, word);
}

static void assert_connected(void)
{
	char byte;

	for (int i = 0; i < 2; ++i)
		assert_int_equal(recv(kernel[i], &byte, 1, MSG_DONTWAIT), -1);
}

static void assert_ended(void)
{
	for (int i = 0; i < 2; ++i)
		assert_hears(kernel[i], '\0');
}

static bool has_record(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%llu", directory,
		 (unsigned long long)id);
	return !access(path, F_OK);
}

static void assert_no_keeper(void)
{
	for (int i = 0; i < TIMEOUT_MS && libbdus_nbd_keeper_connect(id) >= 0;
	     ++i)
		usleep(1000);
	assert_true(libbdus_nbd_keeper_connect(id) < 0);
}

/* Its record stays, for somebody to see. */
static void test_driver_dies(void **state)
{
	(void)state;

	start(false);
	assert_connected();
	close(line);
	assert_ended();
	assert_no_keeper();
	assert_true(has_record());
}

static void test_driver_ends(void **state)
{
	(void)state;

	start(false);
	assert_int_equal(send(line, "e", 1, 0), 1);
	shutdown(line, SHUT_WR);
	assert_hears(line, '\0');
	assert_ended();
	assert_no_keeper();
	assert_false(has_record());
	close(line);
}

static void test_destroyed(void **state)
{
	int fd;

	(void)state;

	start(true);
	fd = connect_to_keeper();
	assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_DESTROY,
						TIMEOUT_MS),
			 NBD_KEEPER_DONE);
	assert_ended();
	assert_hears(line, '\0');
	assert_false(has_record());
	close(fd);
	close(line);
}

static void test_told_to_end(void **state)
{
	int fd;

	(void)state;

	start(false);
	fd = connect_to_keeper();
	assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_TERMINATE,
						TIMEOUT_MS),
			 NBD_KEEPER_DONE);
	assert_hears(line, NBD_LINE_TERMINATE);
	assert_connected();
	close(fd);
	close(line);
	assert_no_keeper();
}

static int begin_replacing(int got[NBD_CONNECTIONS])
{
	const int fd = connect_to_keeper();
	unsigned int count = 0;

	assert_int_equal(send(fd, "r", 1, 0), 1);
	assert_int_equal(libbdus_nbd_keeper_await(fd, TIMEOUT_MS, got, &count),
			 NBD_KEEPER_LEAVING);
	assert_int_equal(count, 2);
	assert_hears(line, NBD_LINE_LEAVE);
	return fd;
}

/* A successor gets the connections, and the former keeper leaves them alone. */
static void test_replaced(void **state)
{
	int got[NBD_CONNECTIONS];
	int fd, other;

	(void)state;

	start(false);
	fd = begin_replacing(got);
	other = connect_to_keeper();
	assert_int_equal(libbdus_nbd_keeper_ask(other, NBD_KEEPER_REPLACE,
						TIMEOUT_MS),
			 NBD_KEEPER_BUSY);
	close(other);

	assert_int_equal(send(line, "se", 2, 0), 2);
	close(line);
	assert_hears(fd, NBD_KEEPER_LEFT);
	for (int i = 0; i < 2; ++i) {
		assert_int_equal(send(kernel[i], "x", 1, 0), 1);
		assert_hears(got[i], 'x');
	}
	assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_TAKEN,
						TIMEOUT_MS),
			 NBD_KEEPER_DONE);
	assert_no_keeper();
	assert_connected();
	assert_true(has_record());
	for (int i = 0; i < 2; ++i)
		close(got[i]);
	assert_ended();
	close(fd);
}

/* The driver leaves, and its successor dies meanwhile. */
static void test_heir_dies(void **state)
{
	int got[NBD_CONNECTIONS];
	int fd;

	(void)state;

	start(false);
	fd = begin_replacing(got);
	close(fd);
	assert_connected();
	assert_int_equal(send(line, "se", 2, 0), 2);
	close(line);
	assert_ended();
	assert_no_keeper();
	for (int i = 0; i < 2; ++i)
		close(got[i]);
}

static void test_dies_while_replaced(void **state)
{
	int got[NBD_CONNECTIONS];
	int fd;

	(void)state;

	start(false);
	fd = begin_replacing(got);
	close(line);
	assert_hears(fd, NBD_KEEPER_ENDED);
	assert_ended();
	for (int i = 0; i < 2; ++i)
		close(got[i]);
	close(fd);
}

static void test_dies_while_replaced_recoverable(void **state)
{
	int got[NBD_CONNECTIONS];
	int fd;

	(void)state;

	start(true);
	fd = begin_replacing(got);
	close(line);
	assert_hears(fd, NBD_KEEPER_ORPHAN);
	assert_ended();
	libbdus_nbd_keeper_ask(fd, NBD_KEEPER_TAKEN, TIMEOUT_MS);
	assert_no_keeper();
	for (int i = 0; i < 2; ++i)
		close(got[i]);
	close(fd);
}

static uint32_t service(void)
{
	struct libbdus_record record;

	assert_int_equal(libbdus_record_read(id, &record), 0);
	return libbdus_record_service(&record);
}

/* After some time nothing waits for a successor any more, and others see that. */
static void test_expires(void **state)
{
	(void)state;

	describe(true);
	keeping.orphan_timeout_ms = 100;
	start_keeper();
	assert_int_equal(service(), BDUS_SERVICE_STATE_SERVED);
	libbdus_record_set_state(record_fd, BDUS_DEV_STATE_AVAILABLE, 1);
	close(record_fd);
	record_fd = -1;
	close(line);
	assert_ended();
	assert_int_equal(service(), BDUS_SERVICE_STATE_ORPHAN);
	for (int i = 0; i < TIMEOUT_MS &&
			service() == BDUS_SERVICE_STATE_ORPHAN; ++i)
		usleep(1000);
	assert_int_equal(service(), BDUS_SERVICE_STATE_EXPIRED);
	/* There is no device here. */
	assert_no_keeper();
}

/* Whoever comes when there is no driver needs connections of his own; the device waits
 * until somebody says that he has it. */
static void test_orphan(void **state)
{
	int fd;

	(void)state;

	start(true);
	close(line);
	assert_ended();
	for (int i = 0; i < 3; ++i) {
		fd = connect_to_keeper();
		assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_REPLACE,
							TIMEOUT_MS),
				 NBD_KEEPER_ORPHAN);
		if (i < 2)
			close(fd);
	}
	assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_TAKEN,
						TIMEOUT_MS),
			 NBD_KEEPER_DONE);
	assert_no_keeper();
	close(fd);
}

/* Who says nothing, or nonsense, stops nobody. */
static void test_nonsense(void **state)
{
	int fd;

	(void)state;

	start(true);
	fd = connect_to_keeper();
	assert_int_equal(libbdus_nbd_keeper_ask(fd, '?', TIMEOUT_MS),
			 NBD_KEEPER_NONE);
	close(fd);
	fd = connect_to_keeper();
	close(fd);
	fd = connect_to_keeper();
	assert_int_equal(libbdus_nbd_keeper_ask(fd, NBD_KEEPER_DESTROY,
						TIMEOUT_MS),
			 NBD_KEEPER_DONE);
	close(fd);
	close(line);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_driver_dies),
		TEST(test_driver_ends),
		TEST(test_destroyed),
		TEST(test_told_to_end),
		TEST(test_replaced),
		TEST(test_heir_dies),
		TEST(test_dies_while_replaced),
		TEST(test_dies_while_replaced_recoverable),
		TEST(test_expires),
		TEST(test_orphan),
		TEST(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
