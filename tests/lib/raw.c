/* SPDX-License-Identifier: MIT */

/*
 * raw.c: a driver that speaks kbdus.h with the module itself, without the
 * library, and does what it is told, so that it can do everything wrong.
 *
 * Reads commands from standard input, a line each, and answers each with a line:
 * "ok" or the name of an error, then what came out as key=value. raw.sh is the
 * other end; cases say `raw EINVAL create size=511`.
 *
 *     [@THREAD] COMMAND [KEY=VALUE]...
 *
 * With @THREAD (1 to 7) the command is begun in that thread and answered "ok" at
 * once; `join thread=N` answers with its result. Every command of kbdus.h takes
 * the fields of its structure as keys, byte.N= for any byte of it, file= (which
 * open file, "main" by default) and pointer= (a memory to put the structure in).
 * `receive`, `reply` and `exchange` are the calls of the session's protocol, see
 * raw/; `has feature=NAME` tells whether that is one with buffers or channels in memory
 * that is mapped, with a socket, whether it sends_ahead, i.e. hands requests over
 * without being asked for them, and whether it forgets what was answered. With
 * arguments, raw does what raw/alone.c says.
 * Memories are: good (the same for all), null, unmapped, kernel, top (ends beyond
 * user space), half (a page and nothing behind it), short (the last 32 bytes of a
 * page), readonly, and those made by `map` and `userfault`.
 */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "raw/transport.h"

static const struct verb *const lists[] = {
	control_verbs, file_verbs, memory_verbs, share_verbs, talk_verbs, thread_verbs,
};

const struct verb *raw_verb_find(const struct verb *list, const char *name)
{
	for (; list && list->name; list++) {
		if (!strcmp(list->name, name))
			return list;
	}
	return NULL;
}

static const struct verb *find(const char *name)
{
	const struct verb *verb = NULL;

	for (size_t i = 0; !verb && i < sizeof(lists) / sizeof(*lists); i++)
		verb = raw_verb_find(lists[i], name);
	return verb ? verb : raw_transport_verb(name);
}

/* Does what a call says; the result is its answer. */
void raw_execute(struct call *call)
{
	const struct verb *verb = find(call->words[0]);

	call->answer[0] = '\0';
	if (verb)
		verb->execute(call);
	else if (!raw_command(call))
		raw_die(call->words[0]);
}

static void do_nothing(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	/* Without SA_RESTART, so that what is interrupted says so. */
	const struct sigaction action = { .sa_handler = do_nothing };
	static struct call call;

	sigaction(SIGUSR1, &action, NULL);
	raw_memories_make();
	if (argc > 1)
		return raw_alone(argv + 1);
	raw_threads_create();

	while (fgets(call.line, sizeof(call.line), stdin)) {
		raw_parse(&call);
		if (!call.count)
			continue;
		if (call.words[0][0] == '@') {
			raw_thread_begin(&call);
			puts("ok");
		} else {
			raw_execute(&call);
			puts(call.answer);
		}
		fflush(stdout);
	}
	_exit(0);
}
