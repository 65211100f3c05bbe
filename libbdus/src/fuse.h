/* SPDX-License-Identifier: MIT */

/*
 * fuse.h: what the files of the backend "fuse" share. In the order of a device's life:
 *
 *     backend_fuse.c     makes devices
 *     connection_fuse.c  FUSE mounts and the connections behind them
 *     loop.c             loop devices
 *     bind_fuse.c        how a device becomes available
 *     protocol_fuse.c    what workers call
 *     manage_fuse.c      what others do with it
 */

#ifndef LIBBDUS_FUSE_H
#define LIBBDUS_FUSE_H

#include "internal.h"

/* ---- backend_fuse.c ---- */

/* Meanings of struct libbdus_record::numbers. */
enum { LIBBDUS_FUSE_LOOP, LIBBDUS_FUSE_CONNECTION };

/* What a driver has of its device: its struct libbdus_session::holding. */
struct libbdus_fuse {
	/* The record's, which says that there is a driver; -1 if none. */
	int record_fd;
	/* A write to it ends the connection: all who wait get errors, on both
	 * sides. */
	int abort_fd;
	/* The mount, which is in no name space. */
	int mount_fd;
	struct libbdus_loop loop;
	/* The one file in it. */
	char name[LIBBDUS_RECORD_NAME_SIZE];
};

/* What a request is at most, whatever the driver said. */
uint32_t libbdus_fuse_transfer_size(const struct kbdus_device_config *device);

/* ---- connection_fuse.c ---- */

int libbdus_fuse_mount(int fuse_fd, uint32_t max_read);
int libbdus_fuse_open_connection(uint32_t connection, const char *file,
				 int flags);
void libbdus_fuse_abort(int abort_fd);

/* ---- bind_fuse.c ---- */

int libbdus_fuse_begin_binding(const struct libbdus_session *session,
			       struct libbdus_child *child);
int libbdus_fuse_end_binding(const struct libbdus_session *session,
			     const struct libbdus_child *child);

/* ---- protocol_fuse.c ---- */

int libbdus_fuse_load(void);

#endif
