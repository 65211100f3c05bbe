/* SPDX-License-Identifier: MIT */

/*
 * before-case.c: before each case: the module is loaded, with the protocol of
 * the run, or the kernel's own for another backend. A program, because a shell
 * that starts others takes longer than most cases under emulation.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_rule(const char *path, const char *rule)
{
	FILE *file;

	if (mkdir("/run/udev/rules.d", 0755) && errno != EEXIST)
		return false;
	file = fopen(path, "we");
	if (!file)
		return false;
	fprintf(file, "SUBSYSTEM==\"block\", KERNEL==\"ublkb*|nbd*\", %s\n",
		rule);
	return !fclose(file);
}

/* Say what udev is to do with devices of the kernel's own modules: as with ours, not
 * to look at what is on them, which the driver would see. */
static bool quieten_udev(void)
{
	/* Its own rules are numbered 60. */
	return write_rule("/run/udev/rules.d/10-bdus.rules",
			  "ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}=\"1\"") &&
	       write_rule("/run/udev/rules.d/70-bdus.rules",
			  "OPTIONS+=\"nowatch\"") &&
	       !system("udevadm control --reload");
}

/* Load a module of the kernel's own: with an argument or NULL. */
static int load_own(const char *module, const char *argument)
{
	char path[64];
	int status;

	if (!quieten_udev()) {
		printf("before the case: udev cannot be told\n");
		return 1;
	}
	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (access(path, F_OK) == 0)
		return 0;
	if (fork() == 0)
		_exit(execlp("modprobe", "modprobe", module, argument, NULL));
	if (wait(&status) > 0 && status == 0)
		return 0;
	printf("before the case: %s cannot be loaded\n", module);
	return 1;
}

int main(void)
{
	const char *backend = getenv("BDUS_BACKEND");
	const char *path = getenv("BDUS_MODULE");
	const char *protocol = getenv("BDUS_PROTOCOL");
	char parameters[64];
	int fd;

	if (backend && strcmp(backend, "ublk") == 0)
		return load_own("ublk_drv", NULL);
	/* Without devices for those who want some that are there already, which
	 * take their time to appear. */
	if (backend && strcmp(backend, "nbd") == 0)
		return load_own("nbd", "nbds_max=0");
	if (access("/sys/module/kbdus", F_OK) == 0)
		return 0;
	snprintf(parameters, sizeof(parameters), "protocol=%s",
		 protocol ? protocol : "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) {
		printf("before the case: %s cannot be loaded with %s: %s\n",
		       path, parameters, strerror(errno));
		return 1;
	}
	return 0;
}
