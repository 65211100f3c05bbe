/* SPDX-License-Identifier: MIT */

/*
 * transport.h: how raw receives requests and replies to them, a file for each
 * protocol. A message is a structure of the protocol in question, so that cases can
 * set any byte of it; what it contains is found by the names of its fields.
 */

#ifndef TESTS_RAW_TRANSPORT_H
#define TESTS_RAW_TRANSPORT_H

#include "raw.h"

/* An open file; perhaps a session. */
struct file {
	char name[16];
	int fd;
	/* How the session talks; as the run does, before there is one. */
	const struct transport *transport;
	struct kbdus_protocol_config config;
	/* The transport's. */
	void *shared;
};

#define MESSAGE_SIZE 64

enum transport_verb {
	RECEIVE,
	REPLY,
	EXCHANGE,
};

struct transport {
	const char *name;
	/* Memory is mapped, and calls name buffers in it. */
	bool has_buffers;
	/* Memory is mapped, and calls name channels. */
	bool has_channels;
	/* Messages go through a socket. */
	bool is_socket;
	/* Requests are handed over before the driver asks for them. */
	bool sends_ahead;
	/* A second answer to a request is no late one, but refused. */
	bool forgets;
	/* What there is in the messages; the last one has no name. */
	const struct field *request_fields;
	const struct field *reply_fields;
	/* A file is about to become a session: completes the configuration. What
	 * it returns is the file's `shared` if that succeeds, or is discarded.
	 * May be NULL, both. */
	void *(*prepare)(const struct call *call,
			 struct kbdus_protocol_config *config);
	void (*discard)(void *shared);
	/* The file has become a session; its config is set. May be NULL. */
	void (*begin)(struct file *file);
	/* The file is about to be closed. May be NULL. */
	void (*end)(struct file *file);
	/* Send the message, put the request there. As a system call returns. */
	long (*talk)(struct file *file, enum transport_verb verb,
		     const struct call *call, char message[MESSAGE_SIZE]);
	/* Commands of its own. May be NULL. */
	const struct verb *verbs;
};

extern const struct transport transport_ioctl;
extern const struct transport transport_mmap;
extern const struct transport transport_ring;
extern const struct transport transport_uds;

/* file.c */
struct file *raw_file_of(const struct call *call);
void *raw_file_prepare(const struct call *call,
		       struct kbdus_protocol_config *config,
		       const struct transport **transport);
void raw_file_begin(struct file *file, const struct kbdus_protocol_config *config,
		    void *prepared);
const struct transport *raw_transport_find(const char *name);
const struct verb *raw_transport_verb(const char *name);

#endif
