/* SPDX-License-Identifier: MIT */

/*
 * ops.c: which callbacks a driver has, and whether they suit its device.
 *
 * Called by run.c before anything else happens, and by log.c. Pure: looks at
 * struct bdus_ops and nothing else, calls no callback.
 */

#include <errno.h>
#include <string.h>

#include "internal.h"

#define CALLBACK(member, ops) { #member, offsetof(struct bdus_ops, member), ops }

const struct libbdus_callback libbdus_callbacks[LIBBDUS_CALLBACK_COUNT] = {
	CALLBACK(initialize, 0),
	CALLBACK(on_device_available, 0),
	CALLBACK(terminate, 0),
	CALLBACK(read, KBDUS_OP(READ)),
	CALLBACK(write, KBDUS_OP(WRITE)),
	CALLBACK(write_same, KBDUS_OP(WRITE_SAME)),
	CALLBACK(write_zeros, KBDUS_OP_WRITE_ZEROS),
	CALLBACK(fua_write, KBDUS_OP(FUA_WRITE)),
	CALLBACK(flush, KBDUS_OP(FLUSH)),
	CALLBACK(discard, KBDUS_OP(DISCARD)),
	CALLBACK(secure_erase, KBDUS_OP(SECURE_ERASE)),
	CALLBACK(ioctl, KBDUS_OP(IOCTL)),
};

bool libbdus_ops_has(const struct bdus_ops *ops,
		     const struct libbdus_callback *callback)
{
	void (*function)(void);

	memcpy(&function, (const char *)ops + callback->offset,
	       sizeof(function));
	return function != NULL;
}

/* Get the KBDUS_OP() bits of all requests that there are callbacks for. */
uint32_t libbdus_ops_operations(const struct bdus_ops *ops)
{
	uint32_t operations = 0;

	for (int i = 0; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		if (libbdus_ops_has(ops, &libbdus_callbacks[i]))
			operations |= libbdus_callbacks[i].operations;
	}

	return operations;
}

/* Check what bdus_run() and bdus_rerun() both demand. */
int libbdus_ops_validate(const struct bdus_ops *ops)
{
	if (ops->fua_write && !ops->flush) {
		return libbdus_error(EINVAL,
			"Callback fua_write is implemented but flush is not.");
	}

	return 0;
}

/*
 * Check that nothing can be asked for that there is no callback for. Callbacks
 * that the device has no use for are fine.
 */
int libbdus_ops_validate_rerun(const struct bdus_ops *ops, uint32_t operations)
{
	for (int i = 0; i < LIBBDUS_CALLBACK_COUNT; ++i) {
		const struct libbdus_callback *callback = &libbdus_callbacks[i];

		if ((callback->operations & operations) &&
		    !libbdus_ops_has(ops, callback)) {
			return libbdus_error(EINVAL,
				"Callback %s is not implemented but the device supports it.",
				callback->name);
		}
	}

	return 0;
}
