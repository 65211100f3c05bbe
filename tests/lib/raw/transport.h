/* SPDX-License-Identifier: MIT */

/*
 * transport.h: how raw receives requests and replies to them, a file for each
 * protocol; and what raw.c lends to these files. A message is a structure of the
 * protocol in question, so that cases can set any byte of it; what it contains is
 * found by the names of its fields.
 */

#ifndef TESTS_RAW_TRANSPORT_H
#define TESTS_RAW_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kbdus.h"

#define MAX_WORDS 48
#define MAX_LINE 2048
#define PAGE 4096
#define GOOD_SIZE (4u << 20)

/* A line, taken apart; and the answer to it. */
struct call {
	char line[MAX_LINE];
	char *words[MAX_WORDS];
	int count;
	/* Who executes it: 0 is the main thread. */
	int thread;
	char answer[MAX_LINE];
};

void raw_die(const char *what) __attribute__((noreturn));
void raw_answer(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool raw_answer_result(struct call *call, long ret);
const char *raw_option(const struct call *call, const char *key);
uint64_t raw_number_option(const struct call *call, const char *key,
			   uint64_t otherwise);

struct memory {
	char name[16];
	char *address;
	/* What may be read and written in the end. */
	size_t size;
};

struct memory *raw_memory_add(const char *name, void *address, size_t size);
struct memory *raw_memory_find(const char *name);
void *raw_memory_place(struct memory *memory, const void *data, size_t size);

/* A member of a structure. */
enum kind {
	NUMBER,
	TYPE,
	OPERATIONS,
	TEXT,
};

struct field {
	const char *name;
	unsigned short offset;
	unsigned short size;
	enum kind kind;
};

#define FIELD_OF(structure, member, label, how)                                \
	{ label, offsetof(struct structure, member),                           \
	  sizeof(((struct structure *)0)->member), how }

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

struct file *raw_file_of(const struct call *call);
void raw_set_fields(const struct call *call, const struct field *fields,
		    char *structure);

enum transport_verb {
	RECEIVE,
	REPLY,
	EXCHANGE,
};

struct transport {
	const char *name;
	/* There is memory to be mapped. */
	bool is_mapping;
	/* Messages go through a socket. */
	bool is_socket;
	/* Requests are handed over before the driver asks for them. */
	bool sends_ahead;
	/* What there is in the messages; the last one has no name. */
	const struct field *request_fields;
	const struct field *reply_fields;
	/* A file is about to become a session: completes the configuration. What
	 * it returns is the file's `shared` if that succeeds, or is discarded.
	 * May be NULL, both. */
	void *(*prepare)(struct kbdus_protocol_config *config);
	void (*discard)(void *shared);
	/* The file has become a session; its config is set. May be NULL. */
	void (*begin)(struct file *file);
	/* The file is about to be closed. May be NULL. */
	void (*end)(struct file *file);
	/* Send the message, put the request there. As a system call returns. */
	long (*talk)(struct file *file, enum transport_verb verb,
		     const struct call *call, char message[MESSAGE_SIZE]);
};

extern const struct transport transport_ioctl;
extern const struct transport transport_mmap;
extern const struct transport transport_uds;

/* Commands of raw that belong to one transport; the last one has no name. */
struct verb {
	const char *name;
	void (*execute)(struct call *call);
};

extern const struct verb mmap_verbs[];
extern const struct verb uds_verbs[];

/* alone.c */
void raw_execute(struct call *call, const char *line);
int raw_alone(char **arguments);

#endif
