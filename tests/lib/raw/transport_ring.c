/* SPDX-License-Identifier: MIT */

/*
 * transport_ring.c: the protocol "ring". channel= is the channel to use, by default the
 * number of the thread that calls. The memory is mapped when a file becomes a session,
 * in one piece of which the driver can write to what it may write to. `receive` enters
 * before it takes, so that notifications come first. There are eight channels, one for
 * each thread, unless channel_count= says otherwise. Beside the commands that all
 * transports have:
 *
 *     ring_state [channel=N]   the counters: requests put in (in=), taken out (out=),
 *                              the difference (waiting=), and the channel's replies
 *                              (tail=, at tail_at= in the mapping)
 *     ring_take                take a request without a call; EAGAIN if there is none
 *     ring_answer [channel=N] [enter=0] [die=1] replies=HANDLE[:ERROR[:RESERVED]],...
 *                              put in replies, all at once, and have them looked at;
 *                              with enter=0 do not, with die=1 die instead
 *     ring_move [channel=N] by=N [enter=1]
 *                              move the channel's tail and nothing else, and have that
 *                              looked at
 *     ring_jump by=N           move the head and nothing else
 *     ring_fumble [channel=N] [wait=1]
 *                              answer whatever there seems to be to answer, whatever
 *                              the module says, until somebody says `calm`
 *     ring_disk store=MEMORY [channel=N]
 *                              be a disk in a memory, until told to terminate
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport.h"

static const struct field request_fields[] = {
	FIELD_OF(kbdusring_request, handle, "handle", NUMBER),
	FIELD_OF(kbdusring_request, offset, "offset", NUMBER),
	FIELD_OF(kbdusring_request, length, "length", NUMBER),
	FIELD_OF(kbdusring_request, type, "type", TYPE),
	/* Not the name of what is in the configuration. */
	FIELD_OF(kbdusring_request, payload_offset, "payload", NUMBER),
	{ 0 }
};

static const struct field reply_fields[] = {
	FIELD_OF(kbdusring_reply, handle, "handle", NUMBER),
	FIELD_OF(kbdusring_reply, error, "error", NUMBER),
	FIELD_OF(kbdusring_reply, reserved, "reserved", NUMBER),
	{ 0 }
};

#define CHANNELS 8

static void *prepare(const struct call *call, struct kbdus_protocol_config *config)
{
	if (!raw_option(call, "channel_count"))
		config->channel_count = CHANNELS;
	return NULL;
}

static void begin(struct file *file)
{
	const struct kbdus_protocol_config *config = &file->config;
	size_t ours = config->driver_offset;
	int protection = PROT_READ;
	char *base = mmap(NULL, config->mapping_size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if ((fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR)
		protection |= PROT_WRITE;
	if (base == MAP_FAILED ||
	    mmap(base, ours, PROT_READ, MAP_SHARED | MAP_FIXED, file->fd, 0) ==
		    MAP_FAILED ||
	    mmap(base + ours, config->mapping_size - ours, protection,
		 MAP_SHARED | MAP_FIXED, file->fd, ours) == MAP_FAILED)
		raw_die("mmap");
	file->shared = base;
}

static void end(struct file *file)
{
	if (file->shared)
		munmap(file->shared, file->config.mapping_size);
	file->shared = NULL;
}

static uint32_t channel_option(const struct file *file, const struct call *call)
{
	uint32_t count = file->config.channel_count;

	return raw_number_option(call, "channel", count ? call->thread % count : 0);
}

static uint32_t *submission_tail(const struct file *file)
{
	return &((struct kbdusring_submission *)file->shared)->tail;
}

static uint32_t *driver_head(const struct file *file)
{
	return (uint32_t *)((char *)file->shared + file->config.driver_offset);
}

static size_t completion_at(const struct file *file, uint32_t channel)
{
	return file->config.channel_offset +
	       (size_t)channel * file->config.channel_stride;
}

static struct kbdusring_completion *completion_of(const struct file *file,
						  uint32_t channel)
{
	return (struct kbdusring_completion *)((char *)file->shared +
					       completion_at(file, channel));
}

/* Takes a request, if there is one. */
static bool take(const struct file *file, struct kbdusring_request *request)
{
	const struct kbdusring_request *entries =
		(const void *)((char *)file->shared +
			       sizeof(struct kbdusring_submission));
	uint32_t *head = driver_head(file);
	uint32_t seen = __atomic_load_n(head, __ATOMIC_ACQUIRE);

	do {
		if (seen == __atomic_load_n(submission_tail(file),
					    __ATOMIC_ACQUIRE))
			return false;
		*request = entries[seen % file->config.entry_count];
	} while (!__atomic_compare_exchange_n(head, &seen, seen + 1, false,
					      __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return true;
}

/* Writes the reply that is so many places behind the last one. */
static void write_reply(const struct file *file, uint32_t channel,
			uint32_t distance, const struct kbdusring_reply *reply)
{
	struct kbdusring_completion *completion = completion_of(file, channel);
	struct kbdusring_reply *entries = (struct kbdusring_reply *)(completion + 1);
	uint32_t place = completion->tail + distance;

	entries[place % file->config.entry_count] = *reply;
}

static void move_tail(const struct file *file, uint32_t channel, uint32_t distance)
{
	struct kbdusring_completion *completion = completion_of(file, channel);

	__atomic_store_n(&completion->tail, completion->tail + distance,
			 __ATOMIC_RELEASE);
}

static void answer(const struct file *file, uint32_t channel,
		   const struct kbdusring_reply *reply)
{
	write_reply(file, channel, 0, reply);
	move_tail(file, channel, 1);
}

static long enter(const struct file *file, unsigned long argument)
{
	return ioctl(file->fd, KBDUSRING_IOCTL_ENTER, argument);
}

static uint32_t notification(long entered)
{
	switch (entered) {
	case KBDUSRING_ENTERED_AVAILABLE:
		return KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE;
	case KBDUSRING_ENTERED_TERMINATE:
		return KBDUS_REQUEST_TYPE_TERMINATE;
	case KBDUSRING_ENTERED_FLUSH_AND_TERMINATE:
		return KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE;
	default:
		raw_die("entered");
	}
}

/* Has replies looked at, and waits for something to do. */
static long receive(const struct file *file, uint32_t channel,
		    struct kbdusring_request *request)
{
	long entered;

	memset(request, 0, sizeof(*request));
	do {
		entered = enter(file, channel | KBDUSRING_ENTER_WAIT);
		if (entered < 0)
			return -1;
		if (entered != KBDUSRING_ENTERED_REQUESTS) {
			request->type = notification(entered);
			return 0;
		}
		if (!file->shared) {
			errno = ENODATA;
			return -1;
		}
	} while (!take(file, request));
	return 0;
}

static long talk(struct file *file, enum transport_verb verb,
		 const struct call *call, char message[MESSAGE_SIZE])
{
	const struct kbdusring_reply *reply = (const void *)message;
	uint32_t channel = channel_option(file, call);
	bool is_answering = verb == REPLY || (verb == EXCHANGE && reply->handle);

	if (is_answering && file->shared && channel < file->config.channel_count)
		answer(file, channel, reply);
	if (verb == REPLY)
		return enter(file, channel);
	return receive(file, channel, (struct kbdusring_request *)message);
}

/* That of a command which makes no sense otherwise. */
static struct file *session_of(const struct call *call)
{
	struct file *file = raw_file_of(call);

	if (file->transport != &transport_ring || !file->shared)
		raw_die("not a session over ring, or not mapped");
	return file;
}

static void do_state(struct call *call)
{
	const struct file *file = session_of(call);
	uint32_t channel = channel_option(file, call);
	uint32_t in = __atomic_load_n(submission_tail(file), __ATOMIC_ACQUIRE);
	uint32_t out = __atomic_load_n(driver_head(file), __ATOMIC_ACQUIRE);

	raw_answer(call, "ok in=%u out=%u waiting=%u tail=%u tail_at=%zu", in, out,
		   in - out, completion_of(file, channel)->tail,
		   completion_at(file, channel));
}

static void do_take(struct call *call)
{
	struct kbdusring_request request;
	bool has_taken = take(session_of(call), &request);

	raw_answer(call, "%s", has_taken ? "ok" : "EAGAIN");
	if (has_taken)
		raw_answer_fields(call, request_fields, (char *)&request);
}

/* HANDLE[:ERROR[:RESERVED]] */
static struct kbdusring_reply reply_parse(const char *text)
{
	struct kbdusring_reply reply = { 0 };
	char *end;

	reply.handle = strtoull(text, &end, 0);
	if (*end == ':')
		reply.error = strtoll(end + 1, &end, 0);
	if (*end == ':')
		reply.reserved = strtoull(end + 1, &end, 0);
	if (*end)
		raw_die(text);
	return reply;
}

static void do_answer(struct call *call)
{
	const struct file *file = session_of(call);
	uint32_t channel = channel_option(file, call);
	char *list = strdup(raw_option(call, "replies"));
	uint32_t count = 0;
	char *rest;

	for (char *word = strtok_r(list, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest)) {
		const struct kbdusring_reply reply = reply_parse(word);

		write_reply(file, channel, count++, &reply);
	}
	free(list);
	move_tail(file, channel, count);
	if (raw_option(call, "die"))
		kill(getpid(), SIGKILL);
	raw_answer_result(call, raw_number_option(call, "enter", 1) ?
					enter(file, channel) : 0);
}

static void do_move(struct call *call)
{
	const struct file *file = session_of(call);
	uint32_t channel = channel_option(file, call);

	move_tail(file, channel, raw_number_option(call, "by", 0));
	raw_answer_result(call, raw_option(call, "enter") ?
					enter(file, channel) : 0);
}

static void do_jump(struct call *call)
{
	__atomic_fetch_add(driver_head(session_of(call)),
			   raw_number_option(call, "by", 0), __ATOMIC_ACQ_REL);
	raw_answer(call, "ok");
}

static void do_fumble(struct call *call)
{
	const struct file *file = session_of(call);
	uint32_t channel = channel_option(file, call);
	unsigned long argument = channel;
	unsigned long refused = 0, answered = 0;
	struct kbdusring_request request;

	if (raw_option(call, "wait"))
		argument |= KBDUSRING_ENTER_WAIT;
	while (!raw_is_calm) {
		refused += enter(file, argument) < 0 && errno == EINVAL;
		if (take(file, &request)) {
			const struct kbdusring_reply reply = {
				.handle = request.handle,
			};

			answer(file, channel, &reply);
			answered++;
		}
	}
	raw_answer(call, "ok refused=%lu answered=%lu", refused, answered);
}

static void do_disk(struct call *call)
{
	const struct file *file = session_of(call);
	char *store = raw_memory_find(raw_option(call, "store"))->address;
	char *payloads = (char *)file->shared + file->config.payload_offset;
	uint32_t channel = channel_option(file, call);
	struct kbdusring_request request;
	struct kbdusring_reply reply = { 0 };

	do {
		if (receive(file, channel, &request)) {
			raw_answer_result(call, -1);
			return;
		}
		if (!request.handle)
			continue;
		if (request.type == KBDUS_REQUEST_TYPE_READ)
			memcpy(payloads + request.payload_offset,
			       store + request.offset, request.length);
		if (request.type == KBDUS_REQUEST_TYPE_WRITE)
			memcpy(store + request.offset,
			       payloads + request.payload_offset, request.length);
		reply.handle = request.handle;
		/* The next call tells. */
		answer(file, channel, &reply);
	} while (request.type != KBDUS_REQUEST_TYPE_TERMINATE &&
		 request.type != KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE);
	raw_answer(call, "ok");
}

static const struct verb verbs[] = {
	{ "ring_state", do_state },
	{ "ring_take", do_take },
	{ "ring_answer", do_answer },
	{ "ring_move", do_move },
	{ "ring_jump", do_jump },
	{ "ring_fumble", do_fumble },
	{ "ring_disk", do_disk },
	{ 0 }
};

const struct transport transport_ring = {
	.name = KBDUSRING_PROTOCOL_NAME,
	.has_channels = true,
	.sends_ahead = true,
	.forgets = true,
	.request_fields = request_fields,
	.reply_fields = reply_fields,
	.prepare = prepare,
	.begin = begin,
	.end = end,
	.talk = talk,
	.verbs = verbs,
};
