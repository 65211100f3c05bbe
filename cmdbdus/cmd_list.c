/* SPDX-License-Identifier: MIT */

/*
 * cmd_list.c: `bdus list`, the devices that there are, a line each.
 */

#include "commands.h"

/* What one wants to see first: what is there, whether it works, and if not, why. */
static const char columns[] =
	"path,id,size,state,driver-pid,driver,backend,protocol,recoverable,"
	"read-only,openers,timed-out,mountpoints";

static int run(const struct command *command, int argc, char **argv)
{
	if (wants_help(argc, argv)) {
		print_help(command);
		print_column_help();
		printf("\nSee bdus-list(1) for more.\n");
		return STATUS_OK;
	}
	return list_devices(command, argc, argv, columns, false);
}

const struct command command_list = {
	.name = "bdus list",
	.arguments = "[options] [DEVICE...]",
	.summary = "List devices, a line each",
	.help = "Options:\n" LISTING_HELP
		"      --help         show this\n",
	.run = run,
};
