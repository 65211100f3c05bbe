// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c: what clients do with the node besides reading and writing: open,
 * release, ioctl, and the flush that commands ask for.
 *
 * A client's ioctl(2) becomes a request like any other: its data is copied from
 * the client before and back to it afterwards, in the client's own context. The
 * client waits interruptibly; giving up takes the request away from the driver.
 *
 * The disk outlives the device for as long as a client has it open, so every
 * function asks the registry for the device. Clients are not trusted at all.
 */
#include <linux/blk-mq.h>
#include <linux/compat.h>
#include <linux/completion.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "client.h"
#include "config.h"
#include "device.h"
#include "inverter.h"
#include "registry.h"

/**
 * struct kbdus_client_ioctl - a client's ioctl under way
 * @command: the client's
 * @error: 0 or a negative errno; valid when @done
 * @is_cancelled: the client was interrupted; refuse it if it comes later
 * @done: the request has ended
 * @data: what goes to the driver and comes back from it
 */
struct kbdus_client_ioctl {
	unsigned int command;
	int error;
	bool is_cancelled;
	struct completion done;
	u8 data[];
};

static KBDUS_DISK_OPEN(client_open, disk)
{
	struct kbdus_device *device = kbdus_registry_get_by_disk(disk);
	int ret = 0;

	if (!device)
		return -ENXIO;
	mutex_lock(&device->lock);
	if (device->state == KBDUS_DEVICE_STATE_TERMINATED)
		ret = -ENXIO;
	else
		kbdus_device_opened(device);
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
	return ret;
}

static KBDUS_DISK_RELEASE(client_release, disk)
{
	struct kbdus_device *device = kbdus_registry_get_by_disk(disk);

	if (!device)
		return;
	mutex_lock(&device->lock);
	kbdus_device_released(device);
	mutex_unlock(&device->lock);
	kbdus_device_put(device);
}

/*
 * The direction in a command is seen from the client by convention, from the
 * driver in BDUS: _IOC_READ means that the driver reads what the client gives.
 */
static size_t ioctl_size_out(unsigned int command)
{
	return _IOC_DIR(command) & _IOC_READ ? _IOC_SIZE(command) : 0;
}

static size_t ioctl_size_in(unsigned int command)
{
	return _IOC_DIR(command) & _IOC_WRITE ? _IOC_SIZE(command) : 0;
}

static bool ioctl_is_well_formed(unsigned int command)
{
	return (_IOC_DIR(command) == _IOC_NONE) == (_IOC_SIZE(command) == 0);
}

static struct kbdus_client_ioctl *ioctl_of(struct request *rq)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	return cmd->ioctl;
}

/**
 * kbdus_client_ioctl_command() - the command of a client's ioctl
 * @rq: its request, which has not ended
 *
 * Context: any. The command is fixed.
 *
 * Return: the command, as the client gave it: well-formed, otherwise unchecked.
 */
unsigned int kbdus_client_ioctl_command(struct request *rq)
{
	return ioctl_of(rq)->command;
}

/**
 * kbdus_client_ioctl_data() - what a client's ioctl carries
 * @rq: its request, which has not ended
 *
 * Context: any. No lock: the data belongs to whoever copies the request, i.e. has
 * it OUTBOUND or INBOUND.
 *
 * Return: room for the larger of the two sizes below. Before the reply it holds
 * what the client gave, or zeros if it gave nothing.
 */
void *kbdus_client_ioctl_data(struct request *rq)
{
	return ioctl_of(rq)->data;
}

/**
 * kbdus_client_ioctl_size_out() - how much goes to the driver
 * @rq: the request of a client's ioctl, which has not ended
 *
 * Context: any.
 *
 * Return: bytes, less than #KBDUS_IOCTL_PAYLOAD_SIZE; 0 if the command has no
 * _IOC_READ.
 */
size_t kbdus_client_ioctl_size_out(struct request *rq)
{
	return ioctl_size_out(ioctl_of(rq)->command);
}

/**
 * kbdus_client_ioctl_size_in() - how much comes from the driver
 * @rq: the request of a client's ioctl, which has not ended
 *
 * Context: any.
 *
 * Return: bytes, less than #KBDUS_IOCTL_PAYLOAD_SIZE, if the driver answers
 * without an error; 0 if the command has no _IOC_WRITE.
 */
size_t kbdus_client_ioctl_size_in(struct request *rq)
{
	return ioctl_size_in(ioctl_of(rq)->command);
}

/**
 * kbdus_client_ioctl_set_error() - notes how a client's ioctl ends
 * @ioctl: the ioctl, whose request has not ended
 * @error: 0 or a negative errno, which the client gets as it is
 *
 * Context: any, also under the inverter lock. Only whoever is about to end the
 * request, or to refuse it, may call this; the client reads the error after the
 * end.
 */
void kbdus_client_ioctl_set_error(struct kbdus_client_ioctl *ioctl, int error)
{
	ioctl->error = error;
}

/**
 * kbdus_client_ioctl_is_cancelled() - whether a client has been interrupted
 * @ioctl: the ioctl, whose request has not ended
 *
 * Context: the inverter lock is held. kbdus_inverter_cancel() takes it after the
 * mark was set, so a request either sees the mark when it is put in, or is found
 * by the cancellation.
 *
 * Return: true if it has been, and nobody waits for the request's result.
 */
bool kbdus_client_ioctl_is_cancelled(const struct kbdus_client_ioctl *ioctl)
{
	return READ_ONCE(ioctl->is_cancelled);
}

static KBDUS_END_IO(ioctl_end_io, rq, status)
{
	struct kbdus_client_ioctl *ioctl = rq->end_io_data;

	/* Refused before it reached the inverter: it set no error. */
	if (status != BLK_STS_OK && !ioctl->error)
		ioctl->error = ioctl->is_cancelled ? -EINTR :
						     blk_status_to_errno(status);
	complete(&ioctl->done);
	return RQ_END_IO_NONE;
}

/*
 * Gets a request. All may be with a driver that does not answer, or wait for a
 * successor for ever, so this must not be a wait that no signal ends. The block
 * layer has no other kind: ask again and again.
 */
static struct request *ioctl_alloc_request(struct gendisk *disk)
{
	struct request *rq;

	for (;;) {
		rq = blk_mq_alloc_request(disk->queue, REQ_OP_DRV_IN,
					  BLK_MQ_REQ_NOWAIT);
		if (rq != ERR_PTR(-EAGAIN))
			return rq;
		schedule_timeout_interruptible(1);
		if (signal_pending(current))
			return ERR_PTR(-EINTR);
	}
}

static int ioctl_execute(struct kbdus_device *device, struct gendisk *disk,
			 struct kbdus_client_ioctl *ioctl)
{
	struct kbdus_command *cmd;
	struct request *rq;
	int ret;

	rq = ioctl_alloc_request(disk);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	cmd = blk_mq_rq_to_pdu(rq);
	cmd->ioctl = ioctl;
	rq->end_io = ioctl_end_io;
	rq->end_io_data = ioctl;
	blk_execute_rq_nowait(rq, false);

	ret = wait_for_completion_interruptible(&ioctl->done);
	if (ret) {
		WRITE_ONCE(ioctl->is_cancelled, true);
		kbdus_inverter_cancel(device->inverter, rq);
		/* It has ended, or does when a copy is over or it is put in. */
		wait_for_completion(&ioctl->done);
	}
	cmd->ioctl = NULL;
	blk_mq_free_request(rq);
	return ioctl->error;
}

static struct kbdus_client_ioctl *ioctl_create(unsigned int command,
					       const void __user *argument)
{
	struct kbdus_client_ioctl *ioctl;

	ioctl = kvzalloc(struct_size(ioctl, data, _IOC_SIZE(command)),
			 GFP_KERNEL);
	if (!ioctl)
		return ERR_PTR(-ENOMEM);
	ioctl->command = command;
	init_completion(&ioctl->done);
	if (copy_from_user(ioctl->data, argument, ioctl_size_out(command))) {
		kvfree(ioctl);
		return ERR_PTR(-EFAULT);
	}
	return ioctl;
}

static int client_do_ioctl(struct kbdus_device *device, struct gendisk *disk,
			   unsigned int command, void __user *argument)
{
	struct kbdus_client_ioctl *ioctl;
	int ret;

	if (!(device->config.operations & KBDUS_OP(IOCTL)))
		return -ENOTTY;
	ioctl = ioctl_create(command, argument);
	if (IS_ERR(ioctl))
		return PTR_ERR(ioctl);
	ret = ioctl_execute(device, disk, ioctl);
	if (!ret && copy_to_user(argument, ioctl->data, ioctl_size_in(command)))
		ret = -EFAULT;
	kvfree(ioctl);
	return ret;
}

static int client_ioctl_pointer(struct gendisk *disk, unsigned int command,
				void __user *argument)
{
	struct kbdus_device *device;
	int ret;

	/* For these two, ENOTTY makes the kernel do what it always does. */
	if (command == BLKFLSBUF || command == BLKROSET ||
	    !ioctl_is_well_formed(command))
		return -ENOTTY;

	device = kbdus_registry_get_by_disk(disk);
	if (!device)
		return -ENODEV;
	if (READ_ONCE(device->state) == KBDUS_DEVICE_STATE_TERMINATED)
		ret = -ENODEV;
	else
		ret = client_do_ioctl(device, disk, command, argument);
	kbdus_device_put(device);
	return ret;
}

static int client_ioctl(struct block_device *bdev, blk_mode_t mode,
			unsigned int command, unsigned long argument)
{
	return client_ioctl_pointer(bdev->bd_disk, command,
				    (void __user *)argument);
}

#ifdef CONFIG_COMPAT
static int client_compat_ioctl(struct block_device *bdev, blk_mode_t mode,
			       unsigned int command, unsigned long argument)
{
	return client_ioctl_pointer(bdev->bd_disk, command,
				    compat_ptr(argument));
}
#endif

const struct block_device_operations kbdus_client_ops = {
	.owner = THIS_MODULE,
	.open = client_open,
	.release = client_release,
	.ioctl = client_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = client_compat_ioctl,
#endif
};

/**
 * struct client_flush - a flush on behalf of a command
 * @work: does it, so that the command need not wait for it
 * @ref: held by the command and the work
 * @disk: a reference
 * @result: valid when @done
 * @done: the flush is over
 */
struct client_flush {
	struct work_struct work;
	struct kref ref;
	struct gendisk *disk;
	int result;
	struct completion done;
};

static void flush_free(struct kref *ref)
{
	kfree(container_of(ref, struct client_flush, ref));
}

static void flush_work_function(struct work_struct *work)
{
	struct client_flush *flush =
		container_of(work, struct client_flush, work);

	flush->result = kbdus_disk_flush(flush->disk);
	put_device(disk_to_dev(flush->disk));
	complete(&flush->done);
	kref_put(&flush->ref, flush_free);
}

/* A reference to the disk of an available device. */
static struct gendisk *flush_get_disk(struct kbdus_device *device)
{
	struct gendisk *disk = ERR_PTR(-ENODEV);

	mutex_lock(&device->lock);
	if (device->state == KBDUS_DEVICE_STATE_INITIALIZED) {
		disk = ERR_PTR(-EBUSY);
	} else if (device->state == KBDUS_DEVICE_STATE_AVAILABLE) {
		disk = device->disk;
		get_device(disk_to_dev(disk));
	}
	mutex_unlock(&device->lock);
	return disk;
}

/**
 * kbdus_client_flush() - writes back a device's pages and flushes it
 * @device: the device
 *
 * Context: sleeps, interruptibly; the flush goes on if it is interrupted.
 *
 * Return: 0 or a negative errno.
 */
int kbdus_client_flush(struct kbdus_device *device)
{
	struct client_flush *flush;
	struct gendisk *disk;
	int ret;

	disk = flush_get_disk(device);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	if (kbdus_config_is_read_only(&device->config)) {
		put_device(disk_to_dev(disk));
		return 0;
	}
	flush = kzalloc(sizeof(*flush), GFP_KERNEL);
	if (!flush) {
		put_device(disk_to_dev(disk));
		return -ENOMEM;
	}

	INIT_WORK(&flush->work, flush_work_function);
	kref_init(&flush->ref);
	kref_get(&flush->ref);
	init_completion(&flush->done);
	flush->disk = disk;
	kbdus_device_queue_flush(&flush->work);

	ret = wait_for_completion_interruptible(&flush->done);
	ret = ret ? -EINTR : flush->result;
	kref_put(&flush->ref, flush_free);
	return ret;
}
