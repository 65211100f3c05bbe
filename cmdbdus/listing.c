/* SPDX-License-Identifier: MIT */

/*
 * listing.c: `bdus list` and `bdus info`, which differ in what they show and how
 * it is laid out.
 */

#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct option options[] = {
	{ "bytes", no_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'H' },
	{ "json", no_argument, NULL, 'J' },
	{ "noheadings", no_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "output-all", no_argument, NULL, 'a' },
	{ "raw", no_argument, NULL, 'r' },
	{ NULL, 0, NULL, 0 },
};

struct listing {
	struct print_format format;
	const struct field **columns;
};

/* Returns the word that is no column, or NULL. */
static const char *add_columns(struct listing *listing, const char *list)
{
	while (*list) {
		size_t length = strcspn(list, ",");
		const struct field *field = field_find(list, length);
		size_t count = listing->format.column_count;

		if (!field)
			return list;
		/* One key twice would be bad JSON. */
		for (size_t i = 0; i < count && field; i++)
			if (listing->columns[i] == field)
				field = NULL;
		if (field)
			listing->columns[listing->format.column_count++] =
				field;
		list += length;
		list += *list == ',';
	}
	return NULL;
}

static void add_all_columns(struct listing *listing)
{
	for (size_t i = 0; i < field_count; i++)
		listing->columns[i] = &fields[i];
	listing->format.column_count = field_count;
}

static void add_default_columns(struct listing *listing, const char *columns)
{
	if (columns)
		add_columns(listing, columns);
	else
		add_all_columns(listing);
}

static int choose_columns(const struct command *command,
			  struct listing *listing, const char *output,
			  const char *defaults)
{
	const char *bad = NULL;

	if (!output || *output == '+')
		add_default_columns(listing, defaults);
	if (output)
		bad = add_columns(listing, output + (*output == '+'));
	if (bad)
		return usage_error(command, "unknown column '%.*s'",
				   (int)strcspn(bad, ","), bad);
	if (listing->format.column_count == 0)
		return usage_error(command, "no columns given");
	return STATUS_OK;
}

static int parse(const struct command *command, int argc, char **argv,
		 struct listing *listing, const char *defaults)
{
	const char *output = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "abJno:r", options, NULL)) !=
	       -1) {
		switch (option) {
		case 'a':
			output = NULL;
			defaults = NULL;
			break;
		case 'b':
			listing->format.bytes = true;
			break;
		case 'J':
			listing->format.style = PRINT_JSON;
			break;
		case 'n':
			listing->format.no_headings = true;
			break;
		case 'o':
			output = optarg;
			break;
		case 'r':
			listing->format.style = PRINT_RAW;
			break;
		case 'H':
			return usage_error(command, "'--help' must be alone");
		default:
			return show_usage(command);
		}
	}
	return choose_columns(command, listing, output, defaults);
}

/* A device that is gone is an error only if somebody asked for it by name. */
static int get_devices(const struct targets *targets, bool are_named,
		       struct device *devices, size_t *count)
{
	int status = targets->failed ? STATUS_FAILURE : STATUS_OK;

	*count = 0;
	for (size_t i = 0; i < targets->count; i++) {
		if (device_get(targets->ids[i], &devices[*count])) {
			(*count)++;
		} else if (are_named || errno != ENODEV) {
			print_error("%s", bdus_get_error_message());
			status = STATUS_FAILURE;
		}
	}
	return status;
}

static int show(const struct listing *listing, char **words, size_t word_count)
{
	struct device *devices = NULL;
	struct targets targets;
	int status = STATUS_FAILURE;
	size_t count = 0;

	if (!targets_get(&targets, words, word_count))
		goto out_put_targets;
	devices = calloc(targets.count + 1, sizeof(*devices));
	if (!devices) {
		print_error("%s", strerror(errno));
		goto out_put_targets;
	}
	status = get_devices(&targets, word_count > 0, devices, &count);
	if (!print_devices(&listing->format, devices, count))
		status = STATUS_FAILURE;
	for (size_t i = 0; i < count; i++)
		device_put(&devices[i]);
	free(devices);
out_put_targets:
	targets_put(&targets);
	return status;
}

int list_devices(const struct command *command, int argc, char **argv,
		 const char *columns, bool is_vertical)
{
	struct listing listing = { .format.is_vertical = is_vertical };
	int status;

	listing.columns = calloc(field_count, sizeof(*listing.columns));
	if (!listing.columns) {
		print_error("%s", strerror(errno));
		return STATUS_FAILURE;
	}
	listing.format.columns = listing.columns;
	status = parse(command, argc, argv, &listing, columns);
	if (status == STATUS_OK)
		status = show(&listing, argv + optind, argc - optind);
	free(listing.columns);
	return status;
}

void print_column_help(void)
{
	printf("\nColumns:\n");
	for (const struct field *field = fields; field->key; field++) {
		char name[64];
		size_t i;

		for (i = 0; field->key[i] && i < sizeof(name) - 1; i++)
			name[i] = toupper((unsigned char)field->key[i]);
		name[i] = '\0';
		printf("  %-24s  %s\n", name, field->help);
	}
}
