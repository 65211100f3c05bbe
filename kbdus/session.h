/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_SESSION_H
#define KBDUS_SESSION_H

#include <linux/mutex.h>
#include <linux/types.h>

#include "inverter.h"
#include "states.h"

struct file;
struct kbdus_device;
struct kbdus_protocol;
struct poll_table_struct;
struct vm_area_struct;

/**
 * struct kbdus_session - what one control file means
 * @attaching: held while the control file is becoming a driver's
 * @device: a reference; set once, before @protocol
 * @protocol: NULL until attached; then fixed. Published with release semantics
 * @protocol_config: adjusted; fixed once attached
 * @protocol_data: the protocol's, from its open() to its close()
 * @puller: the inverter's
 * @state: enum kbdus_session_state; device lock
 * @is_successful: its end is not a crash; device lock
 * @pid: the process that opened the control file, attached or called last; device
 *	lock once attached
 * @rcu: for freeing it: clients may be pushing to it
 */
struct kbdus_session {
	struct mutex attaching;
	struct kbdus_device *device;
	const struct kbdus_protocol *protocol;
	struct kbdus_protocol_config protocol_config;
	void *protocol_data;
	struct kbdus_puller puller;
	enum kbdus_session_state state;
	bool is_successful;
	struct pid *pid;
	struct rcu_head rcu;
};

struct kbdus_session *kbdus_session_open(void);
void kbdus_session_fail(struct kbdus_session *session);
void kbdus_session_close(struct kbdus_session *session);
void kbdus_session_free(struct kbdus_session *session);

int kbdus_session_create(struct kbdus_session *session,
			 struct kbdus_config __user *argument);
int kbdus_session_attach(struct kbdus_session *session,
			 struct kbdus_attachment __user *argument);
int kbdus_session_mark_successful(struct kbdus_session *session);
struct kbdus_device *
kbdus_session_device(const struct kbdus_session *session);
void kbdus_session_terminate_driver(struct kbdus_device *device,
				    const struct kbdus_session *caller);
long kbdus_session_call(struct kbdus_session *session, unsigned int command,
			void __user *argument);
int kbdus_session_map(struct kbdus_session *session,
		      struct vm_area_struct *vma);
__poll_t kbdus_session_poll(struct kbdus_session *session, struct file *file,
			    struct poll_table_struct *table);
void kbdus_session_get_info(struct kbdus_device *device,
			    struct kbdus_device_info *info);

#endif
