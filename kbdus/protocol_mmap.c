// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol_mmap.c: the protocol "mmap". A thread of the driver blocks in a call,
 * which names one of the buffers in memory that it shares with the module.
 *
 * Called by control.c for the commands of its range and for mappings of the
 * control file; pulls from the inverter and lets payload.c copy. Owns the memory
 * of each session, from open to close: mappings hold the control file, so none is
 * left then. No locks: a buffer belongs to whoever names it, and threads that name
 * the same one spoil nothing but what is in it.
 *
 * The driver may write there at any time. A reply is read once, word by word, into
 * a local and checked there. Where payload is and how much there is of it comes
 * from the session and the request, never from the memory.
 */
#include <linux/blk-mq.h>
#include <linux/nospec.h>
#include <linux/vmalloc.h>

#include "config.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "payload.h"
#include "protocol.h"
#include "session.h"
#include "shared.h"
#include "status.h"

static_assert(sizeof(struct kbdusmmap_request) == 64);
static_assert(sizeof(struct kbdusmmap_reply) == 64);
static_assert(sizeof(union kbdusmmap_reply_and_request) == 64);

/* What the driver may set is adjusted, the rest is filled in. */
static int config_adjust(const struct kbdus_device_config *device,
			 struct kbdus_protocol_config *config)
{
	u32 count = config->buffer_count;

	config->buffer_count = 0;
	if (!kbdus_config_is_plain(config))
		return -EINVAL;
	config->payload_size = kbdus_payload_size_max(device);
	config->buffer_count =
		min_not_zero(count, device->max_outstanding_requests);
	config->payload_offset =
		PAGE_ALIGN(config->buffer_count *
			   sizeof(union kbdusmmap_reply_and_request));
	config->payload_stride = PAGE_ALIGN(config->payload_size);
	config->mapping_size = config->payload_offset +
			       (u64)config->buffer_count * config->payload_stride;
	return 0;
}

static int protocol_mmap_open(struct kbdus_session *session,
			      struct kbdus_protocol_config *config)
{
	int ret = config_adjust(&session->device->config, config);

	if (ret)
		return ret;
	session->protocol_data = kbdus_shared_alloc(config->mapping_size);
	return session->protocol_data ? 0 : -ENOMEM;
}

static void protocol_mmap_close(struct kbdus_session *session)
{
	vfree(session->protocol_data);
	session->protocol_data = NULL;
}

static int protocol_mmap_map(struct kbdus_session *session,
			     struct vm_area_struct *vma)
{
	return kbdus_shared_map(vma, session->protocol_data,
				session->protocol_config.mapping_size);
}

/**
 * struct buffer - one of a session's buffers
 * @header: its header; the driver may be writing there
 * @payload: its payload; the same holds
 * @room: size of @payload
 */
struct buffer {
	union kbdusmmap_reply_and_request *header;
	void *payload;
	size_t room;
};

/* Whether there is a buffer of that index. */
static bool buffer_find(struct kbdus_session *session, unsigned long index,
			struct buffer *buffer)
{
	const struct kbdus_protocol_config *config = &session->protocol_config;
	union kbdusmmap_reply_and_request *headers = session->protocol_data;

	if (index >= config->buffer_count)
		return false;
	index = array_index_nospec(index, config->buffer_count);
	buffer->header = &headers[index];
	buffer->payload = session->protocol_data + config->payload_offset +
			  index * config->payload_stride;
	buffer->room = config->payload_stride;
	return true;
}

/* Describes @item. */
static struct kbdusmmap_request request_make(const struct kbdus_item *item)
{
	struct kbdusmmap_request request = {
		.handle = item->handle,
		.type = item->type,
	};

	if (item->rq) {
		request.offset = kbdus_disk_request_offset(item->rq);
		request.length = kbdus_disk_request_length(item->rq);
	}
	return request;
}

/*
 * Takes the next request to a buffer. The header is written only once the driver has
 * the request: until then it contains the reply of the same call, which the driver
 * sends again if the call is interrupted.
 */
static int receive_request(struct kbdus_session *session,
			   const struct buffer *buffer)
{
	struct kbdus_inverter *inv = session->device->inverter;
	struct kbdus_puller *puller = &session->puller;
	struct kbdusmmap_request request;
	struct kbdus_item item;
	int ret;

	do {
		ret = kbdus_inverter_take(inv, puller, &item);
		if (ret)
			return ret;
		if (!kbdus_payload_export(&item, buffer->payload,
					  buffer->room)) {
			kbdus_inverter_abort_take(inv, puller, &item, -EIO);
			return -EIO;
		}
		/* Once it was handed over it may end at any time. */
		request = request_make(&item);
	} while (!kbdus_inverter_commit_take(inv, puller, &item));

	memcpy(&buffer->header->request, &request, sizeof(request));
	return 0;
}

/* What a buffer's header says at one moment for each word of it. */
static struct kbdusmmap_reply reply_read(const struct buffer *buffer)
{
	const u64 *words = (const u64 *)buffer->header;
	union {
		u64 words[sizeof(struct kbdusmmap_reply) / sizeof(u64)];
		struct kbdusmmap_reply reply;
	} copy;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(copy.words); i++)
		copy.words[i] = READ_ONCE(words[i]);
	return copy.reply;
}

/* Accepts an answer. A late one is nobody's fault and changes nothing. */
static int send_reply(struct kbdus_session *session,
		      const struct buffer *buffer,
		      const struct kbdusmmap_reply *reply)
{
	struct kbdus_inverter *inv = session->device->inverter;
	int error = kbdus_status_from_wire(reply->error);
	struct kbdus_item item;
	int ret;

	if (!kbdus_config_is_zero(reply->reserved))
		return -EINVAL;
	ret = kbdus_inverter_begin_reply(inv, &session->puller, reply->handle,
					 &item);
	if (ret)
		return ret == -ESTALE ? 0 : ret;
	if (!error &&
	    !kbdus_payload_import(&item, buffer->payload, buffer->room)) {
		kbdus_inverter_abort_reply(inv, &session->puller, &item,
					   -EIO);
		return -EIO;
	}
	kbdus_inverter_commit_reply(inv, &item, error);
	return 0;
}

static long call_reply(struct kbdus_session *session,
		       const struct buffer *buffer)
{
	const struct kbdusmmap_reply reply = reply_read(buffer);

	return send_reply(session, buffer, &reply);
}

static long call_reply_and_receive(struct kbdus_session *session,
				   const struct buffer *buffer)
{
	const struct kbdusmmap_reply reply = reply_read(buffer);
	int ret;

	if (reply.handle) {
		ret = send_reply(session, buffer, &reply);
		if (ret)
			return ret;
	}
	return receive_request(session, buffer);
}

/* The argument is an index; no pointer goes through here. */
static long protocol_mmap_call(struct kbdus_session *session,
			       unsigned int command, void __user *argument)
{
	struct buffer buffer;
	bool is_there = buffer_find(session, (unsigned long)argument, &buffer);

	switch (command) {
	case KBDUSMMAP_IOCTL_RECEIVE_REQUEST:
		return is_there ? receive_request(session, &buffer) : -EINVAL;
	case KBDUSMMAP_IOCTL_SEND_REPLY:
		return is_there ? call_reply(session, &buffer) : -EINVAL;
	case KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST:
		return is_there ? call_reply_and_receive(session, &buffer) :
				  -EINVAL;
	default:
		return -ENOTTY;
	}
}

static const unsigned int protocol_mmap_commands[] = {
	KBDUSMMAP_IOCTL_RECEIVE_REQUEST,
	KBDUSMMAP_IOCTL_SEND_REPLY,
	KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
	0,
};

const struct kbdus_protocol kbdus_protocol_mmap = {
	.name = KBDUSMMAP_PROTOCOL_NAME,
	.commands = protocol_mmap_commands,
	.open = protocol_mmap_open,
	.close = protocol_mmap_close,
	.call = protocol_mmap_call,
	.map = protocol_mmap_map,
};
