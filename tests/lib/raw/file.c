/* SPDX-License-Identifier: MIT */

/*
 * file.c: open files by their names, and the transport of each.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport.h"

static struct file files[16];

static const struct transport *const transports[] = {
	&transport_ioctl,
	&transport_mmap,
	&transport_uds,
	&transport_ring,
};

/* By its name; that of the run if there is none of that name. */
const struct transport *raw_transport_find(const char *name)
{
	const char *of_run = getenv("BDUS_PROTOCOL");
	const struct transport *transport = transports[0];

	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
		if (of_run && !strcmp(transports[i]->name, of_run))
			transport = transports[i];
	}
	return transport;
}

/* The command of a transport that has this name, or NULL. */
const struct verb *raw_transport_verb(const char *name)
{
	const struct verb *verb = NULL;

	for (size_t i = 0; !verb && i < sizeof(transports) / sizeof(*transports); i++)
		verb = raw_verb_find(transports[i]->verbs, name);
	return verb;
}

struct file *raw_file_of(const struct call *call)
{
	const char *name = raw_option(call, "file");

	if (!name)
		name = "main";
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (!*files[i].name) {
			snprintf(files[i].name, sizeof(files[i].name), "%s",
				 name);
			files[i].transport = raw_transport_find("");
		}
		if (!strcmp(files[i].name, name))
			return &files[i];
	}
	raw_die("too many files");
	return NULL;
}

static void do_open(struct call *call)
{
	const char *path = raw_option(call, "path");
	struct file *file = raw_file_of(call);

	file->fd = open(path ? path : KBDUS_CONTROL_PATH,
			(raw_option(call, "readonly") ? O_RDONLY : O_RDWR) |
				O_CLOEXEC);
	raw_answer_result(call, file->fd);
}

static void do_close(struct call *call)
{
	struct file *file = raw_file_of(call);

	if (*file->config.name && file->transport->end)
		file->transport->end(file);
	file->transport = raw_transport_find("");
	memset(&file->config, 0, sizeof(file->config));
	raw_answer_result(call, close(file->fd));
	file->fd = -1;
}

/* Completes a configuration if the protocol that it names needs that. */
void *raw_file_prepare(const struct call *call,
		       struct kbdus_protocol_config *config,
		       const struct transport **transport)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		*transport = transports[i];
		if (!strncmp(transports[i]->name, config->name,
			     sizeof(config->name)) && transports[i]->prepare)
			return transports[i]->prepare(call, config);
	}
	return NULL;
}

/* Takes notice of what the module made of the file. */
void raw_file_begin(struct file *file, const struct kbdus_protocol_config *config,
		    void *prepared)
{
	file->config = *config;
	file->shared = prepared;
	file->transport = raw_transport_find(config->name);
	if (file->transport->begin)
		file->transport->begin(file);
}

const struct verb file_verbs[] = {
	{ "open", do_open },
	{ "close", do_close },
	{ 0 }
};
