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

static bool is_any_backend_usable(void)
{
	struct bdus_backend_info info;

	for (uint32_t i = 0; bdus_get_backend_info(i, &info); i++)
		if (info.is_usable)
			return true;
	return false;
}

static bool add_all(struct targets *targets)
{
	struct bdus_version version;
	uint64_t id;

	for (id = 0; bdus_get_next_dev(&id); id++)
		if (!add(targets, id))
			return false;
	if (errno == ENOENT && targets->count > 0)
		return true;
	/* That there are none may be because there is nothing to make them. */
	if (errno == ENOENT && (is_any_backend_usable() ||
				bdus_get_kbdus_version(&version)))
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

void target_name(uint64_t id, char *out, size_t size)
{
	struct bdus_dev_info info;

	if (bdus_get_dev_info(id, &info))
		snprintf(out, size, "%s", info.path);
	else
		snprintf(out, size, "device %" PRIu64, id);
}

void announce(bool is_quiet, const char *name, const char *text)
{
	if (is_quiet)
		return;
	if (name)
		printf("%s: ", name);
	printf("%s\n", text);
	/* People watch, also through a pipe. */
	fflush(stdout);
}
