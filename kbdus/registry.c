// SPDX-License-Identifier: GPL-2.0-only
/*
 * registry.c: which devices exist, by what numbers they are known, and who waits
 * for one of them to be gone.
 *
 * Everybody who has only a number asks here and gets a reference. Owns one
 * reference to each device from publish to remove. The registry lock covers
 * nothing but look-ups and changes of the two tables. A device whose seqnum was
 * given out and is not found is gone; there is no other sign of it.
 */
#include <linux/blkdev.h>
#include <linux/idr.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/wait.h>

#include "device.h"
#include "registry.h"

/* Minor numbers of one device: itself and its partitions. */
#define MINORS_PER_DEVICE DISK_MAX_PARTS

static DEFINE_MUTEX(registry_lock);
static DEFINE_IDR(devices_by_index);
static struct rb_root devices_by_seqnum = RB_ROOT;
static u64 next_seqnum;
static unsigned int registry_max_devices;
static int registry_major;

/* Wakes up, and counts for those who look, whenever a device is gone. */
static DECLARE_WAIT_QUEUE_HEAD(registry_gone);
static unsigned long registry_gone_count;

/**
 * kbdus_registry_init() - makes room for devices
 * @max_devices: how many there may be
 *
 * Return: 0 or a negative errno.
 */
int kbdus_registry_init(unsigned int max_devices)
{
	registry_max_devices = max_devices;
	registry_major = register_blkdev(0, "bdus");
	return registry_major < 0 ? registry_major : 0;
}

/**
 * kbdus_registry_exit() - the counterpart; there are no devices any more
 */
void kbdus_registry_exit(void)
{
	unregister_blkdev(registry_major, "bdus");
	idr_destroy(&devices_by_index);
}

/**
 * kbdus_registry_reserve() - gives a device an index and its numbers
 * @device: a device that is being created; still not to be found
 *
 * Return: 0, -ENOSPC if there are as many devices as there may be, -ENOMEM.
 */
int kbdus_registry_reserve(struct kbdus_device *device)
{
	int index;

	mutex_lock(&registry_lock);
	/* Must not wait for I/O: destroying the device it is for takes the lock. */
	index = idr_alloc_cyclic(&devices_by_index, NULL, 0,
				 registry_max_devices, GFP_NOIO);
	mutex_unlock(&registry_lock);
	if (index < 0)
		return index;

	device->config.index = index;
	device->config.major = registry_major;
	device->config.minor = index * MINORS_PER_DEVICE;
	return 0;
}

/**
 * kbdus_registry_unreserve() - the counterpart for a device never published
 * @device: the device
 */
void kbdus_registry_unreserve(struct kbdus_device *device)
{
	mutex_lock(&registry_lock);
	idr_remove(&devices_by_index, device->config.index);
	mutex_unlock(&registry_lock);
}

static void tree_insert(struct kbdus_device *device)
{
	struct rb_node **link = &devices_by_seqnum.rb_node;
	struct rb_node *parent = NULL;

	/* The newest seqnum is the largest. */
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&device->registry_node, parent, link);
	rb_insert_color(&device->registry_node, &devices_by_seqnum);
}

/* The device with the lowest seqnum that is not below @seqnum, or NULL. */
static struct kbdus_device *tree_find(u64 seqnum)
{
	struct rb_node *node = devices_by_seqnum.rb_node;
	struct kbdus_device *found = NULL;

	while (node) {
		struct kbdus_device *device =
			rb_entry(node, struct kbdus_device, registry_node);

		if (device->config.seqnum < seqnum) {
			node = node->rb_right;
		} else {
			found = device;
			node = node->rb_left;
		}
	}
	return found;
}

/**
 * kbdus_registry_publish() - gives a device its seqnum and lets it be found
 * @device: a device whose creation cannot fail any more
 */
void kbdus_registry_publish(struct kbdus_device *device)
{
	kbdus_device_get(device);
	mutex_lock(&registry_lock);
	device->config.seqnum = next_seqnum++;
	idr_replace(&devices_by_index, device, device->config.index);
	tree_insert(device);
	mutex_unlock(&registry_lock);
}

/**
 * kbdus_registry_remove() - makes a device be gone and tells who waits for it
 * @device: a published device
 */
void kbdus_registry_remove(struct kbdus_device *device)
{
	mutex_lock(&registry_lock);
	idr_remove(&devices_by_index, device->config.index);
	rb_erase(&device->registry_node, &devices_by_seqnum);
	WRITE_ONCE(registry_gone_count, registry_gone_count + 1);
	mutex_unlock(&registry_lock);
	kbdus_device_put(device);
	wake_up_all(&registry_gone);
}

/**
 * kbdus_registry_get() - finds a device by its seqnum
 * @seqnum: the seqnum
 *
 * Return: a reference; ERR_PTR(-EINVAL) if there never was such a device,
 * ERR_PTR(-ENODEV) if it is gone.
 */
struct kbdus_device *kbdus_registry_get(u64 seqnum)
{
	struct kbdus_device *device;

	mutex_lock(&registry_lock);
	device = tree_find(seqnum);
	if (seqnum >= next_seqnum)
		device = ERR_PTR(-EINVAL);
	else if (!device || device->config.seqnum != seqnum)
		device = ERR_PTR(-ENODEV);
	else
		kbdus_device_get(device);
	mutex_unlock(&registry_lock);
	return device;
}

/**
 * kbdus_registry_get_next() - finds the first device not below a seqnum
 * @seqnum: the seqnum
 *
 * Return: a reference, or ERR_PTR(-ENOENT).
 */
struct kbdus_device *kbdus_registry_get_next(u64 seqnum)
{
	struct kbdus_device *device;

	mutex_lock(&registry_lock);
	device = tree_find(seqnum);
	if (device)
		kbdus_device_get(device);
	else
		device = ERR_PTR(-ENOENT);
	mutex_unlock(&registry_lock);
	return device;
}

/**
 * kbdus_registry_get_by_index() - finds the device that occupies an index
 * @index: the index
 *
 * Return: a reference; ERR_PTR(-EINVAL) if no device can have it,
 * ERR_PTR(-ENODEV) if none has it now.
 */
struct kbdus_device *kbdus_registry_get_by_index(u64 index)
{
	struct kbdus_device *device;

	if (index >= registry_max_devices)
		return ERR_PTR(-EINVAL);
	mutex_lock(&registry_lock);
	device = idr_find(&devices_by_index, index);
	if (device)
		kbdus_device_get(device);
	else
		device = ERR_PTR(-ENODEV);
	mutex_unlock(&registry_lock);
	return device;
}

/**
 * kbdus_registry_get_by_number() - finds a device by its device number
 * @major: major number
 * @minor: minor number
 *
 * Return: a reference; ERR_PTR(-EINVAL) if it is not the number of a whole
 * device of ours, ERR_PTR(-ENODEV) if nobody has it now.
 */
struct kbdus_device *kbdus_registry_get_by_number(u32 major, u32 minor)
{
	if (major != registry_major || minor % MINORS_PER_DEVICE)
		return ERR_PTR(-EINVAL);
	return kbdus_registry_get_by_index(minor / MINORS_PER_DEVICE);
}

/**
 * kbdus_registry_get_by_disk() - finds the device behind a disk of ours
 * @disk: the disk, which the block layer holds and which may be dead
 *
 * Clients keep the disk of a device that is gone for as long as they like; the
 * index may have another device then.
 *
 * Return: a reference, or NULL.
 */
struct kbdus_device *kbdus_registry_get_by_disk(struct gendisk *disk)
{
	struct kbdus_device *device;

	mutex_lock(&registry_lock);
	device = idr_find(&devices_by_index,
			  disk->first_minor / MINORS_PER_DEVICE);
	if (device && READ_ONCE(device->disk) == disk)
		kbdus_device_get(device);
	else
		device = NULL;
	mutex_unlock(&registry_lock);
	return device;
}

/**
 * kbdus_registry_wait_until_gone() - waits for a device to be gone
 * @seqnum: the device's seqnum
 *
 * Context: sleeps, interruptibly.
 *
 * Return: 0; -EINVAL if there never was such a device; -EINTR.
 */
int kbdus_registry_wait_until_gone(u64 seqnum)
{
	struct kbdus_device *device;
	unsigned long count;

	for (;;) {
		/* Before looking, so that no change after it is missed. */
		count = READ_ONCE(registry_gone_count);
		device = kbdus_registry_get(seqnum);
		if (IS_ERR(device))
			return PTR_ERR(device) == -ENODEV ? 0 :
							    PTR_ERR(device);
		kbdus_device_put(device);
		if (wait_event_interruptible(registry_gone,
					     READ_ONCE(registry_gone_count) !=
						     count))
			return -EINTR;
	}
}

/**
 * kbdus_registry_wait_until_empty() - waits until no device is left
 *
 * All of them are being destroyed, and nobody creates any.
 *
 * Context: sleeps, for as long as it takes to remove them.
 */
void kbdus_registry_wait_until_empty(void)
{
	struct kbdus_device *device;
	unsigned long count;

	for (;;) {
		/* Before looking, as above. */
		count = READ_ONCE(registry_gone_count);
		device = kbdus_registry_get_next(0);
		if (IS_ERR(device))
			return;
		kbdus_device_put(device);
		wait_event(registry_gone,
			   READ_ONCE(registry_gone_count) != count);
	}
}
