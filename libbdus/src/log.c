/* SPDX-License-Identifier: MIT */

/*
 * log.c: what bdus_attrs::log shows, on standard error.
 *
 * Called where the thing logged happens, on the data path too, and there does
 * nothing but look at the attribute unless it is set. Owns nothing. Whole lines
 * are written under stdio's own lock, so that those of several workers do not
 * mix. Failure to write is ignored.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

LIBBDUS_PRINTF(2, 0)
static void write_line(const char *prefix, const char *format, va_list args)
{
	flockfile(stderr);
	fputs(prefix, stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	fflush(stderr);
	funlockfile(stderr);
}

void libbdus_log_line(const struct bdus_attrs *attrs, const char *format, ...)
{
	va_list args;

	if (!attrs->log)
		return;

	va_start(args, format);
	write_line("log: ", format, args);
	va_end(args);
}

/* Log the call of a callback by a thread. */
void libbdus_log_call(const struct bdus_ctx *ctx, unsigned int thread,
		      const char *format, ...)
{
	char prefix[32];
	va_list args;

	if (!ctx->attrs->log)
		return;

	snprintf(prefix, sizeof(prefix), "log: thread %02u: ", thread);

	va_start(args, format);
	write_line(prefix, format, args);
	va_end(args);
}

/* Log which callbacks there are. */
void libbdus_log_ops(const struct bdus_attrs *attrs,
		     const struct bdus_ops *ops)
{
	for (int i = 0; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		const struct libbdus_callback *callback = &libbdus_callbacks[i];
		const int pad = 22 - (int)strlen(callback->name);

		libbdus_log_line(attrs, "%s()%*s%s", callback->name, pad, "",
				 libbdus_ops_has(ops, callback) ? "non-NULL"
								: "NULL");
	}
}

static void log_number(const struct bdus_attrs *attrs, const char *name,
		       uint64_t before, uint64_t after)
{
	const int pad = 29 - (int)strlen(name);

	if (before == after) {
		libbdus_log_line(attrs, "%s%*s%" PRIu64, name, pad, "", after);
	} else {
		libbdus_log_line(attrs, "%s%*s%" PRIu64 " (was %" PRIu64 ")",
				 name, pad, "", after, before);
	}
}

static void log_boolean(const struct bdus_attrs *attrs, const char *name,
			bool before, bool after)
{
	static const char *const words[] = { "false", "true" };
	const int pad = 29 - (int)strlen(name);

	if (before == after) {
		libbdus_log_line(attrs, "%s%*s%s", name, pad, "", words[after]);
	} else {
		libbdus_log_line(attrs, "%s%*s%s (was %s)", name, pad, "",
				 words[after], words[before]);
	}
}

/* Log the attributes, as they were given and as they are. */
void libbdus_log_attrs(const struct bdus_attrs *before,
		       const struct bdus_attrs *after)
{
#define NUMBER(name) log_number(after, #name, before->name, after->name)
#define BOOLEAN(name) log_boolean(after, #name, before->name, after->name)
	NUMBER(logical_block_size);
	NUMBER(physical_block_size);
	NUMBER(size);
	NUMBER(max_concurrent_callbacks);
	NUMBER(max_read_write_size);
	NUMBER(max_write_same_size);
	NUMBER(max_write_zeros_size);
	NUMBER(max_discard_erase_size);
	BOOLEAN(disable_partition_scanning);
	BOOLEAN(recoverable);
	BOOLEAN(dont_daemonize);
	BOOLEAN(log);
	NUMBER(request_timeout_ms);
	NUMBER(orphan_timeout_ms);
	NUMBER(leave_timeout_ms);
	BOOLEAN(wait_until_available);
	NUMBER(queue_depth);
	NUMBER(spin_time_us);
#undef BOOLEAN
#undef NUMBER
}
