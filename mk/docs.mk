# SPDX-License-Identifier: MIT
#
# The manual, docs/, as a web site, and the man pages. Whatever is said in doc
# comments of the two public headers is taken from there.

DOCS_PACKAGES	:= python3-sphinx python3-sphinx-rtd-theme python3-breathe \
		   doxygen graphviz python3-docutils

MAN_SOURCES	:= $(wildcard cmdbdus/man/*.rst drivers/*/*.rst kbdus/*.rst)
MAN_PAGES	:= $(patsubst %.rst,$(O)/man/%,$(notdir $(MAN_SOURCES)))
MAN1_PAGES	:= $(filter %.1,$(MAN_PAGES))
MAN4_PAGES	:= $(filter %.4,$(MAN_PAGES))
MAN3_BUILT	:= $(O)/man3/.built

vpath %.rst cmdbdus/man $(wildcard drivers/*) kbdus
$(O)/man/%: %.rst
	@mkdir -p $(@D)
	rst2man --halt=warning $< $@

$(MAN3_BUILT): docs/tools/man3 libbdus/include/bdus.h
	rm -rf $(@D)
	docs/tools/man3 libbdus/include/bdus.h $(@D)
	touch $@

## man           the man pages; needs python3-docutils
.PHONY: man
man: $(MAN_PAGES) $(MAN3_BUILT)

# What is installed of them: nothing where they cannot be made.
HAS_RST2MAN	:= $(shell command -v rst2man)
MAN_INSTALLED	:= $(if $(HAS_RST2MAN),$(MAN_PAGES) $(MAN3_BUILT))

## docs          the manual (O/docs/html/index.html) and the man pages
.PHONY: docs
docs:
	@tests/vm/setup --only $(DOCS_PACKAGES)
	$(MAKE) man
	@mkdir -p $(O)/docs
	BDUS_DOXYGEN=$(O)/docs doxygen docs/Doxyfile
	BDUS_DOXYGEN_XML=$(O)/docs/xml sphinx-build -W --keep-going -q -b html \
		-d $(O)/docs/doctrees docs $(O)/docs/html
	@echo "docs: $(O)/docs/html/index.html"

## docs-check    that, and what the manual says: diagrams, listings, names
.PHONY: docs-check
docs-check:
	tests/docs
