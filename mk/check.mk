# SPDX-License-Identifier: MIT
#
# Tests that need no kernel module, and the front doors of those that do.

UNIT_SOURCES	:= $(wildcard tests/unit/test_*.c)
UNIT_SUPPORT	:= $(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c))
UNIT_PROGRAMS	:= $(UNIT_SOURCES:tests/unit/%.c=$(O)/unit/%)
UNIT_PLAIN	:= $(UNIT_SOURCES:tests/unit/%.c=$(O)/unit-plain/%)
UNIT_CFLAGS	:= -Ilibbdus/src -fsanitize=address,undefined \
		   -fno-sanitize-recover=all -fno-omit-frame-pointer

# The library once more, under the sanitizers and with nothing hidden.
$(O)/obj-unit/%.o: %.c Makefile mk/check.mk $(O)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(UNIT_CFLAGS) -c -o $@ $<

$(O)/obj-unit/libbdus/src/%_fuse.o: UNIT_CFLAGS += $(FUSE_CFLAGS)
$(O)/obj-unit/libbdus/src/%_ublk.o: UNIT_CFLAGS += $(UBLK_CFLAGS)
$(O)/obj-unit/tests/unit/%_ublk.o: UNIT_CFLAGS += $(UBLK_CFLAGS)
$(O)/obj-unit/libbdus/src/%_nbd.o: UNIT_CFLAGS += $(NBD_CFLAGS)

$(O)/unit/libbdus.a: $(LIB_SOURCES:%.c=$(O)/obj-unit/%.o)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(UNIT_PROGRAMS): $(O)/unit/%: $(O)/obj-unit/tests/unit/%.o \
		$(UNIT_SUPPORT:%.c=$(O)/obj-unit/%.o) $(O)/unit/libbdus.a
	@mkdir -p $(@D)
	$(LINK) $(UNIT_CFLAGS) $(O)/unit/libbdus.a -lcmocka -ldl

# As they are, of the objects that users get.
$(O)/obj/tests/unit/%.o: OBJ_CFLAGS = -Ilibbdus/src
$(O)/obj/tests/unit/%_ublk.o: OBJ_CFLAGS = -Ilibbdus/src $(UBLK_CFLAGS)

$(UNIT_PLAIN): $(O)/unit-plain/%: $(O)/obj/tests/unit/%.o \
		$(call objects,$(UNIT_SUPPORT) $(LIB_SOURCES))
	@mkdir -p $(@D)
	$(LINK) -lcmocka -ldl

## unit          the library's unit tests, as it is and under ASan and UBSan
.PHONY: unit
unit: $(UNIT_PROGRAMS) $(UNIT_PLAIN) user
	tests/unit/run $(UNIT_PROGRAMS) $(UNIT_PLAIN)

-include $(shell find $(O)/obj-unit -name '*.d' 2>/dev/null)

## demo          the main job on real data, here and in a throw-away machine
.PHONY: demo
demo:
	demo/run

## check         the test suite, in minutes
.PHONY: check
check:
	tests/check

## check-debug   the same cases, or CASES, under a kernel with KASAN and lockdep
.PHONY: check-debug
check-debug:
	tests/check --debug $(CASES)

## check-oldest  the same cases, or CASES, under the oldest kernel that there may be
.PHONY: check-oldest
check-oldest:
	tests/check --kernel 5.10 $(CASES)

## check-all     long cases too, every kernel, the debug kernel
.PHONY: check-all
check-all:
	tests/check --all
