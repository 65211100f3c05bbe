/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_PROTOCOL_H
#define KBDUS_PROTOCOL_H

#include <linux/types.h>

#include "kbdus.h"

struct kbdus_session;

/**
 * struct kbdus_protocol - one way of moving requests and replies
 * @name: what it is called in kbdus_protocol_config
 * @commands: its ioctl commands, then 0
 * @open: a session that uses it is being attached; @config is to be validated
 *	and adjusted. The session has its device but takes no requests yet.
 * @close: the session is over and no call is under way any more
 * @call: an ioctl command that the base interface does not know, -ENOTTY if it
 *	is none of @commands; called by any number of threads at a time, while
 *	the session may be ending
 *
 * No caller knows which protocol it has, and no lock is held in these calls.
 */
struct kbdus_protocol {
	const char *name;
	const unsigned int *commands;
	int (*open)(struct kbdus_session *session,
		    struct kbdus_protocol_config *config);
	void (*close)(struct kbdus_session *session);
	long (*call)(struct kbdus_session *session, unsigned int command,
		     void __user *argument);
};

extern const struct kbdus_protocol kbdus_protocol_ioctl;

int kbdus_protocol_init(const char *name);
const struct kbdus_protocol *
kbdus_protocol_find(const struct kbdus_protocol_config *config);
bool kbdus_protocol_has_command(unsigned int command);

#endif
