/* SPDX-License-Identifier: MIT */

/*
 * protocol.c: which protocols there are, and which one a session speaks.
 *
 * Called once per session by backend_kbdus.c. The list is the only place that
 * names protocols; everybody else goes through struct libbdus_protocol. Believes
 * the module's parameter, which root set; the environment decides only where the
 * module leaves the choice.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* The fastest first, as far as it was measured. */
static const struct libbdus_protocol *const protocols[] = {
	&libbdus_protocol_ring,
	&libbdus_protocol_mmap,
	&libbdus_protocol_ioctl,
	&libbdus_protocol_uds,
};

#define PROTOCOL_COUNT (sizeof(protocols) / sizeof(protocols[0]))

/*
 * Get the protocol that the module demands; "" if it demands none or does not
 * say. It checks the choice itself in any case.
 */
static void read_parameter(const char *path,
			   char name[static KBDUS_PROTOCOL_NAME_SIZE + 1])
{
	FILE *file = fopen(path, "re");

	name[0] = '\0';
	if (!file)
		return;

	if (!fgets(name, KBDUS_PROTOCOL_NAME_SIZE + 1, file))
		name[0] = '\0';
	name[strcspn(name, "\n")] = '\0';

	/* What sysfs makes of a string that was never set. */
	if (!strcmp(name, "(null)"))
		name[0] = '\0';

	fclose(file);
}

static const struct libbdus_protocol *find(const char *name)
{
	for (size_t i = 0; i < PROTOCOL_COUNT; ++i) {
		if (!strcmp(protocols[i]->name, name))
			return protocols[i];
	}

	return NULL;
}

static int unknown(const char *source, const char *name)
{
	char known[256] = "";
	size_t length = 0;

	for (size_t i = 0; i < PROTOCOL_COUNT && length < sizeof(known); ++i) {
		length += (size_t)snprintf(known + length,
					   sizeof(known) - length, "%s%s",
					   i ? ", " : "", protocols[i]->name);
	}

	return libbdus_error(EINVAL,
		"%s protocol \"%s\", but libbdus only knows: %s.",
		source, name, known);
}

/*
 * Choose by the module's parameter (a file), or else by name, or else the
 * fastest. The name may be NULL.
 */
int libbdus_protocol_choose(const char *parameter_path, const char *wanted,
			    const struct libbdus_protocol **out)
{
	char demanded[KBDUS_PROTOCOL_NAME_SIZE + 1];
	const struct libbdus_protocol *protocol;

	read_parameter(parameter_path, demanded);

	if (demanded[0]) {
		protocol = find(demanded);
		if (!protocol)
			return unknown("kbdus was loaded with", demanded);
	} else if (wanted && wanted[0]) {
		protocol = find(wanted);
		if (!protocol)
			return unknown("BDUS_PROTOCOL demands", wanted);
	} else {
		protocol = protocols[0];
	}

	*out = protocol;
	return 0;
}
