/* SPDX-License-Identifier: GPL-2.0-only */
/* block.h: disks, their queues and requests. */
#ifndef KBDUS_COMPAT_BLOCK_H
#define KBDUS_COMPAT_BLOCK_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/pagemap.h>

/* ------------------------------------------------------------------------- */
/* Functions of the module's that the block layer calls. */

/* What ends a request is also told of the batch that it is part of. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
enum rq_end_io_ret {
	RQ_END_IO_NONE,
	RQ_END_IO_FREE,
};

#define KBDUS_END_IO(name, rq, status)                                         \
	enum rq_end_io_ret name##_and_tell(struct request *rq,                 \
					   blk_status_t status);               \
	static void name(struct request *rq, blk_status_t status)              \
	{                                                                      \
		name##_and_tell(rq, status);                                   \
	}                                                                      \
	static enum rq_end_io_ret name##_and_tell(struct request *rq,          \
						  blk_status_t status)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define KBDUS_END_IO(name, rq, status) \
	enum rq_end_io_ret name(struct request *rq, blk_status_t status)
#else
#define KBDUS_END_IO(name, rq, status) \
	enum rq_end_io_ret name(struct request *rq, blk_status_t status, \
				const struct io_comp_batch *batch)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
#define KBDUS_TIME_OUT(name, rq) \
	enum blk_eh_timer_return name(struct request *rq, bool reserved)
#else
#define KBDUS_TIME_OUT(name, rq) \
	enum blk_eh_timer_return name(struct request *rq)
#endif

/* What is found could be ended together with others. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
#define REQ_POLLED REQ_HIPRI
#define KBDUS_POLL(name, hctx) int name(struct blk_mq_hw_ctx *hctx)
#else
#define KBDUS_POLL(name, hctx) \
	int name(struct blk_mq_hw_ctx *hctx, struct io_comp_batch *batch)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#define KBDUS_MAP_QUEUES(name, set)                                            \
	void name##_of(struct blk_mq_tag_set *set);                            \
	static int name(struct blk_mq_tag_set *set)                            \
	{                                                                      \
		name##_of(set);                                                \
		return 0;                                                      \
	}                                                                      \
	static void name##_of(struct blk_mq_tag_set *set)
#else
#define KBDUS_MAP_QUEUES(name, set) void name(struct blk_mq_tag_set *set)
#endif

/* A partition was opened, or the disk; it is the same to us. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
typedef fmode_t blk_mode_t;

#define KBDUS_DISK_OPEN(name, disk)                                            \
	int name##_disk(struct gendisk *disk);                                 \
	static int name(struct block_device *bdev, fmode_t mode)               \
	{                                                                      \
		return name##_disk(bdev->bd_disk);                             \
	}                                                                      \
	static int name##_disk(struct gendisk *disk)
#define KBDUS_DISK_RELEASE(name, disk) \
	void name(struct gendisk *disk, fmode_t mode)
#else
#define KBDUS_DISK_OPEN(name, disk) \
	int name(struct gendisk *disk, blk_mode_t mode)
#define KBDUS_DISK_RELEASE(name, disk) void name(struct gendisk *disk)
#endif

/* ------------------------------------------------------------------------- */
/* Requests. */

/* Nobody asks any more for one block to be written again and again. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#define KBDUS_REQ_OP_WRITE_SAME REQ_OP_WRITE_SAME
#else
#define KBDUS_REQ_OP_WRITE_SAME REQ_OP_LAST
#endif

/* Requests end one by one. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
struct io_comp_batch {
	void (*complete)(struct io_comp_batch *batch);
};
#define DEFINE_IO_COMP_BATCH(name) struct io_comp_batch name = { 0 }
#define blk_mq_add_to_batch(rq, batch, is_error, complete) ((void)(batch), false)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 12, 0)
#define blk_execute_rq_nowait(rq, at_head) \
	blk_execute_rq_nowait((rq)->q, NULL, rq, at_head, (rq)->end_io)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(5, 17, 0)
#define blk_execute_rq_nowait(rq, at_head) \
	blk_execute_rq_nowait(NULL, rq, at_head, (rq)->end_io)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#define blk_execute_rq_nowait(rq, at_head) \
	blk_execute_rq_nowait(rq, at_head, (rq)->end_io)
#endif

/* A queue that is frozen for a moment is to be asked again as a full one is. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
static inline struct request *
kbdus_blk_mq_alloc_request(struct request_queue *queue, unsigned int operation,
			   blk_mq_req_flags_t flags)
{
	struct request *rq = blk_mq_alloc_request(queue, operation, flags);

	return rq == ERR_PTR(-EBUSY) ? ERR_PTR(-EAGAIN) : rq;
}
#define blk_mq_alloc_request kbdus_blk_mq_alloc_request
#endif

/* Why a request is refused would be lost; but it can be ended instead. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
static inline blk_status_t kbdus_refuse(struct request *rq, blk_status_t status)
{
	blk_mq_start_request(rq);
	blk_mq_end_request(rq, status);
	return BLK_STS_OK;
}
#else
static inline blk_status_t kbdus_refuse(struct request *rq, blk_status_t status)
{
	return status;
}
#endif

/* ------------------------------------------------------------------------- */
/* Limits of queues. */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
/* Those that the module sets. */
struct kbdus_queue_limits {
	unsigned int features;
	unsigned int logical_block_size;
	unsigned int physical_block_size;
	unsigned int io_min;
	unsigned int max_hw_sectors;
	unsigned int max_segment_size;
	unsigned int max_write_same_sectors;
	unsigned int max_write_zeroes_sectors;
	unsigned int max_hw_discard_sectors;
	unsigned int max_secure_erase_sectors;
	unsigned int discard_granularity;
	unsigned short max_segments;
};

#define BLK_FEAT_WRITE_CACHE (1u << 0)
#define BLK_FEAT_FUA (1u << 1)

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
static inline void
kbdus_queue_limit_write_same(struct request_queue *queue,
			     const struct kbdus_queue_limits *limits)
{
	blk_queue_max_write_same_sectors(queue, limits->max_write_same_sectors);
}
#else
static inline void
kbdus_queue_limit_write_same(struct request_queue *queue,
			     const struct kbdus_queue_limits *limits)
{
}
#endif

/* Secure erasing was discarding, with a flag and the same limits. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
static inline void
kbdus_queue_limit_discard(struct request_queue *queue,
			  const struct kbdus_queue_limits *limits)
{
	blk_queue_max_discard_sectors(queue,
				      max(limits->max_hw_discard_sectors,
					  limits->max_secure_erase_sectors));
	queue->limits.discard_granularity = limits->logical_block_size;
	if (limits->max_hw_discard_sectors)
		blk_queue_flag_set(QUEUE_FLAG_DISCARD, queue);
	if (limits->max_secure_erase_sectors)
		blk_queue_flag_set(QUEUE_FLAG_SECERASE, queue);
}
#else
static inline void
kbdus_queue_limit_discard(struct request_queue *queue,
			  const struct kbdus_queue_limits *limits)
{
	blk_queue_max_discard_sectors(queue, limits->max_hw_discard_sectors);
	queue->limits.discard_granularity = limits->discard_granularity;
	blk_queue_max_secure_erase_sectors(queue,
					   limits->max_secure_erase_sectors);
}
#endif

/* Nobody uses the queue yet. */
static inline void kbdus_queue_limit(struct request_queue *queue,
				     const struct kbdus_queue_limits *limits)
{
	blk_queue_logical_block_size(queue, limits->logical_block_size);
	blk_queue_physical_block_size(queue, limits->physical_block_size);
	blk_queue_io_min(queue, limits->io_min);
	blk_queue_max_hw_sectors(queue, limits->max_hw_sectors);
	blk_queue_max_segments(queue, limits->max_segments);
	blk_queue_max_segment_size(queue, limits->max_segment_size);
	blk_queue_max_write_zeroes_sectors(queue,
					   limits->max_write_zeroes_sectors);
	kbdus_queue_limit_write_same(queue, limits);
	kbdus_queue_limit_discard(queue, limits);
	blk_queue_write_cache(queue, limits->features & BLK_FEAT_WRITE_CACHE,
			      limits->features & BLK_FEAT_FUA);
	/* Queues are said to be of disks that rotate, unless told otherwise. */
	blk_queue_flag_set(QUEUE_FLAG_NONROT, queue);
}

static inline void kbdus_limit_write_same(struct kbdus_queue_limits *limits,
					  unsigned int sectors)
{
	limits->max_write_same_sectors = sectors;
}

#define queue_limits kbdus_queue_limits
#else
static inline void kbdus_limit_write_same(struct queue_limits *limits,
					  unsigned int sectors)
{
}
#endif

/* Requests are merged unless that is switched off. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define KBDUS_MQ_F_MERGE BLK_MQ_F_SHOULD_MERGE
#else
#define KBDUS_MQ_F_MERGE 0
#endif

/* ------------------------------------------------------------------------- */
/* Disks. */

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 17, 0)
#define GENHD_FL_NO_PART GENHD_FL_NO_PART_SCAN
#endif

/* Whoever wants a scheduler gets it; but there is none in the beginning. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
#define BLK_MQ_F_NO_SCHED_BY_DEFAULT BLK_MQ_F_NO_SCHED
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 14, 0)
static inline struct gendisk *
kbdus_blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *limits,
			void *queuedata)
{
	struct request_queue *queue = blk_mq_init_queue_data(set, queuedata);
	struct gendisk *disk;

	if (IS_ERR(queue))
		return ERR_CAST(queue);
	disk = alloc_disk_node(1, set->numa_node);
	if (!disk) {
		blk_cleanup_queue(queue);
		return ERR_PTR(-ENOMEM);
	}
	kbdus_queue_limit(queue, limits);
	/* The disk gives one back with its last reference, whoever took it. */
	WARN_ON_ONCE(!blk_get_queue(queue));
	disk->queue = queue;
	return disk;
}
#define blk_mq_alloc_disk kbdus_blk_mq_alloc_disk
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
static inline struct gendisk *
kbdus_blk_mq_alloc_disk(struct blk_mq_tag_set *set, struct queue_limits *limits,
			void *queuedata)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	struct gendisk *disk = blk_mq_alloc_disk(set, queuedata);
#else
	struct gendisk *disk = blk_mq_alloc_disk(set, NULL, queuedata);
#endif

	if (!IS_ERR(disk))
		kbdus_queue_limit(disk->queue, limits);
	return disk;
}
#undef blk_mq_alloc_disk
#define blk_mq_alloc_disk kbdus_blk_mq_alloc_disk
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
static inline int kbdus_add_disk(struct gendisk *disk)
{
	device_add_disk(NULL, disk, NULL);
	disk->queue->tag_set->flags &= ~BLK_MQ_F_NO_SCHED;
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 14, 0)
	/* It has just been taken once more. */
	blk_put_queue(disk->queue);
#endif
	return 0;
}
#define add_disk kbdus_add_disk

/* The capacity is not what clients that have the disk open see. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static inline void kbdus_disk_end_size(struct gendisk *disk)
{
	struct block_device *bdev = bdget_disk(disk, 0);

	if (!bdev)
		return;
	bd_set_nr_sectors(bdev, 0);
	bdput(bdev);
}
#else
static inline void kbdus_disk_end_size(struct gendisk *disk)
{
}
#endif

static inline void kbdus_blk_mark_disk_dead(struct gendisk *disk)
{
	blk_set_queue_dying(disk->queue);
	set_capacity(disk, 0);
	kbdus_disk_end_size(disk);
}
#define blk_mark_disk_dead kbdus_blk_mark_disk_dead
#endif

/* The queue ends with its disk. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 14, 0)
static inline void kbdus_put_disk(struct gendisk *disk)
{
	blk_cleanup_queue(disk->queue);
	put_disk(disk);
}
#define put_disk kbdus_put_disk
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
#define put_disk blk_cleanup_disk
#endif

/**
 * kbdus_disk_set_error() - has those who wrote to a disk's pages learn of an error
 * @disk: the disk
 * @error: a negative errno
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static inline void kbdus_disk_set_error(struct gendisk *disk, int error)
{
	struct block_device *bdev = bdget_disk(disk, 0);

	if (!bdev)
		return;
	mapping_set_error(bdev->bd_inode->i_mapping, error);
	bdput(bdev);
}
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline void kbdus_disk_set_error(struct gendisk *disk, int error)
{
	mapping_set_error(disk->part0->bd_inode->i_mapping, error);
}
#else
static inline void kbdus_disk_set_error(struct gendisk *disk, int error)
{
	mapping_set_error(disk->part0->bd_mapping, error);
}
#endif

/**
 * kbdus_disk_flush() - writes a disk's pages and has everything durable
 * @disk: the disk, to which the caller has a reference
 *
 * Context: sleeps, up to the driver.
 *
 * Return: 0 or a negative errno.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
/* Requests need no block device; one that nobody has open would be of no use. */
static inline int kbdus_disk_issue_flush(struct gendisk *disk)
{
	struct bio *bio = bio_alloc(GFP_KERNEL, 0);
	int ret;

	bio->bi_disk = disk;
	bio->bi_opf = REQ_OP_WRITE | REQ_PREFLUSH;
	bio_associate_blkg(bio);
	ret = submit_bio_wait(bio);
	bio_put(bio);
	return ret;
}

static inline int kbdus_disk_flush(struct gendisk *disk)
{
	struct block_device *bdev = bdget_disk(disk, 0);
	int ret = 0;

	if (bdev) {
		ret = sync_blockdev(bdev);
		bdput(bdev);
	}
	return ret ?: kbdus_disk_issue_flush(disk);
}
#else
static inline int kbdus_disk_flush(struct gendisk *disk)
{
	int ret = sync_blockdev(disk->part0);

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 12, 0)
	return ret ?: blkdev_issue_flush(disk->part0, GFP_KERNEL);
#else
	return ret ?: blkdev_issue_flush(disk->part0);
#endif
}
#endif

#endif
