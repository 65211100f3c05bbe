/* SPDX-License-Identifier: MIT */

/*
 * talk.c: requests and replies, by whatever protocol.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transport.h"

static uint64_t message_get(const struct field *fields, const char *name,
			    const char message[MESSAGE_SIZE])
{
	const struct field *field = raw_field_find(fields, name, strlen(name));
	uint64_t value = 0;

	memcpy(&value, message + field->offset, field->size);
	return value;
}

static void do_talk(struct call *call, enum transport_verb verb)
{
	char message[MESSAGE_SIZE] __attribute__((aligned(8))) = { 0 };
	struct file *file = raw_file_of(call);
	const struct transport *transport = file->transport;

	raw_set_fields(call, verb == RECEIVE ? transport->request_fields :
					       transport->reply_fields, message);
	raw_answer_result(call, transport->talk(file, verb, call, message));
	if (verb != REPLY && !raw_option(call, "pointer"))
		raw_answer_fields(call, transport->request_fields, message);
}

static void do_receive(struct call *call)
{
	do_talk(call, RECEIVE);
}

static void do_reply(struct call *call)
{
	do_talk(call, REPLY);
}

static void do_exchange(struct call *call)
{
	do_talk(call, EXCHANGE);
}

/* Makes a request the reply to it. */
static void message_turn(const struct transport *transport,
			 char message[MESSAGE_SIZE])
{
	const struct field *field =
		raw_field_find(transport->reply_fields, "handle", 6);
	uint64_t handle =
		message_get(transport->request_fields, "handle", message);

	memset(message, 0, MESSAGE_SIZE);
	memcpy(message + field->offset, &handle, field->size);
}

/* What a request says, for cases that want to see each. */
static void message_print(const struct transport *transport,
			  const char message[MESSAGE_SIZE])
{
	static const char *const names[] = { "type", "offset", "length" };

	for (int i = 0; i < 3; i++)
		printf("%llu%c",
		       (unsigned long long)message_get(
			       transport->request_fields, names[i], message),
		       i < 2 ? ' ' : '\n');
}

/*
 * Answers requests until there is something else to do. print=1 prints each; with
 * undaunted=1, a reply that is refused is forgotten.
 */
static void do_serve(struct call *call)
{
	char message[MESSAGE_SIZE] __attribute__((aligned(8))) = { 0 };
	bool is_undaunted = raw_option(call, "undaunted");
	const char *until = raw_option(call, "until");
	struct file *file = raw_file_of(call);
	const struct transport *transport = file->transport;
	uint64_t type;

	do {
		message_turn(transport, message);
		if (transport->talk(file, EXCHANGE, call, message) < 0) {
			if (is_undaunted && errno == EINVAL) {
				memset(message, 0, sizeof(message));
				type = KBDUS_REQUEST_TYPE_COUNT;
				continue;
			}
			raw_answer_result(call, -1);
			return;
		}
		if (raw_option(call, "print"))
			message_print(transport, message);
		type = message_get(transport->request_fields, "type", message);
		if (type == KBDUS_REQUEST_TYPE_TERMINATE ||
		    type == KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE)
			break;
	} while (!until || type != raw_type_by_name(until, strlen(until)));
	raw_answer(call, "ok");
	raw_answer_fields(call, transport->request_fields, message);
}

/* One of the threads that insist was told that another is answering. */
static volatile bool has_met;

/*
 * Sends a reply that fails with EFAULT, which leaves the request as it was, until two
 * threads that do so have met in the module: refused= whether this one was refused.
 */
static void do_insist(struct call *call)
{
	char message[MESSAGE_SIZE] __attribute__((aligned(8))) = { 0 };
	struct file *file = raw_file_of(call);
	const struct transport *transport = file->transport;
	bool is_refused = false;

	raw_set_fields(call, transport->reply_fields, message);
	while (!has_met && !is_refused) {
		if (!transport->talk(file, REPLY, call, message) ||
		    (errno != EFAULT && errno != EINVAL)) {
			raw_answer_result(call, -1);
			return;
		}
		is_refused = errno == EINVAL;
	}
	has_met = true;
	raw_answer(call, "ok refused=%d", is_refused);
}

/* Whether the protocol of a file has something: ok or EOPNOTSUPP. */
static void do_has(struct call *call)
{
	const struct transport *transport = raw_file_of(call)->transport;
	const char *feature = raw_option(call, "feature");
	bool has = false;

	if (feature && !strcmp(feature, "buffers"))
		has = transport->has_buffers;
	else if (feature && !strcmp(feature, "channels"))
		has = transport->has_channels;
	else if (feature && !strcmp(feature, "sends_ahead"))
		has = transport->sends_ahead;
	else if (feature && !strcmp(feature, "socket"))
		has = transport->is_socket;
	else if (feature && !strcmp(feature, "forgets"))
		has = transport->forgets;
	else
		raw_die("feature");
	raw_answer(call, "%s", has ? "ok" : "EOPNOTSUPP");
}

const struct verb talk_verbs[] = {
	{ "receive", do_receive },
	{ "reply", do_reply },
	{ "exchange", do_exchange },
	{ "serve", do_serve },
	{ "insist", do_insist },
	{ "has", do_has },
	{ 0 }
};
