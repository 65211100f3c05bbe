/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_CONTROL_H
#define KBDUS_CONTROL_H

int kbdus_control_init(void);
void kbdus_control_exit(void);
void kbdus_control_wait_until_closed(void);

#endif
