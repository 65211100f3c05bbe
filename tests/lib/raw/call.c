/* SPDX-License-Identifier: MIT */

/*
 * call.c: a line, what it says, and the answer to it.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../drivers/common/libc.h"
#include "raw.h"

void raw_die(const char *what)
{
	fprintf(stderr, "raw: %s\n", what);
	exit(2);
}

void raw_answer(struct call *call, const char *format, ...)
{
	size_t length = strlen(call->answer);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->answer + length, sizeof(call->answer) - length, format,
		  arguments);
	va_end(arguments);
}

/* `ret` as a system call returns it. */
bool raw_answer_result(struct call *call, long ret)
{
	int error = errno;

	raw_answer(call, "%s", ret < 0 ? strerrorname_np(error) : "ok");
	return ret >= 0;
}

const char *raw_option(const struct call *call, const char *key)
{
	size_t length = strlen(key);

	for (int i = 1; i < call->count; i++) {
		if (!strncmp(call->words[i], key, length) &&
		    call->words[i][length] == '=')
			return call->words[i] + length + 1;
	}
	return NULL;
}

uint64_t raw_number(const char *text)
{
	static const char suffixes[] = "KMGTPE";
	const char *suffix;
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end == text)
			raw_die(text);
		value <<= 10 * (suffix - suffixes + 1);
	}
	return value;
}

uint64_t raw_number_option(const struct call *call, const char *key,
			   uint64_t otherwise)
{
	const char *text = raw_option(call, key);

	return text ? raw_number(text) : otherwise;
}

/* Takes a line apart. */
void raw_parse(struct call *call)
{
	char *rest;

	call->count = 0;
	for (char *word = strtok_r(call->line, " \n", &rest);
	     word && call->count < MAX_WORDS; word = strtok_r(NULL, " \n", &rest))
		call->words[call->count++] = word;
}
