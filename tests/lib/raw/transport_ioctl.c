/* SPDX-License-Identifier: MIT */

/*
 * transport_ioctl.c: the protocol "ioctl". pointer= says in which memory the
 * structure is, which is not read back then; buffer= where the payload is.
 */

#include <string.h>
#include <sys/ioctl.h>

#include "transport.h"

static const struct field request_fields[] = {
	FIELD_OF(kbdusioctl_request, handle, "handle", NUMBER),
	FIELD_OF(kbdusioctl_request, offset, "offset", NUMBER),
	FIELD_OF(kbdusioctl_request, length, "length", NUMBER),
	FIELD_OF(kbdusioctl_request, type, "type", TYPE),
	{ 0 }
};

static const struct field reply_fields[] = {
	FIELD_OF(kbdusioctl_reply, handle, "handle", NUMBER),
	FIELD_OF(kbdusioctl_reply, error, "error", NUMBER),
	{ 0 }
};

static const unsigned int commands[] = {
	[RECEIVE] = KBDUSIOCTL_IOCTL_RECEIVE_REQUEST,
	[REPLY] = KBDUSIOCTL_IOCTL_SEND_REPLY,
	[EXCHANGE] = KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
};

static long talk(struct file *file, enum transport_verb verb,
		 const struct call *call, char message[MESSAGE_SIZE])
{
	const char *pointer = raw_option(call, "pointer");
	const char *buffer = raw_option(call, "buffer");
	uint64_t address;
	void *place = message;

	address = (uintptr_t)raw_memory_find(buffer ? buffer : "good")->address;
	memcpy(message + offsetof(struct kbdusioctl_request, buffer), &address,
	       sizeof(address));
	if (pointer)
		place = raw_memory_place(raw_memory_find(pointer), message,
					 MESSAGE_SIZE);
	return ioctl(file->fd, commands[verb], place);
}

const struct transport transport_ioctl = {
	.name = KBDUSIOCTL_PROTOCOL_NAME,
	.request_fields = request_fields,
	.reply_fields = reply_fields,
	.talk = talk,
};
