/* SPDX-License-Identifier: MIT */

/*
 * record_find.c: which devices have records, by id, by the numbers of their node, and by
 * its path.
 *
 * Called by manage.c in any process. Devices may come and go meanwhile.
 */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* Whether a directory's name is the id of a device at least that far. */
static bool is_id_from(const char *name, uint64_t least, uint64_t *dev_id)
{
	if (!*name || name[strspn(name, "0123456789")])
		return false;
	*dev_id = strtoull(name, NULL, 10);
	return *dev_id >= least;
}

/* Replace a number by the lowest id that is not below it. ENOENT without a
 * message if there is none. */
int libbdus_record_next(uint64_t *dev_id)
{
	struct libbdus_record record;
	uint64_t lowest = UINT64_MAX, id;
	struct dirent *entry;
	DIR *directory;
	int ret;

	ret = libbdus_require_root();
	if (ret)
		return ret;

	directory = opendir(libbdus_record_directory);
	while (directory && (entry = readdir(directory))) {
		if (is_id_from(entry->d_name, *dev_id, &id) && id < lowest &&
		    !libbdus_record_read(id, &record))
			lowest = id;
	}
	if (directory)
		closedir(directory);

	if (lowest == UINT64_MAX)
		return -ENOENT;
	*dev_id = lowest;
	return 0;
}

/* Whether the number of a node, which may be that of a device that has gone, is now
 * somebody else's. */
static bool is_of_another(const struct libbdus_record *record)
{
	char link[64], target[256];
	const char *name, *own_name = strrchr(record->path, '/');
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/dev/block/%" PRIu32 ":%" PRIu32,
		 record->device.major, record->device.minor);
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0 || !own_name)
		return false;
	target[length] = '\0';
	name = strrchr(target, '/');
	return name && strcmp(name, own_name);
}

/* Find the device whose node has a number. ENOENT without a message if there is
 * none. */
int libbdus_record_find(uint32_t major, uint32_t minor, uint64_t *dev_id)
{
	struct libbdus_record record;
	uint64_t id;
	int ret;

	for (id = 0; !(ret = libbdus_record_next(&id)); ++id) {
		ret = libbdus_record_read(id, &record);
		if (!ret && record.device.major == major &&
		    record.device.minor == minor &&
		    record.state != BDUS_DEV_STATE_TERMINATED &&
		    !is_of_another(&record)) {
			*dev_id = id;
			return 0;
		}
	}
	return ret;
}

/* Find the device that had this node, which may have gone with its driver. Likewise. */
int libbdus_record_find_path(const char *path, uint64_t *dev_id)
{
	struct libbdus_record record;
	uint64_t id;
	int ret;

	for (id = 0; !(ret = libbdus_record_next(&id)); ++id) {
		if (!libbdus_record_read(id, &record) &&
		    !strcmp(record.path, path) &&
		    record.state != BDUS_DEV_STATE_TERMINATED) {
			*dev_id = id;
			return 0;
		}
	}
	return ret;
}
