# SPDX-License-Identifier: BSD-3-Clause
# How the tests are built and run; docs/testing.md says what they are. Included by Makefile.
#
#   make check        what has to pass after each change, in less than 20 minutes
#   make check-all    check and all below, one after the other: hours
#
# What needs SCTP runs where the kernel has it, else in a guest (tests/vm/run). The tests of the
# guest itself, and what a guest would only slow down, run here.

PYTEST     := /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider
HERE       := tests/vm tests/setup tests/userspace

# Of the userspace plane, what needs the kernel's SCTP too, or its netem.
BOTH       := tests/userspace/test_kernel_peer.py
LEG        := tests/userspace/test_kernel_leg.py
LOSSY      := tests/userspace/test_hosts.py::test_bulk_arrives_on_a_lossy_path

# A guest has one processor: this one runs beside all the rest, the other guest included.
BESIDE     := tests/conformance tests/wire tests/build tests/cli tests/rules tests/status \
              tests/options tests/interop tests/demo tests/bench $(BOTH) $(LOSSY)

CHECKS     := check check-long check-clang check-asan check-tsan check-ubsan check-valgrind \
              check-fuzz check-bare

check: all test-programs
	@status=0; echo "make check-beside: beside what follows, shown at the end"; \
	  $(MAKE) check-beside >$(B)/beside.log 2>&1 & beside=$$!; \
	  $(MAKE) check-others || status=$$?; \
	  wait $$beside || status=$$?; cat $(B)/beside.log; exit $$status

# The two halves of check, which has built all.
check-beside:
	tests/vm/run -t 2400 $(PYTEST) -m 'not long' $(BESIDE)

check-others:
	@set -e; for test in $(UNIT_TESTS); do echo "$$test"; $$test; done
	$(MAKE) RUNS='-runs=10000 -seed=1' fuzz-parsers
	$(PYTEST) -m 'not long' $(HERE) --ignore=$(BOTH) --ignore=$(LEG)
	$(PYTEST) -m 'here and not long' tests/apps
	tests/vm/run -t 2400 $(PYTEST) -m 'not long and not here' $(HERE:%=--ignore=%) \
	    $(BESIDE:%=--ignore=%) tests

check-all:
	@set -e; for part in $(CHECKS); do echo "==== make $$part"; $(MAKE) $$part; done

# ---- What check leaves out ----

check-long: all test-programs
	$(PYTEST) -m 'here and long' tests/apps
	$(PYTEST) -m long tests/vm tests/userspace --ignore=$(LEG)
	tests/vm/run -t 6000 $(PYTEST) -m 'long and not here' tests/apps tests/cpython \
	    tests/net $(LEG)

# The other compiler; it warns of other things.
check-clang:
	$(MAKE) B=$(B)/clang CC=clang CFLAGS='-O2 -g -Werror' all

check-bare:
	tests/bare/run

# A few minutes; make bench FULL=1 half an hour. ROUNDS=9 narrows the spread, CASES chooses;
# GUEST=qemu, which make puts into the environment, is for tests/vm/run.
bench: all test-programs
	/usr/bin/python3 tests/bench/run.py $(if $(FULL),--plan full) $(ROUNDS:%=--rounds %) $(CASES)

# ---- The programs of tests ----

UNIT_TESTS := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
PROGRAMS   := $(patsubst %.c,$(B)/%,$(wildcard tests/build/*.c tests/bench/*.c tests/apps/*.c)) \
              $(patsubst %.cc,$(B)/%,$(wildcard tests/build/*.cc))
PLAYER     := $(B)/tests/fuzz/player
LOAD       := $(B)/tests/bench/load/load

ASK        := $(B)/tests/userspace/ask

# A broker that finds another library than it was written for.
OTHER      := $(BROKER:$(B)/%=$(B)/tests/userspace/other/%)

test-programs: $(UNIT_TESTS) $(PROGRAMS) $(ASK) $(B)/tests/build/libsctpshim-late.so $(PLAYER) $(LOAD) \
               $(OTHER)

$(OTHER): tests/userspace/other.c $(BROKER_OBJ) $(STACK_OBJ) $(B)/libusrsctp.a $(BROKER)-conn
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wl,--wrap=mbufs_are_known -o $@ $(filter-out $(BROKER)-conn,$^) $(LIBS) -lpthread
	ln -sf ../../../$(notdir $@)-conn $(@D)

$(B)/tests/unit/test_broker: UNIT_WITH := $(B)/shim/broker/crc32c.o $(B)/shim/broker/quota.o \
    $(B)/shim/userspace/protocol.o
$(B)/tests/unit/test_broker: $(B)/shim/broker/crc32c.o $(B)/shim/broker/quota.o \
    $(B)/shim/userspace/protocol.o

$(B)/tests/unit/test_joins: UNIT_WITH := $(B)/shim/broker/usrsctp_joins.o $(B)/shim/broker/crc32c.o
$(B)/tests/unit/test_joins: $(B)/shim/broker/usrsctp_joins.o $(B)/shim/broker/crc32c.o

$(B)/tests/unit/test_timers: UNIT_WITH := $(B)/shim/broker/usrsctp_timers.o
$(B)/tests/unit/test_timers: $(B)/shim/broker/usrsctp_timers.o

$(B)/tests/unit/test_alarms: UNIT_WITH := $(B)/shim/broker/alarms.o
$(B)/tests/unit/test_alarms: $(B)/shim/broker/alarms.o

$(B)/tests/unit/test_ways: UNIT_WITH := $(B)/shim/broker/conn_ways.o $(B)/shim/userspace/protocol.o
$(B)/tests/unit/test_ways: $(B)/shim/broker/conn_ways.o $(B)/shim/userspace/protocol.o

$(B)/tests/unit/%: tests/unit/%.c $(CONF_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ishim -o $@ $< $(UNIT_WITH) $(CONF_OBJ) -lcmocka $(LIBS)

$(ASK): tests/userspace/ask.c $(B)/shim/userspace/protocol.o $(B)/shim/userspace/rendezvous.o \
        $(CONF_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Ishim -o $@ $^ $(LIBS)

# Test programs are what the shim is for: plain programs that know nothing of it.
PLAIN      := -std=c11 -D_GNU_SOURCE $(WARNINGS)

$(B)/tests/%: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN) -O2 -o $@ $< -pthread

$(B)/tests/%: tests/%.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra -O2 -o $@ $<

$(LOAD): $(wildcard tests/bench/load/*.c) tests/bench/load/load.h
	@mkdir -p $(@D)
	$(CC) $(PLAIN) -O2 -o $@ $(filter %.c,$^)

$(PLAYER): tests/fuzz/player.c tests/fuzz/party.c tests/fuzz/fuzz.h
	@mkdir -p $(@D)
	$(CC) $(PLAIN) -O2 -Wl,-z,now -o $@ $(filter %.c,$^)

# Initialised in its turn, as it is beside another library that asks to be the first.
$(B)/tests/build/libsctpshim-late.so: $(SHIM_OBJ) $(B)/exports.map
	@mkdir -p $(@D)
	$(LINK_SHIM) -o $@ $(SHIM_OBJ) $(LIBS) -ldl

# ---- Fuzzing ----

# Random sequences of socket calls, compared with TCP: make fuzz N=20000 SEED=0; fuzz-userspace
fuzz: all $(PLAYER)
	tests/vm/run -t 0 tests/fuzz/run.py -n $(or $(N),2000) --first $(or $(SEED),0)

fuzz-userspace: all $(PLAYER)
	tests/fuzz/run.py --userspace -n $(or $(N),2000) --first $(or $(SEED),0)

check-fuzz: all $(PLAYER)
	tests/fuzz/run.py --userspace -n 1500 --first 5000
	tests/vm/run -t 3600 tests/fuzz/run.py -n 2000
	tests/vm/run -t 1800 tests/fuzz/run.py --prefer -n 1000 --first 5000000

# The parsers of options, files and the broker's requests under libFuzzer: make fuzz-parsers T=60.
# They start with the sample file, with its options commented and set.
PARSERS    := $(B)/tests/fuzz/fuzz_options $(B)/tests/fuzz/fuzz_config $(B)/tests/fuzz/fuzz_protocol

$(B)/tests/fuzz/fuzz_protocol: shim/userspace/protocol.c

$(PARSERS): $(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(CONF_OBJ:$(B)/%.o=%.c) \
            config/sctpshim.conf tests/fuzz/range.h
	@mkdir -p $@.corpus
	cp config/sctpshim.conf $@.corpus/commented
	sed 's/^#\([a-z_]* =\)/\1/' config/sctpshim.conf > $@.corpus/set
	sed -n 's/^#\([a-z_]*\) = */\1=/p' config/sctpshim.conf | split -l 1 - $@.corpus/option-
	sed '1,/^# Rules/d; s/^#//' config/sctpshim.conf > $@.corpus/rules
	for line in 'program=!a*, /b' role=listen 'address=!192.0.2.0/24 ::/0' 'port=1-9 !5' \
	    uid=0 action=tcp; do printf '[rule a]\n%s\n' "$$line" > "$@.corpus/rule-$${line%%=*}"; done
	clang $(filter-out -O% -fcf-protection,$(ALL_CFLAGS)) -O1 -Ishim -U_FORTIFY_SOURCE \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) $(LIBS)

fuzz-parsers: $(PARSERS)
	@set -e; for parser in $(PARSERS); do echo "$$parser"; \
	  $$parser -max_len=8192 -print_final_stats=1 -artifact_prefix=$(@D)/$(B)/ \
	    $(or $(RUNS),-max_total_time=$(or $(T),60)) $$parser.corpus >$$parser.log 2>&1 || \
	    { tail -n 50 $$parser.log; exit 1; }; grep -E 'executed_units|peak_rss' $$parser.log; done

# ---- The userspace plane under random load: make soak T=3600 SEED=1 ----

soak: all
	tests/userspace/soak.py $(or $(T),600) --seed $(or $(SEED),1)

# More connections a second than can be followed: make storm T=60 RATE=1100 BYTES=300000 MOST=2000 MTU=1500
storm: all $(LOAD)
	tests/bench/storm.py $(or $(T),60) $(RATE:%=--rate %) $(BYTES:%=--bytes %) $(MOST:%=--most %) $(MTU:%=--mtu %)

# ---- Sanitizers: the library instrumented, and programs with a mistake that must be found ----

WRONG      := $(B)/tests/sanitize/overrun $(B)/tests/sanitize/race $(B)/tests/sanitize/undefined
SANITIZED  := overrun= race=-fsanitize=thread undefined=-fsanitize=undefined
SANITIZE_WITH := $(WRONG) $(B)/tests/sanitize/churn $(B)/tests/sanitize/standin.so $(PLAYER)

$(WRONG): $(B)/tests/sanitize/%: tests/sanitize/%.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN) -O0 -g $(patsubst $*=%,%,$(filter $*=%,$(SANITIZED))) -o $@ $< -pthread

$(B)/tests/sanitize/standin.so: tests/sanitize/standin.c
	@mkdir -p $(@D)
	$(CC) $(PLAIN) -O1 -g -fPIC -shared -o $@ $<

instrumented = $(MAKE) CC=gcc B=$(B)/$(1) CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=$(2)' \
               $(B)/$(1)/libsctpshim.so $(patsubst $(B)/%,$(B)/$(1)/%,$(BROKER) $(BROKER:%=%-conn))

# The broker, between two hosts; it must be one that the sanitizer watches. And the other one.
watched = $(if $(BROKER),set -e; for broker in $(BROKER:$(B)/%=$(B)/$(1)/%) $(BROKER:$(B)/%=$(B)/$(1)/%-conn); \
            do setarch -R tests/userspace/soak.py $(or $(T),30) --no-kills --sanitizer $(2) \
              --broker $$broker; done)

check-sanitizers: check-asan check-tsan check-ubsan check-valgrind

check-asan: all $(SANITIZE_WITH)
	$(call instrumented,asan,address$(comma)undefined)
	tests/sanitize/run.py address
	$(call watched,asan,address)

check-tsan: all $(SANITIZE_WITH)
	$(call instrumented,tsan,thread)
	tests/sanitize/run.py thread
	$(call watched,tsan,thread)

check-ubsan: $(SANITIZE_WITH)
	$(call instrumented,ubsan,undefined)
	tests/vm/run -t 900 tests/sanitize/run.py undefined

check-valgrind: all $(SANITIZE_WITH)
	tests/vm/run -t 1200 tests/sanitize/run.py memcheck

.PHONY: check check-beside check-others check-all check-long check-clang check-bare check-fuzz \
        check-sanitizers check-asan check-tsan check-ubsan check-valgrind test-programs fuzz \
        fuzz-userspace fuzz-parsers soak storm bench
