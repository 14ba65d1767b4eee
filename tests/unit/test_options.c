/* SPDX-License-Identifier: BSD-3-Clause */
/* The option table at run time: names, values of every kind, their limits and their printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

static bool set(struct options *o, const char *name, const char *value)
{
    const struct option_info *option = option_find(name);

    assert_non_null(option);
    return option_set(o, option, value);
}

static void assert_set(const char *name, const char *value, size_t offset, uint32_t expected)
{
    struct options o = options_default;
    uint32_t stored;

    if (!set(&o, name, value))
        fail_msg("%s refuses '%s'", name, value);
    memcpy(&stored, (char *)&o + offset, sizeof(stored));
    if (stored != expected)
        fail_msg("%s = '%s' became %u, not %u", name, value, stored, expected);
}

#define accepts(field, value, expected) \
    assert_set(#field, value, offsetof(struct options, field), expected)

static void refuses(const char *name, const char *value)
{
    struct options o = options_default;

    if (set(&o, name, value))
        fail_msg("%s accepts '%s'", name, value);
    assert_memory_equal(&o, &options_default, sizeof(o));
}

static void defaults_are_the_documented_ones(void **state)
{
    (void)state;
    assert_int_equal(options_default.action, ACTION_SCTP);
    assert_int_equal(options_default.stack, STACK_AUTO);
    assert_int_equal(options_default.nodelay, 1);
    assert_int_equal(options_default.sack_delay, 10);
    assert_int_equal(options_default.sack_freq, 2);
    assert_int_equal(options_default.sndbuf, 1572864);
    assert_int_equal(options_default.rcvbuf, 1572864);
    assert_int_equal(options_default.chunk, 65536);
    assert_int_equal(options_default.init_attempts, 6);
    assert_int_equal(options_default.init_timeout, 60000);
    assert_int_equal(options_default.rto_initial, 1000);
    assert_int_equal(options_default.rto_min, 200);
    assert_int_equal(options_default.rto_max, 5000);
    assert_int_equal(options_default.assoc_max_retrans, 190);
    assert_int_equal(options_default.stream, 0);
    assert_int_equal(options_default.ppid, 0);
    assert_int_equal(options_default.adopt, 0);
    assert_int_equal(options_default.log, LOG_LEVEL_WARN);
    assert_string_equal(options_default.log_file, "");
    assert_memory_equal(&options, &options_default, sizeof(options));
}

static void names_are_found_in_any_spelling(void **state)
{
    (void)state;
    assert_ptr_equal(option_find("sack_delay"), &option_table[OPTION_SACK_DELAY]);
    assert_ptr_equal(option_find("SACK_DELAY"), &option_table[OPTION_SACK_DELAY]);
    assert_ptr_equal(option_find("Sack-Delay"), &option_table[OPTION_SACK_DELAY]);
    assert_null(option_find("sack"));
    assert_null(option_find("sack_delays"));
    assert_null(option_find("sack_delay "));
    assert_null(option_find(""));
}

static void a_near_name_is_suggested(void **state)
{
    char longest[4096];

    (void)state;
    assert_ptr_equal(option_nearest("chnk"), &option_table[OPTION_CHUNK]);
    assert_ptr_equal(option_nearest("RTO_INITAL"), &option_table[OPTION_RTO_INITIAL]);
    assert_ptr_equal(option_nearest("no-delay"), &option_table[OPTION_NODELAY]);
    assert_ptr_equal(option_nearest("lgo"), NULL);
    assert_null(option_nearest("x"));
    assert_null(option_nearest(""));
    assert_null(option_nearest("keepalive"));
    memset(longest, 'c', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(option_nearest(longest));
}

static void every_option_is_described(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *o = &option_table[i];
        assert_ptr_equal(option_find(o->name), o);
        assert_ptr_equal(option_find(o->key), o);
        assert_true(strlen(o->help) > 10);
        assert_in_range(o->size, sizeof(uint32_t), 4096);
        assert_true(o->offset + o->size <= sizeof(struct options));
    }
}

static void every_default_can_be_written_and_read_back(void **state)
{
    char text[300];

    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct options o;
        memset(&o, 0xa5, sizeof(o));
        option_format(&options_default, &option_table[i], text, sizeof(text));
        if (!option_set(&o, &option_table[i], text))
            fail_msg("%s refuses its default '%s'", option_table[i].name, text);
        if (option_table[i].size > sizeof(uint32_t))
            assert_string_equal((char *)&o + option_table[i].offset, text);
        else
            assert_memory_equal((char *)&o + option_table[i].offset,
                                (const char *)&options_default + option_table[i].offset,
                                option_table[i].size);
    }
}

/* All of a numeric option's range and nothing beyond, for every one in the table. */
static void limits_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *o = &option_table[i];
        char text[32];
        if (o->kind != OPTION_KIND_COUNT && o->kind != OPTION_KIND_MS &&
            o->kind != OPTION_KIND_BYTES && o->kind != OPTION_KIND_HEX)
            continue;
        snprintf(text, sizeof(text), "%u", o->min);
        assert_set(o->name, text, o->offset, o->min);
        snprintf(text, sizeof(text), "%u", o->max);
        assert_set(o->name, text, o->offset, o->max);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)o->max + 1);
        refuses(o->name, text);
        if (o->min > 0) {
            snprintf(text, sizeof(text), "%u", o->min - 1);
            refuses(o->name, text);
        }
        refuses(o->name, "");
        refuses(o->name, "-1");
        refuses(o->name, "many");
        refuses(o->name, "18446744073709551617");
        refuses(o->name, "99999999999999999999999999999999999999999");
    }
}

static void numbers_are_strict(void **state)
{
    (void)state;
    accepts(sack_delay, "010", 10);
    refuses("sack_delay", "+10");
    refuses("sack_delay", " 10");
    refuses("sack_delay", "10 ");
    refuses("sack_delay", "10ms");
    refuses("sack_delay", "0x10");
    refuses("sack_delay", "1e2");
    refuses("sack_delay", "10k");
}

static void sizes_take_suffixes(void **state)
{
    (void)state;
    accepts(chunk, "1k", 1024);
    accepts(chunk, "64K", 65536);
    accepts(chunk, "1500", 1500);
    accepts(sndbuf, "4m", 4194304);
    accepts(sndbuf, "1G", 1073741824);
    refuses("chunk", "65k");
    refuses("chunk", "1m");
    refuses("chunk", "k");
    refuses("chunk", "1kb");
    refuses("chunk", "1.5k");
    refuses("chunk", "1kk");
    refuses("sndbuf", "2g");
    /* 2^54 kilobytes are 2^64 bytes: must not wrap to nothing, nor 4194305k to one k. */
    refuses("sndbuf", "18014398509481984k");
    refuses("sndbuf", "18014398509482008k");
    refuses("sndbuf", "4294967295g");
    refuses("sndbuf", "4194328k");
}

static void ppid_is_decimal_or_hexadecimal(void **state)
{
    (void)state;
    accepts(ppid, "0x2E", 46);
    accepts(ppid, "0XffffFFFE", UINT32_MAX - 1);
    accepts(ppid, "4294967294", UINT32_MAX - 1);
    refuses("ppid", "0xffffffff"); /* the FIN message's */
    refuses("ppid", "0x");
    refuses("ppid", "0x100000000");
    refuses("ppid", "4294967296");
    refuses("ppid", "2e");
    refuses("ppid", "0xg");
    refuses("ppid", "1k");
}

static void words(void **state)
{
    (void)state;
    accepts(nodelay, "no", 0);
    accepts(nodelay, "off", 0);
    accepts(nodelay, "false", 0);
    accepts(nodelay, "0", 0);
    accepts(adopt, "yes", 1);
    accepts(adopt, "on", 1);
    accepts(adopt, "true", 1);
    accepts(adopt, "1", 1);
    accepts(action, "tcp", ACTION_TCP);
    accepts(stack, "kernel", STACK_KERNEL);
    accepts(log, "debug", LOG_LEVEL_DEBUG);
    accepts(log, "off", LOG_LEVEL_OFF);
    refuses("nodelay", "2");
    refuses("nodelay", "");
    refuses("nodelay", "y");
    refuses("action", "SCTP");
    refuses("action", "0");
    refuses("action", "kernel");
    refuses("log", "warning");
}

static void numbers_may_have_words_beside_them(void **state)
{
    (void)state;
    accepts(udp_encaps, "off", UDP_ENCAPS_OFF);
    accepts(udp_encaps, "9899", 9899);
    refuses("udp_encaps", "0");
    refuses("udp_encaps", "none");
    accepts(dscp, "program", DSCP_PROGRAM);
    accepts(dscp, "0", 0);
    refuses("dscp", "64");
    accepts(message_retrans, "0", 0);
    accepts(message_retrans, "unlimited", MESSAGE_RETRANS_UNLIMITED);
    refuses("message_retrans", "65536");
}

static void switches_know_the_system(void **state)
{
    (void)state;
    accepts(ecn, "yes", SWITCH_YES);
    accepts(ecn, "off", SWITCH_NO);
    accepts(ecn, "system", SWITCH_SYSTEM);
    refuses("ecn", "2");
    refuses("ecn", "");
}

static void sets_are_words_between_commas(void **state)
{
    struct options o = options_default;
    char text[100];

    (void)state;
    accepts(auth, "", 0);
    accepts(auth, "data", AUTH_DATA);
    accepts(auth, "sack,data", AUTH_DATA | AUTH_SACK);
    accepts(auth, "data,data", AUTH_DATA);
    refuses("auth", "data,");
    refuses("auth", ",data");
    refuses("auth", "data, sack");
    refuses("auth", "dat");
    refuses("auth", "1");
    assert_true(set(&o, "auth", "cookie,data"));
    assert_string_equal(option_format(&o, option_find("auth"), text, sizeof(text)), "data,cookie");
}

static void stream_values_are_pairs(void **state)
{
    struct options o = options_default;
    char longest[300];

    (void)state;
    assert_true(set(&o, "stream_values", "0=1,65535=65535"));
    assert_string_equal(o.stream_values, "0=1,65535=65535");
    refuses("stream_values", "0");
    refuses("stream_values", "0=");
    refuses("stream_values", "=1");
    refuses("stream_values", "0=1,");
    refuses("stream_values", "0=1;1=2");
    refuses("stream_values", "1=1,,2=2");
    refuses("stream_values", "65536=1");
    refuses("stream_values", "1=65536");
    memset(longest, '0', sizeof(longest) - 1);
    memcpy(longest, "1=", 2);
    longest[sizeof(longest) - 1] = '\0';
    refuses("stream_values", longest);
}

static void log_file_is_absolute_and_fits(void **state)
{
    struct options o = options_default;
    char path[300];

    (void)state;
    assert_true(set(&o, "log_file", "/var/log/a b.log"));
    assert_string_equal(o.log_file, "/var/log/a b.log");
    assert_false(set(&o, "log_file", "a.log"));
    memset(path, '/', sizeof(path));
    path[256] = '\0';
    assert_false(set(&o, "log_file", path));
    assert_string_equal(o.log_file, "/var/log/a b.log");
    path[255] = '\0';
    assert_true(set(&o, "log_file", path));
    assert_int_equal(strlen(o.log_file), 255);
    assert_true(set(&o, "log_file", ""));
    assert_string_equal(o.log_file, "");
}

static void intervals_have_words(void **state)
{
    (void)state;
    assert_int_equal(options_default.heartbeat, HEARTBEAT_AUTO);
    accepts(heartbeat, "off", HEARTBEAT_OFF);
    accepts(heartbeat, "auto", HEARTBEAT_AUTO);
    accepts(heartbeat, "10", 10);
    refuses("heartbeat", "0");
    refuses("heartbeat", "1");
    refuses("heartbeat", "on");
}

static void lists_are_checked_and_grow(void **state)
{
    struct options o = options_default;
    const struct option_info *local = option_find("local_addrs");
    const char *wrong = "10.0.0.1, if:eth0, 10.0.0.300, all";
    char full[600];

    (void)state;
    refuses("local_addrs", wrong);
    assert_string_equal(option_stumble(local, wrong), "10.0.0.300, all");
    refuses("peer_addrs", "192.0.2.1");
    assert_true(set(&o, "local_addrs", "10.0.0.1"));
    assert_true(option_append(&o, local, "!if:docker0"));
    assert_string_equal(o.local_addrs, "10.0.0.1,!if:docker0");
    assert_false(option_append(&o, local, "eth0"));
    assert_string_equal(o.local_addrs, "10.0.0.1,!if:docker0");
    memset(full, ' ', sizeof(full));
    memcpy(full, "10.0.0.1", 8);
    full[512] = '\0';
    refuses("local_addrs", full);
    full[511] = '\0';
    assert_true(set(&o, "local_addrs", full));
    assert_false(option_append(&o, local, "10.0.0.2"));
    assert_true(set(&o, "local_addrs", ""));
    assert_true(option_append(&o, local, "all"));
    assert_string_equal(o.local_addrs, "all");
}

static void assert_expected(enum option_id id, const char *words_expected)
{
    char buffer[120];

    assert_string_equal(option_expected(&option_table[id], buffer, sizeof(buffer)),
                        words_expected);
}

static void expectations_read_well(void **state)
{
    (void)state;
    assert_expected(OPTION_NODELAY, "yes or no");
    assert_expected(OPTION_ACTION, "sctp, tcp or prefer-sctp");
    assert_expected(OPTION_LOG, "off, error, warn, info or debug");
    assert_expected(OPTION_SACK_FREQ, "a number from 1 to 65535");
    assert_expected(OPTION_SACK_DELAY, "milliseconds from 0 to 500");
    assert_expected(OPTION_CHUNK, "a size from 1k to 64k");
    assert_expected(OPTION_SNDBUF, "a size from 16k to 1g");
    assert_expected(OPTION_PPID, "a number from 0 to 0xfffffffe");
    assert_expected(OPTION_HEARTBEAT, "milliseconds from 10 to 86400000, or off, auto");
    assert_expected(OPTION_UDP_ENCAPS, "a number from 1 to 65535, or off, raw");
    assert_expected(OPTION_PATHMTU, "a size from 512 to 65535, or discovered");
    assert_expected(OPTION_ECN, "yes, no or system");
    assert_expected(OPTION_AUTH, "some of data, sack, heartbeat, abort, shutdown, error, cookie "
                                 "and forward separated by commas, or nothing");
    assert_expected(OPTION_LOG_FILE, "an absolute path of at most 255 bytes, or nothing");
}

static void small_buffers_are_not_overrun(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        for (size_t size = 1; size < 40; size++) {
            char buffer[64];
            memset(buffer, 'x', sizeof(buffer));
            option_expected(&option_table[i], buffer, size);
            assert_true(strlen(buffer) < size);
            assert_int_equal(buffer[size], 'x');
            option_format(&options_default, &option_table[i], buffer, size);
            assert_true(strlen(buffer) < size);
            assert_int_equal(buffer[size], 'x');
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(names_are_found_in_any_spelling),
        cmocka_unit_test(a_near_name_is_suggested),
        cmocka_unit_test(every_option_is_described),
        cmocka_unit_test(every_default_can_be_written_and_read_back),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(sizes_take_suffixes),
        cmocka_unit_test(ppid_is_decimal_or_hexadecimal),
        cmocka_unit_test(words),
        cmocka_unit_test(numbers_may_have_words_beside_them),
        cmocka_unit_test(switches_know_the_system),
        cmocka_unit_test(sets_are_words_between_commas),
        cmocka_unit_test(stream_values_are_pairs),
        cmocka_unit_test(log_file_is_absolute_and_fits),
        cmocka_unit_test(intervals_have_words),
        cmocka_unit_test(lists_are_checked_and_grow),
        cmocka_unit_test(expectations_read_well),
        cmocka_unit_test(small_buffers_are_not_overrun),
    };

    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
