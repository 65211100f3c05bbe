/* SPDX-License-Identifier: MIT */

/*
 * common_print.c: devices as a table, as lists of properties, or as JSON.
 *
 * libsmartcols does the layout and the quoting; this file decides what is in a
 * cell. JSON always has numbers as numbers and truth values as truth values,
 * whatever people get to see.
 */

#include "common.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

/* 1536 becomes "1.5K". */
static void format_size(uint64_t size, char *out, size_t out_size)
{
	static const char units[] = "BKMGTPE";
	uint64_t whole = size, tenths = 0;
	int unit = 0;

	while (whole >= 1024 && units[unit + 1]) {
		tenths = (whole % 1024 * 10 + 512) / 1024;
		whole = whole / 1024 + tenths / 10;
		tenths %= 10;
		unit++;
	}
	if (tenths > 0)
		snprintf(out, out_size, "%" PRIu64 ".%" PRIu64 "%c", whole,
			 tenths, units[unit]);
	else
		snprintf(out, out_size, "%" PRIu64 "%c", whole, units[unit]);
}

static void format_milliseconds(uint64_t ms, char *out, size_t size)
{
	if (ms == 0)
		snprintf(out, size, "default");
	else if (ms == BDUS_ORPHAN_TIMEOUT_FOREVER)
		snprintf(out, size, "forever");
	else
		snprintf(out, size, "%" PRIu64 " ms", ms);
}

static void format_nanoseconds(uint64_t ns, char *out, size_t size)
{
	if (ns >= 1000000000)
		snprintf(out, size, "%.1f s", ns / 1e9);
	else if (ns >= 1000000)
		snprintf(out, size, "%.1f ms", ns / 1e6);
	else
		snprintf(out, size, "%.1f us", ns / 1e3);
}

/* Fills `out` and returns it, or returns text of the device. */
static const char *format_cell(const struct print_format *format,
			       const struct field *field,
			       const struct device *device, char *out,
			       size_t size)
{
	bool for_people = format->style == PRINT_HUMAN;
	uint64_t number;

	if (field->text)
		return field->text(device);
	number = field_number(field, device);
	if (field->kind == FIELD_BYTES && !format->bytes &&
	    format->style != PRINT_JSON)
		format_size(number, out, size);
	else if (field->kind == FIELD_BOOL && for_people)
		snprintf(out, size, "%s", number ? "yes" : "no");
	else if (field->kind == FIELD_MILLISECONDS && for_people)
		format_milliseconds(number, out, size);
	else if (field->kind == FIELD_NANOSECONDS && for_people && number > 0)
		format_nanoseconds(number, out, size);
	else
		snprintf(out, size, "%" PRIu64, number);
	return out;
}

/* Arrays are written by ourselves, see below: what is a number is printed as it is. */
static int json_type(const struct field *field)
{
	switch (field->kind) {
	case FIELD_BOOL:
		return SCOLS_JSON_BOOLEAN;
	case FIELD_WORD:
	case FIELD_TEXT:
		return SCOLS_JSON_STRING;
	default:
		return SCOLS_JSON_NUMBER;
	}
}

static void put_json_string(FILE *file, const char *text, size_t length)
{
	fputc('"', file);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = text[i];

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < ' ')
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

/* Lines as an array, which libsmartcols cannot write before 2.37; NULL if there is no
 * memory. */
static char *json_array(const char *lines)
{
	char *array = NULL;
	size_t size, length;
	FILE *file = open_memstream(&array, &size);

	if (!file)
		return NULL;
	fputc('[', file);
	for (; *lines; lines += length + (lines[length] == '\n')) {
		length = strcspn(lines, "\n");
		put_json_string(file, lines, length);
		if (lines[length] && lines[length + 1])
			fputs(", ", file);
	}
	fputc(']', file);
	if (fclose(file) == 0)
		return array;
	free(array);
	return NULL;
}

static void heading(const struct field *field, char *out, size_t size)
{
	size_t length = 0;

	for (const char *c = field->key; *c && length < size - 1; c++)
		out[length++] = toupper((unsigned char)*c);
	out[length] = '\0';
}

static struct libscols_table *new_table(const struct print_format *format)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		return NULL;
	scols_table_enable_json(table, format->style == PRINT_JSON);
	scols_table_enable_raw(table, format->style == PRINT_RAW);
	scols_table_enable_noheadings(table, format->no_headings ||
						     format->is_vertical);
	scols_table_set_name(table, "devices");
	return table;
}

static bool add_column(struct libscols_table *table, const char *name,
		       const struct field *field)
{
	bool has_lines = !scols_table_is_json(table) &&
			 (!field || field->kind == FIELD_LINES);
	bool is_number = field && !field->text;
	int flags = (is_number ? SCOLS_FL_RIGHT : 0) |
		    (has_lines ? SCOLS_FL_WRAP : 0);
	struct libscols_column *column =
		scols_table_new_column(table, name, 0, flags);

	if (!column)
		return false;
	if (has_lines)
		scols_column_set_wrapfunc(column, scols_wrapnl_chunksize,
					  scols_wrapnl_nextchunk, NULL);
	return scols_column_set_json_type(column, field ? json_type(field) :
							  SCOLS_JSON_STRING) ==
	       0;
}

static bool print_and_free(struct libscols_table *table, bool is_good)
{
	is_good = is_good && scols_print_table(table) == 0;
	scols_unref_table(table);
	if (!is_good)
		print_error("Failed to print: %s", strerror(ENOMEM));
	return is_good;
}

static bool set_cell(struct libscols_line *line, size_t column,
		     const struct print_format *format,
		     const struct device *device)
{
	const struct field *field = format->columns[column];
	bool is_array = field->kind == FIELD_LINES &&
			format->style == PRINT_JSON;
	char *array = is_array ? json_array(field->text(device)) : NULL;
	char text[64];
	bool is_good;

	if (is_array && !array)
		return false;
	is_good = scols_line_set_data(line, column,
				      array ? array :
					      format_cell(format, field, device,
							  text,
							  sizeof(text))) == 0;
	free(array);
	return is_good;
}

static bool print_table(const struct print_format *format,
			const struct device *devices, size_t count)
{
	struct libscols_table *table = new_table(format);
	bool is_good = table != NULL;
	char text[64];

	for (size_t i = 0; i < format->column_count && is_good; i++) {
		heading(format->columns[i], text, sizeof(text));
		if (format->style == PRINT_JSON)
			snprintf(text, sizeof(text), "%s",
				 format->columns[i]->key);
		is_good = add_column(table, text, format->columns[i]);
	}
	for (size_t i = 0; i < count && is_good; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		is_good = line != NULL;
		for (size_t j = 0; j < format->column_count && is_good; j++)
			is_good = set_cell(line, j, format, &devices[i]);
	}
	return print_and_free(table, is_good);
}

/* "orphan-timeout-ms" becomes "Orphan timeout": the value has a unit. */
static void label(const struct field *field, char *out, size_t size)
{
	bool has_unit = field->kind == FIELD_MILLISECONDS ||
			field->kind == FIELD_NANOSECONDS;

	snprintf(out, size, "%.*s",
		 (int)strlen(field->key) - (has_unit ? 3 : 0), field->key);
	out[0] = toupper((unsigned char)out[0]);
	for (char *c = out; *c; c++)
		if (*c == '-')
			*c = ' ';
}

/* One device as pairs of name and value. */
static bool print_pairs(const struct print_format *format,
			const struct device *device)
{
	struct libscols_table *table = new_table(format);
	bool is_good = table && add_column(table, "NAME", &fields[0]) &&
		       add_column(table, "VALUE", NULL);
	char text[64];

	for (size_t i = 0; i < format->column_count && is_good; i++) {
		const struct field *field = format->columns[i];
		struct libscols_line *line = scols_table_new_line(table, NULL);

		if (format->style == PRINT_RAW)
			snprintf(text, sizeof(text), "%s", field->key);
		else
			label(field, text, sizeof(text));
		is_good = line && scols_line_set_data(line, 0, text) == 0 &&
			  scols_line_set_data(line, 1,
					      format_cell(format, field, device,
							  text,
							  sizeof(text))) == 0;
	}
	return print_and_free(table, is_good);
}

bool print_devices(const struct print_format *format,
		   const struct device *devices, size_t count)
{
	/* libsmartcols prints nothing at all for a table without lines. */
	if (count == 0 && format->style == PRINT_JSON) {
		printf("{\n   \"devices\": []\n}\n");
		return true;
	}
	if (!format->is_vertical || format->style == PRINT_JSON)
		return count == 0 || print_table(format, devices, count);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			printf("\n");
		if (!print_pairs(format, &devices[i]))
			return false;
	}
	return true;
}
