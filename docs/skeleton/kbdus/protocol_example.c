// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol_example.c: the protocol "example", to begin a new one with. One call
 * takes a request, another brings an answer; data is in the driver's own memory.
 *
 * (Say here who calls in, what this file owns and for how long, which lock, and
 * what it refuses to trust. This one is called by session.c, owns nothing and has
 * no lock.)
 */
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "config.h"
#include "device.h"
#include "disk.h"
#include "inverter.h"
#include "payload.h"
#include "protocol.h"
#include "session.h"
#include "status.h"

#include "kbdusexample.h"

/* What goes over the border never changes its size. */
static_assert(sizeof(struct kbdusexample_request) == 64);
static_assert(sizeof(struct kbdusexample_reply) == 64);

/*
 * A session is about to begin. Look at the protocol's settings, of which this one
 * has none, and tell the driver what it must know: how large payloads get. A
 * protocol that needs memory allocates it here, in session->protocol_data, because
 * nothing may be lacking later.
 */
static int example_open(struct kbdus_session *session,
			struct kbdus_protocol_config *config)
{
	if (!kbdus_config_is_plain(config))
		return -EINVAL;
	config->payload_size = kbdus_payload_size_max(&session->device->config);
	return 0;
}

/*
 * The counterpart. No call is under way any more. Must not wait for the driver,
 * which may be dead, stopped, or waiting for its own device.
 */
static void example_close(struct kbdus_session *session)
{
}

/*
 * Copies a request to the driver. It is OUTBOUND meanwhile, and nobody can take it
 * away, so page faults are off: the driver's memory may be anything.
 */
static int deliver(const struct kbdus_item *item, u64 buffer,
		   struct kbdusexample_request __user *argument)
{
	struct kbdusexample_request request = {
		.buffer = buffer,
		.handle = item->handle,
		.type = item->type,
	};
	unsigned long missing;

	/* Notifications have a type and nothing else. */
	if (item->rq) {
		request.offset = kbdus_disk_request_offset(item->rq);
		request.length = kbdus_disk_request_length(item->rq);
	}
	if (kbdus_payload_copy_out(item, u64_to_user_ptr(buffer)))
		return -EFAULT;
	pagefault_disable();
	missing = copy_to_user(argument, &request, sizeof(request));
	pagefault_enable();
	return missing ? -EFAULT : 0;
}

/* The driver asks for something to do. */
static long example_receive(struct kbdus_session *session, void __user *argument)
{
	struct kbdus_inverter *inv = session->device->inverter;
	struct kbdusexample_request request;
	struct kbdus_item item;
	size_t size;
	int ret;

	/* Read what the driver wrote once; it may be writing there. */
	if (copy_from_user(&request, argument, sizeof(request)))
		return -EFAULT;

	for (;;) {
		/* Sleeps until there is something, or a signal comes. */
		ret = kbdus_inverter_take(inv, &session->puller, &item);
		if (ret)
			return ret;
		if (!deliver(&item, request.buffer, argument)) {
			if (kbdus_inverter_commit_take(inv, &session->puller,
						       &item))
				return 0;
			/* Cut or taken back meanwhile: look for another one. */
			continue;
		}
		/* Ask first what is needed: the request may end after this. */
		size = kbdus_payload_request_size(&item);
		kbdus_inverter_abort_take(inv, &session->puller, &item,
					  -EFAULT);
		/* Now the driver's memory can be waited for. */
		ret = kbdus_payload_fault_out(u64_to_user_ptr(request.buffer),
					      size);
		if (!ret)
			ret = kbdus_payload_fault_out(argument, sizeof(request));
		if (ret)
			return ret;
		cond_resched();
	}
}

/* The driver brings an answer. */
static long example_reply(struct kbdus_session *session, void __user *argument)
{
	struct kbdus_inverter *inv = session->device->inverter;
	struct kbdusexample_reply reply;
	const void __user *buffer;
	struct kbdus_item item;
	size_t size;
	int error;
	int ret;

	if (copy_from_user(&reply, argument, sizeof(reply)))
		return -EFAULT;
	/* What is refused now can be given a meaning later. */
	if (!kbdus_config_is_zero(reply.reserved))
		return -EINVAL;
	buffer = u64_to_user_ptr(reply.buffer);
	error = kbdus_status_from_wire(reply.error);

	for (;;) {
		ret = kbdus_inverter_begin_reply(inv, &session->puller,
						 reply.handle, &item);
		/* Late: nobody's fault, and nothing changes. */
		if (ret)
			return ret == -ESTALE ? 0 : ret;
		/* A failed request carries no data. */
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

/*
 * Any number of threads at a time, also while the session ends: they get TERMINATE
 * then. ENOTTY is for commands that are not this protocol's.
 */
static long example_call(struct kbdus_session *session, unsigned int command,
			 void __user *argument)
{
	switch (command) {
	case KBDUSEXAMPLE_IOCTL_RECEIVE_REQUEST:
		return example_receive(session, argument);
	case KBDUSEXAMPLE_IOCTL_SEND_REPLY:
		return example_reply(session, argument);
	default:
		return -ENOTTY;
	}
}

/* So that a session of another protocol can tell them from nonsense. */
static const unsigned int example_commands[] = {
	KBDUSEXAMPLE_IOCTL_RECEIVE_REQUEST,
	KBDUSEXAMPLE_IOCTL_SEND_REPLY,
	0,
};

/* To be declared in protocol.h and named in the list of protocol.c. */
extern const struct kbdus_protocol kbdus_protocol_example;

const struct kbdus_protocol kbdus_protocol_example = {
	.name = KBDUSEXAMPLE_PROTOCOL_NAME,
	.commands = example_commands,
	.open = example_open,
	.close = example_close,
	.call = example_call,
	/* .start, .map and .poll: for protocols that act without being called,
	 * share memory, or can be waited for by poll(2). */
};
