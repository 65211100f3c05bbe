/* SPDX-License-Identifier: MIT */

/*
 * cmd_run.c: `bdus run`, which finds the program of a driver and becomes it.
 *
 * Drivers are programs of their own that know their own options, so everything
 * but the name is passed on. They are looked for in the folders of
 * $BDUS_DRIVER_PATH, then beside this very program, so that a build that is not
 * installed works, then where they are installed. What a driver is for is found
 * in its file by a mark, as running programs just to ask them would be daring.
 */

#include "commands.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands in a driver's file in front of one line about it. */
static const char summary_mark[] = "bdus-driver-summary:";

#define MAX_FOLDERS 64
#define MAX_SUMMARY 200

struct folders {
	char *paths[MAX_FOLDERS];
	size_t count;
};

static void add_folder(struct folders *folders, char *path)
{
	if (path && folders->count < MAX_FOLDERS)
		folders->paths[folders->count++] = path;
	else
		free(path);
}

static char *own_folder(void)
{
	char self[4096], *result = NULL;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length < 0)
		return NULL;
	self[length] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	/* Without the file's name, and without that of its folder. */
	*slash = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	if (asprintf(&result, "%s/libexec/bdus/drivers", self) < 0)
		return NULL;
	return result;
}

static void get_folders(struct folders *folders)
{
	const char *list = getenv("BDUS_DRIVER_PATH");

	folders->count = 0;
	while (list && *list) {
		size_t length = strcspn(list, ":");

		if (length > 0)
			add_folder(folders, strndup(list, length));
		list += length;
		list += *list == ':';
	}
	add_folder(folders, own_folder());
	add_folder(folders, strdup(BDUS_DRIVER_DIR));
}

static void put_folders(struct folders *folders)
{
	for (size_t i = 0; i < folders->count; i++)
		free(folders->paths[i]);
}

static bool is_program(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
	       access(path, X_OK) == 0;
}

/* Returns the path of a driver's program, to be freed, or NULL. */
static char *find_driver(const struct folders *folders, const char *name)
{
	for (size_t i = 0; i < folders->count; i++) {
		char *path;

		if (asprintf(&path, "%s/%s", folders->paths[i], name) < 0)
			return NULL;
		if (is_program(path))
			return path;
		free(path);
	}
	return NULL;
}

/* Copies the text after the first mark that has any. */
static void search_summary(const char *data, size_t size, char *out)
{
	const char *end = data + size;
	size_t mark = sizeof(summary_mark) - 1;

	while (*out == '\0' && (data = memmem(data, end - data, summary_mark,
					      mark)) != NULL) {
		size_t length = 0;

		data += mark;
		while (data < end && *data == ' ')
			data++;
		while (data < end && length < MAX_SUMMARY - 1 &&
		       isprint((unsigned char)*data))
			out[length++] = *data++;
		out[length] = '\0';
	}
}

static void read_summary(const char *path, char *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *data;

	*out = '\0';
	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && status.st_size > 0) {
		data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED) {
			search_summary(data, status.st_size, out);
			munmap(data, status.st_size);
		}
	}
	close(fd);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Skips a driver that another folder hides. Returns how many it printed. */
static size_t list_folder(const struct folders *folders, const char *folder,
			  FILE *out)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_visible, alphasort);
	size_t printed = 0;

	for (int i = 0; i < count; i++) {
		char summary[MAX_SUMMARY], *path = NULL;
		char *found = find_driver(folders, entries[i]->d_name);

		if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) >= 0 &&
		    found && strcmp(found, path) == 0) {
			read_summary(path, summary);
			fprintf(out, *summary ? "  %-10s  %s\n" : "  %s\n",
				entries[i]->d_name, summary);
			printed++;
		}
		free(path);
		free(found);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return printed;
}

static void list_drivers(const struct folders *folders, FILE *out)
{
	size_t printed = 0;

	fprintf(out, "Drivers:\n");
	for (size_t i = 0; i < folders->count; i++) {
		bool is_repeated = false;

		for (size_t j = 0; j < i; j++)
			if (strcmp(folders->paths[i], folders->paths[j]) == 0)
				is_repeated = true;
		if (!is_repeated)
			printed += list_folder(folders, folders->paths[i], out);
	}
	if (printed > 0)
		return;
	fprintf(out, "  none, in these folders:\n");
	for (size_t i = 0; i < folders->count; i++)
		fprintf(out, "  %s\n", folders->paths[i]);
}

/*
 * Options of the driver may come before its name, as people write them. Returns a
 * status, and where the name is: at `argc` if there is none and none is needed.
 */
static int find_name(const struct command *command, int argc, char **argv,
		     bool *wants_list, int *name_index)
{
	int i;

	for (i = 1; i < argc && *argv[i] == '-'; i++) {
		if (strcmp(argv[i], "-l") == 0 ||
		    strcmp(argv[i], "--list") == 0) {
			*wants_list = true;
		} else if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		} else if (strcmp(argv[i], "--replace") == 0 ||
			   strcmp(argv[i], "--backend") == 0 ||
			   strcmp(argv[i], "--protocol") == 0) {
			i++;
		} else if (strcmp(argv[i], "--help") == 0) {
			return usage_error(command, "'--help' must be alone or "
						    "behind a driver");
		} else if (strcmp(argv[i], "-f") != 0 &&
			   strcmp(argv[i], "--foreground") != 0 &&
			   strcmp(argv[i], "--log") != 0 &&
			   strcmp(argv[i], "--wait") != 0 &&
			   strncmp(argv[i], "--replace=", 10) != 0 &&
			   strncmp(argv[i], "--backend=", 10) != 0 &&
			   strncmp(argv[i], "--protocol=", 11) != 0) {
			return usage_error(command, "unknown option '%s'",
					   argv[i]);
		}
	}
	if (*wants_list && i < argc)
		return usage_error(command, "'--list' and a driver: '%s'",
				   argv[i]);
	if (!*wants_list && i >= argc && argc > 1)
		return usage_error(command, "a driver is missing");
	*name_index = i;
	return STATUS_OK;
}

static int become_driver(const struct folders *folders, int argc, char **argv,
			 int name_index)
{
	const char *name = argv[name_index];
	char *path = strchr(name, '/') ? strdup(name) :
					 find_driver(folders, name);
	char **arguments = calloc(argc + 1, sizeof(*arguments));
	int count = 0;

	if (!arguments || (!path && strchr(name, '/'))) {
		print_error("%s", strerror(ENOMEM));
	} else if (!path) {
		print_error("There is no driver '%s'.", name);
		list_drivers(folders, stderr);
	} else {
		arguments[count++] = path;
		for (int i = 1; i < argc; i++)
			if (i > name_index ||
			    (i < name_index && strcmp(argv[i], "--") != 0))
				arguments[count++] = argv[i];
		execv(path, arguments);
		print_error("Failed to run '%s': %s", path, strerror(errno));
	}
	free(arguments);
	free(path);
	return STATUS_FAILURE;
}

static int run(const struct command *command, int argc, char **argv)
{
	bool wants_list = false;
	struct folders folders;
	int name_index = argc;
	int status;

	if (wants_help(argc, argv)) {
		print_help(command);
		return STATUS_OK;
	}
	status = find_name(command, argc, argv, &wants_list, &name_index);
	if (status != STATUS_OK)
		return status;
	get_folders(&folders);
	if (name_index < argc)
		status = become_driver(&folders, argc, argv, name_index);
	else
		list_drivers(&folders, stdout);
	put_folders(&folders);
	return status;
}

const struct command command_run = {
	.name = "bdus run",
	.arguments = "[options] DRIVER [key=value ...]",
	.summary = "Create a device and run its driver, by default in the "
		   "background",
	.help = "DRIVER is the name of a driver, or the path of its program if it "
		"contains a slash.\nPrints the path of the device once that is "
		"available.\n\n"
		"Options:\n"
		"  -f, --foreground       stay in the foreground\n"
		"      --replace DEVICE   take over an existing device, by path or "
		"id\n"
		"      --wait             with --replace: wait until it is "
		"available\n"
		"      --backend NAME     what makes the device; see 'bdus version "
		"--backends'\n"
		"      --protocol NAME    how it talks to the module: ioctl, mmap, "
		"uds, ring\n"
		"      --log              write a line for each callback\n"
		"  -l, --list             list the drivers that there are\n"
		"      --help             show this\n"
		"\n'bdus run DRIVER --help' shows the keys of a driver.\n"
		"See bdus-run(1) for more.\n",
	.run = run,
};
