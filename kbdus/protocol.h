/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_PROTOCOL_H
#define KBDUS_PROTOCOL_H

#include <linux/types.h>

#include "kbdus.h"

struct file;
struct kbdus_session;
struct poll_table_struct;
struct vm_area_struct;

/**
 * struct kbdus_protocol - one way of moving requests and replies
 * @name: what it is called in kbdus_protocol_config
 * @commands: its ioctl commands, then 0
 * @open: a session that uses it is being attached; @config is to be validated
 *	and adjusted. The session has its device but takes no requests yet.
 * @start: the session is attached, requests may be taken without being called;
 *	NULL if that is nothing to the protocol. What is to be called when requests
 *	come is set by @open, see kbdus_puller
 * @close: the control file was closed, or attaching failed after @open. No call
 *	is under way any more. The session may still be attached, so that what
 *	the driver has answered counts, but not for longer than this takes
 * @call: an ioctl command that the base interface does not know, -ENOTTY if it
 *	is none of @commands; called by any number of threads at a time, while
 *	the session may be ending
 * @map: a new mapping of the control file; NULL if there is nothing to map.
 *	Called with the caller's mmap lock held for writing
 * @poll: the control file is polled: what there is now, and the queue to wait in for
 *	more; NULL if that cannot be waited for. Does not sleep otherwise
 *
 * No caller knows which protocol it has, and no lock of ours is held in the
 * other calls.
 */
struct kbdus_protocol {
	const char *name;
	const unsigned int *commands;
	int (*open)(struct kbdus_session *session,
		    struct kbdus_protocol_config *config);
	void (*start)(struct kbdus_session *session);
	void (*close)(struct kbdus_session *session);
	long (*call)(struct kbdus_session *session, unsigned int command,
		     void __user *argument);
	int (*map)(struct kbdus_session *session, struct vm_area_struct *vma);
	__poll_t (*poll)(struct kbdus_session *session, struct file *file,
			 struct poll_table_struct *table);
};

extern const struct kbdus_protocol kbdus_protocol_ioctl;
extern const struct kbdus_protocol kbdus_protocol_mmap;
extern const struct kbdus_protocol kbdus_protocol_uds;
extern const struct kbdus_protocol kbdus_protocol_ring;

int kbdus_protocol_init(const char *name);
const struct kbdus_protocol *
kbdus_protocol_find(const struct kbdus_protocol_config *config);
bool kbdus_protocol_has_command(unsigned int command);

#endif
