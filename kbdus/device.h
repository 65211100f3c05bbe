/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_DEVICE_H
#define KBDUS_DEVICE_H

#include <linux/blk-mq.h>
#include <linux/kref.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "states.h"

struct dentry;
struct kbdus_inverter;
struct kbdus_session;

/**
 * struct kbdus_device - a block device
 * @ref: held by the registry, each session, each pending work item, and whoever
 *	looked it up
 * @config: what it is; fixed once it was published
 * @registry_node: the registry's
 * @inverter: its requests; lives as long as the device
 * @tag_set: blk-mq's
 * @disk: the disk; NULL once it was removed; device lock, or owned by
 *	@remove_work
 * @is_disk_added: the disk is known to the block layer; only works touch it
 * @debugfs: its directory; @add_work makes it, who sets @is_gone removes it
 * @lock: guards everything below
 * @state: enum kbdus_device_state
 * @session: the driver's; NULL for an orphan
 * @attaching: the session that is about to attach; NULL if there is none
 * @openers: how often clients have the disk open
 * @scanner: the task that adds the disk, and opens it to read the partitions
 * @scans: how many of @openers are the scan's
 * @is_being_added: @add_work is pending or running; it queues @remove_work when
 *	it is over if the device was destroyed meanwhile
 * @is_being_removed: the device was destroyed
 * @is_removed: the disk is gone
 * @is_gone: the registry does not know it any more, or is just being told
 * @sessions_open: control files that were ever attached and are not closed yet
 * @changes: counts changes of what @changed waits for
 * @changed: somebody attached, left or died, or the state changed
 * @add_work: adds the disk
 * @remove_work: removes it
 * @fail_work: destroys the device, for those who cannot sleep
 * @orphan_work: gives up waiting for a successor
 * @grace_work: gives up waiting for the driver to close its control file
 * @rcu: for freeing it: the block layer may still be telling it of requests that have
 *	ended already
 */
struct kbdus_device {
	struct kref ref;
	struct kbdus_device_config config;
	struct rb_node registry_node;
	struct kbdus_inverter *inverter;
	struct blk_mq_tag_set tag_set;
	struct gendisk *disk;
	bool is_disk_added;
	struct dentry *debugfs;

	struct mutex lock;
	enum kbdus_device_state state;
	struct kbdus_session *session;
	struct kbdus_session *attaching;
	unsigned int openers;
	struct task_struct *scanner;
	unsigned int scans;
	bool is_being_added;
	bool is_being_removed;
	bool is_removed;
	bool is_gone;
	unsigned int sessions_open;
	unsigned long changes;
	wait_queue_head_t changed;

	struct work_struct add_work;
	struct work_struct remove_work;
	struct work_struct fail_work;
	struct delayed_work orphan_work;
	struct delayed_work grace_work;
	struct rcu_head rcu;
};

int kbdus_device_init(void);
void kbdus_device_exit(void);

/* Lifetime. */
struct kbdus_device *
kbdus_device_create(const struct kbdus_device_config *config);
void kbdus_device_discard(struct kbdus_device *device);
void kbdus_device_get(struct kbdus_device *device);
void kbdus_device_put(struct kbdus_device *device);
void kbdus_device_add(struct kbdus_device *device);
void kbdus_device_queue_flush(struct work_struct *work);
void kbdus_device_give_up(struct kbdus_device *device);

/* Changes of state, all under the device lock. */
void kbdus_device_note_change(struct kbdus_device *device);
void kbdus_device_terminate(struct kbdus_device *device, const char *cause);
void kbdus_device_destroy(struct kbdus_device *device, const char *cause);
void kbdus_device_opened(struct kbdus_device *device);
void kbdus_device_released(struct kbdus_device *device);
void kbdus_device_begin_orphan(struct kbdus_device *device);
void kbdus_device_end_orphan(struct kbdus_device *device);
void kbdus_device_session_closed(struct kbdus_device *device);

#endif
