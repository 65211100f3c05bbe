/* SPDX-License-Identifier: MIT */

/*
 * options.c: the command line of a driver.
 *
 * Every driver takes flags and `key=value` words. The keys of attributes are the
 * same for all and are here; a driver adds its own in driver::options. Anything
 * unknown is refused by name, so that a mistyped key never passes silently.
 */

#include "driver.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool driver_parse_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t number = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (!isdigit((unsigned char)*text) ||
		    number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (number > max)
		return false;
	*out = number;
	return true;
}

/* Returns what a suffix multiplies by, or 0 if it is none. */
static uint64_t suffix_factor(const char *suffix)
{
	static const char letters[] = "KMGTPE";
	const char *letter = *suffix ? strchr(letters, toupper(*suffix)) : NULL;
	uint64_t base = 1024;
	uint64_t factor = 1;

	if (*suffix == '\0' || strcmp(suffix, "B") == 0)
		return 1;
	if (!letter)
		return 0;
	if (strcmp(suffix + 1, "B") == 0)
		base = 1000;
	else if (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0)
		return 0;
	for (int i = 0; i <= letter - letters; i++)
		factor *= base;
	return factor;
}

bool driver_parse_size(const char *text, uint64_t max, uint64_t *out)
{
	char digits[21];
	size_t length = strspn(text, "0123456789");
	uint64_t factor = suffix_factor(text + length);
	uint64_t number;

	if (length >= sizeof(digits) || factor == 0)
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (!driver_parse_number(digits, max / factor, &number))
		return false;
	*out = number * factor;
	return true;
}

bool driver_parse_bool(const char *text, bool *out)
{
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return false;
	*out = *text == 'y';
	return true;
}

/* 0 means "the default" in the attributes, so nobody may ask for it. */
static bool parse_positive(const char *text, uint64_t max, bool is_size,
			   uint64_t *out)
{
	uint64_t number;
	bool is_good = is_size ? driver_parse_size(text, max, &number) :
				 driver_parse_number(text, max, &number);

	if (!is_good || number == 0)
		return false;
	*out = number;
	return true;
}

static bool parse_positive_u32(const char *text, bool is_size, uint32_t *out)
{
	uint64_t number;

	if (!parse_positive(text, UINT32_MAX, is_size, &number))
		return false;
	*out = number;
	return true;
}

static bool set_size(const char *value, struct driver_run *run)
{
	return parse_positive(value, UINT64_MAX, true, &run->attrs.size);
}

static bool set_logical_block_size(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, true, &run->attrs.logical_block_size);
}

static bool set_physical_block_size(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, true, &run->attrs.physical_block_size);
}

static bool set_max_read_write_size(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, true, &run->attrs.max_read_write_size);
}

static bool set_concurrency(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, false,
				  &run->attrs.max_concurrent_callbacks);
}

static bool set_queue_depth(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, false, &run->attrs.queue_depth);
}

static bool set_spin_time(const char *value, struct driver_run *run)
{
	if (strcmp(value, "no") == 0) {
		run->attrs.spin_time_us = BDUS_NO_SPINNING;
		return true;
	}
	return parse_positive_u32(value, false, &run->attrs.spin_time_us);
}

static bool set_recoverable(const char *value, struct driver_run *run)
{
	return driver_parse_bool(value, &run->attrs.recoverable);
}

static bool set_partitions(const char *value, struct driver_run *run)
{
	bool partitions;

	if (!driver_parse_bool(value, &partitions))
		return false;
	run->attrs.disable_partition_scanning = !partitions;
	return true;
}

static bool set_request_timeout(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, false, &run->attrs.request_timeout_ms);
}

static bool set_orphan_timeout(const char *value, struct driver_run *run)
{
	if (strcmp(value, "forever") == 0) {
		run->attrs.orphan_timeout_ms = BDUS_ORPHAN_TIMEOUT_FOREVER;
		return true;
	}
	return parse_positive_u32(value, false, &run->attrs.orphan_timeout_ms);
}

static bool set_leave_timeout(const char *value, struct driver_run *run)
{
	return parse_positive_u32(value, false, &run->attrs.leave_timeout_ms);
}

static const struct driver_option common_options[] = {
	{ "size", "SIZE", "size of the device, e.g. 64M or 1TiB", set_size },
	{ "logical-block-size", "SIZE", "smallest unit clients can access",
	  set_logical_block_size },
	{ "physical-block-size", "SIZE", "smallest unit that is cheap to write",
	  set_physical_block_size },
	{ "max-read-write-size", "SIZE", "largest request, up to 1M",
	  set_max_read_write_size },
	{ "concurrency", "N", "requests to serve at a time", set_concurrency },
	{ "queue-depth", "N", "requests that the device takes at a time, up to 256",
	  set_queue_depth },
	{ "spin-time", "US|no", "how long a thread looks for requests before it sleeps",
	  set_spin_time },
	{ "recoverable", "yes|no", "keep the device when the driver ends",
	  set_recoverable },
	{ "partitions", "yes|no", "look for partitions (default: yes)",
	  set_partitions },
	{ "request-timeout", "MS", "let requests fail after so long",
	  set_request_timeout },
	{ "orphan-timeout", "MS|forever", "how long requests wait for a successor",
	  set_orphan_timeout },
	{ "leave-timeout", "MS", "how long --replace waits for the present driver",
	  set_leave_timeout },
	{ NULL, NULL, NULL, NULL },
};

static const char *summary_text(const struct driver *driver)
{
	return driver->summary + strlen(DRIVER_SUMMARY(""));
}

static void print_options(const struct driver_option *option)
{
	for (; option->key; option++) {
		int width = printf("  %s=%s", option->key, option->value);

		printf("%*s %s\n", width < 30 ? 30 - width : 0, "",
		       option->help);
	}
}

static void print_help(const struct driver *driver)
{
	printf("Usage: bdus run %s [options] [key=value ...]\n\n%s.\n\n",
	       driver->name, summary_text(driver));
	if (driver->options) {
		printf("Keys of this driver:\n");
		print_options(driver->options);
		printf("\n");
	}
	printf("Keys of every driver:\n");
	print_options(common_options);
	printf("\n"
	       "Options:\n"
	       "  -f, --foreground             stay in the foreground\n"
	       "      --replace ID|PATH        take over an existing device\n"
	       "      --wait                   with --replace: wait until it is "
	       "available\n"
	       "      --backend NAME           what makes the device: auto, kbdus, "
	       "ublk, nbd, fuse\n"
	       "      --protocol NAME          how it talks to the module: ioctl, "
	       "mmap, uds, ring\n"
	       "      --log                    write a line for each callback\n"
	       "      --help                   show this\n"
	       "\n"
	       "See bdus-%s(1) for more.\n",
	       driver->name);
}

static const struct driver_option *
find_option(const struct driver_option *options, const char *word)
{
	size_t length = strcspn(word, "=");

	for (; options && options->key; options++)
		if (strlen(options->key) == length &&
		    strncmp(options->key, word, length) == 0)
			return options;
	return NULL;
}

static int parse_pair(const struct driver *driver, const char *word,
		      struct driver_run *run)
{
	const struct driver_option *option = find_option(driver->options, word);
	const char *value = strchr(word, '=');

	if (!option)
		option = find_option(common_options, word);
	if (!option)
		return driver_usage_error(driver, "unknown key in '%s'", word);
	if (!value)
		return driver_usage_error(driver, "'%s' needs a value: %s=%s",
					  word, option->key, option->value);
	if (!option->set(value + 1, run))
		return driver_usage_error(driver,
					  "bad value in '%s', expected %s=%s",
					  word, option->key, option->value);
	return DRIVER_EXIT_OK;
}

static int parse_replace(const struct driver *driver, const char *value,
			 struct driver_run *run)
{
	if (*value == '\0')
		return driver_usage_error(driver,
					  "--replace needs an id or a path");
	if (driver_parse_number(value, UINT64_MAX - 1, &run->device) ||
	    bdus_get_dev_id_from_path(&run->device, value))
		return DRIVER_EXIT_OK;
	driver_error("%s", bdus_get_error_message());
	return DRIVER_EXIT_FAILURE;
}

/* What the library reads where it reads what people set themselves. */
static const struct {
	const char *option;
	const char *variable;
} environment_options[] = {
	{ "--backend", "BDUS_BACKEND" },
	{ "--protocol", "BDUS_PROTOCOL" },
	{ NULL, NULL },
};

/* Which of them a word is, with or without a value; NULL if none. */
static const char *find_variable(const char *word)
{
	const size_t length = strcspn(word, "=");

	for (size_t i = 0; environment_options[i].option; i++)
		if (strlen(environment_options[i].option) == length &&
		    strncmp(environment_options[i].option, word, length) == 0)
			return environment_options[i].variable;
	return NULL;
}

static int set_variable(const struct driver *driver, const char *word,
			const char *value)
{
	if (*value == '\0')
		return driver_usage_error(driver, "%.*s needs a name",
					  (int)strcspn(word, "="), word);
	if (setenv(find_variable(word), value, 1) == 0)
		return DRIVER_EXIT_OK;
	driver_error("%s", strerror(errno));
	return DRIVER_EXIT_FAILURE;
}

static int check_run(const struct driver *driver, const struct driver_run *run)
{
	if (driver->only_driver && run->is_replacement)
		return driver_usage_error(driver, "--replace: %s",
					  driver->only_driver);
	if (driver->only_driver && run->attrs.recoverable)
		return driver_usage_error(driver, "recoverable=yes: %s",
					  driver->only_driver);
	if (run->attrs.wait_until_available && !run->is_replacement)
		return driver_usage_error(driver, "--wait needs --replace");
	if (run->attrs.leave_timeout_ms && !run->is_replacement)
		return driver_usage_error(driver,
					  "leave-timeout= needs --replace");
	if (driver->needs_size && !run->is_replacement && run->attrs.size == 0)
		return driver_usage_error(driver,
					  "size= is missing, e.g. size=64M");
	return DRIVER_EXIT_OK;
}

int driver_parse(const struct driver *driver, int argc, char **argv,
		 struct driver_run *run)
{
	const char *replace = NULL;
	int status = DRIVER_EXIT_OK;

	*run = (struct driver_run){ .ops = *driver->ops };
	for (int i = 1; i < argc && status == DRIVER_EXIT_OK; i++) {
		const char *word = argv[i];

		if (strcmp(word, "--help") == 0) {
			print_help(driver);
			return -1;
		}
		if (strcmp(word, "-f") == 0 || strcmp(word, "--foreground") == 0)
			run->attrs.dont_daemonize = true;
		else if (strcmp(word, "--log") == 0)
			run->attrs.log = true;
		else if (strcmp(word, "--wait") == 0)
			run->attrs.wait_until_available = true;
		else if (strcmp(word, "--replace") == 0)
			replace = i + 1 < argc ? argv[++i] : "";
		else if (strncmp(word, "--replace=", 10) == 0)
			replace = word + 10;
		else if (find_variable(word) && strchr(word, '='))
			status = set_variable(driver, word,
					      strchr(word, '=') + 1);
		else if (find_variable(word))
			status = set_variable(driver, word,
					      i + 1 < argc ? argv[++i] : "");
		else if (*word == '-')
			status = driver_usage_error(driver, "unknown option '%s'",
						    word);
		else
			status = parse_pair(driver, word, run);
	}
	run->is_replacement = replace != NULL;
	if (status == DRIVER_EXIT_OK)
		status = check_run(driver, run);
	if (status == DRIVER_EXIT_OK && replace)
		status = parse_replace(driver, replace, run);
	return status;
}

static uint32_t default_concurrency(const struct driver *driver)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (driver->concurrency > 0)
		return driver->concurrency;
	return cpus < 2 ? 2 : cpus > 16 ? 16 : cpus;
}

void driver_set_defaults(const struct driver *driver, struct driver_run *run)
{
	struct bdus_attrs *attrs = &run->attrs;

	if (attrs->max_concurrent_callbacks == 0)
		attrs->max_concurrent_callbacks = default_concurrency(driver);
	/* A device keeps its block sizes whoever serves it. */
	if (run->is_replacement)
		return;
	if (attrs->logical_block_size == 0)
		attrs->logical_block_size = 512;
	if (attrs->physical_block_size == 0) {
		attrs->physical_block_size = 4096;
		while (attrs->physical_block_size > attrs->logical_block_size &&
		       attrs->size % attrs->physical_block_size != 0)
			attrs->physical_block_size /= 2;
		if (attrs->physical_block_size < attrs->logical_block_size)
			attrs->physical_block_size = attrs->logical_block_size;
	}
}
