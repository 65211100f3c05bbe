/* SPDX-License-Identifier: MIT */

/*
 * after-case.c: after each case, whatever became of it: nothing of it is left,
 * and the module can be unloaded. What cannot be cleaned up is a defect and fails
 * the case. Speaks with the module itself, so that it does not depend on what the
 * cases are about; a program for the reason that before-case.c gives.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../kbdus/include/kbdus.h"

#define MINE "/bdus/out/"

static double slow = 1;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Whether it becomes true in so many seconds, scaled by what a slow kernel needs. */
static bool becomes(bool (*condition)(void), int seconds)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	double end = now() + seconds * slow;

	while (!condition()) {
		if (now() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Has the kernel show what all tasks do, and fails the case. */
static void complain(const char *what)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	printf("after the case: %s\n", what);
	fflush(stdout);
	if (fd >= 0 && write(fd, "t", 1) != 1)
		puts("(and sysrq does not work)");
	exit(1);
}

/* ---- mounts ---- */

/* Takes apart what /proc/mounts makes of blanks and the like: \040. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && isdigit(text[1])) {
			*to++ = strtol((char[]){ text[1], text[2], text[3], 0 },
				       NULL, 8);
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

static bool no_children(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0;
}

/*
 * That may take as long as a driver takes, unless its device is destroyed: so
 * each is left to a process of its own, which gets some time to do it well.
 */
static void unmount_all(void)
{
	char line[4096], source[1024], directory[2048];
	FILE *mounts = fopen("/proc/mounts", "re");

	while (mounts && fgets(line, sizeof(line), mounts)) {
		if (sscanf(line, "%1023s %2047s", source, directory) != 2 ||
		    (strncmp(source, "/dev/bdus-", 10) != 0 &&
		     strncmp(source, "/dev/ublkb", 10) != 0 &&
		     strncmp(source, "/dev/nbd", 8) != 0))
			continue;
		unescape(directory);
		if (fork() == 0)
			_exit(umount2(directory, MNT_DETACH) != 0);
	}
	if (mounts)
		fclose(mounts);
	becomes(no_children, 2);
}

/* ---- devices ---- */

static void ignore(int signal)
{
	(void)signal;
}

static void destroy_all(void)
{
	struct sigaction action = { .sa_handler = ignore };
	int fd = open(KBDUS_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	__u64 id;

	if (fd < 0)
		return;
	sigaction(SIGALRM, &action, NULL);
	for (id = 0; !ioctl(fd, KBDUS_IOCTL_NEXT_DEVICE, &id); id++)
		ioctl(fd, KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION, &id);
	alarm(20 * slow);
	for (id = 0; !ioctl(fd, KBDUS_IOCTL_NEXT_DEVICE, &id); id++) {
		if (ioctl(fd, KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED, &id))
			complain("a device could not be destroyed");
	}
	alarm(0);
	close(fd);
}

/* ---- devices of other backends ---- */

#define RECORDS "/run/bdus"

static bool has_no_directory(const char *path, const char *prefix)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (directory && !found && (entry = readdir(directory)))
		found = strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (directory)
		closedir(directory);
	return !found;
}

/* Ids begin with a one, beside which there is only `next`. */
static bool no_records(void)
{
	return has_no_directory(RECORDS, "1");
}

static bool no_ublk_devices(void)
{
	return has_no_directory("/sys/block", "ublkb") &&
	       has_no_directory("/sys/class/ublk-char", "ublkc");
}

/* The first 16 are the module's own, which is loaded when somebody asks whether it is
 * there. */
static bool no_nbd_devices(void)
{
	DIR *directory = opendir("/sys/block");
	struct dirent *entry;
	unsigned int number;
	bool found = false;

	while (directory && !found && (entry = readdir(directory)))
		found = sscanf(entry->d_name, "nbd%u", &number) == 1 &&
			number >= 16;
	if (directory)
		closedir(directory);
	return !found;
}

static void destroy_recorded(void)
{
	if (no_records())
		return;
	if (fork() == 0) {
		execl(MINE "bin/bdus", MINE "bin/bdus", "destroy", "--all",
		      "--no-flush", "--quiet", NULL);
		_exit(1);
	}
	if (!becomes(no_children, 20))
		complain("bdus destroy hangs");
}

/* ---- processes ---- */

/* Calls @visit for each entry of a directory of /proc that is a number, until it
 * says true; whether it did. */
static bool any_number(const char *path, bool (*visit)(const char *path))
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char below[PATH_MAX];
	bool found = false;

	while (directory && !found && (entry = readdir(directory))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		found = visit(below);
	}
	if (directory)
		closedir(directory);
	return found;
}

/* Reads a small file; an empty string if it is gone. */
static const char *content(const char *directory, const char *name)
{
	static char text[512];
	char path[PATH_MAX];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static bool kill_if_mine(const char *path)
{
	pid_t pid = atoi(path + strlen("/proc/"));

	if (pid == getpid() ||
	    strncmp(content(path, "cmdline"), MINE, strlen(MINE)) != 0)
		return false;
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	return true;
}

static bool no_process_of_mine(void)
{
	return !any_number("/proc", kill_if_mine);
}

static bool task_is_stuck(const char *path)
{
	const char *state = strrchr(content(path, "stat"), ')');

	return state && strncmp(state, ") D", 3) == 0;
}

static bool process_is_stuck(const char *path)
{
	char tasks[PATH_MAX];

	snprintf(tasks, sizeof(tasks), "%s/task", path);
	return any_number(tasks, task_is_stuck);
}

/* Sleeps that nothing can interrupt end by themselves. */
static bool nobody_is_stuck(void)
{
	return !any_number("/proc", process_is_stuck);
}

/* ---- the module ---- */

static bool is_unloaded(void)
{
	return syscall(SYS_delete_module, "kbdus", O_NONBLOCK) == 0 ||
	       errno == ENOENT;
}

int main(void)
{
	const char *text = getenv("BDUS_SLOW");

	if (text)
		slow = atof(text);
	unmount_all();
	destroy_all();
	destroy_recorded();
	if (!becomes(no_process_of_mine, 10))
		complain("a driver cannot be killed");
	if (!becomes(nobody_is_stuck, 10))
		complain("tasks are stuck");
	if (!becomes(no_ublk_devices, 10))
		complain("ublk devices are left");
	if (!becomes(no_nbd_devices, 10))
		complain("network block devices are left");
	/* Their clients are gone only now. */
	destroy_recorded();
	if (!no_records())
		complain("records of devices are left");
	if (!becomes(is_unloaded, 10))
		complain("the module cannot be unloaded");
	return 0;
}
