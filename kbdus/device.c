// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c: the life of a device, until nobody knows it any more.
 *
 * Off the data path. session.c decides when a device is to be terminated or
 * destroyed, client.c says who has it open; what follows from that is decided
 * here. Owns the device's state and counts its references. Everything that waits
 * for requests (adding and removing the disk, which is disk.c's) is done by work
 * items, which hold none of our locks, so that nobody who closes a file or issues
 * a command ever waits for a driver. Locks: states.h.
 */
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "debugfs.h"
#include "device.h"
#include "disk.h"
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
	kfree_rcu(device, rcu);
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
	kbdus_disk_remove(device);

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

/**
 * kbdus_device_give_up() - destroys a device that is not available yet
 * @device: the device; nothing happens if it is available, or over
 *
 * Context: any; a work item does it.
 */
void kbdus_device_give_up(struct kbdus_device *device)
{
	if (READ_ONCE(device->state) == KBDUS_DEVICE_STATE_INITIALIZED)
		device_queue_work(device, remove_queue, &device->fail_work);
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
 * @device: the device, locked and AVAILABLE
 *
 * If its creator did not say how long clients wait, it is as long as they would
 * for a driver.
 */
void kbdus_device_begin_orphan(struct kbdus_device *device)
{
	u32 timeout = device->config.orphan_timeout_ms;

	lockdep_assert_held(&device->lock);
	if (timeout == KBDUS_ORPHAN_TIMEOUT_FOREVER)
		return;
	device_queue_delayed_work(device, &device->orphan_work,
				  timeout ? msecs_to_jiffies(timeout) :
					    device->disk->queue->rq_timeout);
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
	ret = kbdus_disk_add(device);
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
	if (!ret)
		device_await_scan(device);

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
	device->is_being_added = true;
	device_queue_work(device, add_queue, &device->add_work);
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
	ret = kbdus_disk_create(device);
	if (ret)
		goto out_unreserve;
	return device;

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
	kbdus_disk_remove(device);
	kbdus_registry_unreserve(device);
	kbdus_device_put(device);
}
