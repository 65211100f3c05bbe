/* SPDX-License-Identifier: MIT */

/* fake.c: see fake.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define PAYLOAD_SIZE (1 << 20)

struct fake fake;

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	pthread_cond_init(&fake.changed, NULL);
	for (size_t i = 0; i < COUNT(fake.answers); ++i)
		fake.answers[i] = -1;
}

/* Queue something to be received. Any thread. */
void fake_push(uint32_t type, uint64_t offset, uint32_t length)
{
	pthread_mutex_lock(&fake.lock);
	fake.queue[fake.queued++] = (struct fake_item){ type, offset, length };
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

/* Wait until so many items have been received. */
void fake_await_taken(unsigned int count)
{
	pthread_mutex_lock(&fake.lock);
	while (fake.taken < count)
		pthread_cond_wait(&fake.changed, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
}

/* Get what an item, by its number in the queue, was answered with; -1: not. */
int fake_answer(unsigned int item)
{
	int answer;

	pthread_mutex_lock(&fake.lock);
	answer = fake.answers[item + 1];
	pthread_mutex_unlock(&fake.lock);
	return answer;
}

static int fake_fail(int result, const char *what)
{
	return result ? libbdus_error_with_errno(-result, "Fake %s", what) : 0;
}

/* What comes before the payload. */
struct channel {
	unsigned int index;
	bool is_present;
	char *payload;
};

static int channel_open(const struct libbdus_session *session,
			unsigned int index, void **out)
{
	struct channel *channel;

	(void)session;

	if (++fake.channels_opened == fake.failing_channel) {
		--fake.channels_opened;
		return fake_fail(-ENOMEM, "channel");
	}

	channel = calloc(1, sizeof(*channel));
	channel->index = index;
	channel->payload = calloc(1, PAYLOAD_SIZE);
	*out = channel;
	return 0;
}

static void channel_leave(const struct libbdus_session *session, void *channel)
{
	(void)session;
	(void)channel;

	pthread_mutex_lock(&fake.lock);
	++fake.left;
	pthread_mutex_unlock(&fake.lock);
}

static void channel_close(const struct libbdus_session *session, void *argument)
{
	struct channel *channel = argument;

	(void)session;

	++fake.channels_closed;
	free(channel->payload);
	free(channel);
}

/* Whether there is something for this worker. */
static bool is_something_for(const struct channel *channel)
{
	if (fake.is_stopping)
		return true;
	if (fake.taken == fake.queued)
		return false;
	return !fake.needs_all ||
	       fake.queue[fake.taken].type !=
		       KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE ||
	       (channel->index == 0 && fake.present == fake.channels_opened);
}

static void take(struct libbdus_request *request)
{
	const struct fake_item *item;

	if (fake.is_stopping) {
		request->type = KBDUS_REQUEST_TYPE_TERMINATE;
		return;
	}

	item = &fake.queue[fake.taken++];
	request->type = item->type;
	request->offset = item->offset;
	request->length = item->length;

	if (item->type == KBDUS_REQUEST_TYPE_TERMINATE ||
	    item->type == KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE)
		fake.is_stopping = true;
	else if (item->type != KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE)
		request->handle = fake.taken;
}

static int channel_exchange(const struct libbdus_session *session,
			    void *argument, struct libbdus_request *request,
			    int error)
{
	struct channel *channel = argument;
	bool is_failing;

	(void)session;

	pthread_mutex_lock(&fake.lock);

	if (request->handle)
		fake.answers[request->handle] = error;

	if (!channel->is_present)
		++fake.present;
	channel->is_present = true;
	pthread_cond_broadcast(&fake.changed);

	is_failing = ++fake.exchanges == fake.failing_exchange;
	if (!is_failing) {
		while (!is_something_for(channel))
			pthread_cond_wait(&fake.changed, &fake.lock);
		*request = (struct libbdus_request){
			.payload = channel->payload,
		};
		take(request);
	}

	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);

	return is_failing ? fake_fail(-ENODEV, "exchange") : 0;
}

static const struct libbdus_protocol fake_protocol = {
	.name = "fake",
	.open = channel_open,
	.exchange = channel_exchange,
	.leave = channel_leave,
	.close = channel_close,
};

static const struct libbdus_protocol fake_protocol_for_all = {
	.name = "fake",
	.open = channel_open,
	.exchange = channel_exchange,
	.leave = channel_leave,
	.close = channel_close,
	.needs_all_workers = true,
};

static int backend_open(struct libbdus_session *session)
{
	if (fake.open_result)
		return fake_fail(fake.open_result, "open");

	++fake.opened;
	session->protocol = fake.needs_all ? &fake_protocol_for_all :
					     &fake_protocol;
	return 0;
}

static int backend_describe(const struct libbdus_session *session,
			    uint64_t dev_id, struct kbdus_device_config *device)
{
	(void)session;
	(void)dev_id;

	++fake.described;
	*device = fake.device;
	return fake_fail(fake.describe_result, "describe");
}

static void set_device(struct libbdus_session *session, uint64_t dev_id)
{
	session->device.seqnum = dev_id;
	session->device.major = 240;
	session->device.minor = 512;
	session->payload_size = PAYLOAD_SIZE;
	snprintf(session->path, sizeof(session->path), "/dev/fake-%u",
		 (unsigned int)dev_id);
}

static int backend_create(struct libbdus_session *session)
{
	++fake.created;
	session->is_unfinished = true;
	set_device(session, 42);
	return fake_fail(fake.create_result, "create");
}

static int backend_attach(struct libbdus_session *session, uint64_t dev_id)
{
	++fake.attached;
	session->device = fake.device;
	set_device(session, dev_id);
	return fake_fail(fake.attach_result, "attach");
}

static void backend_stop(const struct libbdus_session *session)
{
	(void)session;

	pthread_mutex_lock(&fake.lock);
	++fake.stopped;
	fake.is_stopping = true;
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

static void backend_mark_successful(const struct libbdus_session *session)
{
	(void)session;
	++fake.marked;
}

static void backend_close(struct libbdus_session *session)
{
	++fake.closed;
	fake.was_unfinished = session->is_unfinished;
}

const struct libbdus_backend fake_backend = {
	.traits = {
		.name = "fake",
		.has_recovery = true,
		.has_replacement = true,
		.has_time_out = true,
		.has_ioctl = true,
	},
	.open = backend_open,
	.describe = backend_describe,
	.create = backend_create,
	.attach = backend_attach,
	.stop = backend_stop,
	.mark_successful = backend_mark_successful,
	.close = backend_close,
};
