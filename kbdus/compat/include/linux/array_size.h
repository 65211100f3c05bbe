/* SPDX-License-Identifier: GPL-2.0-only */
/* For kernels that have no such header. */
#include <linux/kernel.h>
