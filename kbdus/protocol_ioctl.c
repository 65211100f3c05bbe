// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol_ioctl.c: the protocol "ioctl". A thread of the driver blocks in a
 * call and takes a request with it, or brings an answer.
 *
 * Called by control.c for the commands of its range; pulls from the inverter
 * and lets payload.c copy. Owns nothing. What the driver hands over is copied
 * once and checked then; a request is given back to the inverter before waiting
 * for the driver's memory.
 */
#include <linux/blk-mq.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "config.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "payload.h"
#include "protocol.h"
#include "session.h"
#include "status.h"

static_assert(sizeof(struct kbdusioctl_request) == 64);
static_assert(sizeof(struct kbdusioctl_reply) == 64);
static_assert(sizeof(union kbdusioctl_reply_and_request) == 64);
static_assert(offsetof(struct kbdusioctl_request, buffer) ==
	      offsetof(struct kbdusioctl_reply, buffer));

static int protocol_ioctl_open(struct kbdus_session *session,
			       struct kbdus_protocol_config *config)
{
	if (!kbdus_config_is_plain(config))
		return -EINVAL;
	config->payload_size = kbdus_payload_size_max(&session->device->config);
	return 0;
}

static void protocol_ioctl_close(struct kbdus_session *session)
{
}

/* Describes @item to the driver, at @argument; does not wait. */
static int deliver_header(const struct kbdus_item *item, u64 buffer,
			  void __user *argument)
{
	struct kbdusioctl_request request = {
		.buffer = buffer,
		.handle = item->handle,
		.type = item->type,
	};
	unsigned long missing;

	if (item->rq) {
		request.offset = kbdus_disk_request_offset(item->rq);
		request.length = kbdus_disk_request_length(item->rq);
	}
	pagefault_disable();
	missing = copy_to_user(argument, &request, sizeof(request));
	pagefault_enable();
	return missing ? -EFAULT : 0;
}

static int deliver(const struct kbdus_item *item, u64 buffer,
		   void __user *argument)
{
	if (kbdus_payload_copy_out(item, u64_to_user_ptr(buffer)))
		return -EFAULT;
	return deliver_header(item, buffer, argument);
}

/*
 * Makes @argument good for calling again after a request that it describes was
 * cut before it was handed over: calling again may find no request, but a signal.
 */
static int deliver_undo(u64 buffer, void __user *argument)
{
	const struct kbdusioctl_request nothing_yet = { .buffer = buffer };

	return copy_to_user(argument, &nothing_yet, sizeof(nothing_yet)) ?
		       -EFAULT : 0;
}

/*
 * Makes the driver's memory be there for the next attempt to deliver. What is
 * left at @argument is good for calling again: its reply was accepted.
 */
static int deliver_prepare(size_t size, u64 buffer, void __user *argument)
{
	int ret = kbdus_payload_fault_out(u64_to_user_ptr(buffer), size);

	return ret ?: deliver_undo(buffer, argument);
}

/*
 * Takes the next request to @argument. Its memory may go away between fetching
 * it and copying to it, again and again; that ends when the system is no longer
 * short of memory, or with a fatal signal.
 */
static int receive_request(struct kbdus_session *session, u64 buffer,
			   void __user *argument)
{
	struct kbdus_inverter *inv = session->device->inverter;
	struct kbdus_puller *puller = &session->puller;
	struct kbdus_item item;
	size_t size;
	int ret;

	for (;;) {
		ret = kbdus_inverter_take(inv, puller, &item);
		if (ret)
			return ret;
		if (!deliver(&item, buffer, argument)) {
			if (kbdus_inverter_commit_take(inv, puller, &item))
				return 0;
			ret = deliver_undo(buffer, argument);
			if (ret)
				return ret;
			continue;
		}
		size = kbdus_payload_request_size(&item);
		kbdus_inverter_abort_take(inv, puller, &item, -EFAULT);
		ret = deliver_prepare(size, buffer, argument);
		if (ret)
			return ret;
		cond_resched();
	}
}

/* Accepts an answer. A late one is nobody's fault and changes nothing. */
static int send_reply(struct kbdus_session *session,
		      const struct kbdusioctl_reply *reply)
{
	struct kbdus_inverter *inv = session->device->inverter;
	const void __user *buffer = u64_to_user_ptr(reply->buffer);
	int error = kbdus_status_from_wire(reply->error);
	struct kbdus_item item;
	size_t size;
	int ret;

	if (!kbdus_config_is_zero(reply->reserved))
		return -EINVAL;

	for (;;) {
		ret = kbdus_inverter_begin_reply(inv, &session->puller,
						 reply->handle, &item);
		if (ret)
			return ret == -ESTALE ? 0 : ret;
		if (error || !kbdus_payload_copy_in(&item, buffer)) {
			kbdus_inverter_commit_reply(inv, &item, error);
			return 0;
		}
		size = kbdus_payload_reply_size(&item);
		kbdus_inverter_abort_reply(inv, &session->puller, &item,
					   -EFAULT);
		ret = kbdus_payload_fault_in(buffer, size);
		if (ret)
			return ret;
		cond_resched();
	}
}

static long call_receive(struct kbdus_session *session, void __user *argument)
{
	struct kbdusioctl_request request;

	if (copy_from_user(&request, argument, sizeof(request)))
		return -EFAULT;
	return receive_request(session, request.buffer, argument);
}

static long call_reply(struct kbdus_session *session, void __user *argument)
{
	struct kbdusioctl_reply reply;

	if (copy_from_user(&reply, argument, sizeof(reply)))
		return -EFAULT;
	return send_reply(session, &reply);
}

static long call_reply_and_receive(struct kbdus_session *session,
				   void __user *argument)
{
	struct kbdusioctl_reply reply;
	int ret;

	if (copy_from_user(&reply, argument, sizeof(reply)))
		return -EFAULT;
	if (reply.handle) {
		ret = send_reply(session, &reply);
		if (ret)
			return ret;
	}
	return receive_request(session, reply.buffer, argument);
}

static long protocol_ioctl_call(struct kbdus_session *session,
				unsigned int command, void __user *argument)
{
	switch (command) {
	case KBDUSIOCTL_IOCTL_RECEIVE_REQUEST:
		return call_receive(session, argument);
	case KBDUSIOCTL_IOCTL_SEND_REPLY:
		return call_reply(session, argument);
	case KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST:
		return call_reply_and_receive(session, argument);
	default:
		return -ENOTTY;
	}
}

static const unsigned int protocol_ioctl_commands[] = {
	KBDUSIOCTL_IOCTL_RECEIVE_REQUEST,
	KBDUSIOCTL_IOCTL_SEND_REPLY,
	KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
	0,
};

const struct kbdus_protocol kbdus_protocol_ioctl = {
	.name = KBDUSIOCTL_PROTOCOL_NAME,
	.commands = protocol_ioctl_commands,
	.open = protocol_ioctl_open,
	.close = protocol_ioctl_close,
	.call = protocol_ioctl_call,
};
