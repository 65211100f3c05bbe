/* SPDX-License-Identifier: MIT */

/*
 * transport_mmap.c: the protocol "mmap". buffer= is the index of the buffer to use,
 * by default the number of the thread that calls. The memory is mapped when a file
 * becomes a session; cases can map more of it, less of it and none of it, see share.c.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport.h"

static const struct field request_fields[] = {
	FIELD_OF(kbdusmmap_request, handle, "handle", NUMBER),
	FIELD_OF(kbdusmmap_request, offset, "offset", NUMBER),
	FIELD_OF(kbdusmmap_request, length, "length", NUMBER),
	FIELD_OF(kbdusmmap_request, type, "type", TYPE),
	{ 0 }
};

static const struct field reply_fields[] = {
	FIELD_OF(kbdusmmap_reply, handle, "handle", NUMBER),
	FIELD_OF(kbdusmmap_reply, error, "error", NUMBER),
	{ 0 }
};

static const unsigned int commands[] = {
	[RECEIVE] = KBDUSMMAP_IOCTL_RECEIVE_REQUEST,
	[REPLY] = KBDUSMMAP_IOCTL_SEND_REPLY,
	[EXCHANGE] = KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
};

static void begin(struct file *file)
{
	int protection = PROT_READ;

	if ((fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR)
		protection |= PROT_WRITE;
	file->shared = mmap(NULL, file->config.mapping_size, protection,
			    MAP_SHARED, file->fd, 0);
	if (file->shared == MAP_FAILED)
		raw_die("mmap");
}

static void end(struct file *file)
{
	if (file->shared)
		munmap(file->shared, file->config.mapping_size);
	file->shared = NULL;
}

/* Where a buffer's header is, if it can be got at. */
static char *header_of(const struct file *file, unsigned long index)
{
	return file->shared && index < file->config.buffer_count ?
		       (char *)file->shared + index * MESSAGE_SIZE : NULL;
}

static long talk(struct file *file, enum transport_verb verb,
		 const struct call *call, char message[MESSAGE_SIZE])
{
	unsigned int count = file->config.buffer_count;
	unsigned long index = raw_number_option(
		call, "buffer", count ? call->thread % count : 0);
	char *header = header_of(file, index);
	long ret;

	if (header && verb != RECEIVE)
		memcpy(header, message, MESSAGE_SIZE);
	ret = ioctl(file->fd, commands[verb], index);
	if (header && verb != REPLY)
		memcpy(message, header, MESSAGE_SIZE);
	return ret;
}

const struct transport transport_mmap = {
	.name = KBDUSMMAP_PROTOCOL_NAME,
	.has_buffers = true,
	.request_fields = request_fields,
	.reply_fields = reply_fields,
	.begin = begin,
	.end = end,
	.talk = talk,
};
