# SPDX-License-Identifier: BSD-3-Clause
# sctpshim: `make` builds, `make check` tests, `make demo` shows, `make install` installs.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR     := $(PREFIX)/lib/sctpshim
LIBEXECDIR := $(PREFIX)/libexec/sctpshim
MANDIR     := $(PREFIX)/share/man
DATADIR    := $(PREFIX)/share/sctpshim

CC         ?= gcc
CFLAGS     ?= -O2 -g
WARNINGS   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDENING  := -fstack-protector-strong
ifeq ($(shell uname -m),x86_64)
HARDENING  += -fcf-protection
endif
ifneq ($(findstring -O0,$(CFLAGS)),-O0)
HARDENING  += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE= -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' \
              -fPIC -fvisibility=hidden -fno-strict-aliasing -ftls-model=initial-exec \
              $(WARNINGS) $(HARDENING) $(CFLAGS)
LIBS       := -l:libinih.a

B          := build
SHIM_SRC   := $(filter-out shim/tool.c shim/check.c shim/binary.c,$(wildcard shim/*.c)) \
              $(wildcard shim/kernel/*.c)
SHIM_OBJ   := $(SHIM_SRC:%.c=$(B)/%.o)
CONF_OBJ   := $(B)/shim/options.o $(B)/shim/layer.o $(B)/shim/config.o $(B)/shim/log.o
TOOL_OBJ   := $(CONF_OBJ) $(patsubst %.c,$(B)/%.o,$(wildcard shim/tool.c shim/check.c shim/binary.c))

all: $(B)/libsctpshim.so $(B)/sctpshim-tool

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Wrappers take the place of functions whose headers fortify them inline: no fortifying there.
$(B)/shim/hooks.o: HARDENING += -U_FORTIFY_SOURCE

# The exported names are those of hooks.def and no other.
$(B)/exports.map: shim/hooks.def
	@mkdir -p $(@D)
	{ echo '{ global:'; \
	  printf '%s\n' '#define HOOK(ret, name, ...) name;' '#define SPECIAL HOOK' \
	    '#define TWIN HOOK' '#define ALIAS(alias, name) alias;' '#define BARE(name) name;' \
	    '#include "shim/hooks.def"' | $(CC) -E -P -I. - ; \
	  echo 'local: *; };'; } > $@

$(B)/libsctpshim.so: $(SHIM_OBJ) $(B)/exports.map
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,-soname,libsctpshim.so -Wl,-z,now,-z,relro,-z,nodelete \
	    -Wl,-z,defs -Wl,-z,noexecstack -Wl,--version-script=$(B)/exports.map -o $@ $(SHIM_OBJ) $(LIBS) -ldl

$(B)/sctpshim-tool: $(TOOL_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(LIBS)

# ---- Documentation made from the tables ----

docs/hooks.md: shim/hooks.def scripts/hooks-table
	scripts/hooks-table > $@

docs: docs/hooks.md $(B)/sctpshim-tool
	$(B)/sctpshim-tool options --conf > config/sctpshim.conf
	$(B)/sctpshim-tool options --man | sed -i -e '/BEGIN OPTIONS/r /dev/stdin' \
	    -e '/BEGIN OPTIONS/,/END OPTIONS/{//!d}' docs/sctpshim.conf.5

# ---- Tests. Those that need SCTP run where the kernel has it, else in a guest (tests/vm/run). ----
# ---- Those of the guest itself, and of what the guest would only slow down, run here.         ----

PYTEST     := /usr/bin/python3 -m pytest -q -p no:cacheprovider
HERE       := tests/vm tests/setup
UNIT_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
PROGRAMS   := $(patsubst %.c,$(B)/%,$(wildcard tests/build/*.c tests/bench/*.c))

$(B)/tests/unit/%: tests/unit/%.c $(CONF_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ishim -o $@ $< $(CONF_OBJ) -lcmocka $(LIBS)

# Test programs are what the shim is for: plain programs that know nothing of it.
$(B)/tests/%: tests/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O2 -o $@ $< -pthread

test-programs: $(UNIT_TESTS) $(PROGRAMS)

check: all test-programs
	@set -e; for test in $(UNIT_TESTS); do echo "$$test"; $$test; done
	$(PYTEST) $(HERE)
	tests/vm/run -t 1000 $(PYTEST) $(HERE:%=--ignore=%) tests

check-all: check
	$(MAKE) B=$(B)/clang CC=clang all
	tests/bare/run

bench: all test-programs
	/usr/bin/python3 tests/bench/run.py

demo: all
	scripts/demo-run

# ---- Installation ----

install: all
	install -D -m 755 $(B)/libsctpshim.so $(DESTDIR)$(LIBDIR)/libsctpshim.so
	install -D -m 755 $(B)/sctpshim-tool $(DESTDIR)$(LIBEXECDIR)/sctpshim-tool
	install -D -m 755 scripts/sctpshim $(DESTDIR)$(PREFIX)/bin/sctpshim
	install -D -m 644 config/sctpshim.conf $(DESTDIR)$(DATADIR)/sctpshim.conf
	install -D -m 644 docs/sctpshim.1 $(DESTDIR)$(MANDIR)/man1/sctpshim.1
	install -D -m 644 docs/sctpshim.conf.5 $(DESTDIR)$(MANDIR)/man5/sctpshim.conf.5

uninstall:
	rm -rf $(DESTDIR)$(LIBDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DATADIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/sctpshim $(DESTDIR)$(MANDIR)/man1/sctpshim.1 \
	      $(DESTDIR)$(MANDIR)/man5/sctpshim.conf.5

clean:
	rm -rf $(B)

.PHONY: all docs test-programs check check-all bench demo install uninstall clean
-include $(SHIM_OBJ:.o=.d) $(TOOL_OBJ:.o=.d)
