/* SPDX-License-Identifier: MIT */

/* store.h: see store.c. */

#ifndef DRIVERS_FAULT_STORE_H
#define DRIVERS_FAULT_STORE_H

#include <stdbool.h>
#include <stdint.h>

/** Keep the data in this file instead of in memory. Returns 0 or an errno
 *  value. */
int store_open_file(const char *path);

/** Returns the size of that file, 0 if there is none. */
uint64_t store_file_size(void);

/** Make room for a device of this size. Returns 0 or an errno value. */
int store_prepare(uint64_t size);

/** The operations of a device, to be called by any number of threads. All
 *  return 0 or an errno value. @{ */
int store_read(char *buffer, uint64_t offset, uint32_t size);
int store_write(const char *buffer, uint64_t offset, uint32_t size);
int store_clear(uint64_t offset, uint32_t size, bool may_unmap);
int store_flush(void);
/** @} */

#endif
