/* SPDX-License-Identifier: MIT */

/*
 * fields.c: the members of structures by their names: set as a call says, and told in
 * its answer.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"

static const char *const types[KBDUS_REQUEST_TYPE_COUNT] = {
	"DEVICE_AVAILABLE",
	"TERMINATE",
	"FLUSH_AND_TERMINATE",
	"READ",
	"WRITE",
	"WRITE_SAME",
	"WRITE_ZEROS_NO_UNMAP",
	"WRITE_ZEROS_MAY_UNMAP",
	"FUA_WRITE",
	"FLUSH",
	"DISCARD",
	"SECURE_ERASE",
	"IOCTL",
};

uint32_t raw_type_by_name(const char *name, size_t length)
{
	for (uint32_t i = 0; i < KBDUS_REQUEST_TYPE_COUNT; i++) {
		if (strlen(types[i]) == length &&
		    !strncmp(types[i], name, length))
			return i;
	}
	raw_die(name);
	return 0;
}

/* "READ,FLUSH" or a number. */
static uint32_t operations(const char *text)
{
	uint32_t result = 0;

	if (strchr("-0123456789", *text))
		return raw_number(text);
	while (*text) {
		size_t length = strcspn(text, ",");

		result |= 1u << raw_type_by_name(text, length);
		text += length;
		text += *text == ',';
	}
	return result;
}

static void field_set(const struct field *field, char *argument,
		      const char *text)
{
	uint64_t value;

	if (field->kind == TEXT) {
		/* Deliberately without a zero if it is as long as that. */
		memset(argument + field->offset, 0, field->size);
		memcpy(argument + field->offset, text,
		       strnlen(text, field->size));
		return;
	}
	if (field->kind == OPERATIONS)
		value = operations(text);
	else if (field->kind == TYPE)
		value = raw_type_by_name(text, strlen(text));
	else
		value = raw_number(text);
	memcpy(argument + field->offset, &value, field->size);
}

static void field_answer(struct call *call, const struct field *field,
			 const char *argument)
{
	uint64_t value = 0;

	if (field->kind == TEXT) {
		raw_answer(call, " %s=%.*s", field->name, field->size,
		       argument + field->offset);
		return;
	}
	memcpy(&value, argument + field->offset, field->size);
	if (field->kind == TYPE && value < KBDUS_REQUEST_TYPE_COUNT)
		raw_answer(call, " %s=%s", field->name, types[value]);
	else
		raw_answer(call, " %s=%llu", field->name, (unsigned long long)value);
}

const struct field *raw_field_find(const struct field *fields, const char *name,
				   size_t length)
{
	for (; fields && fields->name; fields++) {
		if (strlen(fields->name) == length &&
		    !strncmp(fields->name, name, length))
			return fields;
	}
	return NULL;
}

/* Sets what the call says; what is no field must be an option. */
void raw_set_fields(const struct call *call, const struct field *fields,
		    char *structure)
{
	static const char *const options[] = {
		"file=", "pointer=", "buffer=", "channel=", "until=", "from=", "to=",
	};

	for (int i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		const char *value = strchr(word, '=');
		const struct field *field;
		bool is_option = false;

		if (!value)
			raw_die(word);
		if (!strncmp(word, "byte.", 5)) {
			structure[atoi(word + 5)] = raw_number(value + 1);
			continue;
		}
		for (size_t j = 0; j < sizeof(options) / sizeof(*options); j++)
			is_option |= !strncmp(word, options[j],
					      strlen(options[j]));
		if (is_option)
			continue;
		field = raw_field_find(fields, word, value - word);
		if (!field)
			raw_die(word);
		field_set(field, structure, value + 1);
	}
}

void raw_answer_fields(struct call *call, const struct field *fields,
		       const char *structure)
{
	for (; fields && fields->name; fields++)
		field_answer(call, fields, structure);
}
