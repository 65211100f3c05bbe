/* SPDX-License-Identifier: MIT */

/*
 * raw.h: what the files of raw have in common: calls, memories, fields, and commands.
 */

#ifndef TESTS_RAW_RAW_H
#define TESTS_RAW_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kbdus.h"

#define MAX_WORDS 48
#define MAX_LINE 4096
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

/* call.c */
void raw_parse(struct call *call);
void raw_die(const char *what) __attribute__((noreturn));
void raw_answer(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool raw_answer_result(struct call *call, long ret);
const char *raw_option(const struct call *call, const char *key);
uint64_t raw_number(const char *text);
uint64_t raw_number_option(const struct call *call, const char *key,
			   uint64_t otherwise);

/* A command of raw; the last one of a list has no name. */
struct verb {
	const char *name;
	void (*execute)(struct call *call);
};

extern const struct verb control_verbs[];
extern const struct verb file_verbs[];
extern const struct verb memory_verbs[];
extern const struct verb share_verbs[];
extern const struct verb talk_verbs[];
extern const struct verb thread_verbs[];

/* raw.c */
void raw_execute(struct call *call);
const struct verb *raw_verb_find(const struct verb *list, const char *name);

/* memory.c */
struct memory {
	char name[16];
	char *address;
	/* What may be read and written in the end. */
	size_t size;
};

void raw_memories_make(void);
struct memory *raw_memory_add(const char *name, void *address, size_t size);
struct memory *raw_memory_find(const char *name);
void *raw_memory_place(struct memory *memory, const void *data, size_t size);

/* fields.c: a member of a structure. */
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

uint32_t raw_type_by_name(const char *name, size_t length);
const struct field *raw_field_find(const struct field *fields, const char *name,
				   size_t length);
void raw_set_fields(const struct call *call, const struct field *fields,
		    char *structure);
void raw_answer_fields(struct call *call, const struct field *fields,
		       const char *structure);

/* control.c */
bool raw_command(struct call *call);

/* threads.c */
void raw_threads_create(void);
void raw_thread_begin(const struct call *call);

/* share.c: somebody has said `calm`. */
extern volatile bool raw_is_calm;

/* alone.c */
int raw_alone(char **arguments);

#endif
