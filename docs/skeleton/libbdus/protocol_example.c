/* SPDX-License-Identifier: MIT */

/*
 * protocol_example.c: the protocol "example", the library's side, to begin a new one
 * with. One call brings an answer, another waits for a request.
 *
 * Workers call in here between dispatches; the kernel's half is the file of the
 * same name in kbdus/. Each worker owns one payload buffer. No locks: workers share
 * the control file only. Trusts the module to keep payload within the size that it
 * demanded.
 */

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "internal.h"
#include "kbdusexample.h"

/*
 * Make the place of a worker. There are no other threads yet, and perhaps the process
 * will be forked: mappings and descriptors stay, threads do not.
 */
static int example_open(const struct libbdus_session *session,
			unsigned int index, void **channel)
{
	void *buffer;

	(void)index;

	*channel = NULL;
	/* A device whose requests carry nothing needs no buffer. */
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

/*
 * In the process that serves: have all memory be there that serving touches. It may be
 * this device that the kernel would have to write to to get some.
 */
static void example_populate(const struct libbdus_session *session,
			     void *channel)
{
	libbdus_memory_populate(channel, channel ? session->payload_size : 0);
}

static int send_reply(const struct libbdus_session *session, void *channel,
		      uint64_t handle, int error)
{
	struct kbdusexample_reply reply = {
		.buffer = (uintptr_t)channel,
		.handle = handle,
		.error = error,
	};

	if (ioctl(session->fd, KBDUSEXAMPLE_IOCTL_SEND_REPLY, &reply) < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to send a reply");
	}

	return 0;
}

/*
 * The one verb on the data path: answer the request, unless there is none, and wait for
 * the next. Goes on after signals; they are the program's, not ours.
 */
static int example_exchange(const struct libbdus_session *session,
			    void *channel, struct libbdus_request *request,
			    int error)
{
	struct kbdusexample_request next = { .buffer = (uintptr_t)channel };
	int ret;

	if (request->handle) {
		ret = send_reply(session, channel, request->handle, error);
		if (ret)
			return ret;
	}

	do {
		ret = ioctl(session->fd, KBDUSEXAMPLE_IOCTL_RECEIVE_REQUEST,
			    &next);
	} while (ret < 0 && errno == EINTR);

	if (ret < 0) {
		return libbdus_error_with_errno(errno,
			"Failed to receive a request");
	}

	*request = (struct libbdus_request){
		.handle = next.handle,
		.offset = next.offset,
		.length = next.length,
		.type = next.type,
		.payload = channel,
	};
	return 0;
}

static void example_close(const struct libbdus_session *session, void *channel)
{
	if (channel)
		munmap(channel, session->payload_size);
}

/* To be declared in internal.h and named in the list of protocol.c. */
extern const struct libbdus_protocol libbdus_protocol_example;

const struct libbdus_protocol libbdus_protocol_example = {
	.name = KBDUSEXAMPLE_PROTOCOL_NAME,
	.open = example_open,
	.populate = example_populate,
	.exchange = example_exchange,
	.close = example_close,
	/* .prepare, .begin, .settle and .end: for protocols that have something to
	 * agree on with the module, or that workers share. */
};
