# SPDX-License-Identifier: MIT
#
# What the ways to have a block device cost, side by side.

## bench         drivers over each protocol beside their peers; BENCH=quick for less,
##               passthrough, cached, files, growth for others, all for everything
BENCH		?= full

# The peer that Debian has no package of.
ifneq ($(UBLK_CFLAGS),)
user: $(O)/bench/ublk-null
endif

$(O)/bench/ublk-null: bench/guest/ublk_null.c mk/bench.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(shell pkg-config --libs liburing)

user: $(O)/bench/files $(O)/bench/devices

$(O)/bench/files: bench/guest/files.c mk/bench.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $<

$(O)/bench/devices: bench/guest/devices.c mk/bench.mk | $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< -L$(O)/lib -lbdus

.PHONY: bench
bench:
	bench/run $(BENCH)

## bench-publish what `make bench` measured becomes what the manual shows
.PHONY: bench-publish
bench-publish:
	bench/publish
