/* SPDX-License-Identifier: MIT */

/*
 * bdus.c: the command `bdus`: finds the subcommand and lets it run.
 */

#include "commands.h"

#include <string.h>

static const struct command *const commands[] = {
	&command_run,	&command_list,	  &command_info,
	&command_flush, &command_destroy, &command_version,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command self = {
	.name = "bdus",
	.arguments = "COMMAND [arguments]",
	.summary = "Run and manage block devices in user space",
	.help = "",
};

/* The part behind "bdus ". */
static const char *short_name(const struct command *command)
{
	return strchr(command->name, ' ') + 1;
}

static void show_help(void)
{
	print_help(&self);
	printf("Commands:\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-8s  %s\n", short_name(commands[i]),
		       commands[i]->summary);
	printf("\n'bdus COMMAND --help' shows more about one of them.\n"
	       "See bdus(1) for more.\n");
}

int main(int argc, char **argv)
{
	if (wants_help(argc, argv)) {
		show_help();
		return finish_output(STATUS_OK);
	}
	if (argc < 2)
		return usage_error(&self, "a command is missing");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], short_name(commands[i])) != 0)
			continue;
		/* getopt(3) begins its messages with this. */
		argv[1] = (char *)commands[i]->name;
		return finish_output(
			commands[i]->run(commands[i], argc - 1, argv + 1));
	}
	return usage_error(&self, *argv[1] == '-' ? "unknown option '%s'" :
						    "unknown command '%s'",
			   argv[1]);
}
