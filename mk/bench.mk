# SPDX-License-Identifier: MIT
#
# What the ways to have a block device cost, side by side.

## bench         drivers over each protocol beside their peers; BENCH=quick for less
BENCH		?= full

.PHONY: bench
bench:
	bench/run $(BENCH)

## bench-publish what `make bench` measured becomes what the manual shows
.PHONY: bench-publish
bench-publish:
	bench/publish
