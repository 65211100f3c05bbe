# SPDX-License-Identifier: MIT
#
# The front door. `make help` lists what it can do.
#
# User space is built out of tree, below O (build/user by default), laid out as
# it is installed, so that the commands find the library and the drivers there.
# The module is built by kbdus/Makefile, which DKMS can use alone.

O		?= build/user
CC		?= cc
CFLAGS		?= -O2 -g
PREFIX		?= /usr/local

override O	:= $(abspath $(O))
MAKEFLAGS	+= --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

VERSION		:= $(shell awk '/define BDUS_HEADER_VERSION_(MAJOR|MINOR|PATCH)/ \
			{ v = v sep $$3; sep = "." } END { print v }' \
			libbdus/include/bdus.h)

WARN		:= -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes
INCLUDES	:= -Ilibbdus/include -Ikbdus/include
override CFLAGS	+= -std=c99 -D_GNU_SOURCE $(WARN) $(INCLUDES) -pthread \
		   -MMD -MP
LINK		= $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^)

.PHONY: all
all: kbdus user

include mk/user.mk
include mk/check.mk
include mk/docs.mk
include mk/bench.mk
include mk/install.mk
include mk/deb.mk

.PHONY: kbdus
kbdus:
	$(MAKE) -C kbdus

# The artefacts by the names that users of 0.1 know.
.PHONY: kbdus.ko libbdus.so bdus
kbdus.ko: kbdus
libbdus.so: $(O)/lib/libbdus.so
bdus: $(O)/bin/bdus

.PHONY: clean
clean:
	$(MAKE) -C kbdus clean
	rm -rf build docs/man

.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
