/* SPDX-License-Identifier: MIT */

/*
 * process.c: a driver as a process, in the background or not.
 *
 * A driver that goes to the background forks *before* it has a device, unlike
 * what the library does by itself, and the parent leaves once the device is
 * available:
 *
 *     parent   fork ------------------------------ gets a byte, exits with 0
 *     child         signals, run, ..., available, detach, serve, ..., end
 *
 * So the thread that waits for signals lives as long as the device, and nothing of
 * a session ever crosses a fork.
 *
 * SIGTERM, SIGINT and SIGHUP end a driver in an orderly way: the thread asks the
 * module to end the session, and the library returns from its loop. A recoverable
 * device then waits for a successor, any other one is destroyed, after it was
 * flushed if what it holds outlives the driver. A second signal kills.
 */

#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/*
 * A process is one driver. Written before the signal thread exists, but for what
 * the lock protects.
 */
static struct {
	const struct driver *driver;
	/* To tell the waiting parent that the device is available; -1 if there is
	 * none, or no more. */
	int ready_fd;
	bool is_detached;
	sigset_t ending_signals;

	pthread_mutex_t lock;
	/* Under `lock`: whether there is a device, and which. */
	bool has_device;
	bool is_recoverable;
	uint64_t device;
} process = { .ready_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static void say(const char *format, va_list arguments)
{
	char text[2048];

	vsnprintf(text, sizeof(text), format, arguments);
	if (process.is_detached)
		syslog(LOG_ERR, "%s", text);
	else
		fprintf(stderr, "Error: %s\n", text);
}

void driver_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

int driver_usage_error(const struct driver *driver, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	fprintf(stderr, "Try 'bdus run %s --help' for more information.\n",
		driver->name);
	return DRIVER_EXIT_USAGE;
}

/*
 * The kernel ends the session of a process that dies, so without a device to
 * tell there is nothing to do but to die.
 */
static void end_driver(int signal_number)
{
	bool has_device, is_recoverable;
	uint64_t device;

	pthread_mutex_lock(&process.lock);
	has_device = process.has_device;
	is_recoverable = process.is_recoverable;
	device = process.device;
	pthread_mutex_unlock(&process.lock);

	if (!has_device)
		_exit(128 + signal_number);
	if (process.driver->keeps_data && !is_recoverable &&
	    !bdus_flush_dev(device) && errno != EBUSY && errno != ENODEV)
		driver_error("flushing the device before leaving it: %s",
			     bdus_get_error_message());
	if (!bdus_terminate_driver(device) && errno != ENODEV) {
		driver_error("%s", bdus_get_error_message());
		_exit(128 + signal_number);
	}
}

static void *wait_for_signal(void *argument)
{
	int signal_number;

	(void)argument;
	sigwait(&process.ending_signals, &signal_number);
	/* This thread alone takes the next one, and the process dies of it; so it
	 * must stay, in case that the driver does not end. */
	pthread_sigmask(SIG_UNBLOCK, &process.ending_signals, NULL);
	end_driver(signal_number);
	for (;;)
		pause();
	return NULL;
}

static bool start_signal_thread(void)
{
	pthread_t thread;
	int error;

	sigemptyset(&process.ending_signals);
	sigaddset(&process.ending_signals, SIGTERM);
	sigaddset(&process.ending_signals, SIGINT);
	sigaddset(&process.ending_signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &process.ending_signals, NULL);
	error = pthread_create(&thread, NULL, wait_for_signal, NULL);
	if (error != 0) {
		driver_error("starting a thread: %s", strerror(error));
		return false;
	}
	pthread_detach(thread);
	return true;
}

static int initialize(struct bdus_ctx *ctx)
{
	const struct bdus_ops *ops = process.driver->ops;

	pthread_mutex_lock(&process.lock);
	process.has_device = true;
	process.is_recoverable = ctx->attrs->recoverable;
	process.device = ctx->id;
	pthread_mutex_unlock(&process.lock);
	return ops->initialize ? ops->initialize(ctx) : 0;
}

static int detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return errno;
	openlog(process.driver->name, LOG_PID, LOG_DAEMON);
	setsid();
	prctl(PR_SET_PDEATHSIG, 0);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	process.is_detached = true;
	if (write(process.ready_fd, "", 1) != 1)
		return EIO;
	close(process.ready_fd);
	process.ready_fd = -1;
	return 0;
}

static int on_device_available(struct bdus_ctx *ctx)
{
	const struct bdus_ops *ops = process.driver->ops;
	int error = ops->on_device_available ? ops->on_device_available(ctx) : 0;

	if (error != 0)
		return error;
	if (printf("%s\n", ctx->path) < 0 || fflush(stdout) != 0)
		return EIO;
	return process.ready_fd >= 0 ? detach() : 0;
}

static int serve_by_callbacks(const struct driver_run *run)
{
	const bool is_good =
		run->is_replacement ?
			bdus_rerun(run->device, &run->ops, &run->attrs, NULL) :
			bdus_run(&run->ops, &run->attrs, NULL);

	if (!is_good) {
		driver_error("%s", bdus_get_error_message());
		return DRIVER_EXIT_FAILURE;
	}
	return DRIVER_EXIT_OK;
}

static int serve(const struct driver_run *run)
{
	struct driver_run ours = *run;
	int status = -1;

	if (!start_signal_thread())
		return DRIVER_EXIT_FAILURE;
	ours.ops.initialize = initialize;
	ours.ops.on_device_available = on_device_available;
	ours.attrs.dont_daemonize = true;
	if (process.driver->serve)
		status = process.driver->serve(&ours);
	return status >= 0 ? status : serve_by_callbacks(&ours);
}

/* Returns the status of a child that ended before its device was available. */
static int wait_for_child(pid_t child, int ready_fd)
{
	ssize_t count;
	char byte;
	int status;

	do
		count = read(ready_fd, &byte, 1);
	while (count < 0 && errno == EINTR);
	if (count == 1)
		return DRIVER_EXIT_OK;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != DRIVER_EXIT_OK)
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		driver_error("the driver was killed by signal %d (%s)",
			     WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		driver_error("the driver ended before its device was available");
	return DRIVER_EXIT_FAILURE;
}

static int serve_in_background(const struct driver_run *run)
{
	pid_t parent = getpid();
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) != 0 || (child = fork()) < 0) {
		driver_error("going to the background: %s", strerror(errno));
		return DRIVER_EXIT_FAILURE;
	}
	if (child != 0) {
		close(fds[1]);
		return wait_for_child(child, fds[0]);
	}
	close(fds[0]);
	process.ready_fd = fds[1];
	/* Whoever kills the command before it has returned means the driver. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		return DRIVER_EXIT_FAILURE;
	return serve(run);
}

int driver_run(const struct driver *driver, const struct driver_run *run)
{
	process.driver = driver;
	return run->attrs.dont_daemonize ? serve(run) : serve_in_background(run);
}

int driver_main(const struct driver *driver, int argc, char **argv)
{
	struct driver_run run;
	int status = driver_parse(driver, argc, argv, &run);

	if (status < 0)
		return DRIVER_EXIT_OK;
	if (status == DRIVER_EXIT_OK && driver->prepare)
		status = driver->prepare(&run);
	if (status != DRIVER_EXIT_OK)
		return status;
	driver_set_defaults(driver, &run);
	return driver_run(driver, &run);
}
