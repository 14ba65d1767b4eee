# SPDX-License-Identifier: BSD-3-Clause
# sctpshim: `make` builds, `make check` tests (tests/rules.mk), `make demo` shows, `make install`
# installs.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR     := $(PREFIX)/lib/sctpshim
LIBEXECDIR := $(PREFIX)/libexec/sctpshim
MANDIR     := $(PREFIX)/share/man
DATADIR    := $(PREFIX)/share/sctpshim
UNITDIR    := $(PREFIX)/lib/systemd

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
comma      := ,
SHIM_SRC   := $(filter-out shim/tool.c shim/check.c shim/reach.c shim/offload.c shim/binary.c \
                shim/explain.c, \
                $(wildcard shim/*.c)) \
              $(wildcard shim/kernel/*.c shim/userspace/*.c)
SHIM_OBJ   := $(SHIM_SRC:%.c=$(B)/%.o)
CONF_OBJ   := $(B)/shim/options.o $(B)/shim/values.o $(B)/shim/layer.o $(B)/shim/text.o \
              $(B)/shim/relations.o $(B)/shim/matchers.o $(B)/shim/rules.o $(B)/shim/config.o \
              $(B)/shim/params.o $(B)/shim/sizes.o $(B)/shim/auth.o $(B)/shim/addrs.o \
              $(B)/shim/planes.o $(B)/shim/log.o
TOOL_OBJ   := $(CONF_OBJ) $(B)/shim/tool.o $(B)/shim/check.o $(B)/shim/reach.o $(B)/shim/offload.o \
              $(B)/shim/binary.o $(B)/shim/explain.o $(B)/shim/ledger.o $(B)/shim/ledger_place.o \
              $(B)/shim/userspace/rendezvous.o $(B)/shim/userspace/protocol.o \
              $(B)/shim/userspace/inquiry.o \
              $(patsubst %.c,$(B)/%.o,$(wildcard shim/status/*.c))

# The userspace stack: scripts/usrsctp's, else the static library that is installed
# (libusrsctp-dev), unless USRSCTP=no.
USRSCTP    ?= $(firstword $(wildcard build/usrsctp/libusrsctp.a) \
                $(filter /%,$(shell $(CC) -print-file-name=libusrsctp.a)))
override USRSCTP := $(filter-out no,$(USRSCTP))
USRSCTP_PC := $(USRSCTP:%/libusrsctp.a=%/pkgconfig/usrsctp.pc)
# The broker is one program for each stack behind shim/broker/stack.h.
STACK_SRC  := $(wildcard shim/broker/usrsctp_*.c shim/broker/packets*.c) \
              shim/broker/crc32c.c shim/broker/pool.c
KERNEL_SRC := $(wildcard shim/broker/kernel_*.c)
CONN_SRC   := $(wildcard shim/broker/conn_*.c)
BROKER_SRC := $(filter-out $(STACK_SRC) $(KERNEL_SRC) $(CONN_SRC),$(wildcard shim/broker/*.c)) \
              shim/userspace/protocol.c shim/userspace/rendezvous.c \
              shim/userspace/inquiry.c
BROKER_OBJ := $(BROKER_SRC:%.c=$(B)/%.o) $(CONF_OBJ) $(B)/shim/raw.o $(B)/shim/retransmissions.o \
              $(B)/shim/kernel/host.o $(B)/shim/kernel/addresses.o
STACK_OBJ  := $(STACK_SRC:%.c=$(B)/%.o)
KERNEL_OBJ := $(KERNEL_SRC:%.c=$(B)/%.o)
# Over the library's public functions alone: what of the other needs no more, and its own.
INSIDE     := association events listen options port stack
CONN_OBJ   := $(CONN_SRC:%.c=$(B)/%.o) $(filter-out $(B)/shim/broker/usrsctp_%,$(STACK_OBJ)) \
              $(INSIDE:%=$(B)/shim/broker/usrsctp_%.o)
BROKER     := $(if $(USRSCTP),$(B)/sctpshimd)
BROKERS    := $(BROKER) $(BROKER:%=%-conn) $(B)/sctpshimd-kernel

all: $(B)/libsctpshim.so $(B)/sctpshim-tool $(BROKERS)
ifeq ($(USRSCTP),)
	@echo 'without libusrsctp (libusrsctp-dev): no sctpshimd, SCTP only where the kernel has it'
endif

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
	    '#define COUNTED(name) name;' \
	    '#include "shim/hooks.def"' | $(CC) -E -P -I. - ; \
	  echo 'local: *; };'; } > $@

LINK_SHIM   = $(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,-soname,libsctpshim.so \
              -Wl,-z,now,-z,relro,-z,nodelete -Wl,-z,defs -Wl,-z,noexecstack \
              -Wl,--version-script=$(B)/exports.map

$(B)/libsctpshim.so: $(SHIM_OBJ) $(B)/exports.map
	$(LINK_SHIM) -Wl,-z,initfirst -o $@ $(SHIM_OBJ) $(LIBS) -ldl

$(B)/sctpshim-tool: $(TOOL_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(TOOL_OBJ) $(LIBS)

# Packets, checksums, memory and timers are the broker's: the library's own functions for them give
# way. And so do its one thread and its locks (usrsctp_stack.c).
$(B)/libusrsctp.a: $(USRSCTP) $(B)/usrsctp.path Makefile
	objcopy --weaken-symbol=sctp_userspace_ip_output --weaken-symbol=sctp_userspace_ip6_output \
	    --weaken-symbol=calculate_crc32c --weaken-symbol=m_getm2 \
	    --weaken-symbol=sctp_os_timer_start --weaken-symbol=sctp_os_timer_stop \
	    --weaken-symbol=sctp_handle_tick --weaken-symbol=sctp_get_tick_count \
	    --redefine-sym malloc=pool_malloc \
	    --redefine-sym calloc=pool_calloc --redefine-sym free=pool_free \
	    --redefine-sym pthread_create=usrsctp_no_thread \
	    --redefine-sym pthread_mutex_lock=usrsctp_no_lock \
	    --redefine-sym pthread_mutex_trylock=usrsctp_no_trylock \
	    --redefine-sym pthread_mutex_unlock=usrsctp_no_unlock $< $@

# Another library than before, older ones too.
$(B)/usrsctp.path: FORCE
	@mkdir -p $(@D)
	@echo '$(USRSCTP)' | cmp -s - $@ || echo '$(USRSCTP)' >$@

$(B)/shim/broker/usrsctp_stack.o: $(B)/usrsctp.path
$(B)/shim/broker/usrsctp_stack.o: ALL_CFLAGS += \
    -DUSRSCTP_VERSION='"$(shell sed -n 's/^Version: //p' $(USRSCTP_PC))"'

$(B)/sctpshimd: $(BROKER_OBJ) $(STACK_OBJ) $(B)/libusrsctp.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lpthread

$(B)/sctpshimd-conn: $(BROKER_OBJ) $(CONN_OBJ) $(B)/libusrsctp.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lpthread

$(B)/sctpshimd-kernel: $(BROKER_OBJ) $(KERNEL_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- Documentation made from the tables ----

docs/hooks.md: shim/hooks.def scripts/hooks-table
	scripts/hooks-table > $@

docs: docs/hooks.md $(B)/sctpshim-tool
	$(B)/sctpshim-tool options --conf > config/sctpshim.conf
	$(B)/sctpshim-tool options --man | sed -i -e '/BEGIN OPTIONS/r /dev/stdin' \
	    -e '/BEGIN OPTIONS/,/END OPTIONS/{//!d}' docs/sctpshim.conf.5
	$(B)/sctpshim-tool options --planes | sed -i -e '/BEGIN PLANES/r /dev/stdin' \
	    -e '/BEGIN PLANES/,/END PLANES/{//!d}' docs/userspace.md
	$(B)/sctpshim-tool reasons | sed -i -e '/BEGIN REASONS/r /dev/stdin' \
	    -e '/BEGIN REASONS/,/END REASONS/{//!d}' docs/fallback.md

demo: all
	scripts/demo-run

# ---- Installation ----

install: all
	install -D -m 755 $(B)/libsctpshim.so $(DESTDIR)$(LIBDIR)/libsctpshim.so
	install -D -m 755 $(B)/sctpshim-tool $(DESTDIR)$(LIBEXECDIR)/sctpshim-tool
	install -m 755 $(BROKERS) $(DESTDIR)$(LIBEXECDIR)
	install -D -m 755 scripts/sctpshim $(DESTDIR)$(PREFIX)/bin/sctpshim
	install -d -m 755 $(DESTDIR)$(DATADIR)
	install -m 644 config/*.conf $(DESTDIR)$(DATADIR)
ifneq ($(BROKER),)
	for manager in system user; do \
	  install -D -m 644 config/systemd/sctpshimd.socket \
	      $(DESTDIR)$(UNITDIR)/$$manager/sctpshimd.socket; \
	  sed 's|@LIBEXECDIR@|$(LIBEXECDIR)|' config/systemd/sctpshimd-$$manager.service \
	      > $(DESTDIR)$(UNITDIR)/$$manager/sctpshimd.service; \
	done
endif
	install -D -m 644 docs/sctpshim.1 $(DESTDIR)$(MANDIR)/man1/sctpshim.1
	install -D -m 644 docs/sctpshim.conf.5 $(DESTDIR)$(MANDIR)/man5/sctpshim.conf.5

uninstall:
	rm -rf $(DESTDIR)$(LIBDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(DATADIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/sctpshim $(DESTDIR)$(MANDIR)/man1/sctpshim.1 \
	      $(DESTDIR)$(MANDIR)/man5/sctpshim.conf.5 \
	      $(foreach manager,system user,$(DESTDIR)$(UNITDIR)/$(manager)/sctpshimd.socket \
	        $(DESTDIR)$(UNITDIR)/$(manager)/sctpshimd.service)

# What scripts/usrsctp has built stays.
clean:
	[ ! -d $(B) ] || find $(B) -mindepth 1 -maxdepth 1 ! -name usrsctp -exec rm -rf {} +

FORCE:

.PHONY: all docs demo install uninstall clean FORCE

include tests/rules.mk
-include $(SHIM_OBJ:.o=.d) $(TOOL_OBJ:.o=.d) $(BROKER_OBJ:.o=.d) $(STACK_OBJ:.o=.d) $(KERNEL_OBJ:.o=.d)
