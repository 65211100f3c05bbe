/* SPDX-License-Identifier: MIT */

/*
 * cmd_flush.c: `bdus flush`.
 */

#include "commands.h"

#include <getopt.h>
#include <inttypes.h>

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'H' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "timeout", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

struct request {
	bool all;
	bool is_quiet;
	struct flush_options flush;
};

static int parse(const struct command *command, int argc, char **argv,
		 struct request *request)
{
	int option;

	while ((option = getopt_long(argc, argv, "q", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			request->all = true;
			break;
		case 'q':
			request->is_quiet = true;
			break;
		case 't':
			if (!parse_seconds(optarg, &request->flush.timeout))
				return usage_error(command, "bad time '%s'",
						   optarg);
			break;
		case 'H':
			return usage_error(command, "'--help' must be alone");
		default:
			return show_usage(command);
		}
	}
	if (request->all && optind < argc)
		return usage_error(command, "'--all' and a device: '%s'",
				   argv[optind]);
	if (!request->all && optind == argc)
		return usage_error(command, "a device is missing");
	return STATUS_OK;
}

static bool flush(const struct request *request, uint64_t id,
		  bool is_one_of_several)
{
	char name_space[TARGET_NAME_SIZE];
	const char *name = is_one_of_several ? name_space : NULL;

	target_name(id, name_space, sizeof(name_space));
	announce(request->is_quiet, name, "Flushing device...");
	switch (flush_device(id, &request->flush)) {
	case FLUSH_DONE:
		announce(request->is_quiet, name, "Done.");
		return true;
	case FLUSH_GONE:
		if (request->all) {
			announce(request->is_quiet, name_space,
				 "The device no longer exists.");
			return true;
		}
		print_error("Device %" PRIu64 " no longer exists.", id);
		return false;
	default:
		return false;
	}
}

static int run(const struct command *command, int argc, char **argv)
{
	struct request request = { .all = false };
	struct targets targets;
	int status;

	if (wants_help(argc, argv)) {
		print_help(command);
		return STATUS_OK;
	}
	status = parse(command, argc, argv, &request);
	if (status != STATUS_OK)
		return status;
	if (!request.is_quiet)
		request.flush.hint = "(This may take a while. Ctrl-C ends the "
				     "command, but not the flush.)";
	if (!targets_get(&targets, argv + optind, argc - optind) ||
	    targets.failed > 0)
		status = STATUS_FAILURE;
	for (size_t i = 0; i < targets.count; i++)
		if (!flush(&request, targets.ids[i],
			   request.all || argc - optind > 1))
			status = STATUS_FAILURE;
	targets_put(&targets);
	return status;
}

const struct command command_flush = {
	.name = "bdus flush",
	.arguments = "[options] DEVICE...",
	.summary = "Make everything durable that was written to devices",
	.help = "A device is named by its path or id.\n\n"
		"Options:\n"
		"      --all              all devices\n"
		"      --timeout SECONDS  give up after so long (default: 10 for a "
		"device without\n"
		"                         a driver, no limit otherwise)\n"
		"  -q, --quiet            print nothing but errors\n"
		"      --help             show this\n"
		"\nSee bdus-flush(1) for more.\n",
	.run = run,
};
