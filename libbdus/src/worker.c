/* SPDX-License-Identifier: MIT */

/*
 * worker.c: the threads that serve a device.
 *
 * The middle of the data path: each worker exchanges its last answer for the next
 * request with its protocol, hands that to dispatch.c, and so on until it is told
 * to end. run.c calls in: first alone, until the device is available, then with
 * all workers. Owns the workers and their channels, all made before the first
 * callback runs so that nothing can be lacking later. A worker touches nothing of
 * another; the crew's lock guards only the count of those that still serve.
 * Trusts the module to send TERMINATE to every worker once a session is to end.
 */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "internal.h"

/* Make the places of as many workers as there are concurrent callbacks. */
int libbdus_crew_open(struct libbdus_crew *crew,
		      const struct libbdus_backend *backend,
		      const struct libbdus_session *session,
		      struct bdus_ctx *ctx)
{
	const unsigned int size = ctx->attrs->max_concurrent_callbacks;
	int ret;

	*crew = (struct libbdus_crew){
		.backend = backend,
		.session = session,
		.ctx = ctx,
		.started = 1,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.stopped = PTHREAD_COND_INITIALIZER,
	};

	crew->workers = calloc(size, sizeof(*crew->workers));
	if (!crew->workers) {
		return libbdus_error_with_errno(ENOMEM,
			"Failed to allocate %u workers", size);
	}

	for (crew->size = 0; crew->size < size; ++crew->size) {
		struct libbdus_worker *worker = &crew->workers[crew->size];

		worker->crew = crew;
		worker->index = crew->size;
		ret = session->protocol->open(session, worker->index,
					      &worker->channel);
		if (ret) {
			libbdus_crew_close(crew);
			return ret;
		}
	}

	return 0;
}

/*
 * Have all memory be there that serving touches, whatever callbacks do. In the process
 * that serves, before it does so with all workers.
 */
void libbdus_crew_populate(struct libbdus_crew *crew)
{
	const struct libbdus_session *session = crew->session;

	crew->is_populated = true;
	libbdus_memory_populate(crew->workers,
				crew->size * sizeof(*crew->workers));
	libbdus_memory_populate(crew->ctx, sizeof(*crew->ctx));

	for (unsigned int i = 0; i < crew->size && session->protocol->populate;
	     ++i) {
		session->protocol->populate(session,
					    crew->workers[i].channel);
	}
}

void libbdus_crew_close(struct libbdus_crew *crew)
{
	const struct libbdus_session *session = crew->session;

	while (crew->size > 0) {
		--crew->size;
		session->protocol->close(session,
					 crew->workers[crew->size].channel);
	}

	free(crew->workers);
	pthread_cond_destroy(&crew->stopped);
	pthread_mutex_destroy(&crew->lock);
}

/* Serve requests until a notification comes, which is then worker->request. */
static int serve_requests(struct libbdus_worker *worker)
{
	const struct libbdus_crew *crew = worker->crew;
	const struct libbdus_session *session = crew->session;
	struct libbdus_request *request = &worker->request;
	int ret;

	for (;;) {
		ret = session->protocol->exchange(session, worker->channel,
						  request, worker->answer);
		if (ret)
			return ret;

		switch (request->type) {
		case KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE:
		case KBDUS_REQUEST_TYPE_TERMINATE:
		case KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE:
			return 0;
		}

		ret = libbdus_dispatch(crew->ctx, worker->index, request);
		if (ret == bdus_abort) {
			return libbdus_error(EIO,
				"Driver aborted: a callback returned bdus_abort.");
		}
		if (ret < 0)
			return ret;
		worker->answer = ret;
	}
}

/*
 * Wait until no other worker has a request in hand. They all run into TERMINATE
 * when they have answered what they have, or fail.
 */
static void await_others(struct libbdus_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	while (crew->serving > 1)
		pthread_cond_wait(&crew->stopped, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
}

static int flush_before_terminating(struct libbdus_worker *worker)
{
	struct libbdus_crew *crew = worker->crew;
	const struct libbdus_request request = {
		.type = KBDUS_REQUEST_TYPE_FLUSH,
	};
	int ret;

	await_others(crew);

	ret = libbdus_dispatch(crew->ctx, worker->index, &request);
	if (ret == bdus_abort) {
		return libbdus_error(EIO,
			"Driver aborted: a callback returned bdus_abort.");
	}
	if (ret) {
		return libbdus_error(EIO,
			"The driver failed to flush before terminating.");
	}

	return 0;
}

static int serve_to_the_end(struct libbdus_worker *worker)
{
	int ret = serve_requests(worker);

	if (ret)
		return ret;

	switch (worker->request.type) {
	case KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE:
		return libbdus_error(EINVAL,
			"kbdus said twice that the device is available.");
	case KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE:
		return flush_before_terminating(worker);
	default:
		return 0;
	}
}

static void stop_serving(struct libbdus_crew *crew, unsigned int count)
{
	pthread_mutex_lock(&crew->lock);
	crew->serving -= count;
	pthread_cond_broadcast(&crew->stopped);
	pthread_mutex_unlock(&crew->lock);
}

static void leave(struct libbdus_worker *worker)
{
	const struct libbdus_session *session = worker->crew->session;

	if (session->protocol->leave)
		session->protocol->leave(session, worker->channel);
}

/* Note how the worker ended; after a failure, make the others end too. */
static void end_worker(struct libbdus_worker *worker, int result)
{
	struct libbdus_crew *crew = worker->crew;

	leave(worker);
	worker->result = result;
	if (result) {
		libbdus_error_save(&worker->error);
		crew->backend->stop(crew->session);
	}

	stop_serving(crew, 1);
}

static bool set_policy(int policy)
{
	const struct sched_param param = { .sched_priority = 0 };

	return !sched_setscheduler(0, policy, &param);
}

/*
 * Have clients on the same processor go on when their requests wake this thread up:
 * they have more of them, which then cost no change of threads each. On an idle
 * processor it begins at once. What has a policy of its own keeps it. Returns
 * whether there is something to undo.
 */
static bool begin_yielding(void)
{
	return sched_getscheduler(0) == SCHED_OTHER && set_policy(SCHED_BATCH);
}

static void end_yielding(void)
{
	set_policy(SCHED_OTHER);
}

/* What a worker does in a thread of its own before it serves. */
static void populate_stack(const struct libbdus_worker *worker)
{
	if (worker->crew->is_populated)
		libbdus_memory_populate_stack();
}

static void *worker_main(void *argument)
{
	struct libbdus_worker *worker = argument;

	populate_stack(worker);
	begin_yielding();
	end_worker(worker, serve_to_the_end(worker));
	return NULL;
}

/* As the first worker: in the caller's own thread. */
static void first_worker_main(struct libbdus_worker *worker)
{
	bool is_yielding;

	populate_stack(worker);
	is_yielding = begin_yielding();
	end_worker(worker, serve_to_the_end(worker));
	if (is_yielding)
		end_yielding();
}

/* Start all workers but the first. */
static int start_workers(struct libbdus_crew *crew)
{
	int err;

	while (crew->started < crew->size) {
		struct libbdus_worker *worker = &crew->workers[crew->started];

		err = pthread_create(&worker->thread, NULL, worker_main,
				     worker);
		if (err) {
			stop_serving(crew, crew->size - crew->started);
			return libbdus_error_with_errno(err,
				"Failed to start worker %u of %u", crew->started,
				crew->size);
		}
		++crew->started;
	}

	return 0;
}

/*
 * Serve until the device is available or the session ends before that; alone, if the
 * protocol does not need all workers. libbdus_crew_join() or libbdus_crew_serve() must
 * follow.
 */
int libbdus_crew_await_available(struct libbdus_crew *crew, bool *is_available)
{
	struct libbdus_worker *worker = &crew->workers[0];
	int ret = 0;

	*is_available = false;
	crew->serving = 1;

	if (crew->session->protocol->needs_all_workers) {
		crew->serving = crew->size;
		ret = start_workers(crew);
	}
	if (!ret)
		ret = serve_requests(worker);
	if (!ret && worker->request.type == KBDUS_REQUEST_TYPE_DEVICE_AVAILABLE) {
		*is_available = true;
		return 0;
	}

	if (!ret &&
	    worker->request.type == KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE)
		ret = flush_before_terminating(worker);
	leave(worker);
	return ret;
}

/*
 * Wait until all workers that were started have ended, as they do once the session has
 * been stopped. Returns ret, unless that is 0 and one of them failed. Does nothing the
 * second time.
 */
int libbdus_crew_join(struct libbdus_crew *crew, int ret)
{
	for (unsigned int i = 1; i < crew->started; ++i)
		pthread_join(crew->workers[i].thread, NULL);

	for (unsigned int i = 0; i < crew->started && !ret; ++i) {
		ret = crew->workers[i].result;
		if (ret)
			libbdus_error_restore(&crew->workers[i].error);
	}

	crew->started = 1;
	return ret;
}

/*
 * Serve with all workers until the session ends. Of several failures, that of the
 * worker with the lowest index counts.
 */
int libbdus_crew_serve(struct libbdus_crew *crew)
{
	const struct libbdus_session *session = crew->session;
	struct libbdus_worker *first = &crew->workers[0];
	int ret;

	/* Before anything that the others do then can be seen. */
	if (crew->started < crew->size)
		crew->serving = crew->size;
	if (session->protocol->settle)
		session->protocol->settle(session);

	ret = start_workers(crew);
	if (ret)
		end_worker(first, ret);
	else
		first_worker_main(first);

	return libbdus_crew_join(crew, 0);
}
