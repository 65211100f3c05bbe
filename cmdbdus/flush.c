/* SPDX-License-Identifier: MIT */

/*
 * flush.c: flushing a device without hanging with it.
 *
 * A flush takes as long as the driver takes, and for ever if there is none. It
 * is made by a child process, because that can be left behind in whatever state
 * it is, while the parent watches the clock and the device:
 *
 *     parent   fork -- wait, print the hint, look for a driver, ... -- result
 *     child         flush ------------------------------------ result or killed
 *
 * Ctrl-C ends both.
 */

#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HINT_AFTER_MS 3000
/* How often to look at the device. The flush's end is noticed at once. */
#define TICK_MS 250

/* What the child says. */
struct outcome {
	int error;
	char message[1024];
};

struct flush {
	uint64_t id;
	pid_t child;
	int result_fd;
	uint64_t started_ms;
	/** Since when the device has been seen without a driver; 0: it has one. */
	uint64_t orphan_since_ms;
	bool was_hint_printed;
};

bool parse_seconds(const char *word, uint64_t *out)
{
	uint64_t seconds;

	if (!parse_id(word, &seconds) || seconds == 0 || seconds > UINT32_MAX)
		return false;
	*out = seconds;
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void be_child(uint64_t id, int result_fd, pid_t parent)
{
	struct outcome outcome = { .error = 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_FAILURE);
	if (!bdus_flush_dev(id)) {
		outcome.error = errno;
		snprintf(outcome.message, sizeof(outcome.message), "%s",
			 bdus_get_error_message());
	}
	/* Small enough for a pipe to take it in one piece. */
	if (write(result_fd, &outcome, sizeof(outcome)) < 0)
		_exit(STATUS_FAILURE);
	_exit(STATUS_OK);
}

static bool start(struct flush *flush, uint64_t id)
{
	pid_t parent = getpid();
	int fds[2];

	*flush = (struct flush){ .id = id, .started_ms = now_ms() };
	fflush(stdout);
	if (pipe(fds) != 0)
		return false;
	flush->child = fork();
	if (flush->child == 0) {
		close(fds[0]);
		be_child(id, fds[1], parent);
	}
	close(fds[1]);
	flush->result_fd = fds[0];
	if (flush->child < 0)
		close(fds[0]);
	return flush->child > 0;
}

/* A child that does not die at once is left to init. */
static void stop(struct flush *flush)
{
	close(flush->result_fd);
	kill(flush->child, SIGKILL);
	waitpid(flush->child, NULL, WNOHANG);
}

static bool is_without_driver(uint64_t id)
{
	struct bdus_dev_info info;

	return bdus_get_dev_info(id, &info) &&
	       (info.service == BDUS_SERVICE_STATE_ORPHAN ||
		info.service == BDUS_SERVICE_STATE_EXPIRED);
}

bool is_lost(uint64_t id)
{
	struct bdus_dev_info info;

	return bdus_get_dev_info(id, &info) && !info.recoverable &&
	       (info.service == BDUS_SERVICE_STATE_ORPHAN ||
		info.service == BDUS_SERVICE_STATE_EXPIRED);
}

/* Returns how many seconds it has been given and used up, or 0. */
static uint64_t exceeded_limit(struct flush *flush,
			       const struct flush_options *options)
{
	uint64_t now = now_ms();

	if (!is_without_driver(flush->id))
		flush->orphan_since_ms = 0;
	else if (flush->orphan_since_ms == 0)
		flush->orphan_since_ms = now;
	if (options->timeout > 0)
		return now - flush->started_ms >= options->timeout * 1000 ?
			       options->timeout :
			       0;
	if (flush->orphan_since_ms > 0 &&
	    now - flush->orphan_since_ms >= DEFAULT_ORPHAN_FLUSH_TIMEOUT * 1000)
		return DEFAULT_ORPHAN_FLUSH_TIMEOUT;
	return 0;
}

static void print_advice(uint64_t id)
{
	if (is_lost(id)) {
		fprintf(stderr,
			"The device has no driver and cannot get one. 'bdus "
			"destroy %" PRIu64 "' removes it.\n", id);
		return;
	}
	fprintf(stderr,
		"The device has no driver. Start one with 'bdus run DRIVER "
		"--replace %" PRIu64 "', or\ngive up what was not written with "
		"'bdus destroy --no-flush %" PRIu64 "'.\n",
		id, id);
}

static enum flush_result fail_late(const struct flush *flush, uint64_t limit)
{
	print_error("Device %" PRIu64 " was not flushed within %" PRIu64 " s.",
		    flush->id, limit);
	if (flush->orphan_since_ms > 0)
		print_advice(flush->id);
	else
		fprintf(stderr, "Its driver is still at it. Give it more time, or "
				"give up what was not written with\n'bdus destroy "
				"--no-flush %" PRIu64 "'.\n", flush->id);
	return FLUSH_FAILED;
}

static enum flush_result judge(const struct flush *flush,
			       const struct outcome *outcome)
{
	if (outcome->error == 0)
		return FLUSH_DONE;
	if (outcome->error == ENODEV)
		return FLUSH_GONE;
	print_error("%s", outcome->message);
	if (is_without_driver(flush->id))
		print_advice(flush->id);
	return FLUSH_FAILED;
}

static void print_hint(struct flush *flush, const char *hint)
{
	if (!hint || flush->was_hint_printed ||
	    now_ms() - flush->started_ms < HINT_AFTER_MS)
		return;
	printf("%s\n", hint);
	fflush(stdout);
	flush->was_hint_printed = true;
}

enum flush_result flush_device(uint64_t id, const struct flush_options *options)
{
	struct outcome outcome;
	enum flush_result result;
	struct flush flush;
	uint64_t limit;

	if (!start(&flush, id)) {
		print_error("Failed to flush: %s", strerror(errno));
		return FLUSH_FAILED;
	}
	for (;;) {
		struct pollfd pollfd = { flush.result_fd, POLLIN, 0 };

		if (poll(&pollfd, 1, TICK_MS) > 0)
			break;
		print_hint(&flush, options->hint);
		limit = exceeded_limit(&flush, options);
		if (limit > 0) {
			stop(&flush);
			return fail_late(&flush, limit);
		}
	}
	if (read(flush.result_fd, &outcome, sizeof(outcome)) ==
	    sizeof(outcome)) {
		result = judge(&flush, &outcome);
	} else {
		print_error("Failed to flush: the flushing process was killed");
		result = FLUSH_FAILED;
	}
	close(flush.result_fd);
	waitpid(flush.child, NULL, 0);
	return result;
}
