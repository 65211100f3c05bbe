/* SPDX-License-Identifier: MIT */

/* rules.h: see rules.c. */

#ifndef DRIVERS_FAULT_RULES_H
#define DRIVERS_FAULT_RULES_H

#include <stdbool.h>
#include <stddef.h>

/** What a rule can wait for: the callbacks. */
enum event {
	EVENT_READ,
	EVENT_WRITE,
	EVENT_WRITE_SAME,
	EVENT_WRITE_ZEROS,
	EVENT_FUA_WRITE,
	EVENT_FLUSH,
	EVENT_DISCARD,
	EVENT_SECURE_ERASE,
	EVENT_IOCTL,
	/** Any of the above. */
	EVENT_ANY,
	EVENT_INITIALIZE,
	EVENT_AVAILABLE,
	EVENT_TERMINATE,
	EVENT_COUNT
};

const char *event_name(enum event event);

/** Returns the event with that name, or EVENT_COUNT. */
enum event event_find(const char *name, size_t length);

/** Adds a rule `<event>:<n>:<action>[:after]`; the text must stay. Returns
 *  false if it makes no sense, or if there are too many. */
bool rules_add(const char *text);

/** Which rules apply to one call of a callback. */
struct occurrence {
	enum event event;
	/** How often this event has happened, this time included. */
	unsigned long long count;
	/** The same for EVENT_ANY. */
	unsigned long long any_count;
};

/** Count a call of a callback. */
struct occurrence rules_count(enum event event);

/**
 * Do what the rules say about it, before or after the callback has done its
 * work. Returns 0, or what the callback must return.
 */
int rules_apply(const struct occurrence *occurrence, bool is_after);

#endif
