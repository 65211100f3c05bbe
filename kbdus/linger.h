/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KBDUS_LINGER_H
#define KBDUS_LINGER_H

#include <linux/types.h>

/**
 * struct kbdus_linger - whether clients should look for answers before they sleep
 * @longest_ns: for how long a client may look; fixed
 * @alone: requests in succession that found no other under way
 * @looked: for how many of these clients have looked
 * @misses: how often in succession that was in vain
 *
 * But for the first they are hints: changed without a lock, whoever comes last is right.
 */
struct kbdus_linger {
	u32 longest_ns;
	u32 alone;
	u32 looked;
	u32 misses;
};

void kbdus_linger_init(struct kbdus_linger *linger, u32 longest_us);
bool kbdus_linger_begin(struct kbdus_linger *linger, bool is_alone);
void kbdus_linger_end(struct kbdus_linger *linger, bool has_found);
bool kbdus_linger_may_go_on(const struct kbdus_linger *linger, u64 began_at);

#endif
