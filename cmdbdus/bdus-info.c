/* SPDX-License-Identifier: MIT */

/*
 * bdus-info.c: the command `bdus-info`, made for scripts.
 *
 * With options it prints exactly one number for each, a line each, in their
 * order; without, everything for people. Every property that has a numeric value
 * is an option, see common_fields.c.
 */

#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct command command = {
	.name = "bdus-info",
	.arguments = "[options] DEVICE",
	.summary = "Show what is known about the BDUS device with a path or id",
	.help = "",
};

/* Returned by getopt_long() for the field with index 0. */
#define FIRST_FIELD 1000
#define HELP 1

static bool is_numeric(const struct field *field)
{
	return field->kind != FIELD_TEXT && field->kind != FIELD_LINES;
}

static void show_help(void)
{
	print_help(&command);
	printf("Without options, shows everything for people to read. With options, "
	       "prints one\nnumber for each of them, a line each, in their order; "
	       "truth values are 0 or 1.\n\nOptions:\n");
	for (const struct field *field = fields; field->key; field++)
		if (is_numeric(field))
			printf("     --%-26s %s\n", field->key, field->help);
	printf("     --%-26s %s\n\nSee bdus-info(1) for more.\n", "help",
	       "show this");
}

static struct option *make_options(void)
{
	struct option *options = calloc(field_count + 2, sizeof(*options));
	size_t count = 0;

	if (!options)
		return NULL;
	for (size_t i = 0; i < field_count; i++)
		if (is_numeric(&fields[i]))
			options[count++] = (struct option){
				fields[i].key, no_argument, NULL,
				FIRST_FIELD + i
			};
	options[count] = (struct option){ "help", no_argument, NULL, HELP };
	return options;
}

static int out_of_memory(void)
{
	print_error("%s", strerror(ENOMEM));
	return STATUS_FAILURE;
}

/* Returns a status, and what was asked for. `chosen` has room for all words. */
static int parse(int argc, char **argv, const struct field **chosen,
		 size_t *chosen_count)
{
	struct option *options = make_options();
	int option, status = STATUS_OK;

	*chosen_count = 0;
	if (!options)
		return out_of_memory();
	while (status == STATUS_OK &&
	       (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option >= FIRST_FIELD)
			chosen[(*chosen_count)++] =
				&fields[option - FIRST_FIELD];
		else if (option == HELP)
			status = usage_error(&command,
					     "'--help' must be alone");
		else
			status = show_usage(&command);
	}
	free(options);
	if (status == STATUS_OK && optind == argc)
		return usage_error(&command, "a device is missing");
	if (status == STATUS_OK && argc - optind > 1)
		return usage_error(&command, "more than one device: '%s'",
				   argv[optind + 1]);
	return status;
}

static int show(const struct device *device, const struct field **chosen,
		size_t chosen_count)
{
	const struct field **all;
	struct print_format format = { .is_vertical = true };
	bool is_good;

	for (size_t i = 0; i < chosen_count; i++)
		printf("%" PRIu64 "\n", field_number(chosen[i], device));
	if (chosen_count > 0)
		return STATUS_OK;
	all = malloc(field_count * sizeof(*all));
	if (!all)
		return out_of_memory();
	for (size_t i = 0; i < field_count; i++)
		all[i] = &fields[i];
	format.columns = all;
	format.column_count = field_count;
	is_good = print_devices(&format, device, 1);
	free(all);
	return is_good ? STATUS_OK : STATUS_FAILURE;
}

static int run(int argc, char **argv, const struct field **chosen)
{
	struct device device;
	size_t chosen_count;
	uint64_t id;
	int status;

	status = parse(argc, argv, chosen, &chosen_count);
	if (status != STATUS_OK)
		return status;
	if (!find_device(argv[optind], &id))
		return STATUS_FAILURE;
	if (!device_get(id, &device)) {
		print_error("%s", bdus_get_error_message());
		return STATUS_FAILURE;
	}
	status = show(&device, chosen, chosen_count);
	device_put(&device);
	return status;
}

int main(int argc, char **argv)
{
	const struct field **chosen;
	int status;

	if (wants_help(argc, argv)) {
		show_help();
		return finish_output(STATUS_OK);
	}
	chosen = calloc(argc + 1, sizeof(*chosen));
	if (!chosen)
		return out_of_memory();
	/* getopt(3) begins its messages with this. */
	argv[0] = (char *)command.name;
	status = run(argc, argv, chosen);
	free(chosen);
	return finish_output(status);
}
