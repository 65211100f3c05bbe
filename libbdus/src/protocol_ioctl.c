/* SPDX-License-Identifier: MIT */

/*
 * protocol_ioctl.c: requests and replies by one blocking ioctl(2) each.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the
 * same name in kbdus/. Each worker owns one page-aligned payload buffer, mapped
 * before any thread or process is forked off and therefore in its successors
 * too. No locks: workers share the control file only. Trusts the module to keep
 * payload within the size that it demanded.
 */

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "internal.h"

static int ioctl_open(const struct libbdus_session *session,
		      unsigned int index, void **channel)
{
	void *buffer;

	(void)index;

	*channel = NULL;
	if (!session->payload_size)
		return 0;

	buffer = mmap(NULL, session->payload_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED) {
		return libbdus_error_with_errno(errno,
			"Failed to allocate a payload buffer");
	}

	*channel = buffer;
	return 0;
}

static void ioctl_populate(const struct libbdus_session *session, void *channel)
{
	libbdus_memory_populate(channel, channel ? session->payload_size : 0);
}

/*
 * A signal can only interrupt the waiting, and the module ignores a reply that
 * comes again: so the whole call is simply repeated.
 */
static int ioctl_exchange(const struct libbdus_session *session, void *channel,
			  struct libbdus_request *request, int error)
{
	union kbdusioctl_reply_and_request message;
	int ret;

	do {
		message.reply = (struct kbdusioctl_reply){
			.buffer = (uintptr_t)channel,
			.handle = request->handle,
			.error = error,
		};
		ret = ioctl(session->fd,
			    KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
			    &message);
	} while (ret < 0 && errno == EINTR);

	if (ret < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to exchange a reply for a request");
	}

	*request = (struct libbdus_request){
		.handle = message.request.handle,
		.offset = message.request.offset,
		.length = message.request.length,
		.type = message.request.type,
		.payload = channel,
	};
	return 0;
}

static void ioctl_close(const struct libbdus_session *session, void *channel)
{
	if (channel)
		munmap(channel, session->payload_size);
}

const struct libbdus_protocol libbdus_protocol_ioctl = {
	.name = KBDUSIOCTL_PROTOCOL_NAME,
	.open = ioctl_open,
	.populate = ioctl_populate,
	.exchange = ioctl_exchange,
	.close = ioctl_close,
};
