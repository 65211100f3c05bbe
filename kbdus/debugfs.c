// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs.c: what a device is doing, for people and tests to read: the files
 * kbdus/<seqnum>/{state,requests,counters} in debugfs. kbdus(4) describes them.
 *
 * device.c adds and removes a device's directory while it holds no lock. Reads
 * others' states under their locks and changes none. Off the path of requests: a
 * request is looked at under the inverter lock, for as long as it takes to copy a
 * few numbers; everything is printed without a spinlock.
 *
 * Whoever has a file open holds a reference to the device, which thus may be gone
 * when it is read. So removing the files waits for nobody but those who are just
 * opening one: somebody who reads into memory that never comes cannot hold up the
 * end of a device. This is why the files are made "unsafe". Without debugfs in
 * the kernel everything here does nothing, as it does after any failure.
 */
#include <linux/debugfs.h>
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>

#include "debugfs.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "names.h"
#include "session.h"

#define NAME(value, name) [value] = name,
#define LAST_NAME(value, name) NAME(value, name)

static const char *const request_states[] = { KBDUS_REQUEST_STATE_NAMES };
static const char *const request_types[] = { KBDUS_REQUEST_TYPE_NAMES };
static const char *const device_states[] = { KBDUS_DEVICE_STATE_NAMES };
static const char *const service_states[] = { KBDUS_SERVICE_STATE_NAMES };
static const char *const session_states[] = { KBDUS_SESSION_STATE_NAMES };

/* The directory that has one for each device. */
static struct dentry *debugfs_root;

/* Milliseconds until requests of an orphan fail, if a clock is running. */
static void show_orphan_clock(struct seq_file *file,
			      const struct kbdus_device *device)
{
	long remaining = device->orphan_work.timer.expires - jiffies;

	if (delayed_work_pending(&device->orphan_work))
		seq_printf(file, "orphan_expires_in_ms %u\n",
			   jiffies_to_msecs(max(remaining, 0L)));
	else
		seq_puts(file, "orphan_expires_in_ms none\n");
}

static void show_session(struct seq_file *file, const char *role,
			 const struct kbdus_session *session)
{
	seq_printf(file, "%s pid=%d state=%s protocol=%s successful=%d\n", role,
		   pid_vnr(session->pid), session_states[session->state],
		   session->protocol_config.name, session->is_successful);
}

static int state_show(struct seq_file *file, void *unused)
{
	struct kbdus_device *device = file->private;
	struct kbdus_device_info info;

	mutex_lock(&device->lock);
	kbdus_inverter_get_statistics(device->inverter, &info);
	seq_printf(file, "device %llu\n", device->config.seqnum);
	seq_printf(file, "state %s\n", device_states[device->state]);
	seq_printf(file, "service %s\n", service_states[info.service]);
	seq_printf(file, "openers %u\n", device->openers);
	seq_printf(file, "control_files %u\n", device->sessions_open);
	seq_printf(file, "being_added %d\n", device->is_being_added);
	seq_printf(file, "being_removed %d\n", device->is_being_removed);
	seq_printf(file, "disk_removed %d\n", device->is_removed);
	seq_printf(file, "gone %d\n", device->is_gone);
	seq_printf(file, "references %u\n", kref_read(&device->ref));
	show_orphan_clock(file, device);
	if (device->session)
		show_session(file, "driver", device->session);
	if (device->attaching)
		show_session(file, "successor", device->attaching);
	mutex_unlock(&device->lock);
	return 0;
}

static int counters_show(struct seq_file *file, void *unused)
{
	struct kbdus_device *device = file->private;
	struct kbdus_device_info info;
	const struct kbdus_device_statistics *all = &info.statistics;

	kbdus_inverter_get_statistics(device->inverter, &info);
	seq_printf(file, "requests %llu\n", all->requests);
	seq_printf(file, "delivered %llu\n", all->delivered);
	seq_printf(file, "succeeded %llu\n", all->succeeded);
	seq_printf(file, "failed %llu\n", all->failed);
	seq_printf(file, "requeued %llu\n", all->requeued);
	seq_printf(file, "timed_out %llu\n", all->timed_out);
	seq_printf(file, "terminated %llu\n", all->terminated);
	seq_printf(file, "cancelled %llu\n", all->cancelled);
	seq_printf(file, "late_replies %llu\n", all->late_replies);
	seq_printf(file, "bad_replies %llu\n", all->bad_replies);
	seq_printf(file, "sessions %llu\n", all->sessions);
	seq_printf(file, "last_gap_ns %llu\n", all->last_gap_ns);
	seq_printf(file, "orphaned_ns %llu\n", all->orphaned_ns);
	seq_printf(file, "queued_now %u\n", all->queued_now);
	seq_printf(file, "with_driver_now %u\n", all->with_driver_now);
	return 0;
}

/* What there is to say about a request. */
struct request_line {
	enum kbdus_request_state state;
	enum kbdus_request_type type;
	u32 queue;
	u32 length;
	u64 offset;
	u64 sequence;
	u64 handover;
	unsigned long age;
	bool is_cut;
};

static void request_read(struct kbdus_inverter *inv,
			 const struct kbdus_slot *slot,
			 struct request_line *line)
{
	spin_lock(&inv->lock);
	*line = (struct request_line){ .state = slot->state };
	if (slot->state != KBDUS_REQUEST_FREE) {
		line->type = slot->type;
		line->queue = slot->rq->mq_hctx->queue_num;
		line->length = kbdus_disk_request_length(slot->rq);
		line->offset = kbdus_disk_request_offset(slot->rq);
		line->sequence = slot->sequence;
		line->handover = slot->handover;
		line->age = jiffies - slot->arrival;
		line->is_cut = slot->is_cut;
	}
	spin_unlock(&inv->lock);
}

static void *requests_start(struct seq_file *file, loff_t *position)
{
	struct kbdus_device *device = file->private;
	struct kbdus_inverter *inv = device->inverter;

	return *position < inv->depth ? &inv->slots[*position] : NULL;
}

static void *requests_next(struct seq_file *file, void *slot, loff_t *position)
{
	++*position;
	return requests_start(file, position);
}

static void requests_stop(struct seq_file *file, void *slot)
{
}

/* The first fields are those of the tracepoints. */
static int requests_show(struct seq_file *file, void *each)
{
	struct kbdus_device *device = file->private;
	const struct kbdus_slot *slot = each;
	struct request_line line;

	request_read(device->inverter, slot, &line);
	if (line.state == KBDUS_REQUEST_FREE)
		return SEQ_SKIP;
	seq_printf(file, "device=%llu queue=%u tag=%td sequence=%llu type=%s offset=%llu length=%u handover=%llu state=%s age_ms=%u cut=%d\n",
		   device->config.seqnum, line.queue,
		   slot - device->inverter->slots, line.sequence,
		   request_types[line.type], line.offset, line.length,
		   line.handover, request_states[line.state],
		   jiffies_to_msecs(line.age), line.is_cut);
	return 0;
}

static const struct seq_operations requests_operations = {
	.start = requests_start,
	.next = requests_next,
	.stop = requests_stop,
	.show = requests_show,
};

/*
 * Removing the files waits until this has returned, so the device is still there
 * to take a reference to. On success the file has it.
 */
static int debugfs_opened(struct inode *inode, struct file *file, int ret)
{
	struct seq_file *seq = file->private_data;

	if (!ret) {
		seq->private = inode->i_private;
		kbdus_device_get(seq->private);
	}
	return ret;
}

static struct kbdus_device *debugfs_device(const struct file *file)
{
	const struct seq_file *seq = file->private_data;

	return seq->private;
}

static int state_open(struct inode *inode, struct file *file)
{
	return debugfs_opened(inode, file, single_open(file, state_show, NULL));
}

static int counters_open(struct inode *inode, struct file *file)
{
	return debugfs_opened(inode, file,
			      single_open(file, counters_show, NULL));
}

static int requests_open(struct inode *inode, struct file *file)
{
	return debugfs_opened(inode, file,
			      seq_open(file, &requests_operations));
}

static int single_file_release(struct inode *inode, struct file *file)
{
	kbdus_device_put(debugfs_device(file));
	return single_release(inode, file);
}

static int requests_release(struct inode *inode, struct file *file)
{
	kbdus_device_put(debugfs_device(file));
	return seq_release(inode, file);
}

static const struct file_operations state_fops = {
	.owner = THIS_MODULE,
	.open = state_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_file_release,
};

static const struct file_operations counters_fops = {
	.owner = THIS_MODULE,
	.open = counters_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_file_release,
};

static const struct file_operations requests_fops = {
	.owner = THIS_MODULE,
	.open = requests_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = requests_release,
};

/**
 * kbdus_debugfs_init() - makes the directory that devices are shown in
 */
void kbdus_debugfs_init(void)
{
	debugfs_root = debugfs_create_dir("kbdus", NULL);
}

/**
 * kbdus_debugfs_exit() - removes it; there are no devices any more
 */
void kbdus_debugfs_exit(void)
{
	debugfs_remove(debugfs_root);
}

/**
 * kbdus_debugfs_add() - starts showing a device
 * @device: a published device
 *
 * Context: sleeps. Takes locks of the directory of all devices, which removing
 * any of them needs: must not wait for I/O meanwhile.
 */
void kbdus_debugfs_add(struct kbdus_device *device)
{
	unsigned int flags = memalloc_noio_save();
	struct dentry *directory;
	char name[24];

	snprintf(name, sizeof(name), "%llu", device->config.seqnum);
	directory = debugfs_create_dir(name, debugfs_root);
	debugfs_create_file_unsafe("state", 0400, directory, device,
				   &state_fops);
	debugfs_create_file_unsafe("requests", 0400, directory, device,
				   &requests_fops);
	debugfs_create_file_unsafe("counters", 0400, directory, device,
				   &counters_fops);
	device->debugfs = directory;
	memalloc_noio_restore(flags);
}

/**
 * kbdus_debugfs_remove() - stops showing a device
 * @device: the device, which may never have been added
 */
void kbdus_debugfs_remove(struct kbdus_device *device)
{
	debugfs_remove(device->debugfs);
}
