// SPDX-License-Identifier: GPL-2.0-only
/*
 * session.c: who drives a device: creating, attaching, being replaced, leaving,
 * dying.
 *
 * control.c calls in, with a control file's session. A session takes its device
 * from the registry, holds a reference to it until the control file is closed,
 * and makes its puller the inverter's. What the death of a driver means for the
 * device is decided here and nowhere else (kbdus_session_fail). Closing never
 * waits for anything but the device lock, under which nobody waits, and threads
 * of the protocol, which wait for no driver then. Locks and states: states.h.
 */
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "config.h"
#include "device.h"
#include "protocol.h"
#include "registry.h"
#include "session.h"
#include "trace.h"

/* @cause says to people why; the words are documented in kbdus(4). */
static void session_set_state(struct kbdus_session *session,
			      enum kbdus_session_state state, const char *cause)
{
	lockdep_assert_held(&session->device->lock);
	kbdus_assert_may_follow(session, session->state, state);
	trace_kbdus_session_state(session, state, cause);
	session->state = state;
	kbdus_device_note_change(session->device);
}

/**
 * kbdus_session_open() - makes the session of a new control file
 *
 * Return: the session, OPEN; NULL if there is no memory.
 */
struct kbdus_session *kbdus_session_open(void)
{
	struct kbdus_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	mutex_init(&session->attaching);
	session->pid = get_task_pid(current, PIDTYPE_TGID);
	return session;
}

static bool device_is_recoverable(const struct kbdus_device *device)
{
	return device->config.flags & KBDUS_DEVICE_F_RECOVERABLE;
}

/* Makes an open session the driver of a device that has none. */
static void session_bind(struct kbdus_session *session, const char *cause)
{
	struct kbdus_device *device = session->device;

	lockdep_assert_held(&device->lock);
	put_pid(session->pid);
	session->pid = get_task_pid(current, PIDTYPE_TGID);
	kbdus_device_end_orphan(device);
	device->session = session;
	device->sessions_open++;
	kbdus_inverter_attach(device->inverter, &session->puller);
	session_set_state(session, KBDUS_SESSION_ATTACHED, cause);
}

/*
 * Takes the driver away from its device: it is dead, or took too long to leave.
 * What it did not answer goes back to the queue.
 */
static void session_unbind(struct kbdus_session *session, const char *cause)
{
	struct kbdus_device *device = session->device;

	lockdep_assert_held(&device->lock);
	kbdus_inverter_detach(device->inverter, &session->puller);
	session_set_state(session, KBDUS_SESSION_CLOSED, cause);
	device->session = NULL;
}

/* Decides what becomes of a device whose driver is gone. */
static void device_lost_driver(struct kbdus_device *device, bool is_clean)
{
	lockdep_assert_held(&device->lock);
	if (device->state == KBDUS_DEVICE_STATE_TERMINATED) {
		if (!device->openers)
			kbdus_device_destroy(device, "driver_gone");
	} else if (device->state == KBDUS_DEVICE_STATE_INITIALIZED) {
		kbdus_device_destroy(device, "driver_gone");
	} else if (device_is_recoverable(device)) {
		kbdus_device_begin_orphan(device);
	} else if (!device->attaching || !is_clean) {
		/* Clients that have it open see errors until they close it. */
		kbdus_device_terminate(device, "driver_gone");
		if (!device->openers)
			kbdus_device_destroy(device, "driver_gone");
	}
}

/**
 * kbdus_session_fail() - the driver is gone, or spoke nonsense
 * @session: its session, attached at some time
 *
 * As if the control file had been closed, which is still to come or just
 * happening. Does nothing if the session is over already. Any thread.
 */
void kbdus_session_fail(struct kbdus_session *session)
{
	struct kbdus_device *device = session->device;

	mutex_lock(&device->lock);
	if (device->session == session) {
		session_unbind(session,
			       session->is_successful ? "left" : "crashed");
		device_lost_driver(device, session->is_successful);
	}
	mutex_unlock(&device->lock);
}

/**
 * kbdus_session_close() - the control file is closed
 * @session: its session
 *
 * No call is under way. Does not wait for the driver. The session keeps its
 * reference to the device, for kbdus_device_session_closed().
 */
void kbdus_session_close(struct kbdus_session *session)
{
	if (!session->device)
		return;
	/* First, as it may still bring answers that the driver gave before. */
	session->protocol->close(session);
	kbdus_session_fail(session);
}

/**
 * kbdus_session_free() - frees a closed session
 * @session: the session; its reference to the device has been given up
 */
void kbdus_session_free(struct kbdus_session *session)
{
	put_pid(session->pid);
	mutex_destroy(&session->attaching);
	kfree_rcu(session, rcu);
}

/*
 * Makes an open session know its device and open the protocol that @config
 * names; calls of the protocol are still refused. Leaves nothing behind on
 * failure.
 */
static const struct kbdus_protocol *
session_adopt(struct kbdus_session *session, struct kbdus_device *device,
	      struct kbdus_protocol_config *config)
{
	const struct kbdus_protocol *protocol = kbdus_protocol_find(config);
	int ret;

	if (IS_ERR(protocol))
		return protocol;
	session->device = device;
	/* An attempt with another protocol may have failed before. */
	session->puller = (struct kbdus_puller){ 0 };
	ret = protocol->open(session, config);
	if (ret) {
		session->device = NULL;
		return ERR_PTR(ret);
	}
	session->protocol_config = *config;
	return protocol;
}

/* Lets the driver call, now that the session is attached. */
static void session_let_call(struct kbdus_session *session,
			     const struct kbdus_protocol *protocol)
{
	/* Pairs with the acquire in kbdus_session_call(). */
	smp_store_release(&session->protocol, protocol);
	if (protocol->start)
		protocol->start(session);
}

/* Only one attempt at a time, and only one that succeeds. */
static int session_begin_attaching(struct kbdus_session *session)
{
	if (!mutex_trylock(&session->attaching))
		return -EINPROGRESS;
	if (session->device) {
		mutex_unlock(&session->attaching);
		return -EINVAL;
	}
	return 0;
}

/*
 * Writes @size bytes back to where they came from unchanged, to find out whether
 * the result can be written later, when failing would be awkward.
 */
static int probe_writable(void __user *argument, const void *copy, size_t size)
{
	return copy_to_user(argument, copy, size) ? -EFAULT : 0;
}

static int session_do_create(struct kbdus_session *session,
			     struct kbdus_config __user *argument)
{
	const struct kbdus_protocol *protocol;
	struct kbdus_device *device;
	struct kbdus_config config;
	int ret;

	if (copy_from_user(&config, argument, sizeof(config)) ||
	    probe_writable(argument, &config, sizeof(config)))
		return -EFAULT;
	ret = kbdus_config_adjust(&config.device);
	if (ret)
		return ret;
	device = kbdus_device_create(&config.device);
	if (IS_ERR(device))
		return PTR_ERR(device);
	protocol = session_adopt(session, device, &config.protocol);
	if (IS_ERR(protocol)) {
		kbdus_device_discard(device);
		return PTR_ERR(protocol);
	}

	kbdus_registry_publish(device);
	mutex_lock(&device->lock);
	session_bind(session, "created");
	kbdus_device_add(device);
	mutex_unlock(&device->lock);
	session_let_call(session, protocol);

	config.device = device->config;
	if (copy_to_user(argument, &config, sizeof(config))) {
		mutex_lock(&device->lock);
		kbdus_device_destroy(device, "creator_not_told");
		mutex_unlock(&device->lock);
		return -EFAULT;
	}
	return 0;
}

/**
 * kbdus_session_create() - creates a device and becomes its driver
 * @session: an open session
 * @argument: of KBDUS_IOCTL_CREATE_DEVICE
 *
 * Return: 0 or a negative errno, see there.
 */
int kbdus_session_create(struct kbdus_session *session,
			 struct kbdus_config __user *argument)
{
	int ret = session_begin_attaching(session);

	if (ret)
		return ret;
	ret = session_do_create(session, argument);
	mutex_unlock(&session->attaching);
	return ret;
}

/*
 * Waits until something about a device has changed since @changes was read, or
 * until @deadline. The device lock is dropped meanwhile.
 */
static int device_wait_for_change(struct kbdus_device *device,
				  unsigned long changes, unsigned long deadline)
{
	long remaining = deadline - jiffies;
	long ret;

	if (remaining <= 0)
		return -ETIMEDOUT;
	mutex_unlock(&device->lock);
	ret = wait_event_interruptible_timeout(
		device->changed, READ_ONCE(device->changes) != changes,
		remaining);
	mutex_lock(&device->lock);
	return ret < 0 ? -EINTR : 0;
}

static int wait_until_available(struct kbdus_device *device)
{
	int ret = 0;

	/* Creation ends by itself, so the deadline need not be tight. */
	while (!ret && device->state == KBDUS_DEVICE_STATE_INITIALIZED)
		ret = device_wait_for_change(device, device->changes,
					     jiffies + HZ);
	return ret;
}

/*
 * Asks the present driver to leave and waits until it did. One that takes too
 * long is cut off if the device can bear that, else it takes the device along.
 */
static int wait_until_left(struct kbdus_device *device, u32 timeout_ms)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);
	int ret = 0;

	if (device->session &&
	    device->session->state == KBDUS_SESSION_ATTACHED) {
		kbdus_inverter_stop(device->inverter, &device->session->puller,
				    true);
		session_set_state(device->session, KBDUS_SESSION_STOPPING,
				  "replaced");
	}
	while (!ret && device->session &&
	       device->state == KBDUS_DEVICE_STATE_AVAILABLE)
		ret = device_wait_for_change(device, device->changes, deadline);
	if (device->state != KBDUS_DEVICE_STATE_AVAILABLE)
		return -ENODEV;
	/* If it left while we were interrupted there is no reason to fail. */
	if (!device->session)
		return 0;
	if (ret != -ETIMEDOUT)
		return ret;
	if (!device_is_recoverable(device)) {
		kbdus_device_destroy(device, "driver_did_not_leave");
		return -ENODEV;
	}
	session_unbind(device->session, "did_not_leave");
	return 0;
}

/* Becomes the driver of a device, locked. */
static int session_take_over(struct kbdus_session *session,
			     const struct kbdus_attachment *attachment)
{
	struct kbdus_device *device = session->device;
	int ret = 0;

	if (attachment->flags & KBDUS_ATTACH_F_WAIT_AVAILABLE)
		ret = wait_until_available(device);
	if (ret)
		return ret;
	if (device->state == KBDUS_DEVICE_STATE_TERMINATED)
		return -ENODEV;
	if (device->state == KBDUS_DEVICE_STATE_INITIALIZED)
		return -EBUSY;
	if (device->attaching)
		return -EINPROGRESS;

	device->attaching = session;
	ret = wait_until_left(device, attachment->leave_timeout_ms ?:
					      KBDUS_DEFAULT_LEAVE_TIMEOUT_MS);
	device->attaching = NULL;
	if (!ret)
		session_bind(session, "attached");
	return ret;
}

static int session_attach_to(struct kbdus_session *session,
			     struct kbdus_device *device,
			     struct kbdus_attachment *attachment)
{
	const struct kbdus_protocol *protocol;
	int ret;

	protocol = session_adopt(session, device, &attachment->config.protocol);
	if (IS_ERR(protocol))
		return PTR_ERR(protocol);
	mutex_lock(&device->lock);
	ret = session_take_over(session, attachment);
	mutex_unlock(&device->lock);
	if (ret) {
		protocol->close(session);
		session->device = NULL;
		return ret;
	}
	session_let_call(session, protocol);
	return 0;
}

static int session_do_attach(struct kbdus_session *session,
			     struct kbdus_attachment __user *argument)
{
	struct kbdus_attachment attachment;
	struct kbdus_device *device;
	int ret;

	if (copy_from_user(&attachment, argument, sizeof(attachment)) ||
	    probe_writable(argument, &attachment, sizeof(attachment)))
		return -EFAULT;
	if (attachment.flags & ~KBDUS_ATTACH_F_ALL ||
	    !kbdus_config_is_zero(attachment.reserved))
		return -EINVAL;
	device = kbdus_registry_get(attachment.config.device.seqnum);
	if (IS_ERR(device))
		return PTR_ERR(device);
	ret = session_attach_to(session, device, &attachment);
	if (ret) {
		kbdus_device_put(device);
		return ret;
	}

	attachment.config.device = device->config;
	if (copy_to_user(argument, &attachment, sizeof(attachment)))
		return -EFAULT;
	return 0;
}

/**
 * kbdus_session_attach() - becomes the driver of an existing device
 * @session: an open session
 * @argument: of KBDUS_IOCTL_ATTACH_TO_DEVICE
 *
 * Context: sleeps, interruptibly, until the present driver has left.
 *
 * Return: 0 or a negative errno, see there.
 */
int kbdus_session_attach(struct kbdus_session *session,
			 struct kbdus_attachment __user *argument)
{
	int ret = session_begin_attaching(session);

	if (ret)
		return ret;
	ret = session_do_attach(session, argument);
	mutex_unlock(&session->attaching);
	return ret;
}

/**
 * kbdus_session_mark_successful() - the driver is about to end cleanly
 * @session: its session
 *
 * Return: 0, or -EINVAL if it is not attached, or not any more.
 */
int kbdus_session_mark_successful(struct kbdus_session *session)
{
	struct kbdus_device *device = kbdus_session_device(session);
	int ret = 0;

	if (!device)
		return -EINVAL;
	mutex_lock(&device->lock);
	if (device->session == session)
		session->is_successful = true;
	else
		ret = -EINVAL;
	mutex_unlock(&device->lock);
	return ret;
}

/**
 * kbdus_session_device() - the device that a session is or was the driver of
 * @session: the session
 *
 * Return: the device, valid as long as the session; NULL if it never attached.
 */
struct kbdus_device *kbdus_session_device(const struct kbdus_session *session)
{
	/* Pairs with the release in session_let_call(). */
	return smp_load_acquire(&session->protocol) ? session->device : NULL;
}

/* Whether a session had a device that another driver has been given since. */
static bool session_was_cut_off(const struct kbdus_session *session,
				const struct kbdus_device *device)
{
	lockdep_assert_held(&device->lock);
	return kbdus_session_device(session) == device &&
	       session->state == KBDUS_SESSION_CLOSED;
}

/**
 * kbdus_session_terminate_driver() - asks the driver of a device to end
 * @device: the device
 * @caller: the session that asks; a driver that asks for its own end knows
 *	whether it is fit to flush, so it is not told to. One that was cut off
 *	also means itself, not its successor: nothing happens
 */
void kbdus_session_terminate_driver(struct kbdus_device *device,
				    const struct kbdus_session *caller)
{
	struct kbdus_session *session;

	mutex_lock(&device->lock);
	session = device->session;
	if (session_was_cut_off(caller, device)) {
		/* Its end was decided already. */
	} else if (device->state == KBDUS_DEVICE_STATE_INITIALIZED ||
		   !device_is_recoverable(device)) {
		kbdus_device_destroy(device, "asked_to_end");
	} else if (session && session->state == KBDUS_SESSION_ATTACHED) {
		kbdus_inverter_stop(device->inverter, &session->puller,
				    session != caller);
		session_set_state(session, KBDUS_SESSION_STOPPING,
				  "asked_to_end");
	}
	mutex_unlock(&device->lock);
}

/*
 * Notes which process serves: a driver that became a daemon after it attached is
 * not the one that attached.
 */
static void session_note_process(struct kbdus_session *session)
{
	struct pid *pid = task_tgid(current);

	if (READ_ONCE(session->pid) == pid)
		return;
	mutex_lock(&session->device->lock);
	swap(session->pid, pid);
	get_pid(session->pid);
	mutex_unlock(&session->device->lock);
	put_pid(pid);
}

/**
 * kbdus_session_call() - a command of the session's protocol
 * @session: the session
 * @command: the command
 * @argument: its argument
 *
 * Return: what the protocol returns; -EINVAL if the command is one of a protocol
 * but not of the session's, or the session is not attached; -ENOTTY if it is none.
 */
long kbdus_session_call(struct kbdus_session *session, unsigned int command,
			void __user *argument)
{
	/* Pairs with the release in session_let_call(). */
	const struct kbdus_protocol *protocol =
		smp_load_acquire(&session->protocol);
	long ret = -ENOTTY;

	if (protocol) {
		session_note_process(session);
		ret = protocol->call(session, command, argument);
	}
	if (ret == -ENOTTY && kbdus_protocol_has_command(command))
		ret = -EINVAL;
	return ret;
}

/**
 * kbdus_session_map() - maps what the session's protocol shares with its driver
 * @session: the session
 * @vma: the new mapping of the control file
 *
 * Context: the caller's mmap lock is held for writing; the device lock must not be
 * taken.
 *
 * Return: what the protocol returns; -EINVAL if the session is not attached; -ENODEV
 * if its protocol has nothing to map.
 */
int kbdus_session_map(struct kbdus_session *session,
		      struct vm_area_struct *vma)
{
	/* Pairs with the release in session_let_call(). */
	const struct kbdus_protocol *protocol =
		smp_load_acquire(&session->protocol);

	if (!protocol)
		return -EINVAL;
	return protocol->map ? protocol->map(session, vma) : -ENODEV;
}

/**
 * kbdus_session_poll() - somebody polls the control file
 * @session: the session
 * @file: the control file
 * @table: who, and how
 *
 * Return: what there is; EPOLLERR if the session is not attached or its protocol tells
 * of nothing in this way, so that nobody waits for what never comes.
 */
__poll_t kbdus_session_poll(struct kbdus_session *session, struct file *file,
			    struct poll_table_struct *table)
{
	/* Pairs with the release in session_let_call(). */
	const struct kbdus_protocol *protocol =
		smp_load_acquire(&session->protocol);

	if (!protocol || !protocol->poll)
		return EPOLLERR;
	return protocol->poll(session, file, table);
}

/* Without what the block layer has for any disk. */
static u64 memory_of(const struct kbdus_device *device)
{
	const struct kbdus_protocol_config *config;
	u64 memory = kbdus_inverter_memory(device->inverter);

	if (!device->session)
		return memory;
	config = &device->session->protocol_config;
	memory += config->mapping_size;
	/* It is the driver's own. */
	if (config->payload_memory && !config->payload_offset)
		memory += config->payload_memory;
	return memory;
}

/**
 * kbdus_session_get_info() - tells everything about a device
 * @device: the device
 * @info: filled in
 */
void kbdus_session_get_info(struct kbdus_device *device,
			    struct kbdus_device_info *info)
{
	*info = (struct kbdus_device_info){ 0 };

	mutex_lock(&device->lock);
	kbdus_inverter_get_statistics(device->inverter, info);
	info->config.device = device->config;
	info->state = device->state;
	info->openers = device->openers;
	info->memory = memory_of(device);
	info->read_only = kbdus_config_is_read_only(&device->config);
	if (device->session) {
		info->config.protocol = device->session->protocol_config;
		info->driver_pid = pid_vnr(device->session->pid);
	}
	mutex_unlock(&device->lock);
}
