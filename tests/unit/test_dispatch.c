/* SPDX-License-Identifier: MIT */

/* Each request reaches its callback, as itself, and each result its client. */

#include <linux/ioctl.h>
#include <string.h>

#include "unit.h"

static struct {
	const char *name;
	void *buffer;
	uint64_t offset;
	uint32_t size;
	bool may_unmap;
	struct bdus_ctx *ctx;
	int result;
} call;

static int record(const char *name, const void *buffer, uint64_t offset,
		  uint32_t size, struct bdus_ctx *ctx)
{
	call.name = name;
	call.buffer = (void *)buffer;
	call.offset = offset;
	call.size = size;
	call.ctx = ctx;
	return call.result;
}

static int on_read(char *buffer, uint64_t offset, uint32_t size,
		   struct bdus_ctx *ctx)
{
	return record("read", buffer, offset, size, ctx);
}

static int on_write(const char *buffer, uint64_t offset, uint32_t size,
		    struct bdus_ctx *ctx)
{
	return record("write", buffer, offset, size, ctx);
}

static int on_write_same(const char *buffer, uint64_t offset, uint32_t size,
			 struct bdus_ctx *ctx)
{
	return record("write_same", buffer, offset, size, ctx);
}

static int on_write_zeros(uint64_t offset, uint32_t size, bool may_unmap,
			  struct bdus_ctx *ctx)
{
	call.may_unmap = may_unmap;
	return record("write_zeros", NULL, offset, size, ctx);
}

static int on_fua_write(const char *buffer, uint64_t offset, uint32_t size,
			struct bdus_ctx *ctx)
{
	return record("fua_write", buffer, offset, size, ctx);
}

static int on_flush(struct bdus_ctx *ctx)
{
	return record("flush", NULL, 0, 0, ctx);
}

static int on_discard(uint64_t offset, uint32_t size, struct bdus_ctx *ctx)
{
	return record("discard", NULL, offset, size, ctx);
}

static int on_secure_erase(uint64_t offset, uint32_t size,
			   struct bdus_ctx *ctx)
{
	return record("secure_erase", NULL, offset, size, ctx);
}

static int on_ioctl(uint32_t command, void *argument, struct bdus_ctx *ctx)
{
	return record("ioctl", argument, 0, command, ctx);
}

static const struct bdus_ops ops = {
	.read = on_read,
	.write = on_write,
	.write_same = on_write_same,
	.write_zeros = on_write_zeros,
	.fua_write = on_fua_write,
	.flush = on_flush,
	.discard = on_discard,
	.secure_erase = on_secure_erase,
	.ioctl = on_ioctl,
};

static const struct bdus_attrs attrs;
static struct bdus_ctx ctx = { .ops = &ops, .attrs = &attrs };
static char payload[16384];

static int dispatch(uint32_t type, uint32_t length, int result)
{
	const struct libbdus_request request = {
		.handle = 1,
		.offset = 1ull << 40,
		.length = length,
		.type = type,
		.payload = payload,
	};

	memset(&call, 0, sizeof(call));
	call.result = result;
	return libbdus_dispatch(&ctx, 0, &request);
}

static const struct {
	uint32_t type;
	const char *name;
	bool has_buffer;
	bool has_range;
} types[] = {
	{ KBDUS_REQUEST_TYPE_READ, "read", true, true },
	{ KBDUS_REQUEST_TYPE_WRITE, "write", true, true },
	{ KBDUS_REQUEST_TYPE_WRITE_SAME, "write_same", true, true },
	{ KBDUS_REQUEST_TYPE_WRITE_ZEROS_NO_UNMAP, "write_zeros", false, true },
	{ KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP, "write_zeros", false,
	  true },
	{ KBDUS_REQUEST_TYPE_FUA_WRITE, "fua_write", true, true },
	{ KBDUS_REQUEST_TYPE_FLUSH, "flush", false, false },
	{ KBDUS_REQUEST_TYPE_DISCARD, "discard", false, true },
	{ KBDUS_REQUEST_TYPE_SECURE_ERASE, "secure_erase", false, true },
};

static void test_arguments(void **state)
{
	(void)state;

	for (size_t i = 0; i < COUNT(types); ++i) {
		assert_int_equal(dispatch(types[i].type, 512, 0), 0);
		assert_string_equal(call.name, types[i].name);
		assert_ptr_equal(call.buffer,
				 types[i].has_buffer ? payload : NULL);
		assert_true(call.offset ==
			    (types[i].has_range ? 1ull << 40 : 0));
		assert_int_equal(call.size, types[i].has_range ? 512 : 0);
		assert_ptr_equal(call.ctx, &ctx);
		assert_int_equal(call.may_unmap, types[i].type ==
			KBDUS_REQUEST_TYPE_WRITE_ZEROS_MAY_UNMAP);
	}
}

static void test_errors(void **state)
{
	static const struct {
		int returned;
		int answered;
	} rows[] = {
		{ 0, 0 },
		{ ENOLINK, ENOLINK },
		{ ENOSPC, ENOSPC },
		{ ETIMEDOUT, ETIMEDOUT },
		{ EIO, EIO },
		{ EPERM, EIO },
		{ EOPNOTSUPP, EIO },
		{ ENOSYS, EIO },
		{ 133, EIO },
		{ 134, EIO },
		{ -1, EIO },
		{ -ENOSPC, EIO },
		{ INT_MAX, EIO },
		{ INT_MIN + 1, EIO },
		{ bdus_abort, bdus_abort },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(types); ++i) {
		for (size_t j = 0; j < COUNT(rows); ++j) {
			assert_int_equal(dispatch(types[i].type, 512,
						  rows[j].returned),
					 rows[j].answered);
		}
	}
}

static void test_ioctl_errors(void **state)
{
	(void)state;

	for (int error = 0; error <= 133; ++error) {
		assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL, _IO('x', 1),
					  error),
				 error == ENOSYS ? EIO : error);
	}

	assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL, _IO('x', 1), 134),
			 EIO);
	assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL, _IO('x', 1), -1),
			 EIO);
	assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL, _IO('x', 1),
				  bdus_abort),
			 bdus_abort);
}

static void test_ioctl_arguments(void **state)
{
	static const struct {
		uint32_t command;
		bool has_argument;
		bool is_zeroed;
	} rows[] = {
		{ _IO('x', 1), false, false },
		{ _IOR('x', 2, char[100]), true, false },
		{ _IOW('x', 3, char[100]), true, true },
		{ _IOWR('x', 4, char[100]), true, false },
	};

	(void)state;

	for (size_t i = 0; i < COUNT(rows); ++i) {
		memset(payload, 'p', sizeof(payload));
		assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL,
					  rows[i].command, 0), 0);
		assert_int_equal(call.size, rows[i].command);
		assert_ptr_equal(call.buffer,
				 rows[i].has_argument ? payload : NULL);
		assert_int_equal(payload[0], rows[i].is_zeroed ? 0 : 'p');
		assert_int_equal(payload[99], rows[i].is_zeroed ? 0 : 'p');
		assert_int_equal(payload[100], 'p');
	}
}

static void test_largest_ioctl(void **state)
{
	(void)state;

	memset(payload, 'p', sizeof(payload));
	assert_int_equal(dispatch(KBDUS_REQUEST_TYPE_IOCTL,
				  _IOW('x', 3, char[16383]), 0), 0);
	assert_int_equal(payload[16382], 0);
	assert_int_equal(payload[16383], 'p');
}

static void test_unknown_types(void **state)
{
	static const uint32_t unknown[] = {
		KBDUS_REQUEST_TYPE_TERMINATE, KBDUS_REQUEST_TYPE_COUNT,
		UINT32_MAX,
	};

	(void)state;

	for (size_t i = 0; i < COUNT(unknown); ++i) {
		assert_int_equal(dispatch(unknown[i], 512, 0), -EINVAL);
		assert_null(call.name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_ioctl_errors),
		cmocka_unit_test(test_ioctl_arguments),
		cmocka_unit_test(test_largest_ioctl),
		cmocka_unit_test(test_unknown_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
