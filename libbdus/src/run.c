/* SPDX-License-Identifier: MIT */

/*
 * run.c: a driver from its first check to its end; bdus_run() and bdus_rerun().
 *
 * The main sequence, read it from the bottom up: check the arguments, get hold
 * of the backend, make or take over the device, initialize, serve alone until the
 * device is available, say so, become a daemon, serve with all workers, terminate,
 * say that it ended well, let go. Owns the session and the callbacks' context for
 * that long. No locks: everything here happens in the thread that called, or in
 * the process forked off it. Which backend there is, and which protocol, is not
 * known here.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/*
 * Turn what initialize(), on_device_available() or terminate() returned into a
 * failure, if it is one.
 */
static int check_callback(const char *name, int error)
{
	if (!error)
		return 0;

	if (error == bdus_abort) {
		return libbdus_error(EIO,
			"Driver aborted: callback %s returned bdus_abort.",
			name);
	}

	if (error < 0) {
		return libbdus_error(EIO,
			"Callback %s returned %d, which is not an errno value.",
			name, error);
	}

	return libbdus_error_with_errno(error, "Callback %s failed", name);
}

static int initialize(struct bdus_ctx *ctx)
{
	if (!ctx->ops->initialize) {
		libbdus_log_call(ctx, 0, "initialize() is not implemented");
		return 0;
	}

	libbdus_log_call(ctx, 0, "initialize()");
	return check_callback("initialize", ctx->ops->initialize(ctx));
}

static int announce(struct bdus_ctx *ctx)
{
	if (ctx->ops->on_device_available) {
		libbdus_log_call(ctx, 0, "on_device_available()");
		return check_callback("on_device_available",
				      ctx->ops->on_device_available(ctx));
	}

	libbdus_log_call(ctx, 0,
			 "on_device_available() is not implemented, printing path");
	if (printf("%s\n", ctx->path) < 0 || fflush(stdout)) {
		return libbdus_error(EIO,
			"Failed to print the path of the device.");
	}

	return 0;
}

/*
 * Terminate, after everything before ended with ret. The first failure is the
 * one that counts, and the callback may have called the library meanwhile.
 */
static int terminate(struct bdus_ctx *ctx, int ret)
{
	struct libbdus_error earlier;
	int error = 0;

	libbdus_error_save(&earlier);

	if (ctx->ops->terminate) {
		libbdus_log_call(ctx, 0, "terminate()");
		error = ctx->ops->terminate(ctx);
	} else {
		libbdus_log_call(ctx, 0, "terminate() is not implemented");
	}

	if (ret) {
		libbdus_error_restore(&earlier);
		return ret;
	}

	return check_callback("terminate", error);
}

/*
 * Make what callbacks get. To them it is constant, but the numbers of the node may
 * become known only when that is there: so it is memory of its own, into which they are
 * copied, and no object that was defined as constant.
 */
static struct bdus_ctx *make_context(const struct libbdus_session *session,
				     const struct bdus_ops *ops,
				     const struct bdus_attrs *attrs,
				     const struct libbdus_run_args *args)
{
	const struct bdus_ctx initial = {
		.id = session->device.seqnum,
		.path = session->path,
		.ops = ops,
		.attrs = attrs,
		.is_rerun = args->is_rerun,
		.private_data = args->private_data,
		.major = session->device.major,
		.minor = session->device.minor,
	};
	struct bdus_ctx *ctx = malloc(sizeof(*ctx));

	if (ctx)
		memcpy(ctx, &initial, sizeof(*ctx));
	return ctx;
}

/* The node is there. No callback runs meanwhile. */
static void complete_context(struct bdus_ctx *ctx,
			     const struct libbdus_session *session)
{
	char *const memory = (char *)ctx;

	memcpy(memory + offsetof(struct bdus_ctx, major),
	       &session->device.major, sizeof(ctx->major));
	memcpy(memory + offsetof(struct bdus_ctx, minor),
	       &session->device.minor, sizeof(ctx->minor));
}

static int daemonize(const struct bdus_attrs *attrs,
		     struct libbdus_daemon *daemon)
{
	if (attrs->dont_daemonize)
		return 0;
	libbdus_log_line(attrs, "daemonizing");
	return daemon->report_fd >= 0 ? libbdus_daemonize_end(daemon) :
					libbdus_daemonize();
}

static int serve(struct libbdus_crew *crew, struct libbdus_session *session,
		 struct libbdus_daemon *daemon,
		 const struct libbdus_memory *memory)
{
	bool is_available;
	int ret;

	ret = libbdus_crew_await_available(crew, &is_available);
	if (ret || !is_available)
		return ret;

	session->is_unfinished = false;
	complete_context(crew->ctx, session);
	ret = announce(crew->ctx);
	if (!ret)
		ret = daemonize(crew->ctx->attrs, daemon);
	if (ret)
		return ret;

	libbdus_memory_lock(memory);
	if (memory->is_protected)
		libbdus_crew_populate(crew);
	return libbdus_crew_serve(crew);
}

/* Serve, and terminate in the end. */
static int serve_and_terminate(struct libbdus_crew *crew,
			       struct libbdus_session *session,
			       struct libbdus_daemon *daemon,
			       const struct libbdus_memory *memory)
{
	int ret = serve(crew, session, daemon, memory);

	/* Let clients not wait for terminate(). */
	if (ret)
		crew->backend->stop(session);
	ret = libbdus_crew_join(crew, ret);
	return terminate(crew->ctx, ret);
}

/* Run the callbacks, from initialize() to terminate(). */
static int run_callbacks(const struct libbdus_backend *backend,
			 struct libbdus_session *session,
			 struct libbdus_daemon *daemon, struct bdus_ctx *ctx)
{
	struct libbdus_memory memory;
	struct libbdus_crew crew;
	int ret;

	ret = libbdus_crew_open(&crew, backend, session, ctx);
	if (ret)
		return ret;

	libbdus_memory_protect(&memory);

	ret = initialize(ctx);
	if (!ret)
		ret = serve_and_terminate(&crew, session, daemon, &memory);

	libbdus_memory_unprotect(&memory);
	libbdus_crew_close(&crew);
	return ret;
}

/* Be the driver of the session's device. */
static int drive(const struct libbdus_backend *backend,
		 struct libbdus_session *session,
		 struct libbdus_daemon *daemon, const struct bdus_ops *ops,
		 const struct bdus_attrs *requested,
		 const struct libbdus_run_args *args)
{
	struct bdus_attrs attrs = *requested;
	struct bdus_ctx *ctx;
	int ret;

	/* dispatch.c relies on this, whatever was said about the device before
	 * it was ours. */
	ret = libbdus_ops_validate_rerun(ops, session->device.operations);
	if (ret)
		return ret;

	libbdus_attrs_from_device(&attrs, &session->device);
	if (session->workers_limit &&
	    attrs.max_concurrent_callbacks > session->workers_limit)
		attrs.max_concurrent_callbacks = session->workers_limit;
	session->workers = attrs.max_concurrent_callbacks;
	libbdus_log_ops(&attrs, ops);
	libbdus_log_attrs(requested, &attrs);

	ctx = make_context(session, ops, &attrs, args);
	if (!ctx)
		return libbdus_error_with_errno(ENOMEM, "Failed to allocate");
	ret = run_callbacks(backend, session, daemon, ctx);
	free(ctx);
	if (!ret)
		backend->mark_successful(session);
	return ret;
}

/*
 * Take over a device. The check comes first because once it was asked to, the
 * present driver leaves, whoever does or does not follow.
 */
static int take_over(const struct libbdus_backend *backend,
		     struct libbdus_session *session, const struct bdus_ops *ops,
		     const struct bdus_attrs *attrs, uint64_t dev_id)
{
	struct kbdus_device_config device;
	int ret;

	if (!backend->traits.has_replacement) {
		return libbdus_error(EOPNOTSUPP,
			"Backend %s cannot replace the driver of a device.",
			backend->traits.name);
	}

	ret = backend->describe(session, dev_id, &device);
	if (!ret)
		ret = libbdus_ops_validate_rerun(ops, device.operations);
	if (!ret)
		ret = libbdus_attrs_validate_rerun(attrs, &device);
	if (!ret)
		ret = backend->attach(session, dev_id);
	return ret;
}

/* Get hold of the backend, if it is not yet known of the one that will do. */
static int open_backend(const struct libbdus_backend **backend,
			struct libbdus_session *session,
			const struct libbdus_run_args *args,
			const struct libbdus_needs *needs)
{
	int ret = 0;

	if (!*backend && !args->is_rerun)
		return libbdus_backend_choose(secure_getenv("BDUS_BACKEND"),
					      needs, backend, session);

	if (!*backend)
		ret = libbdus_backend_of(args->dev_id, backend);
	return ret ? ret : (*backend)->open(session);
}

/* Do what bdus_run() and bdus_rerun() promise. */
int libbdus_run(const struct libbdus_backend *backend,
		const struct libbdus_run_args *args)
{
	struct libbdus_session session = { .fd = -1 };
	struct libbdus_daemon daemon = { .report_fd = -1 };
	struct bdus_attrs attrs = { 0 };
	struct libbdus_needs needs;
	struct bdus_ops ops;
	int ret;

	if (!args->ops || !args->attrs) {
		return libbdus_error(EINVAL, "%s is NULL.",
				     args->ops ? "attrs" : "ops");
	}

	ops = *args->ops;
	memcpy(&attrs, args->attrs, args->attrs_size);

	ret = libbdus_ops_validate(&ops);
	if (!ret && !args->is_rerun)
		ret = libbdus_attrs_validate(&attrs);
	if (ret)
		return ret;

	needs = (struct libbdus_needs){
		.operations = libbdus_ops_operations(&ops),
		.recovery = attrs.recoverable,
		.time_out = attrs.request_timeout_ms,
		/* Waiting for ever is what is done without a time-out. */
		.orphan_time_out = attrs.recoverable && attrs.orphan_timeout_ms &&
				   attrs.orphan_timeout_ms !=
					   BDUS_ORPHAN_TIMEOUT_FOREVER,
	};
	ret = open_backend(&backend, &session, args, &needs);
	if (ret)
		return ret;

	if (backend->serves_in_one_process && !attrs.dont_daemonize) {
		ret = libbdus_daemonize_begin(&daemon);
		/* All the rest is the daemon's, also if it fails. */
		if (daemon.report_fd < 0) {
			backend->close(&session);
			return ret;
		}
	}

	session.workers_wanted = attrs.max_concurrent_callbacks;
	if (!session.workers_wanted)
		session.workers_wanted = 1;

	session.is_depth_wanted = attrs.queue_depth;
	session.leave_timeout_ms = attrs.leave_timeout_ms;
	session.spin_time_us = attrs.spin_time_us;
	session.wait_until_available = attrs.wait_until_available;

	if (args->is_rerun) {
		ret = take_over(backend, &session, &ops, &attrs, args->dev_id);
	} else {
		libbdus_attrs_to_device(&attrs, needs.operations,
					&session.device);
		ret = backend->create(&session);
	}

	if (!ret)
		ret = drive(backend, &session, &daemon, &ops, &attrs, args);

	backend->close(&session);
	libbdus_daemonize_give_up(&daemon, ret);
	return ret;
}

static bool run(const struct bdus_ops *ops, const struct bdus_attrs *attrs,
		size_t attrs_size, void *private_data)
{
	const int errno_on_entry = errno;
	const struct libbdus_run_args args = {
		.ops = ops,
		.attrs = attrs,
		.attrs_size = attrs_size,
		.private_data = private_data,
	};

	return libbdus_error_report(libbdus_run(NULL, &args),
				    errno_on_entry);
}

static bool rerun(uint64_t dev_id, const struct bdus_ops *ops,
		  const struct bdus_attrs *attrs, size_t attrs_size,
		  void *private_data)
{
	const int errno_on_entry = errno;
	const struct libbdus_run_args args = {
		.ops = ops,
		.attrs = attrs,
		.attrs_size = attrs_size,
		.private_data = private_data,
		.is_rerun = true,
		.dev_id = dev_id,
	};

	return libbdus_error_report(libbdus_run(NULL, &args),
				    errno_on_entry);
}

LIBBDUS_EXPORT bool bdus_run_0_1_0_(const struct bdus_ops *ops,
				    const struct bdus_attrs *attrs,
				    void *private_data)
{
	return run(ops, attrs, LIBBDUS_ATTRS_SIZE_0_1_0, private_data);
}

LIBBDUS_EXPORT bool bdus_run_0_1_1_(const struct bdus_ops *ops,
				    const struct bdus_attrs *attrs,
				    void *private_data)
{
	return run(ops, attrs, LIBBDUS_ATTRS_SIZE_0_1_0, private_data);
}

LIBBDUS_EXPORT bool bdus_run_0_1_3_(const struct bdus_ops *ops,
				    const struct bdus_attrs *attrs,
				    void *private_data)
{
	return run(ops, attrs, sizeof(*attrs), private_data);
}

LIBBDUS_EXPORT bool bdus_rerun_0_1_0_(uint64_t dev_id,
				      const struct bdus_ops *ops,
				      const struct bdus_attrs *attrs,
				      void *private_data)
{
	return rerun(dev_id, ops, attrs, LIBBDUS_ATTRS_SIZE_0_1_0,
		     private_data);
}

LIBBDUS_EXPORT bool bdus_rerun_0_1_1_(uint64_t dev_id,
				      const struct bdus_ops *ops,
				      const struct bdus_attrs *attrs,
				      void *private_data)
{
	return rerun(dev_id, ops, attrs, LIBBDUS_ATTRS_SIZE_0_1_0,
		     private_data);
}

LIBBDUS_EXPORT bool bdus_rerun_0_1_3_(uint64_t dev_id,
				      const struct bdus_ops *ops,
				      const struct bdus_attrs *attrs,
				      void *private_data)
{
	return rerun(dev_id, ops, attrs, sizeof(*attrs), private_data);
}
