/* SPDX-License-Identifier: MIT */

/*
 * commands.h: the subcommands of `bdus`, a file each, and what several of them
 * need.
 */

#ifndef CMDBDUS_COMMANDS_H
#define CMDBDUS_COMMANDS_H

#include "common.h"

extern const struct command command_destroy;
extern const struct command command_flush;
extern const struct command command_info;
extern const struct command command_list;
extern const struct command command_run;
extern const struct command command_version;

/* flush.c */

/** How long a device without a driver may take to be flushed, in seconds. */
#define DEFAULT_ORPHAN_FLUSH_TIMEOUT 10

struct flush_options {
	/** In seconds; 0 for no limit while there is a driver and
	 *  DEFAULT_ORPHAN_FLUSH_TIMEOUT while there is none. */
	uint64_t timeout;
	/** To be printed if it takes long; NULL for nothing. */
	const char *hint;
};

enum flush_result {
	FLUSH_DONE,
	/** There is no such device any more. */
	FLUSH_GONE,
	/** What is wrong has been said. */
	FLUSH_FAILED,
};

/** Whether the device has lost its driver for good. */
bool is_lost(uint64_t id);

enum flush_result flush_device(uint64_t id, const struct flush_options *options);

/** Parse a positive number of seconds. */
bool parse_seconds(const char *word, uint64_t *out);

/* targets.c */

/** Ids of devices. */
struct targets {
	uint64_t *ids;
	size_t count;
	/** How many of the words named no device; that has been said. */
	size_t failed;
};

/** Turn words into ids, or take all devices if there are none. Says what is
 *  wrong if it returns false. To be freed with targets_put() in any case. */
bool targets_get(struct targets *targets, char **words, size_t word_count);
void targets_put(struct targets *targets);

/** Room for what target_name() finds. */
#define TARGET_NAME_SIZE 64

/** How people call a device: by its path, or its id if it is gone. */
void target_name(uint64_t id, char *out, size_t size);

/** Say what is being done to a device, unless `is_quiet`. Says which one if it has
 *  a name. */
void announce(bool is_quiet, const char *name, const char *text);

/* listing.c */

/** The options of `bdus list` and `bdus info`, for their help. */
#define LISTING_HELP                                                            \
	"  -o, --output LIST  columns to show; +LIST adds to the default ones\n"\
	"  -a, --output-all   show all columns\n"                               \
	"  -b, --bytes        sizes in bytes\n"                                 \
	"  -J, --json         JSON\n"                                           \
	"  -n, --noheadings   no headings\n"                                    \
	"  -r, --raw          for programs: no alignment, numbers instead of "  \
	"words\n"

/** Run one of them. `columns` are the default ones with commas in between, NULL
 *  for all. */
int list_devices(const struct command *command, int argc, char **argv,
		 const char *columns, bool is_vertical);

/** Print the names and meanings of all columns. */
void print_column_help(void);

#endif
