/* SPDX-License-Identifier: MIT */

/*
 * threads.c: threads that execute a call each while the main thread goes on.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raw.h"

#define THREADS 8

static struct thread {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct call call;
	pid_t tid;
	bool is_busy;
} threads[THREADS];

static struct thread *thread_option(const struct call *call)
{
	return &threads[raw_number_option(call, "thread", 1) & 7];
}

static void do_join(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	while (thread->is_busy)
		pthread_cond_wait(&thread->changed, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
	raw_answer(call, "%s", thread->call.answer);
}

/* Whether the command that a thread executes has ended: ok or EBUSY. */
static void do_ended(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	raw_answer(call, "%s", thread->is_busy ? "EBUSY" : "ok");
	pthread_mutex_unlock(&thread->lock);
}

/* Whether a thread waits in a call to the module: ok or EAGAIN. */
static void do_waits(struct call *call)
{
	struct thread *thread = thread_option(call);
	char path[64], text[16] = "";
	FILE *stream;
	int number;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread->tid);
	stream = fopen(path, "re");
	if (!stream || !fgets(text, sizeof(text), stream))
		raw_die(path);
	fclose(stream);
	number = atoi(text);
	raw_answer(call, "%s", number == SYS_ioctl || number == SYS_recvfrom ?
				       "ok" : "EAGAIN");
}

static void do_signal(struct call *call)
{
	raw_answer_result(call, pthread_kill(thread_option(call)->thread, SIGUSR1));
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	pthread_mutex_lock(&thread->lock);
	thread->tid = syscall(SYS_gettid);
	for (;;) {
		while (!thread->is_busy)
			pthread_cond_wait(&thread->changed, &thread->lock);
		pthread_mutex_unlock(&thread->lock);
		raw_execute(&thread->call);
		pthread_mutex_lock(&thread->lock);
		thread->is_busy = false;
		pthread_cond_broadcast(&thread->changed);
	}
	return NULL;
}

/* Has a thread execute the rest of a call, whose first word names it: @1. */
void raw_thread_begin(const struct call *call)
{
	struct thread *thread = &threads[atoi(call->words[0] + 1) & 7];

	pthread_mutex_lock(&thread->lock);
	if (thread->is_busy)
		raw_die("the thread is busy");
	thread->call = *call;
	thread->call.thread = thread - threads;
	/* The words point into the line. */
	for (int i = 1; i < call->count; i++)
		thread->call.words[i - 1] =
			thread->call.line + (call->words[i] - call->line);
	thread->call.count--;
	thread->is_busy = true;
	pthread_cond_broadcast(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
}

/* Number 0 is the main thread. */
void raw_threads_create(void)
{
	for (int i = 1; i < THREADS; i++) {
		pthread_mutex_init(&threads[i].lock, NULL);
		pthread_cond_init(&threads[i].changed, NULL);
		if (pthread_create(&threads[i].thread, NULL, thread_main,
				   &threads[i]))
			raw_die("pthread_create");
	}
}

const struct verb thread_verbs[] = {
	{ "join", do_join },
	{ "ended", do_ended },
	{ "waits", do_waits },
	{ "signal", do_signal },
	{ 0 }
};
