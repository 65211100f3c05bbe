/* SPDX-License-Identifier: MIT */

/*
 * before-case.c: before each case: the module is loaded, with the protocol of
 * the run. A program, because a shell that starts others takes longer than most
 * cases under emulation.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	const char *path = getenv("BDUS_MODULE");
	const char *protocol = getenv("BDUS_PROTOCOL");
	char parameters[64];
	int fd;

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
