/* SPDX-License-Identifier: MIT */

/*
 * netlink_nbd.c: what the kernel's module nbd is told, by generic netlink.
 *
 * Called by backend_nbd.c when a driver starts. The messages that a device's keeper
 * may have to send later are made here, too, because it can do nothing but system
 * calls. Owns nothing between calls.
 *
 * libnl is loaded when it is first needed, so that the library needs it neither when
 * it is built nor where another backend is used.
 */

#include <errno.h>

#include "nbd.h"

#ifdef LIBBDUS_HAVE_NBD

#include <inttypes.h>
#include <linux/nbd-netlink.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>

#define NL_LIBRARY "libnl-3.so.200"
#define GENL_LIBRARY "libnl-genl-3.so.200"

/* Headers of earlier kernels lack it. */
#define ATTR_IDENTIFIER 10

/* For nbd to remove a device that nobody needs any more. */
#define CLIENT_DESTROY_ON_DISCONNECT 1

/* What is used of libnl. */
static struct {
	__typeof__(&nl_socket_alloc) socket_alloc;
	__typeof__(&nl_socket_free) socket_free;
	__typeof__(&nl_send_sync) send_sync;
	__typeof__(&nlmsg_alloc) message_alloc;
	__typeof__(&nlmsg_free) message_free;
	__typeof__(&nlmsg_hdr) message_header;
	__typeof__(&nla_put) put;
	__typeof__(&nla_nest_start) nest_start;
	__typeof__(&nla_nest_end) nest_end;
	__typeof__(&genl_connect) connect;
	__typeof__(&genl_ctrl_resolve) resolve;
	__typeof__(&genlmsg_put) begin;
} lib;

static const struct libbdus_symbol list[] = {
	{ NL_LIBRARY, "nl_socket_alloc", &lib.socket_alloc },
	{ NL_LIBRARY, "nl_socket_free", &lib.socket_free },
	{ NL_LIBRARY, "nl_send_sync", &lib.send_sync },
	{ NL_LIBRARY, "nlmsg_alloc", &lib.message_alloc },
	{ NL_LIBRARY, "nlmsg_free", &lib.message_free },
	{ NL_LIBRARY, "nlmsg_hdr", &lib.message_header },
	{ NL_LIBRARY, "nla_put", &lib.put },
	{ NL_LIBRARY, "nla_nest_start", &lib.nest_start },
	{ NL_LIBRARY, "nla_nest_end", &lib.nest_end },
	{ GENL_LIBRARY, "genl_connect", &lib.connect },
	{ GENL_LIBRARY, "genl_ctrl_resolve", &lib.resolve },
	{ GENL_LIBRARY, "genlmsg_put", &lib.begin },
};

static struct libbdus_symbols symbols = {
	.list = list,
	.count = sizeof(list) / sizeof(list[0]),
};

/* Open a line to the module, which may load it: the kernel does so for those who
 * ask for a family by its name. */
static int open_netlink(struct nl_sock **out, int *family)
{
	struct nl_sock *netlink;
	int ret;

	ret = libbdus_load(&symbols);
	if (ret)
		return ret;

	netlink = lib.socket_alloc();
	if (!netlink || lib.connect(netlink)) {
		if (netlink)
			lib.socket_free(netlink);
		return libbdus_error(EIO, "Failed to open a netlink socket.");
	}

	*family = lib.resolve(netlink, NBD_GENL_FAMILY_NAME);
	if (*family < 0) {
		lib.socket_free(netlink);
		return libbdus_error(ENOENT,
			"The kernel's module nbd is not loaded (modprobe nbd), or the kernel has none.");
	}
	*out = netlink;
	return 0;
}

/* Whether there is the module. */
int libbdus_nbd_netlink_probe(void)
{
	struct nl_sock *netlink;
	int family;
	int ret;

	ret = open_netlink(&netlink, &family);
	if (!ret)
		lib.socket_free(netlink);
	return ret;
}

/* Begin a message; NULL if there is no memory. */
static struct nl_msg *begin_message(int family, uint8_t command,
				    const struct nbd_order *order)
{
	struct nl_msg *message = lib.message_alloc();

	if (message &&
	    (!lib.begin(message, 0, 0, family, 0, NLM_F_REQUEST | NLM_F_ACK,
			command, NBD_GENL_VERSION) ||
	     lib.put(message, NBD_ATTR_INDEX, sizeof(order->number),
		     &order->number))) {
		lib.message_free(message);
		return NULL;
	}
	return message;
}

static bool put_u64(struct nl_msg *message, int attribute, uint64_t value)
{
	return !lib.put(message, attribute, sizeof(value), &value);
}

static bool put_identifier(struct nl_msg *message, const char *identifier)
{
	return !lib.put(message, ATTR_IDENTIFIER, (int)strlen(identifier) + 1,
			identifier);
}

static bool put_sockets(struct nl_msg *message, const int *fds,
			unsigned int count)
{
	struct nlattr *list = lib.nest_start(message, NBD_ATTR_SOCKETS);

	for (unsigned int i = 0; i < count && list; ++i) {
		struct nlattr *item = lib.nest_start(message, NBD_SOCK_ITEM);
		const uint32_t fd = (uint32_t)fds[i];

		if (!item ||
		    lib.put(message, NBD_SOCK_FD, sizeof(fd), &fd))
			return false;
		lib.nest_end(message, item);
	}
	if (!list)
		return false;
	lib.nest_end(message, list);
	return true;
}

static struct nl_msg *make_connect(int family, const struct nbd_order *order)
{
	struct nl_msg *message = begin_message(family, NBD_CMD_CONNECT, order);

	if (!message)
		return NULL;
	if (put_u64(message, NBD_ATTR_SIZE_BYTES, order->size) &&
	    put_u64(message, NBD_ATTR_BLOCK_SIZE_BYTES, order->block_size) &&
	    put_u64(message, NBD_ATTR_TIMEOUT, order->timeout) &&
	    put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, order->dead_timeout) &&
	    put_u64(message, NBD_ATTR_SERVER_FLAGS, order->flags) &&
	    put_u64(message, NBD_ATTR_CLIENT_FLAGS,
		    CLIENT_DESTROY_ON_DISCONNECT) &&
	    put_identifier(message, order->identifier) &&
	    put_sockets(message, order->fds, order->fd_count))
		return message;

	lib.message_free(message);
	return NULL;
}

static struct nl_msg *make_reconnect(int family, const struct nbd_order *order)
{
	struct nl_msg *message = begin_message(family, NBD_CMD_RECONFIGURE,
					       order);

	if (!message)
		return NULL;
	if (put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, order->dead_timeout) &&
	    put_identifier(message, order->identifier) &&
	    put_sockets(message, order->fds, order->fd_count))
		return message;

	lib.message_free(message);
	return NULL;
}

static int no_memory(void)
{
	return libbdus_error_with_errno(ENOMEM, "Failed to allocate a message");
}

/* What the kernel said, as an errno value, by libnl's name for it. */
static int errno_of(int error)
{
	switch (-error) {
	case NLE_BUSY:
		return EBUSY;
	case NLE_EXIST:
		return EEXIST;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_INVAL:
		return EINVAL;
	default:
		return EIO;
	}
}

typedef struct nl_msg *make_fn(int family, const struct nbd_order *order);

static int tell(make_fn *make, const struct nbd_order *order,
		const char *purpose)
{
	struct nl_sock *netlink;
	struct nl_msg *message;
	int family;
	int ret;

	ret = open_netlink(&netlink, &family);
	if (ret)
		return ret;

	message = make(family, order);
	ret = message ? lib.send_sync(netlink, message) : -NLE_NOMEM;
	lib.socket_free(netlink);
	if (ret < 0) {
		return libbdus_error_with_errno(errno_of(ret),
			"The kernel failed to %s nbd%" PRIu32, purpose,
			order->number);
	}
	return 0;
}

/* Make a device. */
int libbdus_nbd_netlink_connect(const struct nbd_order *order)
{
	return tell(make_connect, order, "make");
}

/* Give a device whose connections have ended other ones. The kernel does not say if it
 * did not take them. */
int libbdus_nbd_netlink_reconnect(const struct nbd_order *order)
{
	return tell(make_reconnect, order, "reconnect");
}

/* Take the message out of libnl's hands. */
static int keep_message(struct nl_msg *message, struct nbd_message *out)
{
	const struct nlmsghdr *header;
	int ret = 0;

	if (!message)
		return no_memory();
	header = lib.message_header(message);
	if (header->nlmsg_len <= sizeof(out->bytes)) {
		out->size = header->nlmsg_len;
		memcpy(out->bytes, header, out->size);
	} else {
		ret = libbdus_error(EIO, "A message is too long.");
	}
	lib.message_free(message);
	return ret;
}

/* Make the messages that a keeper sends. */
int libbdus_nbd_netlink_prepare(struct nbd_keeping *keeping)
{
	static const int dead_socket = NBD_DEAD_SOCKET;
	const struct nbd_order order = {
		.number = keeping->number,
		.identifier = keeping->identifier,
		.fds = &dead_socket,
		.fd_count = 1,
	};
	struct nl_sock *netlink;
	int family;
	int ret;

	ret = open_netlink(&netlink, &family);
	if (ret)
		return ret;
	lib.socket_free(netlink);

	ret = keep_message(begin_message(family, NBD_CMD_DISCONNECT, &order),
			   &keeping->disconnect);
	if (!ret)
		ret = keep_message(make_reconnect(family, &order),
				   &keeping->fail);
	return ret;
}

#else

static int not_built_in(void)
{
	return libbdus_error(EOPNOTSUPP,
		"This libbdus was built without libnl.");
}

int libbdus_nbd_netlink_probe(void)
{
	return not_built_in();
}

int libbdus_nbd_netlink_connect(const struct nbd_order *order)
{
	(void)order;
	return not_built_in();
}

int libbdus_nbd_netlink_reconnect(const struct nbd_order *order)
{
	(void)order;
	return not_built_in();
}

int libbdus_nbd_netlink_prepare(struct nbd_keeping *keeping)
{
	(void)keeping;
	return not_built_in();
}

#endif
