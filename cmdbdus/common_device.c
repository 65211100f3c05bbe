/* SPDX-License-Identifier: MIT */

/*
 * common_device.c: everything that is known about a device.
 *
 * BDUS itself knows most of it. The name of the driver's process and the places
 * where the device is mounted come from /proc; they are extras, so that failing
 * to find them is no error.
 */

#include "common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Minor numbers of a device of the module and its partitions. */
#define MINORS_PER_DEVICE 256

/* Whether a device number is that of the device, or of a partition if those are
 * numbered behind it. The others are found by the names of their nodes. */
static bool is_number_of(unsigned int major, unsigned int minor,
			 const struct bdus_dev_info *info)
{
	unsigned int count =
		strcmp(info->backend, "kbdus") == 0 ? MINORS_PER_DEVICE : 1;

	return major == info->major && minor >= info->minor &&
	       minor - info->minor < count;
}

static const char *state_word(const struct bdus_dev_info *info)
{
	if (info->state != BDUS_DEV_STATE_AVAILABLE ||
	    info->service == BDUS_SERVICE_STATE_SERVED)
		return bdus_get_dev_state_name(info->state);
	return bdus_get_service_state_name(info->service);
}

static void read_driver_name(uint32_t pid, char *out, size_t size)
{
	char path[64];
	FILE *file;

	out[0] = '\0';
	if (pid == 0)
		return;
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(out, size, file))
		out[strcspn(out, "\n")] = '\0';
	fclose(file);
}

/* Blanks in paths are written as `\040` in /proc. */
static void unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*out++ = (text[1] - '0') * 64 + (text[2] - '0') * 8 +
				 (text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/* Whether a mount's source is the node of the device or of a partition of it,
 * for file systems that have device numbers of their own, such as btrfs. */
static bool is_node_of(const char *source, const struct bdus_dev_info *info)
{
	size_t length = strlen(info->path);

	if (strncmp(source, info->path, length) != 0)
		return false;
	source += length;
	return *source == '\0' ||
	       (*source == 'p' && strspn(source + 1, "0123456789") ==
					  strlen(source + 1));
}

/*
 * Returns the mount point in a line of /proc/self/mountinfo if it is of this
 * device, or NULL:
 *
 *     36 35 98:0 /root /mount/point options [tags] - type source superoptions
 */
static char *match_mount(char *line, const struct bdus_dev_info *info)
{
	unsigned int major, minor;
	char *words[6], *rest = line;
	char *source;

	for (int i = 0; i < 6; i++) {
		words[i] = strsep(&rest, " ");
		if (!rest)
			return NULL;
	}
	source = strstr(rest, "- ");
	if (!source || sscanf(words[2], "%u:%u", &major, &minor) != 2)
		return NULL;
	source += 2;
	strsep(&source, " ");
	source = source ? strsep(&source, " ") : NULL;
	unescape(words[4]);
	if (is_number_of(major, minor, info))
		return words[4];
	return source && is_node_of(source, info) ? words[4] : NULL;
}

static char *find_mountpoints(const struct bdus_dev_info *info)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *result = NULL, *line = NULL;
	size_t size = 0, result_size = 0;
	FILE *out = open_memstream(&result, &result_size);

	while (file && out && getline(&line, &size, file) > 0) {
		const char *place = match_mount(line, info);

		if (place)
			fprintf(out, "%s%s", ftell(out) > 0 ? "\n" : "", place);
	}
	free(line);
	if (file)
		fclose(file);
	if (out)
		fclose(out);
	return result;
}

bool device_get(uint64_t id, struct device *out)
{
	if (!bdus_get_dev_info(id, &out->info))
		return false;
	out->service = bdus_get_service_state_name(out->info.service);
	out->state = state_word(&out->info);
	read_driver_name(out->info.driver_pid, out->driver,
			 sizeof(out->driver));
	out->mountpoints = find_mountpoints(&out->info);
	return true;
}

void device_put(struct device *device)
{
	free(device->mountpoints);
}
