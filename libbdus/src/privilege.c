/* SPDX-License-Identifier: MIT */

/*
 * privilege.c: being root, and doing without a privilege for a moment, in one thread:
 * where the kernel does more for those who may ask for it than is wanted. Owns nothing.
 */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static bool set_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return !syscall(SYS_capset, &header, data);
}

/* Fail without root's privileges. */
int libbdus_require_root(void)
{
	if (geteuid() == 0)
		return 0;
	return libbdus_error(EPERM,
		"Insufficient privileges: the effective user is not root.");
}

/* Do without CAP_SYS_ADMIN, if that works. libbdus_privilege_take_back() must follow, in
 * the same thread. */
void libbdus_privilege_give_up(struct libbdus_privilege *privilege)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	privilege->is_given_up = false;
	if (syscall(SYS_capget, &header, privilege->before))
		return;
	memcpy(data, privilege->before, sizeof(data));
	data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &=
		~CAP_TO_MASK(CAP_SYS_ADMIN);
	privilege->is_given_up = set_capabilities(data);
}

void libbdus_privilege_take_back(struct libbdus_privilege *privilege)
{
	if (privilege->is_given_up)
		set_capabilities(privilege->before);
	privilege->is_given_up = false;
}
