/* SPDX-License-Identifier: MIT */

/*
 * common.c: messages, and the parsing of arguments.
 *
 * Messages about what failed begin with "Error: " and end with what to do about
 * it where that is known. Messages about arguments show the usage line and point
 * to the help.
 */

#include "common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void print_help(const struct command *command)
{
	printf("Usage: %s%s%s\n\n%s.\n\n%s", command->name,
	       *command->arguments ? " " : "", command->arguments,
	       command->summary, command->help);
}

bool wants_help(int argc, char **argv)
{
	return argc == 2 && strcmp(argv[1], "--help") == 0;
}

static void print_message(const char *format, va_list arguments)
{
	/* What was said before should be seen before. */
	fflush(stdout);
	fprintf(stderr, "Error: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
}

void print_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
}

int show_usage(const struct command *command)
{
	fprintf(stderr,
		"Usage: %s%s%s\nTry '%s --help' for more information.\n",
		command->name, *command->arguments ? " " : "",
		command->arguments, command->name);
	return STATUS_USAGE;
}

int usage_error(const struct command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
	return show_usage(command);
}

int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	print_error("Failed to write the output: %s", strerror(errno));
	return STATUS_FAILURE;
}

bool parse_id(const char *word, uint64_t *out)
{
	unsigned long long id;

	if (*word == '\0' || strspn(word, "0123456789") != strlen(word))
		return false;
	errno = 0;
	id = strtoull(word, NULL, 10);
	/* The largest number is what strtoull() returns for larger ones. */
	if (errno != 0 || id == ULLONG_MAX)
		return false;
	*out = id;
	return true;
}

bool find_device(const char *word, uint64_t *out)
{
	if (parse_id(word, out) || bdus_get_dev_id_from_path(out, word))
		return true;
	print_error("%s", bdus_get_error_message());
	return false;
}
