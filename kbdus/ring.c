// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c: the memory of a session of the protocol "ring": what is where, what is
 * lent to which request, and how entries are written and read.
 *
 * protocol_ring.c calls in. Each request that goes to the driver is lent an id and
 * as many pages of payload memory as it needs, both the module's own affair: what a
 * reply names is looked up in a table that the driver does not see. Nothing that the
 * driver writes is used for more than that, and each word of it is read once.
 *
 * The memory may be written to by clients that are putting requests in until an RCU
 * grace period after the end.
 */
#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "config.h"
#include "device.h"
#include "disk.h"
#include "payload.h"
#include "pinned.h"
#include "ring.h"
#include "session.h"
#include "shared.h"
#include "slot.h"

static_assert(sizeof(struct kbdusring_request) == 64);
static_assert(sizeof(struct kbdusring_submission) == 64);
static_assert(sizeof(struct kbdusring_driver) == 64);
static_assert(sizeof(struct kbdusring_completion) == 64);
static_assert(sizeof(struct kbdusring_reply) == 16);

/* The number of a hand-over is above the id in a driver's handle. */
#define ID_BITS KBDUS_HANDLE_TAG_BITS
static_assert(KBDUS_MAX_OUTSTANDING_REQUESTS + KBDUSRING_MAX_CHANNELS <=
	      1 << ID_BITS);

/* How often the watch looks, as long as it finds nothing. */
#define SHORTEST_WATCH max(HZ / 100, 1)
#define LONGEST_WATCH max(16 * HZ / 100, 1)

/* What clients wait for must not wait for memory. */
static struct workqueue_struct *ring_queue;

/**
 * kbdus_ring_init() - starts what looks after rings
 *
 * Return: 0 or -ENOMEM.
 */
int kbdus_ring_init(void)
{
	ring_queue = alloc_workqueue("kbdus_ring", WQ_UNBOUND | WQ_MEM_RECLAIM,
				     WQ_MAX_ACTIVE);
	return ring_queue ? 0 : -ENOMEM;
}

/**
 * kbdus_ring_exit() - waits until the last ring is freed
 */
void kbdus_ring_exit(void)
{
	rcu_barrier();
	destroy_workqueue(ring_queue);
}

/* Whether all that follows the settings of other protocols is as it is handed in. */
static bool config_is_plain(const struct kbdus_protocol_config *config)
{
	struct kbdus_protocol_config copy = *config;

	copy.channel_count = 0;
	copy.payload_memory = 0;
	copy.payload_address = 0;
	copy.spin_us = 0;
	return kbdus_config_is_plain(&copy);
}

/* A large request for each channel's thread, and one more on its way. */
static u32 payload_memory_adjust(const struct kbdus_device_config *device,
				 u32 payload_size, u32 channel_count, u32 wanted)
{
	u32 largest = PAGE_ALIGN(payload_size);

	if (!wanted)
		wanted = max(KBDUSRING_DEFAULT_PAYLOAD_MEMORY,
			     largest * (channel_count + 1));
	return PAGE_ALIGN(clamp(wanted, largest,
				largest * device->max_outstanding_requests));
}

/* Memory of the driver's own is what it is, and of no use in parts of pages. */
static bool payload_is_valid(const struct kbdus_protocol_config *config)
{
	if (!config->payload_address)
		return true;
	return PAGE_ALIGNED(config->payload_address) &&
	       PAGE_ALIGNED(config->payload_memory) &&
	       config->payload_memory &&
	       config->payload_memory >= config->payload_size;
}

/**
 * kbdus_ring_adjust() - checks a session's configuration and lays out its memory
 * @device: the adjusted configuration of the device
 * @config: as the driver handed it in
 *
 * Return: 0, or -EINVAL with @config in an undefined state.
 */
int kbdus_ring_adjust(const struct kbdus_device_config *device,
		      struct kbdus_protocol_config *config)
{
	if (!config_is_plain(config) ||
	    config->channel_count > KBDUSRING_MAX_CHANNELS)
		return -EINVAL;
	config->channel_count = clamp(config->channel_count, 1,
				      device->max_outstanding_requests);
	config->payload_size = kbdus_payload_size_max(device);
	if (!payload_is_valid(config))
		return -EINVAL;
	config->payload_memory = payload_memory_adjust(
		device, config->payload_size, config->channel_count,
		config->payload_memory);
	/* Each thread may be stuck with a request that has timed out, while there
	 * are as many as there can be. */
	config->entry_count =
		roundup_pow_of_two(device->max_outstanding_requests +
				   config->channel_count);
	config->driver_offset =
		PAGE_ALIGN(sizeof(struct kbdusring_submission) +
			   config->entry_count *
				   sizeof(struct kbdusring_request));
	config->channel_offset =
		config->driver_offset + sizeof(struct kbdusring_driver);
	/* No two channels, nor a channel and a counter, in one line of a cache. */
	config->channel_stride =
		ALIGN(sizeof(struct kbdusring_completion) +
			      config->entry_count *
				      sizeof(struct kbdusring_reply),
		      sizeof(struct kbdusring_completion));
	config->mapping_size =
		PAGE_ALIGN(config->channel_offset +
			   config->channel_count * config->channel_stride);
	if (!config->payload_address) {
		config->payload_offset = config->mapping_size;
		config->mapping_size += config->payload_memory;
	}
	return 0;
}

static void ring_destroy(struct kbdus_ring *ring)
{
	if (ring->pinned)
		kbdus_pinned_free(ring->pinned);
	vfree(ring->memory);
	bitmap_free(ring->page_map);
	kvfree(ring);
}

static void ring_free_work(struct work_struct *work)
{
	ring_destroy(container_of(to_rcu_work(work), struct kbdus_ring,
				  free_work));
}

static void ring_place(struct kbdus_ring *ring,
		       const struct kbdus_protocol_config *config)
{
	ring->submission = ring->memory;
	ring->requests = ring->memory + sizeof(*ring->submission);
	ring->driver = ring->memory + config->driver_offset;
	ring->channels = ring->memory + config->channel_offset;
	ring->channel_stride = config->channel_stride;
	ring->payload = ring->pinned ? ring->pinned->memory :
				       ring->memory + config->payload_offset;
}

/* The largest parts come last, as there may not be enough memory for them. */
static int ring_get_memory(struct kbdus_ring *ring,
			   const struct kbdus_protocol_config *config)
{
	struct kbdus_pinned *pinned;

	ring->page_map = bitmap_zalloc(ring->page_count, GFP_KERNEL_ACCOUNT);
	if (!ring->page_map)
		return -ENOMEM;
	ring->memory = kbdus_shared_alloc(ring->size);
	if (!ring->memory)
		return -ENOMEM;
	if (!config->payload_address || !config->payload_memory)
		return 0;
	pinned = kbdus_pinned_create(config->payload_address,
				     config->payload_memory);
	if (IS_ERR(pinned))
		return PTR_ERR(pinned);
	ring->pinned = pinned;
	return 0;
}

/**
 * kbdus_ring_create() - makes the ring of a session
 * @session: the session, which has its device
 * @config: adjusted
 * @watch: the function of the ring's watch
 *
 * Context: sleeps.
 *
 * Return: the ring, with nothing lent; -ENOMEM if there is no memory, or as
 * kbdus_pinned_create() if it is the driver's.
 */
struct kbdus_ring *kbdus_ring_create(struct kbdus_session *session,
				     const struct kbdus_protocol_config *config,
				     work_func_t watch)
{
	struct kbdus_ring *ring;
	int ret;
	u32 id;

	ring = kvzalloc(struct_size(ring, loans, config->entry_count),
			GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	ring->session = session;
	ring->inv = session->device->inverter;
	ring->size = config->mapping_size;
	ring->entry_count = config->entry_count;
	ring->channel_count = config->channel_count;
	ring->page_count = config->payload_memory >> PAGE_SHIFT;
	ret = ring_get_memory(ring, config);
	if (ret) {
		ring_destroy(ring);
		return ERR_PTR(ret);
	}

	ring_place(ring, config);
	kbdus_linger_init(&ring->linger, min_t(u32, config->spin_us,
					     KBDUSRING_MAX_LINGER_US));
	spin_lock_init(&ring->lock);
	for (id = 0; id < ring->entry_count; id++)
		ring->loans[id].next_free = id + 1;
	ring->watch_interval = SHORTEST_WATCH;
	INIT_DELAYED_WORK(&ring->watch, watch);
	INIT_RCU_WORK(&ring->free_work, ring_free_work);
	return ring;
}

/**
 * kbdus_ring_revoke() - has the ring take nothing any more, and the driver neither
 * @ring: the ring
 *
 * What the driver has not begun it does not find any more: it may be one that is
 * replaced because it was stuck, and would do later what its successor has done.
 *
 * Context: any; takes the ring lock.
 */
void kbdus_ring_revoke(struct kbdus_ring *ring)
{
	spin_lock(&ring->lock);
	ring->is_closed = true;
	WRITE_ONCE(ring->driver->head, ring->tail);
	spin_unlock(&ring->lock);
}

/**
 * kbdus_ring_close() - has the ring take nothing any more
 * @ring: the ring
 *
 * Context: sleeps until the watch is over.
 */
void kbdus_ring_close(struct kbdus_ring *ring)
{
	kbdus_ring_revoke(ring);
	cancel_delayed_work_sync(&ring->watch);
}

/**
 * kbdus_ring_free() - frees a closed ring as soon as nobody can be using it
 * @ring: the ring, which nobody can find any more
 *
 * If payload is in the driver's own memory, nobody uses that any more on return: it may
 * become anything else as soon as the control file is closed.
 *
 * Context: sleeps.
 */
void kbdus_ring_free(struct kbdus_ring *ring)
{
	if (!ring->pinned) {
		queue_rcu_work(ring_queue, &ring->free_work);
		return;
	}
	/* Clients wait for a successor meanwhile. */
	synchronize_rcu_expedited();
	ring_destroy(ring);
}

static u32 item_page_count(const struct kbdus_item *item)
{
	return PAGE_ALIGN(max(kbdus_payload_request_size(item),
			      kbdus_payload_reply_size(item))) >>
	       PAGE_SHIFT;
}

/* Finds pages that follow each other; none need not be anywhere. */
static bool pages_take(struct kbdus_ring *ring, u32 count, u32 *first)
{
	unsigned long found = 0;

	/* One page has a faster way. */
	if (count == 1)
		found = find_first_zero_bit(ring->page_map, ring->page_count);
	else if (count)
		found = bitmap_find_next_zero_area(
			ring->page_map, ring->page_count, 0, count, 0);
	if (count && found >= ring->page_count)
		return false;
	if (count == 1)
		__set_bit(found, ring->page_map);
	else
		bitmap_set(ring->page_map, found, count);
	*first = found;
	return true;
}

static void pages_return(struct kbdus_ring *ring, u32 first, u32 count)
{
	if (count == 1)
		__clear_bit(first, ring->page_map);
	else
		bitmap_clear(ring->page_map, first, count);
}

/**
 * kbdus_ring_lend() - gives a request what it needs to go to the driver
 * @ring: the ring, locked
 * @item: the request
 * @id: of what it was lent
 *
 * Return: whether there was enough.
 */
bool kbdus_ring_lend(struct kbdus_ring *ring, const struct kbdus_item *item,
		     u32 *id)
{
	u32 free = ring->first_free;
	struct kbdus_loan *loan = &ring->loans[free];
	u32 page_count = item_page_count(item);
	u32 first_page;

	lockdep_assert_held(&ring->lock);
	if (free == ring->entry_count ||
	    !pages_take(ring, page_count, &first_page)) {
		ring->is_starved = true;
		return false;
	}
	ring->first_free = loan->next_free;
	ring->loan_count++;
	*loan = (struct kbdus_loan){
		.state = KBDUS_LOAN_NEW,
		.type = item->type,
		.length = kbdus_disk_request_length(item->rq),
		.offset = kbdus_disk_request_offset(item->rq),
		.is_polled = item->rq->cmd_flags & REQ_POLLED,
		.inverter_handle = item->handle,
		.handle = item->handle >> ID_BITS << ID_BITS | free,
		.first_page = first_page,
		.page_count = page_count,
	};
	*id = free;
	return true;
}

/**
 * kbdus_ring_reclaim() - takes back what a request was lent
 * @ring: the ring, locked
 * @id: of the loan, which nobody uses any more
 */
void kbdus_ring_reclaim(struct kbdus_ring *ring, u32 id)
{
	struct kbdus_loan *loan = &ring->loans[id];

	lockdep_assert_held(&ring->lock);
	pages_return(ring, loan->first_page, loan->page_count);
	loan->state = KBDUS_LOAN_FREE;
	loan->next_free = ring->first_free;
	ring->first_free = id;
	ring->loan_count--;
}

/**
 * kbdus_ring_submit() - writes the next entry of the submission ring
 * @ring: the ring, locked
 * @id: of what was lent to the request
 *
 * There is room: whatever is in the ring and not taken yet has an id.
 */
void kbdus_ring_submit(struct kbdus_ring *ring, u32 id)
{
	struct kbdus_loan *loan = &ring->loans[id];

	lockdep_assert_held(&ring->lock);
	loan->state = KBDUS_LOAN_OUT;
	ring->requests[ring->next++ & (ring->entry_count - 1)] =
		(struct kbdusring_request){
			.handle = loan->handle,
			.offset = loan->offset,
			.length = loan->length,
			.type = loan->type,
			.payload_offset = loan->first_page << PAGE_SHIFT,
			.flags = loan->is_polled ? KBDUSRING_REQUEST_POLLED : 0,
		};
}

/**
 * kbdus_ring_publish() - lets the driver see the entries that were written
 * @ring: the ring, locked
 */
void kbdus_ring_publish(struct kbdus_ring *ring)
{
	lockdep_assert_held(&ring->lock);
	WRITE_ONCE(ring->tail, ring->next);
	smp_store_release(&ring->submission->tail, ring->next);
}

static struct kbdusring_completion *channel_of(const struct kbdus_ring *ring,
					       u32 channel)
{
	return ring->channels + (size_t)channel * ring->channel_stride;
}

/**
 * kbdus_ring_has_reply() - whether there is a reply that nobody has looked at
 * @ring: the ring
 *
 * Context: any; needs no lock. The driver may lie.
 *
 * Return: true if it seems so.
 */
bool kbdus_ring_has_reply(const struct kbdus_ring *ring)
{
	u32 channel;

	for (channel = 0; channel < ring->channel_count; channel++) {
		if (READ_ONCE(channel_of(ring, channel)->tail) !=
		    READ_ONCE(ring->heads[channel]))
			return true;
	}
	return false;
}

/* The driver can only read it. */
static atomic_t *reapers_of(struct kbdus_ring *ring)
{
	static_assert(sizeof(ring->submission->reapers) == sizeof(atomic_t));
	return (atomic_t *)&ring->submission->reapers;
}

/**
 * kbdus_ring_add_reaper() - tells the driver that somebody looks for replies
 * @ring: the ring
 *
 * Context: any; needs no lock. From now on it need not call for them.
 */
void kbdus_ring_add_reaper(struct kbdus_ring *ring)
{
	atomic_inc(reapers_of(ring));
}

/**
 * kbdus_ring_remove_reaper() - tells it that this is over
 * @ring: the ring
 *
 * Context: any; needs no lock. The caller looks once more afterwards: if the driver did
 * not call, it had put its reply in before.
 */
void kbdus_ring_remove_reaper(struct kbdus_ring *ring)
{
	atomic_dec(reapers_of(ring));
	smp_mb__after_atomic();
}

/**
 * kbdus_ring_next_reply() - reads the next entry of a completion ring
 * @ring: the ring, locked
 * @channel: whose, less than the number of channels
 * @reply: what it is; if there can be no such number of entries, one that is no reply,
 *	and all of them have been looked at
 *
 * Return: whether there was one.
 */
bool kbdus_ring_next_reply(struct kbdus_ring *ring, u32 channel,
			   struct kbdusring_reply *reply)
{
	struct kbdusring_completion *completion = channel_of(ring, channel);
	const struct kbdusring_reply *replies = (void *)(completion + 1);
	/* Pairs with the driver's release. */
	u32 tail = smp_load_acquire(&completion->tail);
	u32 head = ring->heads[channel];

	lockdep_assert_held(&ring->lock);
	if (tail == head)
		return false;
	if (tail - head > ring->entry_count) {
		WRITE_ONCE(ring->heads[channel], tail);
		*reply = (struct kbdusring_reply){ 0 };
		return true;
	}
	replies += head & (ring->entry_count - 1);
	reply->handle = READ_ONCE(replies->handle);
	reply->error = READ_ONCE(replies->error);
	reply->reserved = READ_ONCE(replies->reserved);
	WRITE_ONCE(ring->heads[channel], head + 1);
	return true;
}

/**
 * kbdus_ring_find_loan() - finds what a reply is about
 * @ring: the ring, locked
 * @reply: a copy of what the driver wrote
 * @id: of what was lent to the request, which is IN from now on
 *
 * Return: whether the driver holds such a request.
 */
bool kbdus_ring_find_loan(struct kbdus_ring *ring,
			  const struct kbdusring_reply *reply, u32 *id)
{
	u64 index = reply->handle & (BIT(ID_BITS) - 1);
	struct kbdus_loan *loan;

	lockdep_assert_held(&ring->lock);
	if (index >= ring->entry_count || reply->reserved)
		return false;
	index = array_index_nospec(index, ring->entry_count);
	loan = &ring->loans[index];
	if (loan->state != KBDUS_LOAN_OUT || loan->handle != reply->handle)
		return false;
	loan->state = KBDUS_LOAN_IN;
	*id = index;
	return true;
}

/**
 * kbdus_ring_begin_watch() - has the watch look, unless it will anyway
 * @ring: the ring, locked
 */
void kbdus_ring_begin_watch(struct kbdus_ring *ring)
{
	lockdep_assert_held(&ring->lock);
	if (!ring->is_closed && ring->loan_count &&
	    !delayed_work_pending(&ring->watch))
		queue_delayed_work(ring_queue, &ring->watch,
				   ring->watch_interval);
}

/**
 * kbdus_ring_end_watch() - the watch has looked
 * @ring: the ring, locked
 * @has_found: whether it found a reply
 *
 * It looks again if anything is lent: soon if that was worth while, or if nobody may be
 * woken up otherwise, else less and less often.
 */
void kbdus_ring_end_watch(struct kbdus_ring *ring, bool has_found)
{
	ring->watch_interval =
		has_found || READ_ONCE(ring->driver->attentive) ?
			SHORTEST_WATCH :
			min_t(unsigned long, 2 * ring->watch_interval,
			      LONGEST_WATCH);
	kbdus_ring_begin_watch(ring);
}
