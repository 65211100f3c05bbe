/* SPDX-License-Identifier: MIT */

/*
 * events.c: drivers without callbacks; bdus_events_create() and what follows.
 *
 * Beside run.c: it gets hold of the backend in the same way and then leaves the rest to
 * the driver, which takes and answers requests when it likes. The memory that they go
 * through is in events_ring.c. Owns the device's object from create or attach to close.
 * Calls come from any thread; what they change is under the object's lock, which is
 * not held during system calls.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "events.h"

#define WHERE_IT_WORKS \
	"A driver without callbacks needs backend kbdus and protocol ring"

/* ---- what a driver may ask for ---- */

/* As the module knows them: both kinds of zeroing come together. */
static uint32_t operations_of(const struct bdus_events_config *config)
{
	uint32_t operations = config->operations;

	if (operations & BDUS_OPERATION(WRITE_ZEROS))
		operations |= KBDUS_OP_WRITE_ZEROS;
	return operations;
}

static int validate_operations(uint32_t operations)
{
	const uint32_t known =
		KBDUS_OP_ALL & ~KBDUS_OP(WRITE_ZEROS_MAY_UNMAP);

	if (operations & ~known) {
		return libbdus_error(EINVAL,
			"There are no operations 0x%" PRIx32 ".",
			operations & ~known);
	}
	if ((operations & KBDUS_OP(FUA_WRITE)) &&
	    !(operations & KBDUS_OP(FLUSH))) {
		return libbdus_error(EINVAL,
			"Operation FUA_WRITE is there but FLUSH is not.");
	}
	return 0;
}

/* Check that nothing can be asked for that the driver does not serve. */
static int validate_operations_rerun(uint32_t operations, uint32_t device)
{
	for (int i = 0; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		if (libbdus_callbacks[i].operations & device & ~operations) {
			return libbdus_error(EINVAL,
				"The driver does not serve %s but the device supports it.",
				libbdus_callbacks[i].name);
		}
	}
	return 0;
}

/* The module finds out the rest. */
static int validate_memory(const struct bdus_events_config *config)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!config->memory)
		return 0;

	if ((uintptr_t)config->memory % page || config->memory_size % page) {
		return libbdus_error(EINVAL,
			"Memory and its size must be multiples of the page size, %zu.",
			page);
	}
	return 0;
}

/* What is in it must fit, whatever the device is. */
static int validate_memory_size(const struct bdus_events_config *config,
				const struct kbdus_device_config *device)
{
	struct kbdus_device_config adjusted = *device;
	size_t least;

	libbdus_attrs_adjust(&adjusted);
	least = adjusted.max_read_write_size;
	if ((device->operations & KBDUS_OP(IOCTL)) &&
	    least < KBDUS_IOCTL_PAYLOAD_SIZE)
		least = KBDUS_IOCTL_PAYLOAD_SIZE;

	if (config->memory && config->memory_size < least) {
		return libbdus_error(EINVAL,
			"Memory has %zu bytes, but a request may have %zu.",
			config->memory_size, least);
	}
	return 0;
}

/* ---- beginning and end ---- */

static int check_backend(void)
{
	const char *wanted = secure_getenv("BDUS_BACKEND");

	if (wanted && wanted[0] && strcmp(wanted, "auto") &&
	    strcmp(wanted, libbdus_backend_kbdus.traits.name)) {
		return libbdus_error(EOPNOTSUPP,
			WHERE_IT_WORKS ", but BDUS_BACKEND demands %s: unset it, or use bdus_run().",
			wanted);
	}
	return 0;
}

static int check_backend_of(uint64_t dev_id)
{
	const struct libbdus_backend *backend;
	int ret = libbdus_backend_of(dev_id, &backend);

	if (!ret && backend != &libbdus_backend_kbdus) {
		return libbdus_error(EOPNOTSUPP,
			WHERE_IT_WORKS ", but device %" PRIu64 " is one of backend %s: use bdus_rerun().",
			dev_id, backend->traits.name);
	}
	return ret;
}

static int check_protocol(void)
{
	const struct libbdus_protocol *protocol;
	const char *wanted = secure_getenv("BDUS_PROTOCOL");
	int ret;

	if (!wanted || !wanted[0])
		wanted = libbdus_protocol_events.name;
	ret = libbdus_protocol_choose(LIBBDUS_PROTOCOL_PARAMETER, wanted,
				      &protocol);
	if (!ret && protocol != &libbdus_protocol_ring) {
		return libbdus_error(EOPNOTSUPP,
			WHERE_IT_WORKS ", but BDUS_PROTOCOL or the module's parameter demands %s.",
			protocol->name);
	}
	return ret;
}

/* Make the device that is asked for. */
static int create(struct bdus_events *events)
{
	struct libbdus_session *session = &events->session;
	int ret;

	libbdus_attrs_to_device(&events->attrs, operations_of(&events->config),
				&session->device);
	ret = validate_memory_size(&events->config, &session->device);
	return ret ? ret : libbdus_backend_kbdus.create(session);
}

/* Checks come first, as the present driver leaves once it was asked to. */
static int attach(struct bdus_events *events, uint64_t dev_id)
{
	struct libbdus_session *session = &events->session;
	struct kbdus_device_config device;
	int ret;

	ret = libbdus_backend_kbdus.describe(session, dev_id, &device);
	if (!ret)
		ret = validate_operations_rerun(operations_of(&events->config),
						device.operations);
	if (!ret)
		ret = libbdus_attrs_validate_rerun(&events->attrs, &device);
	if (!ret)
		ret = validate_memory_size(&events->config, &device);
	return ret ? ret : libbdus_backend_kbdus.attach(session, dev_id);
}

/* To the driver all but its own data is constant, so it is copied there at once. */
static int make_context(struct bdus_events *events, bool is_rerun)
{
	const struct libbdus_session *session = &events->session;
	const struct bdus_ctx initial = {
		.id = session->device.seqnum,
		.path = session->path,
		.attrs = &events->attrs,
		.is_rerun = is_rerun,
		.major = session->device.major,
		.minor = session->device.minor,
	};

	libbdus_attrs_from_device(&events->attrs, &session->device);
	events->ctx = malloc(sizeof(*events->ctx));
	if (!events->ctx)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");
	memcpy(events->ctx, &initial, sizeof(initial));
	return 0;
}

/* Become the driver; the control file is open. */
static int start(struct bdus_events *events, const uint64_t *dev_id)
{
	int ret = check_protocol();

	if (!ret)
		ret = dev_id ? attach(events, *dev_id) : create(events);
	return ret ? ret : make_context(events, dev_id != NULL);
}

static void stop(struct bdus_events *events)
{
	libbdus_memory_unprotect(&events->memory);
	libbdus_backend_kbdus.close(&events->session);
	pthread_mutex_destroy(&events->lock);
	free(events->ctx);
	free(events);
}

static int open_events(struct bdus_events *events, const uint64_t *dev_id)
{
	struct libbdus_session *session = &events->session;
	int ret;

	ret = libbdus_control_open_checked(&session->fd);
	if (ret) {
		free(events);
		return ret;
	}

	session->protocol = &libbdus_protocol_events;
	session->shared = events;
	session->is_depth_wanted = events->attrs.queue_depth;
	session->leave_timeout_ms = events->attrs.leave_timeout_ms;
	session->wait_until_available = events->attrs.wait_until_available;
	pthread_mutex_init(&events->lock, NULL);
	libbdus_memory_protect(&events->memory);
	/* It stays, as the thread may have other devices. */
	events->memory.set_io_flusher = false;

	ret = start(events, dev_id);
	if (ret) {
		stop(events);
		return ret;
	}

	libbdus_memory_lock(&events->memory);
	libbdus_memory_populate(events, sizeof(*events));
	return 0;
}

static int begin(struct bdus_events **out_events, const uint64_t *dev_id,
		 const struct bdus_attrs *attrs,
		 const struct bdus_events_config *config)
{
	struct bdus_events *events;
	int ret;

	if (!out_events || !attrs || !config)
		return libbdus_error(EINVAL, "An argument is NULL.");

	ret = validate_operations(config->operations);
	if (!ret)
		ret = validate_memory(config);
	if (!ret && !dev_id)
		ret = libbdus_attrs_validate(attrs);
	if (!ret)
		ret = dev_id ? check_backend_of(*dev_id) : check_backend();
	if (ret)
		return ret;

	events = calloc(1, sizeof(*events));
	if (!events)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");
	events->attrs = *attrs;
	events->config = *config;

	ret = open_events(events, dev_id);
	if (!ret)
		*out_events = events;
	return ret;
}

/* ---- serving ---- */

/* Have the module look at the answers; returns what it says. */
static int enter(struct bdus_events *events, unsigned long flags)
{
	int ret = ioctl(events->session.fd, KBDUSRING_IOCTL_ENTER, flags);

	if (ret < 0) {
		libbdus_error_with_errno(errno, "kbdus refused the answers");
		return -EIO;
	}
	return ret;
}

/* Turn what the module says into a notification. */
static int notify(struct bdus_events *events, int result,
		  struct bdus_request *request)
{
	static const enum bdus_request_type types[] = {
		[KBDUSRING_ENTERED_AVAILABLE] = BDUS_REQUEST_AVAILABLE,
		[KBDUSRING_ENTERED_TERMINATE] = BDUS_REQUEST_TERMINATE,
		[KBDUSRING_ENTERED_FLUSH_AND_TERMINATE] =
			BDUS_REQUEST_FLUSH_AND_TERMINATE,
	};

	if ((size_t)result >= sizeof(types) / sizeof(types[0])) {
		return libbdus_error(EIO,
			"kbdus notified of something unknown (%d).", result);
	}

	*request = (struct bdus_request){ .type = types[result] };
	if (result == KBDUSRING_ENTERED_AVAILABLE)
		events->session.is_unfinished = false;
	else
		events->is_over = true;
	return 0;
}

/*
 * Look for a notification, which is then the first of the requests. Only a call tells
 * of one: so it is made once at the beginning, whatever there is, and then when there
 * is nothing else. The lock is dropped for the time of the call, which may copy a lot.
 */
static int look(struct bdus_events *events, struct bdus_request *requests,
		uint32_t *count)
{
	int ret;

	if (events->is_over ||
	    (events->has_entered && !libbdus_ring_is_empty(&events->ring)))
		return 0;

	events->has_entered = true;
	events->waiting = 0;
	pthread_mutex_unlock(&events->lock);
	ret = enter(events, KBDUSRING_ENTER_NOTIFIED);
	pthread_mutex_lock(&events->lock);

	/* Another thread may have been told meanwhile. */
	if (ret <= KBDUSRING_ENTERED_REQUESTS || events->is_over)
		return ret < 0 ? ret : 0;
	ret = notify(events, ret, &requests[0]);
	if (!ret)
		*count = 1;
	return ret;
}

static int take(struct bdus_events *events, struct bdus_request *requests,
		uint32_t capacity, uint32_t *out_count)
{
	uint32_t count = 0;
	int ret = 0;

	pthread_mutex_lock(&events->lock);
	if (capacity)
		ret = look(events, requests, &count);
	while (!ret && !events->is_over && count < capacity &&
	       libbdus_events_take(events, &requests[count]))
		++count;
	pthread_mutex_unlock(&events->lock);

	if (!ret)
		*out_count = count;
	return ret;
}

static int answer(struct bdus_events *events, uint64_t id, int error)
{
	bool is_held;

	pthread_mutex_lock(&events->lock);
	is_held = libbdus_events_put(events, id, error);
	pthread_mutex_unlock(&events->lock);

	if (!is_held) {
		return libbdus_error(EINVAL,
			"The driver holds no request %" PRIu64 ".", id);
	}
	return 0;
}

static int submit(struct bdus_events *events)
{
	bool is_waiting;

	pthread_mutex_lock(&events->lock);
	is_waiting = events->waiting > 0 &&
		     !libbdus_ring_has_reaper(&events->ring);
	events->waiting = 0;
	pthread_mutex_unlock(&events->lock);
	return is_waiting ? enter(events, 0) : 0;
}

/* ---- public functions ---- */

LIBBDUS_EXPORT bool
bdus_events_create_0_1_3_(struct bdus_events **out_events,
			  const struct bdus_attrs *attrs,
			  const struct bdus_events_config *config)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(begin(out_events, NULL, attrs, config),
				    errno_on_entry);
}

LIBBDUS_EXPORT bool
bdus_events_attach_0_1_3_(struct bdus_events **out_events, uint64_t dev_id,
			  const struct bdus_attrs *attrs,
			  const struct bdus_events_config *config)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(begin(out_events, &dev_id, attrs, config),
				    errno_on_entry);
}

LIBBDUS_EXPORT int bdus_events_get_fd_0_1_3_(const struct bdus_events *events)
{
	return events->session.fd;
}

LIBBDUS_EXPORT struct bdus_ctx *
bdus_events_get_ctx_0_1_3_(struct bdus_events *events)
{
	return events->ctx;
}

LIBBDUS_EXPORT void *
bdus_events_get_memory_0_1_3_(const struct bdus_events *events,
			      size_t *out_size)
{
	*out_size = events->payload_size;
	return events->payload;
}

LIBBDUS_EXPORT bool bdus_events_take_0_1_3_(struct bdus_events *events,
					    struct bdus_request *requests,
					    uint32_t capacity,
					    uint32_t *out_count)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(take(events, requests, capacity, out_count),
				    errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_events_answer_0_1_3_(struct bdus_events *events,
					      uint64_t id, int error)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(answer(events, id, error), errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_events_submit_0_1_3_(struct bdus_events *events)
{
	const int errno_on_entry = errno;

	return libbdus_error_report(submit(events), errno_on_entry);
}

LIBBDUS_EXPORT void bdus_events_close_0_1_3_(struct bdus_events *events,
					     bool is_successful)
{
	if (!events)
		return;
	if (is_successful)
		libbdus_backend_kbdus.mark_successful(&events->session);
	stop(events);
}
