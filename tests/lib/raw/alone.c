/* SPDX-License-Identifier: MIT */

/*
 * alone.c: drivers that cases start with arguments and leave alone, over the
 * protocol of the run.
 *
 *     raw create [SIZE]         create a device and die at once
 *     raw attach ID MS [wait]   be the driver of a device, after giving the present
 *                               one so many milliseconds to leave; with wait, also
 *                               wait until it is available
 *
 * Prints the name of the errno value and fails if something does. A driver prints
 * "attached", then what it is asked (type, offset and length as numbers), answers it
 * without an error and doing nothing, and ends when it is told to.
 */

#include <stdio.h>
#include <string.h>

#include "transport.h"

static struct call call;

/* Does what a line says. Returns whether that went well; else says why not. */
static bool does(const char *line)
{
	raw_execute(&call, line);
	if (!strncmp(call.answer, "ok", 2))
		return true;
	call.answer[strcspn(call.answer, " ")] = '\0';
	puts(call.answer);
	return false;
}

static int create(const char *size)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "create operations=READ flags=0 max_outstanding_requests=1 size=%s",
		 size ? size : "1M");
	return does("open") && does(line) ? 0 : 1;
}

static int attach(char **arguments)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "attach seqnum=%s leave_timeout_ms=%s attach_flags=%d",
		 arguments[0], arguments[1], arguments[2] ? 1 : 0);
	if (!does("open") || !does(line))
		return 1;
	puts("attached");
	do {
		if (!does("serve print=1"))
			return 1;
	} while (!strstr(call.answer, "type=TERMINATE"));
	return does("mark_successful") ? 0 : 1;
}

/* Does what the command line says; returns the exit status. */
int raw_alone(char **arguments)
{
	setlinebuf(stdout);
	if (!strcmp(arguments[0], "create"))
		return create(arguments[1]);
	if (!strcmp(arguments[0], "attach") && arguments[1] && arguments[2])
		return attach(arguments + 1);
	fprintf(stderr, "raw: see raw/alone.c\n");
	return 2;
}
