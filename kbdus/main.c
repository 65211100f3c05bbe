// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c: the module: its parameters, and its rooms, which open in order and
 * close in reverse.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/stringify.h>

#include "control.h"
#include "debugfs.h"
#include "device.h"
#include "protocol.h"
#include "registry.h"
#include "ring.h"

#define LARGEST_MAX_DEVICES 4096

static unsigned int max_devices = LARGEST_MAX_DEVICES;
module_param(max_devices, uint, 0444);
MODULE_PARM_DESC(max_devices, "how many devices there may be, from 1 to 4096");

static char *protocol = "";
module_param(protocol, charp, 0444);
MODULE_PARM_DESC(protocol,
		 "the one protocol that drivers must use; empty: any");

static int __init kbdus_init(void)
{
	int ret;

	if (max_devices < 1 || max_devices > LARGEST_MAX_DEVICES) {
		pr_err("kbdus: max_devices is %u but must be from 1 to %u\n",
		       max_devices, LARGEST_MAX_DEVICES);
		return -EINVAL;
	}
	ret = kbdus_protocol_init(protocol);
	if (ret)
		return ret;
	ret = kbdus_ring_init();
	if (ret)
		return ret;
	kbdus_debugfs_init();
	ret = kbdus_device_init();
	if (ret)
		goto out_exit_debugfs;
	ret = kbdus_registry_init(max_devices);
	if (ret)
		goto out_exit_device;
	ret = kbdus_control_init();
	if (ret)
		goto out_exit_registry;
	return 0;

out_exit_registry:
	kbdus_registry_exit();
out_exit_device:
	kbdus_device_exit();
out_exit_debugfs:
	kbdus_debugfs_exit();
	kbdus_ring_exit();
	return ret;
}

/* Devices that are left are orphans that nobody has open. */
static void __exit destroy_orphans(void)
{
	struct kbdus_device *device;
	u64 seqnum = 0;

	while (!IS_ERR(device = kbdus_registry_get_next(seqnum))) {
		seqnum = device->config.seqnum + 1;
		mutex_lock(&device->lock);
		kbdus_device_destroy(device, "module_unloaded");
		mutex_unlock(&device->lock);
		kbdus_device_put(device);
	}
	kbdus_registry_wait_until_empty();
}

static void __exit kbdus_exit(void)
{
	kbdus_control_exit();
	destroy_orphans();
	kbdus_device_exit();
	kbdus_registry_exit();
	kbdus_debugfs_exit();
	kbdus_ring_exit();
	kbdus_control_wait_until_closed();
}

module_init(kbdus_init);
module_exit(kbdus_exit);

MODULE_DESCRIPTION("Block devices in user space");
MODULE_AUTHOR("The BDUS developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(__stringify(KBDUS_HEADER_VERSION_MAJOR) "." __stringify(
	KBDUS_HEADER_VERSION_MINOR) "." __stringify(KBDUS_HEADER_VERSION_PATCH));
