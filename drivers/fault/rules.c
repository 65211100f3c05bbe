/* SPDX-License-Identifier: MIT */

/*
 * rules.c: when a fault device misbehaves, and how.
 *
 * Rules are added while the command line is read and never change after that;
 * the counters are the only thing that callbacks share. Each event is counted
 * on its own from 1, so that "the third write" does not depend on how many reads
 * came in between. All rules that fit an occurrence are applied in the order in
 * which they were given, until one says what to return.
 */

#include "rules.h"

#include "driver.h"
#include "libc.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_RULES 64

enum action {
	ACTION_DELAY,
	ACTION_ERROR,
	ACTION_ABORT,
	ACTION_DIE,
	ACTION_EXIT,
	ACTION_HANG,
	ACTION_STOP,
	ACTION_UNTIL,
	ACTION_COUNT
};

struct rule {
	enum event event;
	/* Applies to occurrences from `first` to `last`. */
	uint64_t first;
	uint64_t last;
	enum action action;
	/* Milliseconds or errno value. */
	uint64_t value;
	/* The file to wait for. */
	char *path;
	bool is_after;
};

static struct rule rules[MAX_RULES];
static size_t rule_count;
static unsigned long long counters[EVENT_COUNT];

static const char *const event_names[EVENT_COUNT] = {
	[EVENT_READ] = "read",
	[EVENT_WRITE] = "write",
	[EVENT_WRITE_SAME] = "write_same",
	[EVENT_WRITE_ZEROS] = "write_zeros",
	[EVENT_FUA_WRITE] = "fua_write",
	[EVENT_FLUSH] = "flush",
	[EVENT_DISCARD] = "discard",
	[EVENT_SECURE_ERASE] = "secure_erase",
	[EVENT_IOCTL] = "ioctl",
	[EVENT_ANY] = "any",
	[EVENT_INITIALIZE] = "initialize",
	[EVENT_AVAILABLE] = "available",
	[EVENT_TERMINATE] = "terminate",
};

static const char *const action_names[ACTION_COUNT] = {
	[ACTION_DELAY] = "delay", [ACTION_ERROR] = "error",
	[ACTION_ABORT] = "abort", [ACTION_DIE] = "die",
	[ACTION_EXIT] = "exit",	  [ACTION_HANG] = "hang",
	[ACTION_STOP] = "stop",	  [ACTION_UNTIL] = "until",
};

static int find_name(const char *const *names, int count, const char *text,
		     size_t length)
{
	for (int i = 0; i < count; i++)
		if (strlen(names[i]) == length &&
		    strncmp(names[i], text, length) == 0)
			return i;
	return count;
}

const char *event_name(enum event event)
{
	return event_names[event];
}

enum event event_find(const char *name, size_t length)
{
	return find_name(event_names, EVENT_COUNT, name, length);
}

static bool parse_error(const char *text, uint64_t *out)
{
	if (driver_parse_number(text, INT32_MAX, out))
		return *out > 0;
	for (int error = 1; error < 134; error++) {
		const char *name = strerrorname_np(error);

		if (name && strcmp(name, text) == 0) {
			*out = error;
			return true;
		}
	}
	return false;
}

/* `text` is "n", "n+" or "*". */
static bool parse_count(char *text, struct rule *rule)
{
	size_t length = strlen(text);
	bool is_open = length > 0 && text[length - 1] == '+';

	rule->first = 1;
	rule->last = UINT64_MAX;
	if (strcmp(text, "*") == 0)
		return true;
	if (is_open)
		text[length - 1] = '\0';
	if (!driver_parse_number(text, UINT64_MAX, &rule->first))
		return false;
	if (!is_open)
		rule->last = rule->first;
	return rule->first > 0;
}

static bool parse_action(const char *text, struct rule *rule)
{
	size_t length = strcspn(text, "=");
	const char *value = text[length] == '=' ? text + length + 1 : NULL;

	rule->action = find_name(action_names, ACTION_COUNT, text, length);
	switch (rule->action) {
	case ACTION_COUNT:
		return false;
	case ACTION_DELAY:
		return value &&
		       driver_parse_number(value, UINT32_MAX, &rule->value);
	case ACTION_ERROR:
		return value && parse_error(value, &rule->value);
	case ACTION_UNTIL:
		rule->path = value && *value ? strdup(value) : NULL;
		return rule->path;
	default:
		return !value;
	}
}

bool rules_add(const char *text)
{
	struct rule rule = { .event = EVENT_COUNT };
	char *copy = strdup(text);
	char *rest = copy;
	const char *event = strsep(&rest, ":");
	char *count = rest ? strsep(&rest, ":") : NULL;
	const char *action = rest ? strsep(&rest, ":") : NULL;
	bool is_good = false;

	if (action && rule_count < MAX_RULES) {
		rule.event = event_find(event, strlen(event));
		rule.is_after = rest != NULL;
		is_good = rule.event != EVENT_COUNT &&
			  parse_count(count, &rule) &&
			  parse_action(action, &rule) &&
			  (!rest || strcmp(rest, "after") == 0);
	}
	if (is_good)
		rules[rule_count++] = rule;
	free(copy);
	return is_good;
}

struct occurrence rules_count(enum event event)
{
	struct occurrence occurrence = { .event = event };

	occurrence.count =
		__atomic_add_fetch(&counters[event], 1, __ATOMIC_RELAXED);
	if (event < EVENT_ANY)
		occurrence.any_count = __atomic_add_fetch(&counters[EVENT_ANY],
							  1, __ATOMIC_RELAXED);
	return occurrence;
}

static void sleep_ms(uint64_t ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static void await_file(const char *path)
{
	while (access(path, F_OK) != 0)
		sleep_ms(10);
}

static int perform(const struct rule *rule)
{
	switch (rule->action) {
	case ACTION_DELAY:
		sleep_ms(rule->value);
		return 0;
	case ACTION_UNTIL:
		await_file(rule->path);
		return 0;
	case ACTION_ERROR:
		return rule->value;
	case ACTION_ABORT:
		return bdus_abort;
	case ACTION_STOP:
		/* To this thread: another one might take it too late for us. */
		raise(SIGSTOP);
		return 0;
	case ACTION_EXIT:
		exit(DRIVER_EXIT_FAILURE);
	case ACTION_DIE:
		kill(getpid(), SIGKILL);
		/* fall through */
	case ACTION_HANG:
	default:
		for (;;)
			pause();
	}
}

static bool fits(const struct rule *rule, const struct occurrence *occurrence)
{
	uint64_t count = rule->event == EVENT_ANY ? occurrence->any_count :
						    occurrence->count;

	return (rule->event == occurrence->event ||
		(rule->event == EVENT_ANY && occurrence->event < EVENT_ANY)) &&
	       count >= rule->first && count <= rule->last;
}

int rules_apply(const struct occurrence *occurrence, bool is_after)
{
	int result = 0;

	for (size_t i = 0; i < rule_count && result == 0; i++)
		if (rules[i].is_after == is_after && fits(&rules[i], occurrence))
			result = perform(&rules[i]);
	return result;
}
