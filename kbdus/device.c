// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c: the block device: its disk, its queue, its life.
 *
 * The block layer calls queue_rq and the time-out, which go to the inverter; the
 * inverter calls back to end a request. session.c decides when a device is to be
 * terminated or destroyed; how that is done is decided here. Everything that
 * waits for requests (adding and removing the disk) is done by work items, which
 * hold none of our locks, so that nobody who closes a file or issues a command
 * ever waits for a driver. Locks: states.h.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "client.h"
#include "config.h"
#include "debugfs.h"
#include "device.h"
#include "inverter.h"
#include "registry.h"
#include "trace.h"

/*
 * Whoever waits for a device to be gone also waits for its driver to close the
 * control file, so that the module can be unloaded then; but only for so long.
 */
#define DRIVER_GRACE (5 * HZ)

/* How long a new device waits for the partition scan to have closed it. */
#define SCAN_GRACE HZ

/*
 * Adding and flushing wait for drivers, removing does not: one must not hold up
 * the other, which is why removing never waits for these works either. It must
 * go on when memory is short: perhaps what it fails is what memory waits for.
 */
static struct workqueue_struct *add_queue;
static struct workqueue_struct *remove_queue;

/**
 * kbdus_device_init() - starts what works on devices
 *
 * Return: 0 or -ENOMEM.
 */
int kbdus_device_init(void)
{
	add_queue = alloc_workqueue("kbdus_add", WQ_UNBOUND, WQ_MAX_ACTIVE);
	if (!add_queue)
		return -ENOMEM;
	remove_queue = alloc_workqueue("kbdus_remove",
				       WQ_UNBOUND | WQ_MEM_RECLAIM,
				       WQ_MAX_ACTIVE);
	if (!remove_queue) {
		destroy_workqueue(add_queue);
		return -ENOMEM;
	}
	return 0;
}

/**
 * kbdus_device_exit() - waits until nobody works on a device any more
 */
void kbdus_device_exit(void)
{
	destroy_workqueue(add_queue);
	destroy_workqueue(remove_queue);
}

static void device_free(struct kref *ref)
{
	struct kbdus_device *device =
		container_of(ref, struct kbdus_device, ref);

	WARN_ON_ONCE(device->disk);
	kbdus_inverter_destroy(device->inverter);
	mutex_destroy(&device->lock);
	kfree(device);
}

/**
 * kbdus_device_get() - takes another reference to a device
 * @device: the device, to which the caller or somebody it excludes has one
 *
 * Context: any. The reference keeps the memory, not the disk: see @disk.
 */
void kbdus_device_get(struct kbdus_device *device)
{
	kref_get(&device->ref);
}

/**
 * kbdus_device_put() - gives a reference back
 * @device: the device, freed with its last reference, which nobody has who holds
 *	its lock
 *
 * Context: any. Whoever removes the disk has a reference until it is gone, so the
 * last one never has to.
 */
void kbdus_device_put(struct kbdus_device *device)
{
	kref_put(&device->ref, device_free);
}

/* Work items hold a reference while they are pending or running. */
static void device_queue_work(struct kbdus_device *device,
			      struct workqueue_struct *queue,
			      struct work_struct *work)
{
	kbdus_device_get(device);
	if (!queue_work(queue, work))
		kbdus_device_put(device);
}

static void device_queue_delayed_work(struct kbdus_device *device,
				      struct delayed_work *work,
				      unsigned long delay)
{
	kbdus_device_get(device);
	if (!queue_delayed_work(remove_queue, work, delay))
		kbdus_device_put(device);
}

/**
 * kbdus_device_queue_flush() - has something done that waits for a driver
 * @work: what
 */
void kbdus_device_queue_flush(struct work_struct *work)
{
	queue_work(add_queue, work);
}

/**
 * kbdus_device_note_change() - wakes up who waits for something about a device
 * @device: the device, locked
 */
void kbdus_device_note_change(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	WRITE_ONCE(device->changes, device->changes + 1);
	wake_up_all(&device->changed);
}

/* @cause says to people why; the words are documented in kbdus(4). */
static void device_set_state(struct kbdus_device *device,
			     enum kbdus_device_state state, const char *cause)
{
	lockdep_assert_held(&device->lock);
	kbdus_assert_may_follow(device, device->state, state);
	trace_kbdus_device_state(device, state, cause);
	device->state = state;
	kbdus_device_note_change(device);
}

/**
 * kbdus_device_request_type() - what a request is to a driver
 * @rq: the request, which has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: the type; KBDUS_REQUEST_TYPE_COUNT if the queue has no such operation.
 */
enum kbdus_request_type kbdus_device_request_type(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return KBDUS_REQUEST_TYPE_READ;
	case REQ_OP_WRITE:
		return rq->cmd_flags & REQ_FUA ? KBDUS_REQUEST_TYPE_FUA_WRITE :
						 KBDUS_REQUEST_TYPE_WRITE;
	case REQ_OP_WRITE_ZEROES:
		return rq->cmd_flags & REQ_NOUNMAP ?
			       KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP :
			       KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP;
	case REQ_OP_FLUSH:
		return KBDUS_REQUEST_TYPE_FLUSH;
	case REQ_OP_DISCARD:
		return KBDUS_REQUEST_TYPE_DISCARD;
	case REQ_OP_SECURE_ERASE:
		return KBDUS_REQUEST_TYPE_SECURE_ERASE;
	case REQ_OP_DRV_IN:
		return KBDUS_REQUEST_TYPE_IOCTL;
	default:
		/* Not a type that any driver supports. */
		return KBDUS_REQUEST_TYPE_COUNT;
	}
}

static bool request_has_range(struct request *rq)
{
	return req_op(rq) != REQ_OP_FLUSH && !blk_rq_is_passthrough(rq);
}

/**
 * kbdus_device_request_offset() - where the range of a request begins
 * @rq: a request that has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: bytes from the start of the whole device; 0 if it has no range.
 */
u64 kbdus_device_request_offset(struct request *rq)
{
	return request_has_range(rq) ? blk_rq_pos(rq) << SECTOR_SHIFT : 0;
}

/**
 * kbdus_device_request_length() - how large the range of a request is
 * @rq: a request that has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: bytes; the command if it is a client's ioctl; 0 for a flush.
 */
u32 kbdus_device_request_length(struct request *rq)
{
	if (blk_rq_is_passthrough(rq))
		return kbdus_client_ioctl_command(rq);
	return request_has_range(rq) ? blk_rq_bytes(rq) : 0;
}

/**
 * kbdus_device_end_request() - ends a request towards its client
 * @rq: the request, which nobody else can see any more
 * @status: how, unless it is a client's ioctl
 * @error: how, if it is: 0 or a negative errno
 *
 * Context: no spinlock held.
 */
void kbdus_device_end_request(struct request *rq, blk_status_t status,
			      int error)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	if (blk_rq_is_passthrough(rq)) {
		kbdus_client_ioctl_set_error(cmd->ioctl, error);
		status = error ? BLK_STS_IOERR : BLK_STS_OK;
	}
	blk_mq_end_request(rq, status);
}

static blk_status_t device_queue_rq(struct blk_mq_hw_ctx *hctx,
				    const struct blk_mq_queue_data *bd)
{
	struct kbdus_device *device = hctx->queue->queuedata;
	enum kbdus_request_type type = kbdus_device_request_type(bd->rq);

	if (!(device->config.operations & BIT(type)))
		return BLK_STS_NOTSUPP;
	return kbdus_inverter_put(device->inverter, bd->rq);
}

/* A driver that does not even let its device be added is given up at once. */
static enum blk_eh_timer_return device_time_out(struct request *rq)
{
	struct kbdus_device *device = rq->q->queuedata;
	enum blk_eh_timer_return ret;

	ret = kbdus_inverter_time_out(device->inverter, rq);
	if (READ_ONCE(device->state) == KBDUS_DEVICE_STATE_INITIALIZED)
		device_queue_work(device, remove_queue, &device->fail_work);
	return ret;
}

static const struct blk_mq_ops device_mq_ops = {
	.queue_rq = device_queue_rq,
	.timeout = device_time_out,
};

/* Removes the disk; the device is terminated, so that no request waits. */
static void device_remove_disk(struct kbdus_device *device)
{
	struct gendisk *disk = device->disk;

	if (!disk)
		return;
	if (device->is_disk_added) {
		/*
		 * Dirty pages have nowhere to go: do not try to write them. From
		 * a disk without a size the kernel drops them without an error,
		 * but their writers have to learn of it.
		 */
		mapping_set_error(disk->part0->bd_mapping, -EIO);
		blk_mark_disk_dead(disk);
		del_gendisk(disk);
	}
	mutex_lock(&device->lock);
	WRITE_ONCE(device->disk, NULL);
	mutex_unlock(&device->lock);
	put_disk(disk);
	blk_mq_free_tag_set(&device->tag_set);
}

/* Unless it is already: lets everybody know that the device is gone. */
static void device_set_gone(struct kbdus_device *device)
{
	bool is_first;

	mutex_lock(&device->lock);
	is_first = !device->is_gone;
	device->is_gone = true;
	mutex_unlock(&device->lock);
	if (is_first) {
		kbdus_debugfs_remove(device);
		kbdus_registry_remove(device);
	}
}

static void device_remove_work(struct work_struct *work)
{
	struct kbdus_device *device =
		container_of(work, struct kbdus_device, remove_work);
	bool has_driver;

	if (cancel_delayed_work_sync(&device->orphan_work))
		kbdus_device_put(device);
	device_remove_disk(device);

	mutex_lock(&device->lock);
	device->is_removed = true;
	has_driver = device->sessions_open;
	/* Under the lock, so that the last session to be closed can cancel it. */
	if (has_driver)
		device_queue_delayed_work(device, &device->grace_work,
					  DRIVER_GRACE);
	mutex_unlock(&device->lock);

	if (!has_driver)
		device_set_gone(device);
	kbdus_device_put(device);
}

static void device_grace_work(struct work_struct *work)
{
	struct kbdus_device *device =
		container_of(work, struct kbdus_device, grace_work.work);

	device_set_gone(device);
	kbdus_device_put(device);
}

/**
 * kbdus_device_session_closed() - a control file was closed that had the device
 * @device: the device, not locked; the caller's reference goes
 *
 * The file's reference to the module is gone as well, so whoever waits for the
 * device to be gone can be told.
 */
void kbdus_device_session_closed(struct kbdus_device *device)
{
	bool is_last;

	mutex_lock(&device->lock);
	is_last = !--device->sessions_open && device->is_removed;
	mutex_unlock(&device->lock);
	if (is_last) {
		if (cancel_delayed_work(&device->grace_work))
			kbdus_device_put(device);
		device_set_gone(device);
	}
	kbdus_device_put(device);
}

/**
 * kbdus_device_terminate() - ends all use of a device
 * @device: the device, locked
 * @cause: why, see device_set_state()
 *
 * Requests under way and later ones fail, new clients are refused. Does not
 * wait. A second call does nothing.
 */
void kbdus_device_terminate(struct kbdus_device *device, const char *cause)
{
	lockdep_assert_held(&device->lock);
	if (device->state == KBDUS_DEVICE_STATE_TERMINATED)
		return;
	device_set_state(device, KBDUS_DEVICE_STATE_TERMINATED, cause);
	kbdus_inverter_terminate(device->inverter);
}

/**
 * kbdus_device_destroy() - terminates a device and starts removing it
 * @device: the device, locked
 * @cause: why, see device_set_state()
 */
void kbdus_device_destroy(struct kbdus_device *device, const char *cause)
{
	kbdus_device_terminate(device, cause);
	if (device->is_being_removed)
		return;
	device->is_being_removed = true;
	if (!device->is_being_added)
		device_queue_work(device, remove_queue, &device->remove_work);
}

static void device_fail_work(struct work_struct *work)
{
	struct kbdus_device *device =
		container_of(work, struct kbdus_device, fail_work);

	mutex_lock(&device->lock);
	if (device->state == KBDUS_DEVICE_STATE_INITIALIZED)
		kbdus_device_destroy(device, "adding_timed_out");
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
}

static void device_orphan_work(struct work_struct *work)
{
	struct kbdus_device *device =
		container_of(work, struct kbdus_device, orphan_work.work);

	mutex_lock(&device->lock);
	/* Not if a successor came and died meanwhile: its clock is another. */
	if (!device->session && !delayed_work_pending(&device->orphan_work))
		kbdus_inverter_expire(device->inverter);
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
}

/**
 * kbdus_device_begin_orphan() - starts the clock of a device without a driver
 * @device: the device, locked
 */
void kbdus_device_begin_orphan(struct kbdus_device *device)
{
	u32 timeout = device->config.orphan_timeout_ms;

	lockdep_assert_held(&device->lock);
	if (timeout && timeout != KBDUS_ORPHAN_TIMEOUT_FOREVER)
		device_queue_delayed_work(device, &device->orphan_work,
					  msecs_to_jiffies(timeout));
}

/**
 * kbdus_device_end_orphan() - stops it, before somebody attaches
 * @device: the device, locked
 */
void kbdus_device_end_orphan(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	if (cancel_delayed_work(&device->orphan_work))
		kbdus_device_put(device);
}

/**
 * kbdus_device_opened() - a client has opened the disk
 * @device: the device, locked
 */
void kbdus_device_opened(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	device->openers++;
	if (device->scanner == current)
		device->scans++;
}

/**
 * kbdus_device_released() - a client has closed the disk
 * @device: the device, locked
 *
 * The last client of a device whose driver has died lets it go.
 */
void kbdus_device_released(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	device->openers--;
	/* The kernel closes its own files from some work item, a bit later. */
	if (device->scans && current->flags & PF_KTHREAD) {
		device->scans--;
		kbdus_device_note_change(device);
	}
	if (!device->openers &&
	    device->state == KBDUS_DEVICE_STATE_TERMINATED)
		kbdus_device_destroy(device, "closed");
}

static int device_do_add(struct kbdus_device *device)
{
	int ret;

	mutex_lock(&device->lock);
	device->scanner = current;
	mutex_unlock(&device->lock);
	ret = add_disk(device->disk);
	mutex_lock(&device->lock);
	device->scanner = NULL;
	mutex_unlock(&device->lock);
	return ret;
}

/*
 * The scan's own opening of the disk should not linger, to be taken for that of
 * a client. What the kernel has to close before it may take its time, though,
 * so this is for so long only.
 */
static void device_await_scan(struct kbdus_device *device)
{
	wait_event_timeout(device->changed,
			   !READ_ONCE(device->scans) ||
				   READ_ONCE(device->state) ==
					   KBDUS_DEVICE_STATE_TERMINATED,
			   SCAN_GRACE);
}

/*
 * Adds the disk. The kernel reads the partition table meanwhile, which the
 * driver serves, so this cannot be part of the driver's own call.
 */
static void device_add_work(struct work_struct *work)
{
	struct kbdus_device *device =
		container_of(work, struct kbdus_device, add_work);
	int ret = -ENODEV;

	/* First, so that a driver that hangs in the next step can be seen. */
	kbdus_debugfs_add(device);
	if (READ_ONCE(device->state) == KBDUS_DEVICE_STATE_INITIALIZED)
		ret = device_do_add(device);
	if (!ret) {
		device->is_disk_added = true;
		device_await_scan(device);
	}

	mutex_lock(&device->lock);
	device->is_being_added = false;
	if (device->is_being_removed) {
		device_queue_work(device, remove_queue, &device->remove_work);
	} else if (ret) {
		kbdus_device_destroy(device, "adding_failed");
	} else if (device->state == KBDUS_DEVICE_STATE_INITIALIZED) {
		device_set_state(device, KBDUS_DEVICE_STATE_AVAILABLE, "added");
		kbdus_inverter_set_available(device->inverter);
	}
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
}

/**
 * kbdus_device_add() - starts adding a published device
 * @device: the device, locked; somebody may have destroyed it already
 */
void kbdus_device_add(struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	if (device->is_being_removed)
		return;
	snprintf(device->disk->disk_name, DISK_NAME_LEN, "bdus-%llu",
		 device->config.seqnum);
	device->is_being_added = true;
	device_queue_work(device, add_queue, &device->add_work);
}

static int device_create_disk(struct kbdus_device *device)
{
	const struct kbdus_device_config *config = &device->config;
	struct queue_limits limits;
	struct gendisk *disk;

	kbdus_config_get_limits(config, &limits);
	disk = blk_mq_alloc_disk(&device->tag_set, &limits, device);
	if (IS_ERR(disk))
		return PTR_ERR(disk);

	disk->major = config->major;
	disk->first_minor = config->minor;
	if (config->flags & KBDUS_DEVICE_F_NO_PARTITIONS) {
		disk->minors = 1;
		disk->flags |= GENHD_FL_NO_PART;
	} else {
		disk->minors = DISK_MAX_PARTS;
	}
	disk->fops = &kbdus_client_ops;
	set_capacity(disk, config->size >> SECTOR_SHIFT);
	set_disk_ro(disk, kbdus_config_is_read_only(config));
	device->disk = disk;
	return 0;
}

static int device_create_tag_set(struct kbdus_device *device)
{
	device->tag_set = (struct blk_mq_tag_set){
		.ops = &device_mq_ops,
		.nr_hw_queues = 1,
		.queue_depth = device->config.max_outstanding_requests,
		.numa_node = NUMA_NO_NODE,
		.cmd_size = sizeof(struct kbdus_command),
		.flags = BLK_MQ_F_NO_SCHED_BY_DEFAULT | KBDUS_MQ_F_MERGE,
		.timeout = msecs_to_jiffies(device->config.request_timeout_ms),
	};
	return blk_mq_alloc_tag_set(&device->tag_set);
}

static struct kbdus_device *
device_alloc(const struct kbdus_device_config *config)
{
	struct kbdus_device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	if (!device)
		return NULL;
	device->config = *config;
	device->inverter = kbdus_inverter_create(&device->config);
	if (!device->inverter) {
		kfree(device);
		return NULL;
	}
	kref_init(&device->ref);
	mutex_init(&device->lock);
	init_waitqueue_head(&device->changed);
	INIT_WORK(&device->add_work, device_add_work);
	INIT_WORK(&device->remove_work, device_remove_work);
	INIT_WORK(&device->fail_work, device_fail_work);
	INIT_DELAYED_WORK(&device->orphan_work, device_orphan_work);
	INIT_DELAYED_WORK(&device->grace_work, device_grace_work);
	return device;
}

/**
 * kbdus_device_create() - makes a device that nobody knows of yet
 * @config: adjusted configuration
 *
 * Return: a reference to it, INITIALIZED, with an index but no seqnum; or
 * ERR_PTR() of -ENOSPC or -ENOMEM.
 */
struct kbdus_device *
kbdus_device_create(const struct kbdus_device_config *config)
{
	struct kbdus_device *device;
	int ret;

	device = device_alloc(config);
	if (!device)
		return ERR_PTR(-ENOMEM);
	ret = kbdus_registry_reserve(device);
	if (ret)
		goto out_put_device;
	ret = device_create_tag_set(device);
	if (ret)
		goto out_unreserve;
	ret = device_create_disk(device);
	if (ret)
		goto out_free_tag_set;
	return device;

out_free_tag_set:
	blk_mq_free_tag_set(&device->tag_set);
out_unreserve:
	kbdus_registry_unreserve(device);
out_put_device:
	kbdus_device_put(device);
	return ERR_PTR(ret);
}

/**
 * kbdus_device_discard() - the counterpart for a device never published
 * @device: the device; the caller's reference goes
 */
void kbdus_device_discard(struct kbdus_device *device)
{
	device_remove_disk(device);
	kbdus_registry_unreserve(device);
	kbdus_device_put(device);
}
