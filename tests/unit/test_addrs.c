/* SPDX-License-Identifier: BSD-3-Clause */
/* The syntax of address lists and maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#include "addrs.h"

static struct in6_addr address(const char *text)
{
    struct in6_addr found;

    assert_int_equal(inet_pton(AF_INET6, text, &found), 1);
    return found;
}

/* The one entry of a list, all of which is good. */
static struct addrs_entry only(const char *list)
{
    struct addrs_entry entry, none;

    if (!addrs_next(&list, &entry))
        fail_msg("'%s' is refused", list);
    assert_false(addrs_next(&list, &none));
    assert_string_equal(list, "");
    return entry;
}

static void stops_at(const char *list, const char *where)
{
    struct addrs_entry entry;

    while (addrs_next(&list, &entry))
        ;
    assert_string_equal(list, where);
}

static bool means(const char *list, const char *text)
{
    struct addrs_entry entry = only(list);
    struct in6_addr candidate = address(text);

    return addrs_match(&entry, &candidate);
}

static void addresses_mean_themselves(void **state)
{
    (void)state;
    assert_true(means("10.0.0.1", "::ffff:10.0.0.1"));
    assert_false(means("10.0.0.1", "::ffff:10.0.0.2"));
    assert_true(means("2001:db8::1", "2001:db8:0::1"));
    assert_false(means("2001:db8::1", "2001:db8::2"));
    assert_true(means("::ffff:10.0.0.1", "::ffff:10.0.0.1"));
}

static void networks_mean_their_addresses(void **state)
{
    (void)state;
    assert_true(means("10.1.0.0/16", "::ffff:10.1.255.255"));
    assert_false(means("10.1.0.0/16", "::ffff:10.2.0.0"));
    assert_true(means("10.1.2.3/15", "::ffff:10.0.0.0"));
    assert_false(means("10.1.2.3/15", "::ffff:10.2.0.0"));
    assert_true(means("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(means("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(means("10.0.0.1/32", "::ffff:10.0.0.1"));
}

static void everything_is_of_one_kind_or_all(void **state)
{
    (void)state;
    assert_true(means("0.0.0.0/0", "::ffff:1.2.3.4"));
    assert_false(means("0.0.0.0/0", "2001:db8::1"));
    assert_true(means("::/0", "2001:db8::1"));
    assert_false(means("::/0", "::ffff:1.2.3.4"));
    assert_true(means("all", "2001:db8::1"));
    assert_true(means("all", "::ffff:1.2.3.4"));
}

static void interfaces_and_exceptions(void **state)
{
    struct addrs_entry entry = only("if:eth0.1");

    (void)state;
    assert_string_equal(entry.interface, "eth0.1");
    assert_false(entry.except);
    entry = only("!if:docker0");
    assert_string_equal(entry.interface, "docker0");
    assert_true(entry.except);
    entry = only("!172.17.0.0/16");
    assert_true(entry.except);
    assert_string_equal(entry.interface, "");
    assert_int_equal(entry.network.bits, 128 - 16);
}

static void separators(void **state)
{
    (void)state;
    stops_at("", "");
    stops_at(" , ,\t", "");
    stops_at("10.0.0.1,10.0.0.2", "");
    stops_at(" 10.0.0.1 , all\tif:a ", "");
    stops_at("10.0.0.1;10.0.0.2", "10.0.0.1;10.0.0.2");
}

static void mistakes_are_pointed_at(void **state)
{
    static const char *const bad[] = {
        "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "10.0.0.1/1000",
        "10.0.0.1/ 8", "::/129", "2001:db8::1%eth0", "if:", "if:sixteen-letters-", "!", "!!10.0.0.1",
        "!all", "ALL", "host.example", "eth0", "10.0.0.1=10.0.0.2", "::1/1x",
        "::ffff:10.0.0.0/64",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char list[200] = "10.0.0.1, ";

        strcat(list, bad[i]);
        stops_at(list, list + 10);
    }
}

static void pairs(void **state)
{
    const char *map = "192.0.2.7=192.0.2.7,198.51.100.7 dns, 2001:db8::1=203.0.113.1";
    static const char *const expected[][2] = {
        {"::ffff:192.0.2.7", "::ffff:192.0.2.7"},
        {"::ffff:192.0.2.7", "::ffff:198.51.100.7"},
        {NULL, NULL},
        {"2001:db8::1", "::ffff:203.0.113.1"},
    };
    struct addrs_pair pair = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_true(addrs_next_pair(&map, &pair));
        assert_int_equal(pair.dns, !expected[i][0]);
        if (!expected[i][0])
            continue;
        struct in6_addr key = address(expected[i][0]), value = address(expected[i][1]);

        assert_memory_equal(&pair.key, &key, sizeof key);
        assert_memory_equal(&pair.address, &value, sizeof value);
    }
    assert_false(addrs_next_pair(&map, &pair));
    assert_string_equal(map, "");
}

static void wrong_pairs(void **state)
{
    static const char *const bad[] = {
        "192.0.2.7", "=192.0.2.7", "192.0.2.7=", "192.0.2.7=x", "x=192.0.2.7", "192.0.2.0/24=192.0.2.1",
        "192.0.2.7=0.0.0.0", "192.0.2.7=224.0.0.1", "192.0.2.7=255.255.255.255", "192.0.2.7=ff02::1",
        "192.0.2.7=::", "192.0.2.7=fe80::1", "0.0.0.0=192.0.2.1", "192.0.2.7==192.0.2.1", "DNS",
        "192.0.2.7=dns",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct addrs_pair pair = {0};
        const char *map = bad[i];

        if (addrs_next_pair(&map, &pair))
            fail_msg("'%s' is accepted", bad[i]);
        assert_ptr_equal(map, bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_mean_themselves),
        cmocka_unit_test(networks_mean_their_addresses),
        cmocka_unit_test(everything_is_of_one_kind_or_all),
        cmocka_unit_test(interfaces_and_exceptions),
        cmocka_unit_test(separators),
        cmocka_unit_test(mistakes_are_pointed_at),
        cmocka_unit_test(pairs),
        cmocka_unit_test(wrong_pairs),
    };

    return cmocka_run_group_tests_name("addrs", tests, NULL, NULL);
}
