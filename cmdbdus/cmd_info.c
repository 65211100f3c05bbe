/* SPDX-License-Identifier: MIT */

/*
 * cmd_info.c: `bdus info`, everything about devices.
 */

#include "commands.h"

static int run(const struct command *command, int argc, char **argv)
{
	if (wants_help(argc, argv)) {
		print_help(command);
		print_column_help();
		printf("\nSee bdus-info(1) for single numbers.\n");
		return STATUS_OK;
	}
	return list_devices(command, argc, argv, NULL, true);
}

const struct command command_info = {
	.name = "bdus info",
	.arguments = "[options] [DEVICE...]",
	.summary = "Show everything about devices, a line for each property",
	.help = "Options:\n" LISTING_HELP
		"      --help         show this\n",
	.run = run,
};
