// SPDX-License-Identifier: GPL-2.0-only
/*
 * payload.c: moves data between a request's pages and a driver's buffer.
 *
 * Protocols call it while a request is OUTBOUND or INBOUND. In these states
 * nobody can take the request away, so copying must not wait for anything that
 * a driver decides: its buffer may be swapped out to, or mapped from, the very
 * device it serves, or be handled by userfaultfd. Therefore page faults are off
 * while copying. If the buffer is not there, the copy fails, the protocol gives
 * the request back, makes the kernel fetch the pages (the fault functions, which
 * may wait, and can be killed), and tries again. A buffer of the kernel's own
 * (export and import) is always there.
 *
 * Knows nothing of the request's states: that is puller.c.
 */
#include <linux/blk-mq.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "client.h"
#include "inverter.h"
#include "payload.h"

/**
 * kbdus_payload_size_max() - the largest payload of any request of a device
 * @config: the device's adjusted configuration
 *
 * Return: bytes, of a request or a reply, whichever is larger.
 */
u32 kbdus_payload_size_max(const struct kbdus_device_config *config)
{
	u32 size = config->max_read_write_size;

	if (config->operations & KBDUS_OP(WRITE_SAME))
		size = max(size, config->logical_block_size);
	if (config->operations & KBDUS_OP(IOCTL))
		size = max(size, KBDUS_IOCTL_PAYLOAD_SIZE);
	return size;
}

/**
 * kbdus_payload_request_size() - how much a request carries to the driver
 * @item: the request, which the caller is copying
 *
 * Return: bytes; 0 if it is a notification.
 */
size_t kbdus_payload_request_size(const struct kbdus_item *item)
{
	switch (item->type) {
	case KBDUS_REQUEST_TYPE_WRITE:
	case KBDUS_REQUEST_TYPE_FUA_WRITE:
		return blk_rq_bytes(item->rq);
	case KBDUS_REQUEST_TYPE_WRITE_SAME:
		return queue_logical_block_size(item->rq->q);
	case KBDUS_REQUEST_TYPE_IOCTL:
		return kbdus_client_ioctl_size_out(item->rq);
	default:
		return 0;
	}
}

/**
 * kbdus_payload_reply_size() - how much a reply without error carries back
 * @item: the request, which the caller is copying
 *
 * Return: bytes.
 */
size_t kbdus_payload_reply_size(const struct kbdus_item *item)
{
	switch (item->type) {
	case KBDUS_REQUEST_TYPE_READ:
		return blk_rq_bytes(item->rq);
	case KBDUS_REQUEST_TYPE_IOCTL:
		return kbdus_client_ioctl_size_in(item->rq);
	default:
		return 0;
	}
}

/*
 * @size: of what the request carries: all of its range, or the one block that is to be
 * written everywhere in it, which is what it seems to consist of
 */
static bool copy_pages_out(struct request *rq, size_t size, struct iov_iter *to)
{
	struct req_iterator it;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, it) {
		if (copy_page_to_iter(bv.bv_page, bv.bv_offset, bv.bv_len,
				      to) != bv.bv_len)
			return false;
		size -= bv.bv_len;
		if (!size)
			return true;
	}
	return true;
}

/* @size: of what the request carries */
static bool copy_out(const struct kbdus_item *item, size_t size,
		     struct iov_iter *to)
{
	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		return copy_to_iter(kbdus_client_ioctl_data(item->rq), size,
				    to) == size;
	return copy_pages_out(item->rq, size, to);
}

static bool copy_pages_in(struct request *rq, struct iov_iter *from)
{
	struct req_iterator it;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, it) {
		if (copy_page_from_iter(bv.bv_page, bv.bv_offset, bv.bv_len,
					from) != bv.bv_len)
			return false;
	}
	return true;
}

/* @size: of what the reply carries */
static bool copy_in(const struct kbdus_item *item, size_t size,
		    struct iov_iter *from)
{
	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		return copy_from_iter(kbdus_client_ioctl_data(item->rq), size,
				      from) == size;
	return copy_pages_in(item->rq, from);
}

/**
 * kbdus_payload_copy_out() - copies what a request carries to the driver
 * @item: the request, OUTBOUND
 * @buffer: where to
 *
 * Context: does not sleep.
 *
 * Return: 0, or -EFAULT if the buffer is not there (at the moment).
 */
int kbdus_payload_copy_out(const struct kbdus_item *item, void __user *buffer)
{
	size_t size = kbdus_payload_request_size(item);
	struct iov_iter to;
	bool ok;

	if (!size)
		return 0;
	if (import_ubuf(ITER_DEST, buffer, size, &to))
		return -EFAULT;

	pagefault_disable();
	ok = copy_out(item, size, &to);
	pagefault_enable();
	return ok ? 0 : -EFAULT;
}

/**
 * kbdus_payload_copy_in() - copies what a reply carries to the request
 * @item: the request, INBOUND
 * @buffer: where from
 *
 * Context: does not sleep.
 *
 * Return: 0, or -EFAULT if the buffer is not there (at the moment).
 */
int kbdus_payload_copy_in(const struct kbdus_item *item,
			  const void __user *buffer)
{
	size_t size = kbdus_payload_reply_size(item);
	struct iov_iter from;
	bool ok;

	if (!size)
		return 0;
	if (import_ubuf(ITER_SOURCE, (void __user *)buffer, size, &from))
		return -EFAULT;

	pagefault_disable();
	ok = copy_in(item, size, &from);
	pagefault_enable();
	return ok ? 0 : -EFAULT;
}

/* Whole pages, which most are, have a faster way. */
static void copy_memory(void *to, const void *from, size_t size)
{
	if (size == PAGE_SIZE && PAGE_ALIGNED(to) && PAGE_ALIGNED(from))
		copy_page(to, (void *)from);
	else
		memcpy(to, from, size);
}

/* @size: as above */
static void export_pages(struct request *rq, size_t size, void *buffer)
{
	struct req_iterator it;
	struct bio_vec bv;
	void *page;

	rq_for_each_segment(bv, rq, it) {
		page = bvec_kmap_local(&bv);
		copy_memory(buffer, page, bv.bv_len);
		kunmap_local(page);
		buffer += bv.bv_len;
		size -= bv.bv_len;
		if (!size)
			return;
	}
}

static void import_pages(struct request *rq, const void *buffer)
{
	struct req_iterator it;
	struct bio_vec bv;
	void *page;

	rq_for_each_segment(bv, rq, it) {
		page = bvec_kmap_local(&bv);
		copy_memory(page, buffer, bv.bv_len);
		kunmap_local(page);
		flush_dcache_page(bv.bv_page);
		buffer += bv.bv_len;
	}
}

/**
 * kbdus_payload_export() - copies what a request carries to a kernel buffer
 * @item: the request, OUTBOUND
 * @buffer: where to
 * @room: its size, kbdus_payload_request_size() at least
 *
 * Context: does not sleep.
 *
 * Return: whether there was room, which there always is.
 */
bool kbdus_payload_export(const struct kbdus_item *item, void *buffer,
			  size_t room)
{
	size_t size = kbdus_payload_request_size(item);

	if (!size)
		return true;
	if (WARN_ON_ONCE(size > room))
		return false;
	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		memcpy(buffer, kbdus_client_ioctl_data(item->rq), size);
	else
		export_pages(item->rq, size, buffer);
	return true;
}

/**
 * kbdus_payload_import() - copies what a reply carries from a kernel buffer
 * @item: the request, INBOUND
 * @buffer: where from; somebody may be writing there
 * @room: its size, kbdus_payload_reply_size() at least
 *
 * Context: does not sleep.
 *
 * Return: whether there was room, which there always is.
 */
bool kbdus_payload_import(const struct kbdus_item *item, const void *buffer,
			  size_t room)
{
	size_t size = kbdus_payload_reply_size(item);

	if (!size)
		return true;
	if (WARN_ON_ONCE(size > room))
		return false;
	if (item->type == KBDUS_REQUEST_TYPE_IOCTL)
		memcpy(kbdus_client_ioctl_data(item->rq), buffer, size);
	else
		import_pages(item->rq, buffer);
	return true;
}

/**
 * kbdus_payload_fault_out() - makes a buffer be there for copying out
 * @buffer: the buffer, whose content is lost
 * @size: its size
 *
 * Context: sleeps, killably. The caller holds no request.
 *
 * Return: 0, -EINTR, or -EFAULT if there is no such memory.
 */
int kbdus_payload_fault_out(void __user *buffer, size_t size)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return fault_in_writeable(buffer, size) ? -EFAULT : 0;
}

/**
 * kbdus_payload_fault_in() - makes a buffer be there for copying in
 * @buffer: the buffer
 * @size: its size
 *
 * Context: sleeps, killably. The caller holds no request.
 *
 * Return: 0, -EINTR, or -EFAULT if there is no such memory.
 */
int kbdus_payload_fault_in(const void __user *buffer, size_t size)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	return fault_in_readable(buffer, size) ? -EFAULT : 0;
}
