// SPDX-License-Identifier: GPL-2.0-only
/*
 * protocol.c: which protocols there are, and which of them sessions may use.
 *
 * The module parameter `protocol` limits sessions to one; session.c asks here
 * for the one that a session names.
 */
#include <linux/array_size.h>
#include <linux/err.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "protocol.h"

static const struct kbdus_protocol *const protocols[] = {
	&kbdus_protocol_ioctl,
	&kbdus_protocol_mmap,
	&kbdus_protocol_uds,
	&kbdus_protocol_ring,
};

/* The only one that sessions may use; NULL if they may choose. */
static const struct kbdus_protocol *only_protocol;

static const struct kbdus_protocol *protocol_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcmp(protocols[i]->name, name))
			return protocols[i];
	}
	return NULL;
}

static void protocol_complain(const char *name)
{
	size_t i;

	pr_err("kbdus: there is no protocol \"%s\"; known are:\n", name);
	for (i = 0; i < ARRAY_SIZE(protocols); i++)
		pr_err("kbdus:   %s\n", protocols[i]->name);
}

/**
 * kbdus_protocol_init() - limits sessions to one protocol
 * @name: its name, or "" if they may choose
 *
 * Return: 0, or -EINVAL after saying which protocols there are.
 */
int kbdus_protocol_init(const char *name)
{
	only_protocol = NULL;
	if (!*name)
		return 0;
	only_protocol = protocol_by_name(name);
	if (only_protocol)
		return 0;
	protocol_complain(name);
	return -EINVAL;
}

/**
 * kbdus_protocol_find() - finds the protocol that a session names
 * @config: as user space handed it in
 *
 * Return: the protocol, or ERR_PTR(-EINVAL) if the name is not filled up with
 * zeros, unknown, or not the one that the module was loaded with.
 */
const struct kbdus_protocol *
kbdus_protocol_find(const struct kbdus_protocol_config *config)
{
	const struct kbdus_protocol *protocol;
	size_t length = strnlen(config->name, sizeof(config->name));

	if (length == sizeof(config->name) ||
	    memchr_inv(config->name + length, 0, sizeof(config->name) - length))
		return ERR_PTR(-EINVAL);

	protocol = protocol_by_name(config->name);
	if (!protocol)
		return ERR_PTR(-EINVAL);
	if (only_protocol && protocol != only_protocol) {
		pr_info("kbdus: a session asked for protocol \"%s\", but the module was loaded with protocol=%s\n",
			protocol->name, only_protocol->name);
		return ERR_PTR(-EINVAL);
	}
	return protocol;
}

/**
 * kbdus_protocol_has_command() - whether a command is one of some protocol
 * @command: an ioctl command
 *
 * Return: true if it is, whatever the present session speaks.
 */
bool kbdus_protocol_has_command(unsigned int command)
{
	const unsigned int *each;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		for (each = protocols[i]->commands; *each; each++) {
			if (*each == command)
				return true;
		}
	}
	return false;
}
