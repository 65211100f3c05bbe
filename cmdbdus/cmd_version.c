/* SPDX-License-Identifier: MIT */

/*
 * cmd_version.c: `bdus version`.
 *
 * The lines and their order are fixed, scripts read them. What backends can do is
 * known by the library alone.
 */

#include "commands.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

static const struct option options[] = {
	{ "backends", no_argument, NULL, 'b' },
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
	bool backends;
};

static void print_version(const char *name, uint32_t major, uint32_t minor,
			  uint32_t patch)
{
	printf("%-7s %" PRIu32 ".%" PRIu32 ".%" PRIu32 "\n", name, major, minor,
	       patch);
}

/* What there is to know about a backend, beside its name, its node and the kernel
 * that it takes. */
static const struct trait {
	const char *heading;
	size_t offset;
} traits[] = {
#define TRAIT(heading, member) \
	{ heading, offsetof(struct bdus_backend_info, member) }
	TRAIT("FUA-WRITE", has_fua_write),
	TRAIT("DISCARD", has_discard),
	TRAIT("SECURE-ERASE", has_secure_erase),
	TRAIT("IOCTL", has_ioctl),
	TRAIT("RECOVERY", has_recovery),
	TRAIT("REPLACEMENT", has_replacement),
	TRAIT("TIME-OUT", has_time_out),
	TRAIT("ORPHAN-TIME-OUT", has_orphan_time_out),
	TRAIT("REMOVAL-IN-USE", removes_while_open),
	TRAIT("WITHOUT-ROOT", is_unprivileged),
	TRAIT("BUILT-IN", is_built_in),
	TRAIT("USABLE", is_usable),
#undef TRAIT
};

#define TRAIT_COUNT (sizeof(traits) / sizeof(traits[0]))

static void print_backends(void)
{
	struct bdus_backend_info info;

	printf("%-7s  %-11s  %-5s", "BACKEND", "DEVICE", "LINUX");
	for (size_t i = 0; i < TRAIT_COUNT; i++)
		printf("  %s", traits[i].heading);
	printf("\n");
	for (uint32_t index = 0; bdus_get_backend_info(index, &info); index++) {
		printf("%-7s  %-11s  %-5s", info.name, info.node,
		       info.min_kernel);
		for (size_t i = 0; i < TRAIT_COUNT; i++) {
			bool flag = *((const char *)&info + traits[i].offset);

			printf("  %-*s", (int)strlen(traits[i].heading),
			       flag ? "yes" : "no");
		}
		printf("%s%s\n", *info.reason ? "  " : "", info.reason);
	}
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
	struct wanted wanted = { .backends = false };
	int option;

	if (wants_help(argc, argv)) {
		print_help(command);
		return STATUS_OK;
	}
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			wanted.backends = true;
			break;
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
	if (!wanted.cmdbdus && !wanted.libbdus && !wanted.kbdus &&
	    !wanted.backends)
		wanted = (struct wanted){ true, true, true, false };
	if (wanted.backends)
		print_backends();
	return print_versions(&wanted);
}

const struct command command_version = {
	.name = "bdus version",
	.arguments = "[--cmdbdus] [--libbdus] [--kbdus] [--backends]",
	.summary = "Print the versions of the commands, the library and the module",
	.help = "Options:\n"
		"      --cmdbdus   only that of the commands\n"
		"      --libbdus   only that of the library\n"
		"      --kbdus     only that of the module\n"
		"      --backends  what makes devices, what each can do, and whether "
		"it can here\n"
		"      --help      show this\n"
		"\nSee bdus-version(1) for more.\n",
	.run = run,
};
