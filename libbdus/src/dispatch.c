/* SPDX-License-Identifier: MIT */

/*
 * dispatch.c: from a request to the callback that serves it.
 *
 * Called by workers with what their protocol received, several at a time; calls
 * the user's callbacks. Owns nothing and has no locks. Also the place that knows
 * which errors a client may see.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/ioctl.h>
#include <string.h>

#include "internal.h"

#define RANGE_FORMAT "offset = %" PRIu64 ", size = %" PRIu32

/* A handler returns what the callback returns. */
typedef int handler_fn(struct bdus_ctx *ctx, unsigned int thread,
		       const struct libbdus_request *request);

static int handle_read(struct bdus_ctx *ctx, unsigned int thread,
		       const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread, "read(buffer = %p, " RANGE_FORMAT ")",
			 request->payload, request->offset, request->length);
	return ctx->ops->read(request->payload, request->offset,
			      request->length, ctx);
}

static int handle_write(struct bdus_ctx *ctx, unsigned int thread,
			const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread, "write(buffer = %p, " RANGE_FORMAT ")",
			 request->payload, request->offset, request->length);
	return ctx->ops->write(request->payload, request->offset,
			       request->length, ctx);
}

static int handle_write_same(struct bdus_ctx *ctx, unsigned int thread,
			     const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread,
			 "write_same(buffer = %p, " RANGE_FORMAT ")",
			 request->payload, request->offset, request->length);
	return ctx->ops->write_same(request->payload, request->offset,
				    request->length, ctx);
}

static int handle_write_zeros(struct bdus_ctx *ctx, unsigned int thread,
			      const struct libbdus_request *request)
{
	bool may_unmap =
		request->type == KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP;

	libbdus_log_call(ctx, thread,
			 "write_zeros(" RANGE_FORMAT ", may_unmap = %s)",
			 request->offset, request->length,
			 may_unmap ? "true" : "false");
	return ctx->ops->write_zeros(request->offset, request->length,
				     may_unmap, ctx);
}

static int handle_fua_write(struct bdus_ctx *ctx, unsigned int thread,
			    const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread,
			 "fua_write(buffer = %p, " RANGE_FORMAT ")",
			 request->payload, request->offset, request->length);
	return ctx->ops->fua_write(request->payload, request->offset,
				   request->length, ctx);
}

static int handle_flush(struct bdus_ctx *ctx, unsigned int thread,
			const struct libbdus_request *request)
{
	(void)request;

	libbdus_log_call(ctx, thread, "flush()");
	return ctx->ops->flush(ctx);
}

static int handle_discard(struct bdus_ctx *ctx, unsigned int thread,
			  const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread, "discard(" RANGE_FORMAT ")",
			 request->offset, request->length);
	return ctx->ops->discard(request->offset, request->length, ctx);
}

static int handle_secure_erase(struct bdus_ctx *ctx, unsigned int thread,
			       const struct libbdus_request *request)
{
	libbdus_log_call(ctx, thread, "secure_erase(" RANGE_FORMAT ")",
			 request->offset, request->length);
	return ctx->ops->secure_erase(request->offset, request->length, ctx);
}

static void log_ioctl(const struct bdus_ctx *ctx, unsigned int thread,
		      uint32_t command, const void *argument)
{
	static const char *const macros[] = {
		[_IOC_NONE] = "_IO",
		[_IOC_READ] = "_IOR",
		[_IOC_WRITE] = "_IOW",
		[_IOC_READ | _IOC_WRITE] = "_IOWR",
	};

	if (_IOC_DIR(command) == _IOC_NONE) {
		libbdus_log_call(ctx, thread,
			"ioctl(command = _IO(0x%02x, %d), argument = NULL)",
			_IOC_TYPE(command), _IOC_NR(command));
	} else {
		libbdus_log_call(ctx, thread,
			"ioctl(command = %s(0x%02x, %d, %d), argument = %p)",
			macros[_IOC_DIR(command)], _IOC_TYPE(command),
			_IOC_NR(command), _IOC_SIZE(command), argument);
	}
}

/*
 * The directions are those of the driver: _IOC_READ is what it gets. What it
 * only gives starts as zeros, so that nothing of earlier requests gets out.
 */
static int handle_ioctl(struct bdus_ctx *ctx, unsigned int thread,
			const struct libbdus_request *request)
{
	const uint32_t command = request->length;
	void *argument =
		_IOC_DIR(command) == _IOC_NONE ? NULL : request->payload;

	if (_IOC_DIR(command) == _IOC_WRITE)
		memset(argument, 0, _IOC_SIZE(command));

	log_ioctl(ctx, thread, command, argument);
	return ctx->ops->ioctl(command, argument, ctx);
}

static handler_fn *const handlers[KBDUS_REQUEST_TYPE_COUNT] = {
	[KBDUS_REQUEST_TYPE_READ] = handle_read,
	[KBDUS_REQUEST_TYPE_WRITE] = handle_write,
	[KBDUS_REQUEST_TYPE_WRITE_SAME] = handle_write_same,
	[KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP] = handle_write_zeros,
	[KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP] = handle_write_zeros,
	[KBDUS_REQUEST_TYPE_FUA_WRITE] = handle_fua_write,
	[KBDUS_REQUEST_TYPE_FLUSH] = handle_flush,
	[KBDUS_REQUEST_TYPE_DISCARD] = handle_discard,
	[KBDUS_REQUEST_TYPE_SECURE_ERASE] = handle_secure_erase,
	[KBDUS_REQUEST_TYPE_IOCTL] = handle_ioctl,
};

/* Reduce what a driver answers to what its client may see. */
int libbdus_client_error(uint32_t type, int error)
{
	if (type == KBDUS_REQUEST_TYPE_IOCTL)
		return error >= 0 && error <= 133 && error != ENOSYS ? error
								     : EIO;

	switch (error) {
	case 0:
	case ENOLINK:
	case ENOSPC:
	case ETIMEDOUT:
		return error;
	default:
		return EIO;
	}
}

/*
 * Serve a request. The module asks only for what run.c saw to have a callback.
 * Returns 0 or the (positive) errno value to answer with; bdus_abort if the
 * callback says so; a negative errno value if there is no such type of request.
 */
int libbdus_dispatch(struct bdus_ctx *ctx, unsigned int thread,
		     const struct libbdus_request *request)
{
	int error;

	if (request->type >= KBDUS_REQUEST_TYPE_COUNT ||
	    !handlers[request->type]) {
		return libbdus_error(EINVAL,
			"kbdus sent a request of unknown type %" PRIu32 ".",
			request->type);
	}

	error = handlers[request->type](ctx, thread, request);

	return error == bdus_abort ? error :
				     libbdus_client_error(request->type, error);
}
