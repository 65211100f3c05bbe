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
 * Memories are: good (the same for all), null, unmapped, kernel, top (ends beyond user space), half
 * (a page and nothing behind it), short (the last 32 bytes of a page), readonly,
 * and those made by `map` and `userfault`.
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

#define MAX_WORDS 48
#define MAX_LINE 2048
#define PAGE 4096
#define GOOD_SIZE (4u << 20)

static void die(const char *what)
{
	fprintf(stderr, "raw: %s\n", what);
	exit(2);
}

/* A line, taken apart; and the answer to it. */
struct call {
	char line[MAX_LINE];
	char *words[MAX_WORDS];
	int count;
	char answer[MAX_LINE];
};

static void answer(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void answer(struct call *call, const char *format, ...)
{
	size_t length = strlen(call->answer);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->answer + length, sizeof(call->answer) - length, format,
		  arguments);
	va_end(arguments);
}

/* `ret` as a system call returns it. */
static bool answer_result(struct call *call, long ret)
{
	int error = errno;

	answer(call, "%s", ret < 0 ? strerrorname_np(error) : "ok");
	return ret >= 0;
}

static const char *option(const struct call *call, const char *key)
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
			die(text);
		value <<= 10 * (suffix - suffixes + 1);
	}
	return value;
}

static uint64_t number_option(const struct call *call, const char *key,
			      uint64_t otherwise)
{
	const char *text = option(call, key);

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
	die(name);
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

static struct memory {
	char name[16];
	char *address;
	/* What may be read and written in the end. */
	size_t size;
} memories[16];

static struct memory *memory_add(const char *name, void *address, size_t size)
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
	die("too many memories");
	return NULL;
}

static struct memory *memory_find(const char *name)
{
	for (size_t i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		if (!strcmp(memories[i].name, name))
			return &memories[i];
	}
	die(name);
	return NULL;
}

static char *map_anonymous(size_t size)
{
	char *address = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address == MAP_FAILED)
		die("mmap");
	return address;
}

static void memories_make(void)
{
	char *half = map_anonymous(2 * PAGE);
	char *less = map_anonymous(2 * PAGE);

	/* Reserved, so that nothing else gets there. */
	mprotect(half + PAGE, PAGE, PROT_NONE);
	mprotect(less + PAGE, PAGE, PROT_NONE);
	memory_add("good", map_anonymous(GOOD_SIZE), GOOD_SIZE);
	memory_add("readonly", map_anonymous(PAGE), PAGE);
	memory_add("half", half, PAGE);
	memory_add("short", less + PAGE - 32, 32);
	memory_add("null", NULL, 0);
	/* Below where the kernel lets anybody map anything. */
	memory_add("unmapped", (char *)PAGE, 0);
	memory_add("kernel", (char *)0xffff888000000000, 0);
	memory_add("top", (char *)0x7ffffffff000 - 32, 0);
}

/* Puts a structure where it is wanted, as much of it as is possible. */
static void *memory_place(struct memory *memory, const void *data, size_t size)
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
	const char *path = option(call, "path");
	const char *name = option(call, "name");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = number_option(call, "size", 1u << 20);
	void *address;

	if (!answer_result(call, fd))
		return;
	address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		die("mmap");
	memory_add(name, address, 0);
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
	if (!answer_result(call, fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ||
				 ioctl(fd, UFFDIO_REGISTER, &range) < 0 ? -1 : 0))
		return;
	memory_add(option(call, "name"), address, 0);
}

/* Files. */

static struct file {
	char name[16];
	int fd;
} files[16];

static struct file *file_of(const struct call *call)
{
	const char *name = option(call, "file");

	if (!name)
		name = "main";
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (!*files[i].name)
			snprintf(files[i].name, sizeof(files[i].name), "%s",
				 name);
		if (!strcmp(files[i].name, name))
			return &files[i];
	}
	die("too many files");
	return NULL;
}

static void do_open(struct call *call)
{
	const char *path = option(call, "path");
	struct file *file = file_of(call);

	file->fd = open(path ? path : KBDUS_CONTROL_PATH,
			(option(call, "readonly") ? O_RDONLY : O_RDWR) |
				O_CLOEXEC);
	answer_result(call, file->fd);
}

static void do_close(struct call *call)
{
	struct file *file = file_of(call);

	answer_result(call, close(file->fd));
	file->fd = -1;
}

/* The commands of kbdus.h. */

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
#define DEVICE(member)                                                         \
	FIELD_OF(kbdus_config, device.member, #member, NUMBER)

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
	FIELD_OF(kbdus_config, protocol.payload_size, "payload_size", NUMBER)

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

static const struct field request_fields[] = {
	FIELD_OF(kbdusioctl_request, handle, "handle", NUMBER),
	FIELD_OF(kbdusioctl_request, offset, "offset", NUMBER),
	FIELD_OF(kbdusioctl_request, length, "length", NUMBER),
	FIELD_OF(kbdusioctl_request, type, "type", TYPE),
	{ 0 }
};

static const struct field reply_fields[] = {
	FIELD_OF(kbdusioctl_reply, handle, "handle", NUMBER),
	FIELD_OF(kbdusioctl_reply, error, "error", NUMBER),
	{ 0 }
};

static const struct command {
	const char *name;
	unsigned int ioctl;
	const struct field *in;
	const struct field *out;
	bool has_buffer;
} commands[] = {
	{ "version", KBDUS_IOCTL_GET_VERSION, version_fields, version_fields,
	  false },
	{ "create", KBDUS_IOCTL_CREATE_DEVICE, config_fields, config_fields,
	  false },
	{ "attach", KBDUS_IOCTL_ATTACH_TO_DEVICE, attachment_fields,
	  attachment_fields, false },
	{ "index_to_seqnum", KBDUS_IOCTL_DEVICE_INDEX_TO_SEQNUM, value_fields,
	  value_fields, false },
	{ "number_to_seqnum", KBDUS_IOCTL_DEVICE_NUMBER_TO_SEQNUM,
	  number_fields, number_fields, false },
	{ "flush", KBDUS_IOCTL_FLUSH_DEVICE, value_fields, NULL, false },
	{ "terminate_session", KBDUS_IOCTL_REQUEST_SESSION_TERMINATION,
	  value_fields, NULL, false },
	{ "destroy", KBDUS_IOCTL_REQUEST_DEVICE_DESTRUCTION, value_fields, NULL,
	  false },
	{ "wait", KBDUS_IOCTL_WAIT_UNTIL_DEVICE_IS_DESTROYED, value_fields,
	  NULL, false },
	{ "stop_by_index", KBDUS_IOCTL_STOP_BY_INDEX, value_fields,
	  value_fields, false },
	{ "stop_by_uniqueid", KBDUS_IOCTL_STOP_BY_UNIQUEID, value_fields, NULL,
	  false },
	{ "info", KBDUS_IOCTL_GET_DEVICE_INFO, info_fields, info_fields,
	  false },
	{ "next", KBDUS_IOCTL_NEXT_DEVICE, value_fields, value_fields, false },
	{ "mark_successful", KBDUS_IOCTL_MARK_SESSION_SUCCESSFUL, NULL, NULL,
	  false },
	{ "receive", KBDUSIOCTL_IOCTL_RECEIVE_REQUEST, request_fields,
	  request_fields, true },
	{ "reply", KBDUSIOCTL_IOCTL_SEND_REPLY, reply_fields, NULL, true },
	{ "exchange", KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
	  reply_fields, request_fields, true },
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
		answer(call, " %s=%.*s", field->name, field->size,
		       argument + field->offset);
		return;
	}
	memcpy(&value, argument + field->offset, field->size);
	if (field->kind == TYPE && value < KBDUS_REQUEST_TYPE_COUNT)
		answer(call, " %s=%s", field->name, types[value]);
	else
		answer(call, " %s=%llu", field->name, (unsigned long long)value);
}

static void set_defaults(const struct command *command, char *argument)
{
	const char *protocol = getenv("BDUS_PROTOCOL");
	struct kbdus_config *config = (struct kbdus_config *)argument;

	if (command->in != config_fields && command->in != attachment_fields)
		return;
	snprintf(config->protocol.name, sizeof(config->protocol.name), "%s",
		 protocol && *protocol ? protocol : KBDUSIOCTL_PROTOCOL_NAME);
	if (command->in == attachment_fields)
		return;
	/* Nobody but a client's write makes a request: udev only reads. */
	config->device.size = 1 << 20;
	config->device.logical_block_size = 512;
	config->device.operations = KBDUS_OP(WRITE) | KBDUS_OP(FLUSH);
	config->device.flags = KBDUS_DEVICE_F_NO_PARTITIONS;
	config->device.max_outstanding_requests = 4;
}

static void set_fields(const struct call *call, const struct command *command,
		       char *argument)
{
	for (int i = 1; i < call->count; i++) {
		const struct field *field = command->in;
		const char *word = call->words[i];
		const char *value = strchr(word, '=');

		if (!value)
			die(word);
		if (!strncmp(word, "byte.", 5)) {
			argument[atoi(word + 5)] = number(value + 1);
			continue;
		}
		if (!strncmp(word, "file=", 5) || !strncmp(word, "pointer=", 8) ||
		    (command->has_buffer && !strncmp(word, "buffer=", 7)))
			continue;
		while (field && field->name &&
		       (strlen(field->name) != (size_t)(value - word) ||
			strncmp(field->name, word, value - word)))
			field++;
		if (!field || !field->name)
			die(word);
		field_set(field, argument, value + 1);
	}
}

static void do_command(struct call *call, const struct command *command)
{
	char argument[1 << _IOC_SIZEBITS] __attribute__((aligned(8))) = { 0 };
	size_t size = _IOC_SIZE(command->ioctl);
	const char *memory = option(call, "pointer");
	const char *buffer = option(call, "buffer");
	void *pointer = argument;
	uint64_t address;
	long ret;

	set_defaults(command, argument);
	set_fields(call, command, argument);
	if (command->has_buffer) {
		address = (uintptr_t)memory_find(buffer ? buffer : "good")->address;
		memcpy(argument, &address, sizeof(address));
	}
	if (memory)
		pointer = memory_place(memory_find(memory), argument, size);

	ret = ioctl(file_of(call)->fd, command->ioctl, pointer);
	answer_result(call, ret);
	/* Also after errors: some say something. */
	if (memory)
		return;
	for (const struct field *field = command->out; field && field->name;
	     field++)
		field_answer(call, field, argument);
}

/* Answers requests until there is something else to do. */
static void do_serve(struct call *call)
{
	const char *until = option(call, "until");
	struct file *file = file_of(call);
	union kbdusioctl_reply_and_request message = { 0 };
	char *buffer = memory_find("good")->address;

	do {
		message.reply = (struct kbdusioctl_reply){
			.buffer = (uintptr_t)buffer,
			.handle = message.request.handle,
		};
		if (ioctl(file->fd,
			  KBDUSIOCTL_IOCTL_SEND_REPLY_AND_RECEIVE_REQUEST,
			  &message) < 0) {
			answer_result(call, -1);
			return;
		}
		if (message.request.type == KBDUS_REQUEST_TYPE_TERMINATE ||
		    message.request.type ==
			    KBDUS_REQUEST_TYPE_FLUSH_AND_TERMINATE)
			break;
	} while (!until ||
		 message.request.type != type_by_name(until, strlen(until)));
	answer(call, "ok");
	for (const struct field *field = request_fields; field->name; field++)
		field_answer(call, field, (char *)&message);
}

/* Any ioctl at all, of any file. */
static void do_ioctl(struct call *call)
{
	const char *memory = option(call, "pointer");

	answer_result(call, ioctl(file_of(call)->fd,
				  number_option(call, "command", 0),
				  memory_find(memory ? memory : "good")->address));
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
		die("capget");
	if (number_option(call, "value", 0))
		data[0].effective |= bit;
	else
		data[0].effective &= ~bit;
	answer_result(call, syscall(SYS_capset, &header, data));
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
	return &threads[number_option(call, "thread", 1) & 7];
}

static void do_join(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	while (thread->is_busy)
		pthread_cond_wait(&thread->changed, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
	answer(call, "%s", thread->call.answer);
}

/* Whether the command that a thread executes has ended: ok or EBUSY. */
static void do_ended(struct call *call)
{
	struct thread *thread = thread_option(call);

	pthread_mutex_lock(&thread->lock);
	answer(call, "%s", thread->is_busy ? "EBUSY" : "ok");
	pthread_mutex_unlock(&thread->lock);
}

/* Whether a thread waits in a system call ioctl(2): ok or EAGAIN. */
static void do_waits(struct call *call)
{
	struct thread *thread = thread_option(call);
	char path[64], text[16] = "";
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread->tid);
	stream = fopen(path, "re");
	if (!stream || !fgets(text, sizeof(text), stream))
		die(path);
	fclose(stream);
	answer(call, "%s", atoi(text) == SYS_ioctl ? "ok" : "EAGAIN");
}

static void do_signal(struct call *call)
{
	answer_result(call, pthread_kill(thread_option(call)->thread, SIGUSR1));
}

static const struct verb {
	const char *name;
	void (*execute)(struct call *call);
} verbs[] = {
	{ "open", do_open },
	{ "close", do_close },
	{ "map", do_map },
	{ "userfault", do_userfault },
	{ "serve", do_serve },
	{ "ioctl", do_ioctl },
	{ "privileged", do_privileged },
	{ "join", do_join },
	{ "ended", do_ended },
	{ "waits", do_waits },
	{ "signal", do_signal },
};

static void execute(struct call *call)
{
	const char *name = call->words[0];

	call->answer[0] = '\0';
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (!strcmp(verbs[i].name, name)) {
			verbs[i].execute(call);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(commands[i].name, name)) {
			do_command(call, &commands[i]);
			return;
		}
	}
	die(name);
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
		die("the thread is busy");
	thread->call = *call;
	/* The words point into the line. */
	for (int i = 1; i < call->count; i++)
		thread->call.words[i - 1] =
			thread->call.line + (call->words[i] - call->line);
	thread->call.count--;
	thread->is_busy = true;
	pthread_cond_broadcast(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
}

static void do_nothing(int signal)
{
	(void)signal;
}

int main(void)
{
	/* Without SA_RESTART, so that what is interrupted says so. */
	const struct sigaction action = { .sa_handler = do_nothing };
	static struct call call;
	char *rest;

	sigaction(SIGUSR1, &action, NULL);
	memories_make();
	for (int i = 1; i < 8; i++) {
		pthread_mutex_init(&threads[i].lock, NULL);
		pthread_cond_init(&threads[i].changed, NULL);
		if (pthread_create(&threads[i].thread, NULL, thread_main,
				   &threads[i]))
			die("pthread_create");
	}

	while (fgets(call.line, sizeof(call.line), stdin)) {
		call.count = 0;
		for (char *word = strtok_r(call.line, " \n", &rest);
		     word && call.count < MAX_WORDS;
		     word = strtok_r(NULL, " \n", &rest))
			call.words[call.count++] = word;
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
