/* SPDX-License-Identifier: MIT */

/*
 * cmd_version.c: `bdus version`.
 *
 * The lines and their order are fixed, scripts read them.
 */

#include "commands.h"

#include <getopt.h>
#include <inttypes.h>

static const struct option options[] = {
	{ "cmdbdus", no_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'H' },
	{ "kbdus", no_argument, NULL, 'k' },
	{ "libbdus", no_argument, NULL, 'l' },
	{ NULL, 0, NULL, 0 },
};

struct wanted {
	bool cmdbdus;
	bool libbdus;
	bool kbdus;
};

static void print_version(const char *name, uint32_t major, uint32_t minor,
			  uint32_t patch)
{
	printf("%-7s %" PRIu32 ".%" PRIu32 ".%" PRIu32 "\n", name, major, minor,
	       patch);
}

static int print_versions(const struct wanted *wanted)
{
	const struct bdus_version *libbdus = bdus_get_libbdus_version();
	struct bdus_version kbdus;

	if (wanted->cmdbdus)
		print_version("cmdbdus", BDUS_HEADER_VERSION_MAJOR,
			      BDUS_HEADER_VERSION_MINOR,
			      BDUS_HEADER_VERSION_PATCH);
	if (wanted->libbdus)
		print_version("libbdus", libbdus->major, libbdus->minor,
			      libbdus->patch);
	if (!wanted->kbdus)
		return STATUS_OK;
	if (!bdus_get_kbdus_version(&kbdus)) {
		print_error("Failed to get kbdus version: %s",
			    bdus_get_error_message());
		return STATUS_FAILURE;
	}
	print_version("kbdus", kbdus.major, kbdus.minor, kbdus.patch);
	return STATUS_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct wanted wanted = { false, false, false };
	int option;

	if (wants_help(argc, argv)) {
		print_help(command);
		return STATUS_OK;
	}
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			wanted.cmdbdus = true;
			break;
		case 'k':
			wanted.kbdus = true;
			break;
		case 'l':
			wanted.libbdus = true;
			break;
		case 'H':
			return usage_error(command, "'--help' must be alone");
		default:
			return show_usage(command);
		}
	}
	if (optind < argc)
		return usage_error(command, "unexpected argument '%s'",
				   argv[optind]);
	if (!wanted.cmdbdus && !wanted.libbdus && !wanted.kbdus)
		wanted = (struct wanted){ true, true, true };
	return print_versions(&wanted);
}

const struct command command_version = {
	.name = "bdus version",
	.arguments = "[--cmdbdus] [--libbdus] [--kbdus]",
	.summary = "Print the versions of the commands, the library and the module",
	.help = "Options:\n"
		"      --cmdbdus   only that of the commands\n"
		"      --libbdus   only that of the library\n"
		"      --kbdus     only that of the module\n"
		"      --help      show this\n"
		"\nSee bdus-version(1) for more.\n",
	.run = run,
};
