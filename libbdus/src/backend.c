/* SPDX-License-Identifier: MIT */

/*
 * backend.c: which backends there are, what they can do, and which one makes a
 * device.
 *
 * Called once per driver by run.c, which talks to what it gets through struct
 * libbdus_backend alone, and by manage.c. The list is the only place that names
 * backends; what each can do stands in its own file, in struct
 * bdus_backend_info. Owns nothing, no locks.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* In the order in which they are tried. */
static const struct libbdus_backend *const backends[] = {
	&libbdus_backend_kbdus,
	&libbdus_backend_ublk,
	&libbdus_backend_nbd,
	&libbdus_backend_fuse,
};

#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

static const struct libbdus_backend *find(const char *name)
{
	for (size_t i = 0; i < BACKEND_COUNT; ++i) {
		if (!strcmp(backends[i]->traits.name, name))
			return backends[i];
	}

	return NULL;
}

static int lacks(const struct libbdus_backend *backend, const char *what)
{
	return libbdus_error(EOPNOTSUPP,
		"The driver needs what backend %s cannot do: %s.",
		backend->traits.name, what);
}

/*
 * Check that the backend can do all that a driver needs. Callbacks that only
 * make something faster are not needed.
 */
int libbdus_backend_check(const struct libbdus_backend *backend,
			  const struct libbdus_needs *needs)
{
	const struct bdus_backend_info *traits = &backend->traits;
	const uint32_t operations = needs->operations;

	if ((operations & KBDUS_OP(IOCTL)) && !traits->has_ioctl)
		return lacks(backend, "callback ioctl");
	if ((operations & KBDUS_OP(SECURE_ERASE)) && !traits->has_secure_erase)
		return lacks(backend, "callback secure_erase");
	if ((operations & KBDUS_OP(FUA_WRITE)) &&
	    !(operations & KBDUS_OP(WRITE)) && !traits->has_fua_write)
		return lacks(backend, "callback fua_write without write");
	if (needs->recovery && !traits->has_recovery)
		return lacks(backend, "attribute recoverable");
	if (needs->time_out && !traits->has_time_out)
		return lacks(backend, "attribute request_timeout_ms");
	if (needs->orphan_time_out && !traits->has_orphan_time_out)
		return lacks(backend, "attribute orphan_timeout_ms");
	return 0;
}

/* Add why a backend was not taken, which is the thread's message. */
static void add_reason(char *reasons, size_t size,
		       const struct libbdus_backend *backend)
{
	const char *message = bdus_get_error_message();
	size_t length = strlen(reasons);

	snprintf(reasons + length, size - length, "%s%s: %s",
		 length ? " " : "", backend->traits.name, message);
}

/*
 * Take the first backend that works. Silent if that is the very first one, as
 * programs expect that know of no other.
 */
static int choose_first(const struct libbdus_needs *needs,
			const struct libbdus_backend **out,
			struct libbdus_session *session)
{
	char reasons[LIBBDUS_MESSAGE_SIZE - 64] = "";
	int first_error = 0;
	int ret;

	for (size_t i = 0; i < BACKEND_COUNT; ++i) {
		ret = libbdus_backend_check(backends[i], needs);
		if (!ret)
			ret = backends[i]->open(session);
		if (!ret) {
			*out = backends[i];
			if (i > 0)
				fprintf(stderr, "bdus: using backend %s (%s)\n",
					backends[i]->traits.name, reasons);
			return 0;
		}

		/* It is the same for all. */
		if (ret == -EPERM)
			return ret;
		if (!first_error)
			first_error = ret;
		add_reason(reasons, sizeof(reasons), backends[i]);
	}

	return libbdus_error(-first_error, "No backend can be used. %s",
			     reasons);
}

static int unknown(const char *name)
{
	char known[256] = "auto";
	size_t length = strlen(known);

	for (size_t i = 0; i < BACKEND_COUNT && length < sizeof(known); ++i) {
		length += (size_t)snprintf(known + length,
					   sizeof(known) - length, ", %s",
					   backends[i]->traits.name);
	}

	return libbdus_error(EINVAL,
		"BDUS_BACKEND demands backend \"%s\", but libbdus only knows: %s.",
		name, known);
}

/*
 * Choose a backend for a new device by name, or else (also if that is NULL) the
 * first that works, and get hold of it.
 */
int libbdus_backend_choose(const char *wanted,
			   const struct libbdus_needs *needs,
			   const struct libbdus_backend **out,
			   struct libbdus_session *session)
{
	int ret;

	if (!wanted || !wanted[0] || !strcmp(wanted, "auto"))
		return choose_first(needs, out, session);

	*out = find(wanted);
	if (!*out)
		return unknown(wanted);

	ret = libbdus_backend_check(*out, needs);
	return ret ? ret : (*out)->open(session);
}

/* Find the backend of an existing device. */
int libbdus_backend_of(uint64_t dev_id, const struct libbdus_backend **out)
{
	struct libbdus_record record;
	int ret;

	*out = &libbdus_backend_kbdus;
	if (dev_id < LIBBDUS_FIRST_RECORDED_ID)
		return 0;

	ret = libbdus_record_read(dev_id, &record);
	if (ret)
		return ret;

	*out = find(record.backend);
	if (!*out) {
		return libbdus_error(EOPNOTSUPP,
			"The device with id %" PRIu64 " was made by backend \"%s\", which this libbdus does not know.",
			dev_id, record.backend);
	}
	return 0;
}

/* See whether a device could be created, and if not, why. */
static void probe(const struct libbdus_backend *backend,
		  struct bdus_backend_info *info)
{
	struct libbdus_session session = { .fd = -1 };

	info->is_usable = !backend->open(&session);
	if (info->is_usable) {
		backend->close(&session);
	} else {
		snprintf(info->reason, sizeof(info->reason), "%.*s",
			 (int)sizeof(info->reason) - 1,
			 bdus_get_error_message());
	}
}

/* The size is that of the caller's structure; see info.c. */
LIBBDUS_EXPORT bool
bdus_get_backend_info_0_1_3_(uint32_t index, struct bdus_backend_info *out_info,
			     size_t info_size)
{
	const int errno_on_entry = errno;
	struct bdus_backend_info info;
	struct libbdus_error before;
	int ret = 0;

	if (info_size > sizeof(info)) {
		ret = libbdus_error(EINVAL,
			"The program needs a later version of libbdus.");
	} else if (index >= BACKEND_COUNT) {
		ret = libbdus_error(ENOENT, "There are %zu backends.",
				    BACKEND_COUNT);
	} else {
		info = backends[index]->traits;
		libbdus_error_save(&before);
		probe(backends[index], &info);
		libbdus_error_restore(&before);
		memcpy(out_info, &info, info_size);
	}

	return libbdus_error_report(ret, errno_on_entry);
}
