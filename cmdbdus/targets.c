/* SPDX-License-Identifier: MIT */

/*
 * targets.c: which devices a command is about.
 */

#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool add(struct targets *targets, uint64_t id)
{
	uint64_t *ids = realloc(targets->ids,
				(targets->count + 1) * sizeof(*ids));

	if (!ids) {
		print_error("%s", strerror(errno));
		return false;
	}
	targets->ids = ids;
	targets->ids[targets->count++] = id;
	return true;
}

static bool add_all(struct targets *targets)
{
	struct bdus_version version;
	uint64_t id;

	/* ENOENT below means "no more devices" only if the module is there. */
	if (!bdus_get_kbdus_version(&version)) {
		print_error("%s", bdus_get_error_message());
		return false;
	}
	for (id = 0; bdus_get_next_dev(&id); id++)
		if (!add(targets, id))
			return false;
	if (errno == ENOENT)
		return true;
	print_error("%s", bdus_get_error_message());
	return false;
}

bool targets_get(struct targets *targets, char **words, size_t word_count)
{
	*targets = (struct targets){ .ids = NULL };
	if (word_count == 0)
		return add_all(targets);
	for (size_t i = 0; i < word_count; i++) {
		uint64_t id;

		if (!find_device(words[i], &id))
			targets->failed++;
		else if (!add(targets, id))
			return false;
	}
	return true;
}

void targets_put(struct targets *targets)
{
	free(targets->ids);
}

void announce(bool is_quiet, bool is_one_of_several, uint64_t id,
	      const char *text)
{
	if (is_quiet)
		return;
	if (is_one_of_several)
		printf("/dev/bdus-%" PRIu64 ": ", id);
	printf("%s\n", text);
	/* People watch, also through a pipe. */
	fflush(stdout);
}
