// SPDX-License-Identifier: GPL-2.0-only
/*
 * disk.c: where requests come from and go back to: the disk and its queue.
 *
 * The beginning and the end of the data path. The block layer calls queue_rq
 * and the time-out, which go to the inverter; the inverter calls back to end a
 * request, and whoever describes one to a driver asks here what it is. Owns the
 * gendisk and the tag set, which device.c has made, added and removed. Takes no
 * locks on the data path and trusts the block layer.
 */
#include <linux/blkdev.h>
#include <linux/jiffies.h>

#include "client.h"
#include "config.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"

/**
 * kbdus_disk_request_type() - what a request is to a driver
 * @rq: the request, which has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: the type; KBDUS_REQUEST_TYPE_COUNT if the queue has no such
 * operation.
 */
enum kbdus_request_type kbdus_disk_request_type(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return KBDUS_REQUEST_TYPE_READ;
	case REQ_OP_WRITE:
		return rq->cmd_flags & REQ_FUA ? KBDUS_REQUEST_TYPE_FUA_WRITE
					       : KBDUS_REQUEST_TYPE_WRITE;
	case KBDUS_REQ_OP_WRITE_SAME:
		return KBDUS_REQUEST_TYPE_WRITE_SAME;
	case REQ_OP_WRITE_ZEROES:
		return rq->cmd_flags & REQ_NOUNMAP
			       ? KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP
			       : KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP;
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
 * kbdus_disk_request_offset() - where the range of a request begins
 * @rq: a request that has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: bytes from the start of the whole device; 0 if it has no range.
 */
u64 kbdus_disk_request_offset(struct request *rq)
{
	return request_has_range(rq) ? blk_rq_pos(rq) << SECTOR_SHIFT : 0;
}

/**
 * kbdus_disk_request_length() - how large the range of a request is
 * @rq: a request that has not ended
 *
 * Context: any; needs no lock.
 *
 * Return: bytes; the command if it is a client's ioctl; 0 for a flush.
 */
u32 kbdus_disk_request_length(struct request *rq)
{
	if (blk_rq_is_passthrough(rq))
		return kbdus_client_ioctl_command(rq);
	return request_has_range(rq) ? blk_rq_bytes(rq) : 0;
}

/**
 * kbdus_disk_end_request() - ends a request towards its client
 * @rq: the request, which nobody else can see any more
 * @status: how, unless it is a client's ioctl
 * @error: how, if it is: 0 or a negative errno
 *
 * Context: no spinlock held.
 */
void kbdus_disk_end_request(struct request *rq, blk_status_t status, int error)
{
	struct kbdus_command *cmd = blk_mq_rq_to_pdu(rq);

	if (blk_rq_is_passthrough(rq)) {
		kbdus_client_ioctl_set_error(cmd->ioctl, error);
		status = error ? BLK_STS_IOERR : BLK_STS_OK;
	}
	blk_mq_end_request(rq, status);
}

/**
 * kbdus_disk_end_later() - has a request end together with others, which costs less
 * @rq: the request, which nobody else can see any more
 * @status: how, unless it is a client's ioctl
 * @batch: the others; if it has a function to complete it, that is to be called
 *
 * Return: false if it is one that must be ended by itself, see above.
 */
bool kbdus_disk_end_later(struct request *rq, blk_status_t status,
			  struct io_comp_batch *batch)
{
	return status == BLK_STS_OK && !blk_rq_is_passthrough(rq) &&
	       blk_mq_add_to_batch(rq, batch, false, blk_mq_end_request_batch);
}

/* Whether whoever makes a request is the one who waits for it, and does not poll. */
static bool request_may_linger(const struct request *rq)
{
	return op_is_sync(rq->cmd_flags) && !(rq->cmd_flags & REQ_POLLED) &&
	       in_task() && !(current->flags & (PF_KTHREAD | PF_IO_WORKER));
}

static blk_status_t disk_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct kbdus_device *device = hctx->queue->queuedata;
	enum kbdus_request_type type = kbdus_disk_request_type(bd->rq);
	struct kbdus_inverter *inv = device->inverter;
	/* It may have ended once it was put in. */
	bool may_linger = request_may_linger(bd->rq);
	blk_status_t status = BLK_STS_NOTSUPP;

	if (device->config.operations & BIT(type))
		status = kbdus_inverter_put(inv, bd->rq, type);
	if (bd->last && may_linger)
		kbdus_inverter_push_and_linger(inv);
	else if (bd->last)
		kbdus_inverter_push(inv);
	return status == BLK_STS_OK ? status : kbdus_refuse(bd->rq, status);
}

/* The last of a batch was not queued after all. */
static void disk_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct kbdus_device *device = hctx->queue->queuedata;

	kbdus_inverter_push(device->inverter);
}

static KBDUS_POLL(disk_poll, hctx)
{
	struct kbdus_device *device = hctx->queue->queuedata;

	return kbdus_inverter_poll(device->inverter);
}

/*
 * Two queues, of which one is for clients that poll. That is all they differ in, and
 * they share their tags, as a slot of the inverter is found by the tag alone.
 */
static KBDUS_MAP_QUEUES(disk_map_queues, set)
{
	set->map[HCTX_TYPE_DEFAULT].nr_queues = 1;
	set->map[HCTX_TYPE_READ].nr_queues = 0;
	set->map[HCTX_TYPE_POLL].nr_queues = 1;
	set->map[HCTX_TYPE_POLL].queue_offset = 1;
	blk_mq_map_queues(&set->map[HCTX_TYPE_DEFAULT]);
	blk_mq_map_queues(&set->map[HCTX_TYPE_POLL]);
}

/* A driver that does not even let its device be added is given up at once. */
static KBDUS_TIME_OUT(disk_time_out, rq)
{
	struct kbdus_device *device = rq->q->queuedata;
	enum blk_eh_timer_return ret;

	ret = kbdus_inverter_time_out(device->inverter, rq);
	kbdus_device_give_up(device);
	return ret;
}

static const struct blk_mq_ops disk_mq_ops = {
	.queue_rq = disk_queue_rq,
	.commit_rqs = disk_commit_rqs,
	.timeout = disk_time_out,
	.poll = disk_poll,
	.map_queues = disk_map_queues,
};

static int disk_alloc(struct kbdus_device *device)
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

static int disk_alloc_tag_set(struct kbdus_device *device)
{
	device->tag_set = (struct blk_mq_tag_set){
		.ops = &disk_mq_ops,
		.nr_hw_queues = 2,
		.nr_maps = HCTX_MAX_TYPES,
		.queue_depth = device->config.max_outstanding_requests,
		.numa_node = NUMA_NO_NODE,
		.cmd_size = sizeof(struct kbdus_command),
		.flags = BLK_MQ_F_NO_SCHED_BY_DEFAULT | KBDUS_MQ_F_MERGE |
			 BLK_MQ_F_TAG_HCTX_SHARED,
		.timeout = msecs_to_jiffies(device->config.request_timeout_ms),
	};
	return blk_mq_alloc_tag_set(&device->tag_set);
}

/**
 * kbdus_disk_create() - makes the disk of a new device, which nobody can see
 * yet
 * @device: the device, which has an index
 *
 * Context: sleeps.
 *
 * Return: 0 or a negative errno.
 */
int kbdus_disk_create(struct kbdus_device *device)
{
	int ret;

	ret = disk_alloc_tag_set(device);
	if (ret)
		return ret;
	ret = disk_alloc(device);
	if (ret)
		blk_mq_free_tag_set(&device->tag_set);
	return ret;
}

/**
 * kbdus_disk_add() - lets everybody see the disk
 * @device: the device, not locked, which has a seqnum
 *
 * Context: sleeps until the kernel has read the partition table, which is up to
 * the driver. Called once.
 *
 * Return: 0 or a negative errno.
 */
int kbdus_disk_add(struct kbdus_device *device)
{
	int ret;

	snprintf(device->disk->disk_name, DISK_NAME_LEN, "bdus-%llu",
		 device->config.seqnum);
	ret = add_disk(device->disk);
	if (!ret)
		device->is_disk_added = true;
	return ret;
}

/**
 * kbdus_disk_remove() - takes the disk away, and frees its queue
 * @device: the device, not locked: TERMINATED, so that no request waits, or never
 *	published; without a disk nothing happens
 *
 * Context: sleeps until requests and those who are opening the disk are done with
 * it, which is not up to the driver. One at a time, and not beside
 * kbdus_disk_add().
 */
void kbdus_disk_remove(struct kbdus_device *device)
{
	struct gendisk *disk = device->disk;

	if (!disk)
		return;
	if (device->is_disk_added) {
		/*
		 * Dirty pages have nowhere to go: do not try to write them.
		 * From a disk without a size the kernel drops them without an
		 * error, but their writers have to learn of it.
		 */
		kbdus_disk_set_error(disk, -EIO);
		blk_mark_disk_dead(disk);
		del_gendisk(disk);
	}
	mutex_lock(&device->lock);
	WRITE_ONCE(device->disk, NULL);
	mutex_unlock(&device->lock);
	put_disk(disk);
	blk_mq_free_tag_set(&device->tag_set);
}
