/* SPDX-License-Identifier: MIT */

/*
 * driver.h: what the drivers in this tree share.
 *
 * A driver is a program that describes itself in a struct driver and calls
 * driver_main(). options.c turns the command line into a struct driver_run,
 * process.c runs it: in the background or not, ended by signals, replacing
 * another driver or not. memory.c is a store that takes memory as it is written.
 * Everything below here is done with the public library only.
 */

#ifndef DRIVERS_COMMON_DRIVER_H
#define DRIVERS_COMMON_DRIVER_H

#include <bdus.h>

/** Exit statuses. */
enum {
	DRIVER_EXIT_OK = 0,
	DRIVER_EXIT_FAILURE = 1,
	DRIVER_EXIT_USAGE = 2,
};

/**
 * The line by which `bdus run` describes a driver. It looks for the mark in the
 * file, so that it need not run programs that it knows nothing about; a script
 * can have it in a comment.
 */
#define DRIVER_SUMMARY(text) "bdus-driver-summary: " text

/** One run of a driver: what the command line asked for. */
struct driver_run {
	/** May be changed by driver::prepare. */
	struct bdus_ops ops;
	/** 0 where the command line says nothing; may be changed by
	 *  driver::prepare. */
	struct bdus_attrs attrs;
	/** Take over the device below instead of creating one. */
	bool is_replacement;
	/** The device to take over. */
	uint64_t device;
};

/** A `key=value` word that a driver understands. */
struct driver_option {
	/** NULL ends a table. */
	const char *key;
	/** What the help shows for the value. */
	const char *value;
	/** One line for the help. */
	const char *help;
	/** Returns false if the value makes no sense. */
	bool (*set)(const char *value, struct driver_run *run);
};

struct driver {
	const char *name;
	/** A DRIVER_SUMMARY(). */
	const char *summary;
	/** Its own keys; may be NULL. */
	const struct driver_option *options;
	/** All callbacks. The one for on_device_available must not print. */
	const struct bdus_ops *ops;
	/** Default of `concurrency=`; 0 stands for one for each CPU. */
	uint32_t concurrency;
	/** `size=` must be given, unless another driver is replaced. */
	bool needs_size;
	/** What is written outlives the driver, so that a driver that is told to
	 *  end should have the device flushed first. */
	bool keeps_data;
	/** Why the device can have no second driver; NULL if it can. */
	const char *only_driver;
	/** Called once the command line has been read, before anything exists.
	 *  Returns one of DRIVER_EXIT_..., and has said what is wrong unless it
	 *  is DRIVER_EXIT_OK. May be NULL. */
	int (*prepare)(struct driver_run *run);
	/** A way of its own to be the driver of a device, which calls
	 *  bdus_ops::initialize and bdus_ops::on_device_available of `run` as
	 *  bdus_run() does. Returns one of DRIVER_EXIT_..., or -1 if it cannot, and
	 *  callbacks are to be used. May be NULL. */
	int (*serve)(const struct driver_run *run);
};

/** The whole of a driver's main(). */
int driver_main(const struct driver *driver, int argc, char **argv);

/**
 * Say on standard error, and in the system's log once the driver is in the
 * background, what went wrong. Adds a newline.
 */
void driver_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/** As driver_error(), but before there is a device, with a pointer to the help.
 *  Returns DRIVER_EXIT_USAGE. */
int driver_usage_error(const struct driver *driver, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Parse a command line into `run`. Returns one of DRIVER_EXIT_..., or -1 if
 *  there is nothing left to do because help was asked for. */
int driver_parse(const struct driver *driver, int argc, char **argv,
		 struct driver_run *run);

/** Choose what neither the command line nor driver::prepare has. */
void driver_set_defaults(const struct driver *driver, struct driver_run *run);

/** Run a driver until it ends. Returns the exit status of the process. */
int driver_run(const struct driver *driver, const struct driver_run *run);

/** Parsers for values. They return false, and leave `*out` alone, if the text
 *  is not wholly a value of the kind or does not fit. @{ */
bool driver_parse_number(const char *text, uint64_t max, uint64_t *out);
/** A number of bytes, with or without a suffix: `64M`, `64MiB`, `64MB`. */
bool driver_parse_size(const char *text, uint64_t max, uint64_t *out);
/** `yes` or `no`. */
bool driver_parse_bool(const char *text, bool *out);
/** @} */

#endif
