// SPDX-License-Identifier: GPL-2.0-only
/*
 * control.c: /dev/bdus-control. Copies arguments in, checks who may ask, calls
 * the room that knows, copies results out. No policy.
 *
 * Each open file has a session. The file's reference to the module is kept by
 * hand, not by the file operations' owner, because whoever waits for a device to
 * be gone wants to unload the module right afterwards: they must be told after
 * the driver's reference is gone, which a file's owner gives up only after its
 * release function has returned. See control_release() for how that is safe.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "client.h"
#include "control.h"
#include "device.h"
#include "registry.h"
#include "session.h"

/* Files that are being closed and may have given up the module already. */
static atomic_t control_closing = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(control_closed);

/* The misc device's mutex is held, so the module cannot be going. */
static int control_open(struct inode *inode, struct file *file)
{
	struct kbdus_session *session;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	session = kbdus_session_open();
	if (!session) {
		module_put(THIS_MODULE);
		return -ENOMEM;
	}
	file->private_data = session;
	return nonseekable_open(inode, file);
}

/*
 * Runs on without a reference to the module for a moment: the module's exit
 * waits for control_closing to drop to 0, and then until every task has left
 * the few instructions behind that.
 */
static int control_release(struct inode *inode, struct file *file)
{
	struct kbdus_session *session = file->private_data;

	atomic_inc(&control_closing);
	kbdus_session_close(session);
	module_put(THIS_MODULE);
	if (session->device)
		kbdus_device_session_closed(session->device);
	kbdus_session_free(session);
	if (atomic_dec_and_test(&control_closing))
		wake_up(&control_closed);
	return 0;
}

static int control_get_version(void __user *argument)
{
	static const struct kbdus_version version = {
		.major = KBDUS_HEADER_VERSION_MAJOR,
		.minor = KBDUS_HEADER_VERSION_MINOR,
		.patch = KBDUS_HEADER_VERSION_PATCH,
	};

	return copy_to_user(argument, &version, sizeof(version)) ? -EFAULT : 0;
}

static int control_index_to_seqnum(u64 __user *argument)
{
	struct kbdus_device *device;
	u64 number;

	if (get_user(number, argument))
		return -EFAULT;
	device = kbdus_registry_get_by_index(number);
	if (IS_ERR(device))
		return PTR_ERR(device);
	number = device->config.seqnum;
	kbdus_device_put(device);
	return put_user(number, argument);
}

static int
control_number_to_seqnum(struct kbdus_device_number __user *argument)
{
	struct kbdus_device_number number;
	struct kbdus_device *device;

	if (copy_from_user(&number, argument, sizeof(number)))
		return -EFAULT;
	device = kbdus_registry_get_by_number(number.major, number.minor);
	if (IS_ERR(device))
		return PTR_ERR(device);
	number.seqnum = device->config.seqnum;
	kbdus_device_put(device);
	return copy_to_user(argument, &number, sizeof(number)) ? -EFAULT : 0;
}

static int control_next_device(u64 __user *argument)
{
	struct kbdus_device *device;
	u64 seqnum;

	if (get_user(seqnum, argument))
		return -EFAULT;
	device = kbdus_registry_get_next(seqnum);
	if (IS_ERR(device))
		return PTR_ERR(device);
	seqnum = device->config.seqnum;
	kbdus_device_put(device);
	return put_user(seqnum, argument);
}

/* The device that a command's argument names. */
static struct kbdus_device *control_get_device(const u64 __user *argument)
{
	u64 seqnum;

	if (get_user(seqnum, argument))
		return ERR_PTR(-EFAULT);
	return kbdus_registry_get(seqnum);
}

static int control_flush_device(const u64 __user *argument)
{
	struct kbdus_device *device = control_get_device(argument);
	int ret;

	if (IS_ERR(device))
		return PTR_ERR(device);
	ret = kbdus_client_flush(device);
	kbdus_device_put(device);
	return ret;
}

static int control_terminate_session(const struct kbdus_session *session,
				     const u64 __user *argument)
{
	struct kbdus_device *device = control_get_device(argument);
	int ret = 0;

	if (IS_ERR(device))
		return PTR_ERR(device);
	if (kbdus_session_device(session) == device || capable(CAP_SYS_ADMIN))
		kbdus_session_terminate_driver(device, session);
	else
		ret = -EPERM;
	kbdus_device_put(device);
	return ret;
}

static void control_destroy(struct kbdus_device *device)
{
	mutex_lock(&device->lock);
	kbdus_device_destroy(device, "destroyed");
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
}

static int control_destroy_device(const u64 __user *argument)
{
	struct kbdus_device *device = control_get_device(argument);

	if (IS_ERR(device))
		return PTR_ERR(device) == -ENODEV ? 0 : PTR_ERR(device);
	control_destroy(device);
	return 0;
}

static int control_wait(const u64 __user *argument)
{
	u64 seqnum;

	if (get_user(seqnum, argument))
		return -EFAULT;
	return kbdus_registry_wait_until_gone(seqnum);
}

/*
 * Once the argument names the device itself, the caller can go on with it. So
 * it is replaced before the wait, while failing to do so changes nothing, and
 * put back after it.
 */
static int control_stop_by_index(u64 __user *argument)
{
	struct kbdus_device *device;
	u64 index, seqnum;
	int ret;

	if (get_user(index, argument))
		return -EFAULT;
	device = kbdus_registry_get_by_index(index);
	if (IS_ERR(device))
		return PTR_ERR(device);
	seqnum = device->config.seqnum;
	if (put_user(seqnum, argument)) {
		kbdus_device_put(device);
		return -EFAULT;
	}
	control_destroy(device);
	ret = kbdus_registry_wait_until_gone(seqnum);
	if (ret)
		return ret == -EINTR ? -EAGAIN : ret;
	return put_user(index, argument);
}

static int control_stop_by_uniqueid(const u64 __user *argument)
{
	int ret = control_destroy_device(argument);

	return ret ?: control_wait(argument);
}

static int control_get_info(struct kbdus_device_info __user *argument)
{
	struct kbdus_device_info info;
	struct kbdus_device *device =
		control_get_device(&argument->config.device.seqnum);

	if (IS_ERR(device))
		return PTR_ERR(device);
	kbdus_session_get_info(device, &info);
	kbdus_device_put(device);
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

/* Commands about any device, for which authority is needed each time. */
static long control_manage(struct kbdus_session *session, unsigned int command,
			   void __user *argument)
{
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	switch (command) {
	case KBDUS_IOCTL_CREATE_DEVICE:
		return kbdus_session_create(session, argument);
	case KBDUS_IOCTL_ATTACH_TO_DEVICE:
		return kbdus_session_attach(session, argument);
	case KBDUS_IOCTL_DEVICE_INDEX_TO_SEQNUM:
		return control_index_to_seqnum(argument);
	case KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM:
		return control_number_to_seqnum(argument);
	case KBDUS_IOCTL_FLUSH_DEVICE:
		return control_flush_device(argument);
	case KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION:
		return control_destroy_device(argument);
	case KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED:
		return control_wait(argument);
	case KBDUS_IOCTL_STOP_BY_INDEX:
		return control_stop_by_index(argument);
	case KBDUS_IOCTL_STOP_BY_UNIQUEID:
		return control_stop_by_uniqueid(argument);
	case KBDUS_IOCTL_GET_DEVICE_INFO:
		return control_get_info(argument);
	case KBDUS_IOCTL_NEXT_DEVICE:
		return control_next_device(argument);
	default:
		return -ENOTTY;
	}
}

static bool control_is_managing(unsigned int command)
{
	return _IOC_TYPE(command) == KBDUS_IOCTL_TYPE &&
	       _IOC_NR(command) <= _IOC_NR(KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL);
}

static long control_do_ioctl(struct file *file, unsigned int command,
			     void __user *argument)
{
	struct kbdus_session *session = file->private_data;

	switch (command) {
	case KBDUS_IOCTL_GET_VERSION:
		return control_get_version(argument);
	case KBDUS_IOCTL_REQUEST_SESSION_TERMINATION:
		return control_terminate_session(session, argument);
	case KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL:
		return kbdus_session_mark_successful(session);
	default:
		if (control_is_managing(command))
			return control_manage(session, command, argument);
		return kbdus_session_call(session, command, argument);
	}
}

static long control_ioctl(struct file *file, unsigned int command,
			  unsigned long argument)
{
	return control_do_ioctl(file, command, (void __user *)argument);
}

/* A mapping holds a reference to the file, so it keeps the session too. */
static int control_mmap(struct file *file, struct vm_area_struct *vma)
{
	return kbdus_session_map(file->private_data, vma);
}

static __poll_t control_poll(struct file *file, poll_table *table)
{
	return kbdus_session_poll(file->private_data, file, table);
}

static const struct file_operations control_fops = {
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = control_mmap,
	.poll = control_poll,
	.llseek = noop_llseek,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bdus-control",
	.fops = &control_fops,
	.mode = 0600,
};

/**
 * kbdus_control_init() - opens the door
 *
 * Return: 0 or a negative errno.
 */
int kbdus_control_init(void)
{
	return misc_register(&control_device);
}

/**
 * kbdus_control_exit() - closes it; nobody has it open
 */
void kbdus_control_exit(void)
{
	misc_deregister(&control_device);
	wait_event(control_closed, !atomic_read(&control_closing));
}

/**
 * kbdus_control_wait_until_closed() - waits for the last instructions of
 * control_release(), which tasks may still be in
 */
void kbdus_control_wait_until_closed(void)
{
	synchronize_rcu_tasks();
}
