/* SPDX-License-Identifier: MIT */

/*
 * common.h: what `bdus` and `bdus-info` share.
 *
 * common.c has messages and the parsing of arguments, common_device.c collects
 * what is known about a device, common_fields.c is the one table of properties
 * that columns, JSON keys and options are made from, and common_print.c prints
 * them.
 */

#ifndef CMDBDUS_COMMON_H
#define CMDBDUS_COMMON_H

#include <bdus.h>
#include <stdio.h>

/** Exit statuses. */
enum {
	STATUS_OK = 0,
	STATUS_FAILURE = 1,
	STATUS_USAGE = 2,
};

/** A command with a `--help`; `bdus` has several of them. */
struct command {
	/** As typed: "bdus destroy". */
	const char *name;
	/** What follows the name in the usage line. */
	const char *arguments;
	/** One line, without a full stop. */
	const char *summary;
	/** The options and what else there is to know, as printed. */
	const char *help;
	/** Gets its own name as argv[0]. */
	int (*run)(const struct command *command, int argc, char **argv);
};

void print_help(const struct command *command);

/** Whether `--help` is the only argument, which is where it is understood. */
bool wants_help(int argc, char **argv);

/** Say on standard error what failed. Adds a newline. */
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Say how the arguments should be. Returns STATUS_USAGE. */
int show_usage(const struct command *command);

/** Say what is wrong with the arguments, and how they should be. Returns
 *  STATUS_USAGE. */
int usage_error(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Flush what was printed. Returns `status`, or STATUS_FAILURE if it could not
 *  be written. */
int finish_output(int status);

/** Whether a word is a decimal number and nothing else, and fits an id. */
bool parse_id(const char *word, uint64_t *out);

/** Turn an id or a path into an id. Says why if it cannot. */
bool find_device(const char *word, uint64_t *out);

/** A device and what the system, not only BDUS, knows about it. */
struct device {
	struct bdus_dev_info info;
	/** One word for both of its states. */
	const char *state;
	const char *service;
	/** Name of the driver's process, "" if unknown. */
	char driver[64];
	/** Where it and its partitions are mounted, a line each; "" if nowhere. To
	 *  be freed. */
	char *mountpoints;
};

/** Collect it. Says nothing if it fails; see bdus_get_dev_info(). */
bool device_get(uint64_t id, struct device *out);
void device_put(struct device *device);

enum field_kind {
	FIELD_NUMBER,
	FIELD_BYTES,
	FIELD_BOOL,
	FIELD_MILLISECONDS,
	FIELD_NANOSECONDS,
	/** A number that people see as a word. */
	FIELD_WORD,
	/** Has no numeric value. */
	FIELD_TEXT,
	/** Text of several lines. */
	FIELD_LINES,
};

/** A property of a device. */
struct field {
	/** Option and JSON key, and in upper case the name of the column. */
	const char *key;
	enum field_kind kind;
	/** Where the number is in a struct device, and its size. */
	size_t offset;
	size_t size;
	/** The text, NULL if there is only a number. */
	const char *(*text)(const struct device *device);
	const char *help;
};

/** Ended by an entry without a key. */
extern const struct field fields[];
extern const size_t field_count;

/** Find a field by its key, in lower or upper case. */
const struct field *field_find(const char *key, size_t length);

/** Only for fields that are not FIELD_TEXT or FIELD_LINES. */
uint64_t field_number(const struct field *field, const struct device *device);

enum print_style {
	/** For people: units and words. */
	PRINT_HUMAN,
	/** For programs that split lines at blanks. */
	PRINT_RAW,
	PRINT_JSON,
};

struct print_format {
	enum print_style style;
	bool no_headings;
	/** Sizes as numbers of bytes. */
	bool bytes;
	/** A line for each property instead of a line for each device. */
	bool is_vertical;
	/** What to print, in this order. */
	const struct field *const *columns;
	size_t column_count;
};

/** Print devices to standard output. Returns whether that was possible. */
bool print_devices(const struct print_format *format,
		   const struct device *devices, size_t count);

#endif
