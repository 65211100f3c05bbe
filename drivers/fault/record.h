/* SPDX-License-Identifier: MIT */

/* record.h: see record.c. */

#ifndef DRIVERS_FAULT_RECORD_H
#define DRIVERS_FAULT_RECORD_H

/** Append to this file from now on. Returns 0 or an errno value. */
int record_open(const char *path);

/** Append one line, made of `text` and the result of the callback. Does nothing
 *  if no file is open. */
void record_line(const char *text, int result);

#endif
