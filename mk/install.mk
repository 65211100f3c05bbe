# SPDX-License-Identifier: MIT
#
# Where things go. DESTDIR, PREFIX and the directories below it work as everywhere.
# The variables with longer names and the targets for parts are those that users of
# 0.1 know.

LIBDIR				?= $(PREFIX)/lib
INCLUDEDIR			?= $(PREFIX)/include
SBINDIR				?= $(PREFIX)/sbin
LIBEXECDIR			?= $(PREFIX)/libexec
DATADIR				?= $(PREFIX)/share
MANDIR				?= $(DATADIR)/man

KBDUS_KDIR			?= /lib/modules/$(shell uname -r)/build
KBDUS_MODULE_INSTALL_DIR	?= /lib/modules/$(shell uname -r)/extra
KBDUS_HEADER_INSTALL_DIR	?= $(INCLUDEDIR)
LIBBDUS_BINARY_INSTALL_DIR	?= $(LIBDIR)
LIBBDUS_HEADER_INSTALL_DIR	?= $(INCLUDEDIR)
CMDBDUS_BINARY_INSTALL_DIR	?= $(SBINDIR)
CMDBDUS_BASH_COMPLETION_INSTALL_DIR ?= $(DATADIR)/bash-completion/completions
CMDBDUS_FISH_COMPLETION_INSTALL_DIR ?= $(DATADIR)/fish/vendor_completions.d
CMDBDUS_ZSH_COMPLETION_INSTALL_DIR ?= $(DATADIR)/zsh/site-functions
MAN_INSTALL_DIR			?= $(MANDIR)/man1
MAN3_INSTALL_DIR		?= $(MANDIR)/man3
MAN4_INSTALL_DIR		?= $(MANDIR)/man4
PKGCONFIG_INSTALL_DIR		?= $(LIBBDUS_BINARY_INSTALL_DIR)/pkgconfig

# The module that is installed.
KBDUS_MODULE			?= kbdus/kbdus.ko

## install       everything; install-kbdus, -libbdus, -cmdbdus for parts
.PHONY: install install-kbdus install-libbdus install-cmdbdus
install: install-kbdus install-libbdus install-cmdbdus

# What is there is not built again: perhaps it was built by somebody else.
kbdus/kbdus.ko:
	$(MAKE) -C kbdus

install-kbdus: $(KBDUS_MODULE)
	$(if $(DESTDIR),,mk/unload-kbdus)
	install -D -m 644 $(KBDUS_MODULE) \
		$(DESTDIR)$(KBDUS_MODULE_INSTALL_DIR)/kbdus.ko
	install -D -m 644 kbdus/include/kbdus.h \
		$(DESTDIR)$(KBDUS_HEADER_INSTALL_DIR)/kbdus.h
	$(if $(DESTDIR),,depmod)

install-libbdus: $(LIBBDUS) $(filter $(MAN3_BUILT),$(MAN_INSTALLED))
	install -D -m 644 $(LIBBDUS) \
		$(DESTDIR)$(LIBBDUS_BINARY_INSTALL_DIR)/libbdus.so.0
	ln -sf libbdus.so.0 $(DESTDIR)$(LIBBDUS_BINARY_INSTALL_DIR)/libbdus.so
	install -D -m 644 libbdus/include/bdus.h \
		$(DESTDIR)$(LIBBDUS_HEADER_INSTALL_DIR)/bdus.h
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(LIBBDUS_BINARY_INSTALL_DIR)|' \
		-e 's|@INCLUDEDIR@|$(LIBBDUS_HEADER_INSTALL_DIR)|' \
		libbdus/libbdus.pc.in | install -D -m 644 /dev/stdin \
		$(DESTDIR)$(PKGCONFIG_INSTALL_DIR)/libbdus.pc
	install -d $(DESTDIR)$(MAN3_INSTALL_DIR)
	$(if $(MAN_INSTALLED),install -m 644 $(O)/man3/*.3 \
		$(DESTDIR)$(MAN3_INSTALL_DIR),@echo "no rst2man: no man pages")
	$(if $(DESTDIR),,ldconfig)

# bash and fish look for the file that is named like the command.
install-cmdbdus: $(COMMANDS) $(MAN_INSTALLED)
	install -d $(DESTDIR)$(CMDBDUS_BINARY_INSTALL_DIR) \
		$(DESTDIR)$(DRIVER_DIR) $(DESTDIR)$(MAN_INSTALL_DIR) \
		$(DESTDIR)$(MAN4_INSTALL_DIR)
	install -m 755 $(O)/bin/* $(DESTDIR)$(CMDBDUS_BINARY_INSTALL_DIR)
	install -m 755 $(O)/libexec/bdus/drivers/* $(DESTDIR)$(DRIVER_DIR)
	$(if $(MAN_INSTALLED),install -m 644 $(MAN1_PAGES) \
		$(DESTDIR)$(MAN_INSTALL_DIR))
	$(if $(MAN_INSTALLED),install -m 644 $(MAN4_PAGES) \
		$(DESTDIR)$(MAN4_INSTALL_DIR))
	install -D -m 644 cmdbdus/completions/bdus.bash \
		$(DESTDIR)$(CMDBDUS_BASH_COMPLETION_INSTALL_DIR)/bdus
	ln -sf bdus $(DESTDIR)$(CMDBDUS_BASH_COMPLETION_INSTALL_DIR)/bdus-info
	install -D -m 644 cmdbdus/completions/bdus.fish \
		$(DESTDIR)$(CMDBDUS_FISH_COMPLETION_INSTALL_DIR)/bdus.fish
	ln -sf bdus.fish \
		$(DESTDIR)$(CMDBDUS_FISH_COMPLETION_INSTALL_DIR)/bdus-info.fish
	install -D -m 644 cmdbdus/completions/_bdus \
		$(DESTDIR)$(CMDBDUS_ZSH_COMPLETION_INSTALL_DIR)/_bdus

## uninstall     the counterparts
.PHONY: uninstall uninstall-kbdus uninstall-libbdus uninstall-cmdbdus
uninstall: uninstall-kbdus uninstall-libbdus uninstall-cmdbdus

uninstall-kbdus:
	$(if $(DESTDIR),,mk/unload-kbdus)
	rm -f $(DESTDIR)$(KBDUS_MODULE_INSTALL_DIR)/kbdus.ko \
		$(DESTDIR)$(KBDUS_HEADER_INSTALL_DIR)/kbdus.h
	$(if $(DESTDIR),,depmod)

uninstall-libbdus:
	rm -f $(DESTDIR)$(LIBBDUS_BINARY_INSTALL_DIR)/libbdus.so.0 \
		$(DESTDIR)$(LIBBDUS_BINARY_INSTALL_DIR)/libbdus.so \
		$(DESTDIR)$(LIBBDUS_HEADER_INSTALL_DIR)/bdus.h \
		$(DESTDIR)$(PKGCONFIG_INSTALL_DIR)/libbdus.pc \
		$(DESTDIR)$(MAN3_INSTALL_DIR)/libbdus.3 \
		$(DESTDIR)$(MAN3_INSTALL_DIR)/bdus_*.3
	$(if $(DESTDIR),,ldconfig)

uninstall-cmdbdus:
	rm -f $(addprefix $(DESTDIR)$(CMDBDUS_BINARY_INSTALL_DIR)/,bdus bdus-info) \
		$(addprefix $(DESTDIR)$(MAN_INSTALL_DIR)/,$(notdir $(MAN1_PAGES))) \
		$(addprefix $(DESTDIR)$(MAN4_INSTALL_DIR)/,$(notdir $(MAN4_PAGES))) \
		$(addprefix $(DESTDIR)$(CMDBDUS_BASH_COMPLETION_INSTALL_DIR)/,\
			bdus bdus-info) \
		$(addprefix $(DESTDIR)$(CMDBDUS_FISH_COMPLETION_INSTALL_DIR)/,\
			bdus.fish bdus-info.fish) \
		$(DESTDIR)$(CMDBDUS_ZSH_COMPLETION_INSTALL_DIR)/_bdus
	rm -f $(DRIVERS:%=$(DESTDIR)$(DRIVER_DIR)/%)
	rmdir $(DESTDIR)$(DRIVER_DIR) $(DESTDIR)$(dir $(DRIVER_DIR)) \
		2> /dev/null || :
