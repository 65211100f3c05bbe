/* SPDX-License-Identifier: MIT */

/* ring.c: maps the memory of a session of the protocol "ring"; see ring.h. */

#include <errno.h>
#include <sys/mman.h>

#include "ring.h"

/* Map from one offset to another. */
static int map(const struct libbdus_session *session, uint64_t start,
	       uint64_t end, int protection, struct libbdus_ring_part *part)
{
	void *memory = mmap(NULL, end - start, protection, MAP_SHARED,
			    session->fd, (off_t)start);

	if (memory == MAP_FAILED) {
		return libbdus_error_with_errno(errno,
			"Failed to map %llu bytes shared with kbdus",
			(unsigned long long)(end - start));
	}

	*part = (struct libbdus_ring_part){
		.memory = memory,
		.size = end - start,
	};
	return 0;
}

static void unmap(const struct libbdus_ring_part *part)
{
	if (part->memory)
		munmap(part->memory, part->size);
}

/* Map what the module described. The payload may be the driver's own memory. */
int libbdus_ring_map(const struct libbdus_session *session,
		     const struct kbdus_protocol_config *config,
		     struct libbdus_ring *ring)
{
	int ret;

	*ring = (struct libbdus_ring){ .mask = config->entry_count - 1 };
	ret = map(session, 0, config->driver_offset, PROT_READ,
		  &ring->of_module);
	if (!ret)
		ret = map(session, config->driver_offset, config->mapping_size,
			  PROT_READ | PROT_WRITE, &ring->of_driver);
	if (ret) {
		libbdus_ring_unmap(ring);
		return ret;
	}

	ring->submission = (void *)ring->of_module.memory;
	ring->requests = (void *)(ring->submission + 1);
	ring->driver = (void *)ring->of_driver.memory;
	if (config->payload_size && config->payload_offset) {
		ring->payload = ring->of_driver.memory +
				(config->payload_offset - config->driver_offset);
	}
	return 0;
}

/* Does no harm to one that was not mapped, but is zeroed. */
void libbdus_ring_unmap(struct libbdus_ring *ring)
{
	unmap(&ring->of_driver);
	unmap(&ring->of_module);
	*ring = (struct libbdus_ring){ 0 };
}

/* Of a channel; its replies follow it. */
struct kbdusring_completion *
libbdus_ring_completion(const struct libbdus_ring *ring,
			const struct kbdus_protocol_config *config,
			uint32_t channel)
{
	return (void *)(ring->of_driver.memory +
			(config->channel_offset - config->driver_offset) +
			(size_t)channel * config->channel_stride);
}
