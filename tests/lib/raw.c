/* SPDX-License-Identifier: MIT */

/*
 * raw.c: a driver that speaks kbdus.h with the module itself, without the
 * library, and does what it is told, so that it can do everything wrong.
 *
 * Reads commands from standard input, a line each, and answers each with a line:
 * "ok" or the name of an error, then what came out as key=value. raw.sh is the
 * other end; cases say `raw EINVAL create size=511`.
 *
 *     [@THREAD] COMMAND [KEY=VALUE]...
 *
 * With @THREAD (1 to 7) the command is begun in that thread and answered "ok" at
 * once; `join thread=N` answers with its result. Every command of kbdus.h takes
 * the fields of its structure as keys, byte.N= for any byte of it, file= (which
 * open file, "main" by default) and pointer= (a memory to put the structure in).
 * `receive`, `reply` and `exchange` are the calls of the session's protocol, see
 * raw/; `has feature=mapping` tells whether there is memory to be mapped, `has
 * feature=socket` whether messages go through a socket, and `has feature=sends_ahead`
 * whether requests are handed over without being asked for. With arguments, raw does
 * what raw/alone.c says.
 * Memories are: good (the same for all), null, unmapped, kernel, top (ends beyond
 * user space), half (a page and nothing behind it), short (the last 32 bytes of a
 * page), readonly, and those made by `map` and `userfault`.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kbdus.h"
#include "raw/transport.h"

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

static uint64_t number(const char *text)
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

	return text ? number(text) : otherwise;
}

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

static uint32_t type_by_name(const char *name, size_t length)
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
		return number(text);
	while (*text) {
		size_t length = strcspn(text, ",");

		result |= 1u << type_by_name(text, length);
		text += length;
		text += *text == ',';
	}
	return result;
}

/* Memories. */

static struct memory memories[16];

struct memory *raw_memory_add(const char *name, void *address, size_t size)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		struct memory *memory = &memories[i];

		if (*memory->name)
			continue;
		snprintf(memory->name, sizeof(memory->name), "%s", name);
		memory->address = address;
		memory->size = size;
		return memory;
	}
	raw_die("too many memories");
	return NULL;
}

struct memory *raw_memory_find(const char *name)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		if (!strcmp(memories[i].name, name))
			return &memories[i];
	}
	raw_die(name);
	return NULL;
}

static char *map_anonymous(size_t size)
{
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		raw_die("mmap");
	return address;
}

static void memories_make(void)
{
	char *half = map_anonymous(2 * PAGE);
	char *less = map_anonymous(2 * PAGE);

	/* Reserved, so that nothing else gets there. */
	mprotect(half + PAGE, PAGE, PROT_NONE);
	mprotect(less + PAGE, PAGE, PROT_NONE);
	raw_memory_add("good", map_anonymous(GOOD_SIZE), GOOD_SIZE);
	raw_memory_add("readonly", map_anonymous(PAGE), PAGE);
	raw_memory_add("half", half, PAGE);
	raw_memory_add("short", less + PAGE - 32, 32);
	raw_memory_add("null", NULL, 0);
	/* Below where the kernel lets anybody map anything. */
	raw_memory_add("unmapped", (char *)PAGE, 0);
	raw_memory_add("kernel", (char *)0xffff888000000000, 0);
	raw_memory_add("top", (char *)0x7ffffffff000 - 32, 0);
}

/* Puts a structure where it is wanted, as much of it as is possible. */
void *raw_memory_place(struct memory *memory, const void *data, size_t size)
{
	bool is_readonly = !strcmp(memory->name, "readonly");

	if (size > memory->size)
		size = memory->size;
	if (is_readonly)
		mprotect(memory->address, PAGE, PROT_READ | PROT_WRITE);
	if (size)
		memcpy(memory->address, data, size);
	if (is_readonly)
		mprotect(memory->address, PAGE, PROT_READ);
	return memory->address;
}

static void do_map(struct call *call)
{
	const char *path = raw_option(call, "path");
	const char *name = raw_option(call, "name");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = raw_number_option(call, "size", 1u << 20);
	void *address;

	if (!raw_answer_result(call, fd))
		return;
	address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		raw_die("mmap");
	raw_memory_add(name, address, 0);
	close(fd);
}

static void do_userfault(struct call *call)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *address = map_anonymous(GOOD_SIZE);

	range.range.start = (uintptr_t)address;
	range.range.len = GOOD_SIZE;
	if (!raw_answer_result(call, fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ||
				 ioctl(fd, UFFDIO_REGISTER, &range) < 0 ? -1 : 0))
		return;
	raw_memory_add(raw_option(call, "name"), address, 0);
}

/* Files. */

static struct file files[16];

static const struct transport *const transports[] = {
	&transport_ioctl,
	&transport_mmap,
	&transport_uds,
};

/* By its name; that of the run if there is none of that name. */
static const struct transport *transport_find(const char *name)
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

struct file *raw_file_of(const struct call *call)
{
	const char *name = raw_option(call, "file");

	if (!name)
		name = "main";
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (!*files[i].name) {
			snprintf(files[i].name, sizeof(files[i].name), "%s",
				 name);
			files[i].transport = transport_find("");
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
	file->transport = transport_find("");
	memset(&file->config, 0, sizeof(file->config));
	raw_answer_result(call, close(file->fd));
	file->fd = -1;
}

/* Completes a configuration if the protocol that it names needs that. */
static void *file_prepare(struct kbdus_protocol_config *config,
			  const struct transport **transport)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		*transport = transports[i];
		if (!strncmp(transports[i]->name, config->name,
			     sizeof(config->name)) && transports[i]->prepare)
			return transports[i]->prepare(config);
	}
	return NULL;
}

/* Takes notice of what the module made of the file. */
static void file_begin(struct file *file,
		       const struct kbdus_protocol_config *config,
		       void *prepared)
{
	file->config = *config;
	file->shared = prepared;
	file->transport = transport_find(config->name);
	if (file->transport->begin)
		file->transport->begin(file);
}

/* The commands of kbdus.h. */

#define DEVICE(member)                                                         \
	FIELD_OF(kbdus_config, device.member, #member, NUMBER)
#define PROTOCOL(member)                                                       \
	FIELD_OF(kbdus_config, protocol.member, #member, NUMBER)

#define CONFIG_FIELDS                                                          \
	DEVICE(size), DEVICE(seqnum), DEVICE(logical_block_size),              \
	DEVICE(physical_block_size), DEVICE(flags),                            \
	DEVICE(max_read_write_size), DEVICE(max_write_same_size),              \
	DEVICE(max_write_zeros_size), DEVICE(max_discard_erase_size),          \
	DEVICE(max_outstanding_requests), DEVICE(request_timeout_ms),          \
	DEVICE(orphan_timeout_ms), DEVICE(index), DEVICE(major),               \
	DEVICE(minor),                                                         \
	FIELD_OF(kbdus_config, device.operations, "operations", OPERATIONS),   \
	FIELD_OF(kbdus_config, protocol.name, "protocol", TEXT),               \
	PROTOCOL(payload_size),                                                \
	PROTOCOL(buffer_count), PROTOCOL(payload_offset),                      \
	PROTOCOL(payload_stride), PROTOCOL(mapping_size),                      \
	PROTOCOL(socket_fd_plus_1)

static const struct field config_fields[] = { CONFIG_FIELDS, { 0 } };

static const struct field attachment_fields[] = {
	CONFIG_FIELDS,
	FIELD_OF(kbdus_attachment, flags, "attach_flags", NUMBER),
	FIELD_OF(kbdus_attachment, leave_timeout_ms, "leave_timeout_ms", NUMBER),
	{ 0 }
};

#define INFO(member)                                                           \
	FIELD_OF(kbdus_device_info, member, #member, NUMBER)
#define STATISTIC(member)                                                      \
	FIELD_OF(kbdus_device_info, statistics.member, #member, NUMBER)

static const struct field info_fields[] = {
	CONFIG_FIELDS,
	INFO(state),
	INFO(service),
	INFO(driver_pid),
	INFO(openers),
	INFO(read_only),
	STATISTIC(requests),
	STATISTIC(delivered),
	STATISTIC(succeeded),
	STATISTIC(failed),
	STATISTIC(requeued),
	STATISTIC(timed_out),
	STATISTIC(terminated),
	STATISTIC(cancelled),
	STATISTIC(late_replies),
	STATISTIC(bad_replies),
	STATISTIC(sessions),
	STATISTIC(queued_now),
	STATISTIC(with_driver_now),
	{ 0 }
};

static const struct field version_fields[] = {
	FIELD_OF(kbdus_version, major, "major", NUMBER),
	FIELD_OF(kbdus_version, minor, "minor", NUMBER),
	FIELD_OF(kbdus_version, patch, "patch", NUMBER),
	FIELD_OF(kbdus_version, reserved, "reserved", NUMBER),
	{ 0 }
};

static const struct field number_fields[] = {
	FIELD_OF(kbdus_device_number, major, "major", NUMBER),
	FIELD_OF(kbdus_device_number, minor, "minor", NUMBER),
	FIELD_OF(kbdus_device_number, seqnum, "seqnum", NUMBER),
	{ 0 }
};

static const struct field value_fields[] = {
	{ "value", 0, 8, NUMBER },
	{ 0 }
};

static const struct command {
	const char *name;
	unsigned int ioctl;
	const struct field *in;
	const struct field *out;
} commands[] = {
	{ "version", KBDUS_IOCTL_GET_VERSION, version_fields, version_fields },
	{ "create", KBDUS_IOCTL_CREATE_DEVICE, config_fields, config_fields },
	{ "attach", KBDUS_IOCTL_ATTACH_TO_DEVICE, attachment_fields,
	  attachment_fields },
	{ "index_to_seqnum", KBDUS_IOCTL_DEVICE_INDEX_TO_SEQNUM, value_fields,
	  value_fields },
	{ "number_to_seqnum", KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM,
	  number_fields, number_fields },
	{ "flush", KBDUS_IOCTL_FLUSH_DEVICE, value_fields, NULL },
	{ "terminate_session", KBDUS_IOCTL_REQUEST_SESSION_TERMINATION,
	  value_fields, NULL },
	{ "destroy", KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION, value_fields, NULL },
	{ "wait", KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED, value_fields,
	  NULL },
	{ "stop_by_index", KBDUS_IOCTL_STOP_BY_INDEX, value_fields,
	  value_fields },
	{ "stop_by_uniqueid", KBDUS_IOCTL_STOP_BY_UNIQUEID, value_fields, NULL },
	{ "info", KBDUS_IOCTL_GET_DEVICE_INFO, info_fields, info_fields },
	{ "next", KBDUS_IOCTL_NEXT_DEVICE, value_fields, value_fields },
	{ "mark_successful", KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL, NULL, NULL },
};

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
		value = type_by_name(text, strlen(text));
	else
		value = number(text);
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

static void set_defaults(const struct command *command, char *argument)
{
	struct kbdus_config *config = (struct kbdus_config *)argument;

	if (command->in != config_fields && command->in != attachment_fields)
		return;
	snprintf(config->protocol.name, sizeof(config->protocol.name), "%s",
		 transport_find("")->name);
	if (command->in == attachment_fields)
		return;
	/* Nobody but a client's write makes a request: udev only reads. */
	config->device.size = 1 << 20;
	config->device.logical_block_size = 512;
	config->device.operations = KBDUS_OP(WRITE) | KBDUS_OP(FLUSH);
	config->device.flags = KBDUS_DEVICE_F_NO_PARTITIONS;
	config->device.max_outstanding_requests = 4;
}

static const struct field *field_find(const struct field *fields,
				      const char *name, size_t length)
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
		"file=", "pointer=", "buffer=", "until=", "from=", "to=",
	};

	for (int i = 1; i < call->count; i++) {
		const char *word = call->words[i];
		const char *value = strchr(word, '=');
		const struct field *field;
		bool is_option = false;

		if (!value)
			raw_die(word);
		if (!strncmp(word, "byte.", 5)) {
			structure[atoi(word + 5)] = number(value + 1);
			continue;
		}
		for (size_t j = 0; j < sizeof(options) / sizeof(*options); j++)
			is_option |= !strncmp(word, options[j],
					      strlen(options[j]));
		if (is_option)
			continue;
		field = field_find(fields, word, value - word);
		if (!field)
			raw_die(word);
		field_set(field, structure, value + 1);
	}
}

static void answer_fields(struct call *call, const struct field *fields,
			  const char *structure)
{
	for (; fields && fields->name; fields++)
		field_answer(call, fields, structure);
}

static void do_command(struct call *call, const struct command *command)
{
	char argument[1 << _IOC_SIZEBITS] __attribute__((aligned(8))) = { 0 };
	size_t size = _IOC_SIZE(command->ioctl);
	const char *memory = raw_option(call, "pointer");
	bool is_attaching = command->in == config_fields ||
			    command->in == attachment_fields;
	struct kbdus_protocol_config *protocol =
		&((struct kbdus_config *)argument)->protocol;
	struct file *file = raw_file_of(call);
	const struct transport *transport = NULL;
	void *pointer = argument;
	void *prepared = NULL;
	long ret;

	set_defaults(command, argument);
	raw_set_fields(call, command->in, argument);
	if (is_attaching && !raw_option(call, "socket_fd_plus_1"))
		prepared = file_prepare(protocol, &transport);
	if (memory)
		pointer = raw_memory_place(raw_memory_find(memory), argument,
					   size);

	ret = ioctl(file->fd, command->ioctl, pointer);
	raw_answer_result(call, ret);
	if (prepared && (memory || ret))
		transport->discard(prepared);
	if (memory)
		return;
	if (is_attaching && !ret)
		file_begin(file, protocol, prepared);
	/* Also after errors: some say something. */
	answer_fields(call, command->out, argument);
}

/* Requests and replies, by whatever protocol. */

static uint64_t message_get(const struct field *fields, const char *name,
			    const char message[MESSAGE_SIZE])
{
	const struct field *field = field_find(fields, name, strlen(name));
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
		answer_fields(call, transport->request_fields, message);
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
		field_find(transport->reply_fields, "handle", 6);
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
	} while (!until || type != type_by_name(until, strlen(until)));
	raw_answer(call, "ok");
	answer_fields(call, transport->request_fields, message);
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

	if (feature && !strcmp(feature, "mapping"))
		has = transport->is_mapping;
	else if (feature && !strcmp(feature, "sends_ahead"))
		has = transport->sends_ahead;
	else if (feature && !strcmp(feature, "socket"))
		has = transport->is_socket;
	else
		raw_die("feature");
	raw_answer(call, "%s", has ? "ok" : "EOPNOTSUPP");
}

/* Any ioctl at all, of any file; its argument is a memory or a number, index=. */
static void do_ioctl(struct call *call)
{
	const char *memory = raw_option(call, "pointer");
	uintptr_t argument = raw_number_option(
		call, "index",
		(uintptr_t)raw_memory_find(memory ? memory : "good")->address);

	raw_answer_result(call, ioctl(raw_file_of(call)->fd,
				      raw_number_option(call, "command", 0),
				      argument));
}

/* In the calling thread only: takes away or gives back CAP_SYS_ADMIN. */
static void do_privileged(struct call *call)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	uint32_t bit = 1u << CAP_SYS_ADMIN;

	if (syscall(SYS_capget, &header, data) < 0)
		raw_die("capget");
	if (raw_number_option(call, "value", 0))
		data[0].effective |= bit;
	else
		data[0].effective &= ~bit;
	raw_answer_result(call, syscall(SYS_capset, &header, data));
}

/* Threads. */

static struct thread {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct call call;
	pid_t tid;
	bool is_busy;
} threads[8];

static struct thread *thread_option(const struct call *call)
{
	return &threads[raw_number_option(call, "thread", 1) & 7];
}

static void do_join(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	while (thread->is_busy)
		pthread_cond_wait(&thread->changed, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
	raw_answer(call, "%s", thread->call.answer);
}

/* Whether the command that a thread executes has ended: ok or EBUSY. */
static void do_ended(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	raw_answer(call, "%s", thread->is_busy ? "EBUSY" : "ok");
	pthread_mutex_unlock(&thread->lock);
}

/* Whether a thread waits in a call to the module: ok or EAGAIN. */
static void do_waits(struct call *call)
{
	struct thread *thread = thread_option(call);
	char path[64], text[16] = "";
	FILE *stream;
	int number;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread->tid);
	stream = fopen(path, "re");
	if (!stream || !fgets(text, sizeof(text), stream))
		raw_die(path);
	fclose(stream);
	number = atoi(text);
	raw_answer(call, "%s", number == SYS_ioctl || number == SYS_recvfrom ?
				       "ok" : "EAGAIN");
}

static void do_signal(struct call *call)
{
	raw_answer_result(call, pthread_kill(thread_option(call)->thread, SIGUSR1));
}

static const struct verb verbs[] = {
	{ "open", do_open },
	{ "close", do_close },
	{ "map", do_map },
	{ "userfault", do_userfault },
	{ "receive", do_receive },
	{ "reply", do_reply },
	{ "exchange", do_exchange },
	{ "serve", do_serve },
	{ "insist", do_insist },
	{ "has", do_has },
	{ "ioctl", do_ioctl },
	{ "privileged", do_privileged },
	{ "join", do_join },
	{ "ended", do_ended },
	{ "waits", do_waits },
	{ "signal", do_signal },
	{ 0 }
};

static const struct verb *verb_find(const struct verb *list, const char *name)
{
	for (; list->name; list++) {
		if (!strcmp(list->name, name))
			return list;
	}
	return NULL;
}

static void execute(struct call *call)
{
	const char *name = call->words[0];
	const struct verb *verb = verb_find(verbs, name);

	call->answer[0] = '\0';
	if (!verb)
		verb = verb_find(mmap_verbs, name);
	if (!verb)
		verb = verb_find(uds_verbs, name);
	if (verb) {
		verb->execute(call);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(commands[i].name, name)) {
			do_command(call, &commands[i]);
			return;
		}
	}
	raw_die(name);
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	pthread_mutex_lock(&thread->lock);
	thread->tid = syscall(SYS_gettid);
	for (;;) {
		while (!thread->is_busy)
			pthread_cond_wait(&thread->changed, &thread->lock);
		pthread_mutex_unlock(&thread->lock);
		execute(&thread->call);
		pthread_mutex_lock(&thread->lock);
		thread->is_busy = false;
		pthread_cond_broadcast(&thread->changed);
	}
	return NULL;
}

static void thread_begin(struct thread *thread, const struct call *call)
{
	pthread_mutex_lock(&thread->lock);
	if (thread->is_busy)
		raw_die("the thread is busy");
	thread->call = *call;
	thread->call.thread = thread - threads;
	/* The words point into the line. */
	for (int i = 1; i < call->count; i++)
		thread->call.words[i - 1] =
			thread->call.line + (call->words[i] - call->line);
	thread->call.count--;
	thread->is_busy = true;
	pthread_cond_broadcast(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
}

/* Takes a line apart. */
static void call_parse(struct call *call)
{
	char *rest;

	call->count = 0;
	for (char *word = strtok_r(call->line, " \n", &rest);
	     word && call->count < MAX_WORDS; word = strtok_r(NULL, " \n", &rest))
		call->words[call->count++] = word;
}

/* Does what a line says; the result is the call's answer. */
void raw_execute(struct call *call, const char *line)
{
	snprintf(call->line, sizeof(call->line), "%s", line);
	call_parse(call);
	execute(call);
}

static void do_nothing(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	/* Without SA_RESTART, so that what is interrupted says so. */
	const struct sigaction action = { .sa_handler = do_nothing };
	static struct call call;

	sigaction(SIGUSR1, &action, NULL);
	memories_make();
	if (argc > 1)
		return raw_alone(argv + 1);
	for (int i = 1; i < 8; i++) {
		pthread_mutex_init(&threads[i].lock, NULL);
		pthread_cond_init(&threads[i].changed, NULL);
		if (pthread_create(&threads[i].thread, NULL, thread_main,
				   &threads[i]))
			raw_die("pthread_create");
	}

	while (fgets(call.line, sizeof(call.line), stdin)) {
		call_parse(&call);
		if (!call.count)
			continue;
		if (call.words[0][0] == '@') {
			thread_begin(&threads[atoi(call.words[0] + 1) & 7],
				     &call);
			puts("ok");
		} else {
			execute(&call);
			puts(call.answer);
		}
		fflush(stdout);
	}
	_exit(0);
}
