/* SPDX-License-Identifier: MIT */

/*
 * control.c: the commands of kbdus.h that belong to no protocol.
 */

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transport.h"

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
	PROTOCOL(socket_fd_plus_1), PROTOCOL(channel_count),                   \
	PROTOCOL(payload_memory), PROTOCOL(entry_count),                       \
	PROTOCOL(driver_offset), PROTOCOL(channel_offset),                     \
	PROTOCOL(channel_stride), PROTOCOL(spin_us),                         \
	PROTOCOL(payload_address)

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
	INFO(read_only), INFO(memory),
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

static void set_defaults(const struct command *command, char *argument)
{
	struct kbdus_config *config = (struct kbdus_config *)argument;

	if (command->in != config_fields && command->in != attachment_fields)
		return;
	snprintf(config->protocol.name, sizeof(config->protocol.name), "%s",
		 raw_transport_find("")->name);
	if (command->in == attachment_fields)
		return;
	/* Nobody but a client's write makes a request: udev only reads. */
	config->device.size = 1 << 20;
	config->device.logical_block_size = 512;
	config->device.operations = KBDUS_OP(WRITE) | KBDUS_OP(FLUSH);
	config->device.flags = KBDUS_DEVICE_F_NO_PARTITIONS;
	config->device.max_outstanding_requests = 4;
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
	if (is_attaching)
		prepared = raw_file_prepare(call, protocol, &transport);
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
		raw_file_begin(file, protocol, prepared);
	/* Also after errors: some say something. */
	raw_answer_fields(call, command->out, argument);
}

/* Does a command of kbdus.h, if it is one. */
bool raw_command(struct call *call)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(commands[i].name, call->words[0])) {
			do_command(call, &commands[i]);
			return true;
		}
	}
	return false;
}

/* Any ioctl at all, of any file; its argument is a memory or a number, index=. */
static void do_ioctl(struct call *call)
{
	const char *memory = raw_option(call, "pointer");
	uintptr_t argument = raw_number_option(
		call, "index",
		(uintptr_t)raw_memory_find(memory ? memory : "good")->address);
	long ret = ioctl(raw_file_of(call)->fd,
			 raw_number_option(call, "command", 0), argument);

	if (raw_answer_result(call, ret))
		raw_answer(call, " result=%ld", ret);
}

/* In the calling thread only: takes away or gives back CAP_SYS_ADMIN, or another
 * capability=. */
static void do_privileged(struct call *call)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	uint32_t bit = 1u << raw_number_option(call, "capability", CAP_SYS_ADMIN);

	if (syscall(SYS_capget, &header, data) < 0)
		raw_die("capget");
	if (raw_number_option(call, "value", 0))
		data[0].effective |= bit;
	else
		data[0].effective &= ~bit;
	raw_answer_result(call, syscall(SYS_capset, &header, data));
}

const struct verb control_verbs[] = {
	{ "ioctl", do_ioctl },
	{ "privileged", do_privileged },
	{ 0 }
};
