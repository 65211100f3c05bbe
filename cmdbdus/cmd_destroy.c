/* SPDX-License-Identifier: MIT */

/*
 * cmd_destroy.c: `bdus destroy`.
 *
 * Flushes first unless told not to, and keeps a device that could not be
 * flushed. The texts and their order are fixed, scripts read them.
 */

#include "commands.h"

#include <getopt.h>

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "flush-timeout", required_argument, NULL, 't' },
	{ "help", no_argument, NULL, 'H' },
	{ "no-flush", no_argument, NULL, 'n' },
	{ "quiet", no_argument, NULL, 'q' },
	{ NULL, 0, NULL, 0 },
};

struct request {
	bool all;
	bool is_quiet;
	bool skip_flush;
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
		case 'n':
			request->skip_flush = true;
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

/* Returns whether the device may be destroyed now. `is_gone` says that it need not
 * be. */
static bool flush(const struct request *request, uint64_t id, const char *name,
		  bool *is_gone)
{
	*is_gone = false;
	/* Nothing of what it holds can be written any more. */
	if (request->skip_flush || is_lost(id))
		return true;
	announce(request->is_quiet, name, "Flushing device...");
	switch (flush_device(id, &request->flush)) {
	case FLUSH_FAILED:
		return false;
	case FLUSH_GONE:
		*is_gone = true;
		announce(request->is_quiet, name,
			 "The device no longer exists.");
		return true;
	default:
		return true;
	}
}

/* Some backends cannot remove what somebody has open. */
static bool is_left_over(uint64_t id)
{
	struct bdus_dev_info info;

	return bdus_get_dev_info(id, &info) &&
	       info.state == BDUS_DEV_STATE_TERMINATED;
}

static bool destroy(const struct request *request, uint64_t id,
		    bool is_one_of_several)
{
	char name_space[TARGET_NAME_SIZE];
	const char *name = is_one_of_several ? name_space : NULL;
	bool is_gone;

	target_name(id, name_space, sizeof(name_space));
	if (!flush(request, id, name, &is_gone))
		return false;
	if (!is_gone) {
		announce(request->is_quiet, name, "Destroying device...");
		if (!bdus_destroy_dev(id)) {
			print_error("%s", bdus_get_error_message());
			return false;
		}
		if (is_left_over(id))
			announce(request->is_quiet, name,
				 "Somebody has it open. When it is closed, 'bdus "
				 "list' removes what is left.");
	}
	announce(request->is_quiet, name, "Done.");
	return true;
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
		request.flush.hint = "(This may take a while. To destroy the "
				     "device without flushing it, press Ctrl-C "
				     "and run the command again with "
				     "--no-flush.)";
	if (!targets_get(&targets, argv + optind, argc - optind) ||
	    targets.failed > 0)
		status = STATUS_FAILURE;
	for (size_t i = 0; i < targets.count; i++)
		if (!destroy(&request, targets.ids[i],
			     request.all || argc - optind > 1))
			status = STATUS_FAILURE;
	targets_put(&targets);
	return status;
}

const struct command command_destroy = {
	.name = "bdus destroy",
	.arguments = "[options] DEVICE...",
	.summary = "Destroy devices, whether they are in use or not",
	.help = "A device is named by its path or id. It is flushed first and kept "
		"if that fails.\n\n"
		"Options:\n"
		"      --all                    all devices\n"
		"      --flush-timeout SECONDS  give up flushing after so long "
		"(default: 10 for a\n"
		"                               device without a driver, no limit "
		"otherwise)\n"
		"      --no-flush               do not flush, lose what was not "
		"written\n"
		"  -q, --quiet                  print nothing but errors\n"
		"      --help                   show this\n"
		"\nSee bdus-destroy(1) for more.\n",
	.run = run,
};
