/* SPDX-License-Identifier: MIT */

/*
 * manage_nbd.c: what the backend "nbd" adds to manage_recorded.c.
 *
 * A device has a keeper, keeper_nbd.c, which does what is asked for here. Only if it was
 * killed, too, is there something left to do. Owns nothing.
 */

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "nbd.h"

/* Ask the keeper, which may have been succeeded by another one at that moment. */
static enum nbd_word ask_keeper(uint64_t dev_id, char request)
{
	enum nbd_word word = NBD_KEEPER_NONE;

	for (int i = 0; i < 2 && word == NBD_KEEPER_NONE; ++i) {
		const int fd = libbdus_nbd_keeper_connect(dev_id);

		if (fd < 0)
			break;
		word = libbdus_nbd_keeper_ask(fd, request,
					      NBD_KEEPER_TIMEOUT_MS);
		close(fd);
	}
	return word;
}

static int delegate(uint64_t dev_id)
{
	const enum nbd_word word = ask_keeper(dev_id, NBD_KEEPER_DESTROY);

	if (word == NBD_KEEPER_LATE) {
		return libbdus_error(ETIMEDOUT,
			"The keeper of the device with id %" PRIu64
			" does not answer.", dev_id);
	}
	return word == NBD_KEEPER_DONE;
}

static void terminate_driver(const struct libbdus_record *record)
{
	ask_keeper(record->device.seqnum, NBD_KEEPER_TERMINATE);
}

static bool has_device(const struct libbdus_record *record)
{
	struct nbd_keeping keeping;

	libbdus_nbd_describe_keeping(record, &keeping);
	return libbdus_nbd_is_ours(&keeping);
}

static int take_apart(const struct libbdus_record *record,
		      enum libbdus_occasion occasion)
{
	struct nbd_keeping keeping;
	int ret;

	if (occasion == LIBBDUS_LOOKED_AT)
		return has_device(record);

	libbdus_nbd_describe_keeping(record, &keeping);
	ret = libbdus_nbd_netlink_prepare(&keeping);
	/* Without the module, there is no device. */
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return libbdus_nbd_remove_device(&keeping) ? 0 : 1;
}

const struct libbdus_recorded libbdus_recorded_nbd = {
	.terminate_driver = terminate_driver,
	.delegate = delegate,
	.take_apart = take_apart,
	.has_device = has_device,
};
