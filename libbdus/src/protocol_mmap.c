/* SPDX-License-Identifier: MIT */

/*
 * protocol_mmap.c: requests and replies in memory shared with the module, by one
 * blocking ioctl(2) each.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the
 * same name in kbdus/. The memory is mapped once per session, before any thread or
 * process is forked off, so a daemon has it at the same place. A channel is one of
 * its buffers, and belongs to one worker. No locks: workers share the control file
 * only. Trusts the module to keep requests within the mapping.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "internal.h"

/* A buffer. */
struct channel {
	unsigned long index;
	union kbdusmmap_reply_and_request *header;
	/* NULL if there can be none. */
	void *payload;
};

/* What the workers of a session share. */
struct mapping {
	char *memory;
	size_t size;
	unsigned int count;
	struct channel channels[];
};

static int mmap_prepare(struct libbdus_session *session,
			struct kbdus_protocol_config *config)
{
	config->buffer_count = session->workers_wanted;
	return 0;
}

static void make_channels(struct mapping *mapping,
			  const struct kbdus_protocol_config *config)
{
	union kbdusmmap_reply_and_request *headers = (void *)mapping->memory;

	for (unsigned int i = 0; i < mapping->count; ++i) {
		struct channel *channel = &mapping->channels[i];

		channel->index = i;
		channel->header = &headers[i];
		if (config->payload_size) {
			channel->payload =
				mapping->memory + config->payload_offset +
				(size_t)i * config->payload_stride;
		}
	}
}

static int mmap_begin(struct libbdus_session *session,
		      const struct kbdus_protocol_config *config)
{
	struct mapping *mapping;
	int err;

	mapping = calloc(1, sizeof(*mapping) + config->buffer_count *
						sizeof(*mapping->channels));
	if (!mapping) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate %u channels",
			(unsigned int)config->buffer_count);
	}

	mapping->count = config->buffer_count;
	mapping->size = config->mapping_size;
	mapping->memory = mmap(NULL, mapping->size, PROT_READ | PROT_WRITE,
			       MAP_SHARED, session->fd, 0);
	if (mapping->memory == MAP_FAILED) {
		err = errno;
		free(mapping);
		return libbdus_error_with_errno(err,
			"Failed to map %llu bytes shared with kbdus",
			(unsigned long long)config->mapping_size);
	}

	make_channels(mapping, config);
	session->shared = mapping;
	return 0;
}

static void mmap_end(struct libbdus_session *session)
{
	struct mapping *mapping = session->shared;

	if (!mapping)
		return;

	munmap(mapping->memory, mapping->size);
	free(mapping);
	session->shared = NULL;
}

static int mmap_open(const struct libbdus_session *session, unsigned int index,
		     void **channel)
{
	struct mapping *mapping = session->shared;

	if (index >= mapping->count) {
		return libbdus_error(EINVAL,
			"kbdus gave %u buffers, but there is a worker %u.",
			mapping->count, index);
	}

	*channel = &mapping->channels[index];
	return 0;
}

/*
 * A signal can only interrupt the waiting, and the module leaves the reply where it
 * is then and ignores it when it comes again: so the whole call is simply repeated.
 */
static int mmap_exchange(const struct libbdus_session *session, void *data,
			 struct libbdus_request *request, int error)
{
	const struct channel *channel = data;
	int ret;

	channel->header->reply = (struct kbdusmmap_reply){
		.handle = request->handle,
		.error = error,
	};

	do {
		ret = ioctl(session->fd,
			    KBDUSMMAP_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
			    channel->index);
	} while (ret < 0 && errno == EINTR);

	if (ret < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to exchange a reply for a request");
	}

	*request = (struct libbdus_request){
		.handle = channel->header->request.handle,
		.offset = channel->header->request.offset,
		.length = channel->header->request.length,
		.type = channel->header->request.type,
		.payload = channel->payload,
	};
	return 0;
}

/* The module has put the pages of all buffers in the mapping. */
static void mmap_populate(const struct libbdus_session *session, void *channel)
{
	(void)session;

	libbdus_memory_populate(channel, sizeof(struct channel));
}

/* The buffer goes with the mapping. */
static void mmap_close(const struct libbdus_session *session, void *channel)
{
	(void)session;
	(void)channel;
}

const struct libbdus_protocol libbdus_protocol_mmap = {
	.name = KBDUSMMAP_PROTOCOL_NAME,
	.prepare = mmap_prepare,
	.begin = mmap_begin,
	.end = mmap_end,
	.open = mmap_open,
	.populate = mmap_populate,
	.exchange = mmap_exchange,
	.close = mmap_close,
};
