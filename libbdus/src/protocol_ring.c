/* SPDX-License-Identifier: MIT */

/*
 * protocol_ring.c: requests and replies in rings, in memory shared with the module.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the same
 * name in kbdus/. All workers take requests out of one ring, and each puts its replies
 * in a ring of its own, which with a few pointers is its channel. Neither takes a
 * system call. One is made if there are no more requests, or if replies have waited
 * for others long enough: the module looks at them, and the worker waits for something
 * to do. Where clients look for replies themselves none is made for these.
 *
 * The memory is mapped once per session, before any thread or process is forked off,
 * so a daemon has it at the same place. No locks: workers share the count of the
 * requests that were taken, and move it atomically. Trusts the module to keep requests
 * within the mapping.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ring.h"

#define CACHE_LINE 64

/* What workers have in common. */
struct rings {
	struct libbdus_ring ring;
	/* Whether a worker looks all the time, before it sleeps. One is enough. */
	bool has_spinner;
};

/* The place of one worker. What it writes to is in nobody else's cache line. */
struct channel {
	struct rings *rings;
	struct kbdusring_completion *completion;
	struct kbdusring_reply *replies;
	uint32_t index;
	/* The call was made once. */
	bool has_entered;
	/* Counted among those who will soon look for requests. */
	bool is_attentive;
	/* Whether the client of the request that is being served looks for its reply. */
	bool is_polled;
	/* Replies since the module was last told to look, or need not be. */
	uint32_t served;
	/* Those of them that it has to be told of. */
	uint32_t waiting;
	struct libbdus_pace pace;
	struct libbdus_spin spin;
} __attribute__((aligned(CACHE_LINE)));

/* What the workers of a session share. */
struct mapping {
	struct rings rings;
	uint32_t count;
	struct channel channels[];
};

/* ---- sessions ---- */

/* There are no more workers than the device can have requests under way, which is no
 * more than this, whatever is wanted. */
static int ring_prepare(struct libbdus_session *session,
			struct kbdus_protocol_config *config)
{
	config->spin_us =
		(uint32_t)(libbdus_spin_longest(session->spin_time_us) / 1000);
	config->channel_count = session->workers_wanted;
	if (config->channel_count > KBDUSRING_MAX_CHANNELS)
		config->channel_count = KBDUSRING_MAX_CHANNELS;
	return 0;
}

static void set_channels(struct mapping *mapping,
			 const struct kbdus_protocol_config *config,
			 uint64_t longest_spin_ns)
{
	for (uint32_t i = 0; i < mapping->count; ++i) {
		struct channel *channel = &mapping->channels[i];

		channel->rings = &mapping->rings;
		channel->completion = libbdus_ring_completion(
			&mapping->rings.ring, config, i);
		channel->replies = (void *)(channel->completion + 1);
		channel->index = i;
		libbdus_pace_init(&channel->pace, config->entry_count);
		libbdus_spin_init(&channel->spin, longest_spin_ns);
	}
}

static void ring_end(struct libbdus_session *session)
{
	struct mapping *mapping = session->shared;

	if (!mapping)
		return;

	libbdus_ring_unmap(&mapping->rings.ring);
	free(mapping);
	session->shared = NULL;
}

/* NULL if there is no memory. */
static struct mapping *make_mapping(uint32_t channel_count)
{
	const size_t size = sizeof(struct mapping) +
			    channel_count * sizeof(struct channel);
	struct mapping *mapping;
	void *memory;

	if (posix_memalign(&memory, CACHE_LINE, size))
		return NULL;

	memset(memory, 0, size);
	mapping = memory;
	mapping->count = channel_count;
	return mapping;
}

static int ring_begin(struct libbdus_session *session,
		      const struct kbdus_protocol_config *config)
{
	struct mapping *mapping = make_mapping(config->channel_count);
	int ret;

	if (!mapping) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate %u channels",
			(unsigned int)config->channel_count);
	}

	session->shared = mapping;
	ret = libbdus_ring_map(session, config, &mapping->rings.ring);
	if (ret) {
		ring_end(session);
		return ret;
	}

	set_channels(mapping, config,
		     libbdus_spin_longest(session->spin_time_us));
	return 0;
}

/* ---- workers ---- */

static int ring_open(const struct libbdus_session *session, unsigned int index,
		     void **channel)
{
	struct mapping *mapping = session->shared;

	if (index >= mapping->count) {
		return libbdus_error(EINVAL,
			"kbdus gave %u channels, but there is a worker %u.",
			(unsigned int)mapping->count, index);
	}

	*channel = &mapping->channels[index];
	return 0;
}

/* The module has put all pages of the shared memory in the mappings. */
static void ring_populate(const struct libbdus_session *session, void *channel)
{
	libbdus_memory_populate(session->shared, sizeof(struct mapping));
	libbdus_memory_populate(channel, sizeof(struct channel));
}

/* The channel goes with the mapping. */
static void ring_close(const struct libbdus_session *session, void *channel)
{
	(void)session;
	(void)channel;
}

/* ---- requests ---- */

/*
 * There is room: unless the module was told to look, there are fewer replies than
 * entries. That matters if requests time out, as others take their places while they
 * are still to be answered.
 */
static void put(struct channel *channel, const struct kbdusring_reply *reply)
{
	struct kbdusring_completion *completion = channel->completion;
	const uint32_t count = completion->tail;

	channel->replies[count & channel->rings->ring.mask] = *reply;
	__atomic_store_n(&completion->tail, count + 1, __ATOMIC_RELEASE);
	++channel->served;
	if (!channel->is_polled)
		++channel->waiting;
}

/* The replies that were waiting are looked at. */
static void end_batch(struct channel *channel)
{
	libbdus_pace_end(&channel->pace, channel->served);
	channel->served = 0;
	channel->waiting = 0;
}

/* Have the module look at the replies, and do what the flags say. Repeats what a signal
 * interrupts, which can only be the waiting: replies are not looked at twice. */
static int enter(const struct libbdus_session *session, struct channel *channel,
		 unsigned long flags)
{
	int ret;

	end_batch(channel);
	do {
		ret = ioctl(session->fd, KBDUSRING_IOCTL_ENTER,
			    channel->index | flags);
	} while (ret < 0 && errno == EINTR);

	if (ret < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to exchange replies for requests");
	}
	return ret;
}

/* ---- waiting ---- */

/* Say whether this worker will soon look for requests. Where it says no, it looks once
 * more before it sleeps. */
static void set_attentive(struct channel *channel, bool is_attentive)
{
	uint32_t *const count = &channel->rings->ring.driver->attentive;

	if (channel->is_attentive == is_attentive)
		return;
	channel->is_attentive = is_attentive;
	__atomic_fetch_add(count, is_attentive ? 1 : (uint32_t)-1,
			   __ATOMIC_SEQ_CST);
}

/* How often to look before the clock is looked at. */
#define LOOKS 64

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Look for requests until the time is over. Whether there was one. */
static bool look_until(const struct libbdus_ring *ring, uint64_t end_ns,
		       struct kbdusring_request *taken)
{
	do {
		for (int i = 0; i < LOOKS; ++i) {
			if (libbdus_ring_take(ring, taken))
				return true;
			relax();
		}
	} while (libbdus_now_ns() < end_ns);
	return false;
}

/*
 * Look for a request for as long as is worth while; all replies have been looked at.
 * Whether there was one.
 */
static bool spin(struct channel *channel, uint64_t began_at,
		 struct kbdusring_request *taken)
{
	struct rings *rings = channel->rings;
	bool has_found;

	if (__atomic_exchange_n(&rings->has_spinner, true, __ATOMIC_ACQUIRE))
		return false;
	set_attentive(channel, true);
	has_found = look_until(&rings->ring,
			       began_at + channel->spin.budget_ns, taken);
	__atomic_store_n(&rings->has_spinner, false, __ATOMIC_RELEASE);
	return has_found;
}

/* Have the replies looked at that wait for it. */
static int release(const struct libbdus_session *session,
		   struct channel *channel)
{
	if (channel->waiting > 0 && !libbdus_ring_has_reaper(&channel->rings->ring))
		return enter(session, channel, 0);
	end_batch(channel);
	return 0;
}

/*
 * Have the module look at the replies, then wait for something to do, without sleeping
 * if it comes soon. Sets *has_taken if that is a request, which need not be so: those
 * that the call tells of may be gone when it has returned. Returns what the call says.
 */
static int await(const struct libbdus_session *session, struct channel *channel,
		 struct kbdusring_request *taken, bool *has_taken)
{
	struct libbdus_spin *const wait = &channel->spin;
	const bool may_spin = wait->budget_ns && channel->has_entered;
	uint64_t began_at;
	int ret = 0;

	*has_taken = false;
	if (may_spin)
		ret = release(session, channel);
	if (ret < 0)
		return ret;

	began_at = wait->longest_ns ? libbdus_now_ns() : 0;
	if (may_spin)
		*has_taken = spin(channel, began_at, taken);
	if (*has_taken)
		return KBDUSRING_ENTERED_REQUESTS;

	set_attentive(channel, false);
	channel->has_entered = true;
	ret = enter(session, channel, KBDUSRING_ENTER_WAIT);
	if (wait->longest_ns)
		libbdus_spin_learn(wait, libbdus_now_ns() - began_at);
	return ret;
}

static int set_notification(struct libbdus_request *request, int result)
{
	uint32_t type;

	switch (result) {
	case KBDUSRING_ENTERED_AVAILABLE:
		type = KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE;
		break;
	case KBDUSRING_ENTERED_TERMINATE:
		type = KBDUS_REQUEST_TYPE_TERMINATE;
		break;
	case KBDUSRING_ENTERED_FLUSH_AND_TERMINATE:
		type = KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE;
		break;
	default:
		return libbdus_error(EIO,
			"kbdus notified of something unknown (%d).", result);
	}

	*request = (struct libbdus_request){ .type = type };
	return 0;
}

static void set_request(struct libbdus_request *request,
			const struct libbdus_ring *ring,
			const struct kbdusring_request *taken)
{
	*request = (struct libbdus_request){
		.handle = taken->handle,
		.offset = taken->offset,
		.length = taken->length,
		.type = taken->type,
		.payload = ring->payload ? ring->payload + taken->payload_offset :
					   NULL,
	};
}

/* Whether callbacks take so little that others need not be woken up for what comes
 * meanwhile. */
static bool is_quick(const struct channel *channel)
{
	return channel->pace.limit > 1;
}

/*
 * Get the next request, or else a notification, which the result is. Notifications come
 * before requests, and only the call tells of them: so it is made once whatever there
 * is, and after some replies at the latest.
 */
static int next(const struct libbdus_session *session, struct channel *channel,
		struct kbdusring_request *taken)
{
	bool has_taken = channel->has_entered &&
			 channel->served < channel->pace.limit &&
			 libbdus_ring_take(&channel->rings->ring, taken);
	int ret;

	while (!has_taken) {
		ret = await(session, channel, taken, &has_taken);
		if (ret != KBDUSRING_ENTERED_REQUESTS)
			return ret;
		libbdus_pace_begin(&channel->pace);
		if (!has_taken)
			has_taken = libbdus_ring_take(&channel->rings->ring, taken);
	}

	channel->is_polled = taken->flags & KBDUSRING_REQUEST_POLLED;
	set_attentive(channel, is_quick(channel));
	return KBDUSRING_ENTERED_REQUESTS;
}

static int ring_exchange(const struct libbdus_session *session, void *data,
			 struct libbdus_request *request, int error)
{
	struct channel *channel = data;
	struct kbdusring_request taken;
	int ret;

	if (request->handle) {
		put(channel, &(struct kbdusring_reply){
			.handle = request->handle,
			.error = error,
		});
	}

	ret = next(session, channel, &taken);
	if (ret < 0)
		return ret;
	if (ret != KBDUSRING_ENTERED_REQUESTS)
		return set_notification(request, ret);

	set_request(request, &channel->rings->ring, &taken);
	return 0;
}

const struct libbdus_protocol libbdus_protocol_ring = {
	.name = KBDUSRING_PROTOCOL_NAME,
	.least_depth = 64,
	.prepare = ring_prepare,
	.begin = ring_begin,
	.end = ring_end,
	.open = ring_open,
	.populate = ring_populate,
	.exchange = ring_exchange,
	.close = ring_close,
};
