# SPDX-License-Identifier: MIT
#
# What runs in user space: library, commands, drivers, examples and the programs
# that test cases use. A source file is found by where it is; there are no lists.

# Objects of the sources $(1).
objects = $(patsubst %.c,$(O)/obj/%.o,$(1))

SMARTCOLS_CFLAGS = $(shell pkg-config --cflags smartcols)
SMARTCOLS_LIBS	 = $(shell pkg-config --libs smartcols)

# What backends need beyond libc is loaded when they are used; to build one, its
# library's headers must be there.
FUSE_CFLAGS	:= $(shell pkg-config --exists fuse3 2>/dev/null && \
			echo -DLIBBDUS_HAVE_FUSE $$(pkg-config --cflags fuse3))
UBLK_CFLAGS	:= $(shell pkg-config --atleast-version=2.3 liburing 2>/dev/null && \
			echo -DLIBBDUS_HAVE_UBLK $$(pkg-config --cflags liburing))
NBD_CFLAGS	:= $(shell pkg-config --exists libnl-genl-3.0 2>/dev/null && \
			echo -DLIBBDUS_HAVE_NBD $$(pkg-config --cflags libnl-genl-3.0))

BACKEND_CFLAGS	:= $(FUSE_CFLAGS) $(UBLK_CFLAGS)

# Programs that do I/O by io_uring: what makes that easy becomes part of them if it can,
# so that they need nothing where they run.
URING_CFLAGS	:= $(shell pkg-config --atleast-version=2.3 liburing 2>/dev/null && \
			echo -DHAVE_LIBURING $$(pkg-config --cflags liburing))
URING_LIBS	:= $(if $(URING_CFLAGS),$(if $(wildcard \
			$(shell $(CC) -print-file-name=liburing.a)),-l:liburing.a,-luring))

LIB_SOURCES	:= $(wildcard libbdus/src/*.c)
CMD_SOURCES	:= $(filter-out cmdbdus/bdus-info.c,$(wildcard cmdbdus/*.c))
INFO_SOURCES	:= cmdbdus/bdus-info.c $(wildcard cmdbdus/common*.c)
DRIVERS		:= $(filter-out common,$(notdir $(patsubst %/,%,$(wildcard drivers/*/))))
EXAMPLES	:= $(basename $(notdir $(wildcard examples/*.c)))
TEST_PROGRAMS	:= $(basename $(notdir $(wildcard tests/lib/*.c)))
TEST_HOOKS	:= $(basename $(notdir $(wildcard tests/lib/hooks/*.c)))

LIBBDUS		:= $(O)/lib/libbdus.so.0
DRIVER_DIR	?= $(LIBEXECDIR)/bdus/drivers

COMMANDS	:= $(O)/bin/bdus $(O)/bin/bdus-info \
		   $(DRIVERS:%=$(O)/libexec/bdus/drivers/%)
USER_TARGETS	:= $(LIBBDUS) $(O)/lib/libbdus.so $(COMMANDS) \
		   $(EXAMPLES:%=$(O)/examples/%) \
		   $(TEST_PROGRAMS:%=$(O)/tests/%) \
		   $(TEST_HOOKS:%=$(O)/tests/hooks/%)

## user          library, commands, drivers, examples and test programs, in O
.PHONY: user
user: $(USER_TARGETS)

# Parts of it: what install-libbdus and install-cmdbdus want.
.PHONY: libbdus cmdbdus
libbdus: $(LIBBDUS) $(O)/lib/libbdus.so
cmdbdus: $(COMMANDS)

# What objects are made with. It changes with what is installed, too, and they must
# not outlive that.
FLAGS	:= $(CC) $(CPPFLAGS) $(CFLAGS) $(LIBBDUS_CFLAGS) $(CMDBDUS_CFLAGS) \
	   $(BACKEND_CFLAGS) $(URING_CFLAGS)
ifneq ($(FLAGS),$(file <$(O)/flags))
$(shell mkdir -p $(O))
$(file >$(O)/flags,$(FLAGS))
endif

$(O)/obj/%.o: %.c Makefile mk/user.mk $(O)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(OBJ_CFLAGS) -c -o $@ $<

$(O)/obj/libbdus/%.o: OBJ_CFLAGS = -fPIC -fvisibility=hidden $(LIBBDUS_CFLAGS)
$(O)/obj/libbdus/src/%_fuse.o: OBJ_CFLAGS = -fPIC -fvisibility=hidden \
	$(FUSE_CFLAGS) $(LIBBDUS_CFLAGS)
$(O)/obj/libbdus/src/%_ublk.o: OBJ_CFLAGS = -fPIC -fvisibility=hidden \
	$(UBLK_CFLAGS) $(LIBBDUS_CFLAGS)
$(O)/obj/libbdus/src/%_nbd.o: OBJ_CFLAGS = -fPIC -fvisibility=hidden \
	$(NBD_CFLAGS) $(LIBBDUS_CFLAGS)
$(O)/obj/cmdbdus/%.o: OBJ_CFLAGS = $(SMARTCOLS_CFLAGS) \
	-DBDUS_DRIVER_DIR='"$(DRIVER_DIR)"' $(CMDBDUS_CFLAGS)
$(O)/obj/drivers/%.o: OBJ_CFLAGS = -Idrivers/common
$(O)/obj/drivers/loop/uring.o: OBJ_CFLAGS = -Idrivers/common $(URING_CFLAGS)
$(O)/obj/examples/async.o: OBJ_CFLAGS = $(URING_CFLAGS)

$(LIBBDUS): $(call objects,$(LIB_SOURCES)) libbdus/libbdus.map
	@mkdir -p $(@D)
	$(LINK) -shared -Wl,-soname,libbdus.so.0 \
		-Wl,--version-script=libbdus/libbdus.map -Wl,-z,defs -ldl

$(O)/lib/libbdus.so: $(LIBBDUS)
	ln -sf libbdus.so.0 $@

# $ORIGIN makes the tree work where it was built and wherever it is moved to. RPATH=0
# is for packages, whose library is where all are.
RPATH		?= 1
LINK_BDUS = $(LINK) -L$(O)/lib -lbdus \
	    $(if $(filter 1,$(RPATH)),-Wl$(comma)-rpath$(comma)'$$ORIGIN/$(1)lib')
comma		:= ,

$(O)/bin/bdus: $(call objects,$(CMD_SOURCES)) | $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(call LINK_BDUS,../) $(SMARTCOLS_LIBS)

$(O)/bin/bdus-info: $(call objects,$(INFO_SOURCES)) | $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(call LINK_BDUS,../) $(SMARTCOLS_LIBS)

$(O)/libexec/bdus/drivers/loop: LIBS = $(URING_LIBS)

.SECONDEXPANSION:
$(DRIVERS:%=$(O)/libexec/bdus/drivers/%): $(O)/libexec/bdus/drivers/%: \
		$$(call objects,$$(wildcard drivers/%/*.c drivers/common/*.c)) \
		| $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(call LINK_BDUS,../../../) $(LIBS)

$(O)/examples/async: LIBS = $(URING_LIBS)
$(EXAMPLES:%=$(O)/examples/%): $(O)/examples/%: $(O)/obj/examples/%.o \
		| $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(call LINK_BDUS,../) $(LIBS)

$(TEST_PROGRAMS:%=$(O)/tests/%): $(O)/tests/%: \
		$$(call objects,tests/lib/$$*.c $$(wildcard tests/lib/$$*/*.c)) \
		| $(O)/lib/libbdus.so
	@mkdir -p $(@D)
	$(call LINK_BDUS,../)

# They run around every case, so starting them has to be cheap.
$(TEST_HOOKS:%=$(O)/tests/hooks/%): $(O)/tests/hooks/%: \
		$(O)/obj/tests/lib/hooks/%.o
	@mkdir -p $(@D)
	$(LINK) -static

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
