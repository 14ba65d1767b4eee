/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's checksum, and the requests that it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "broker/crc32c.h"
#include "broker/quota.h"
#include "userspace/protocol.h"

/* The test vectors of RFC 3720, B.4. */
static void test_crc32c_knows_the_vectors(void **state)
{
    unsigned char bytes[32];

    (void)state;
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(~crc32c(~0u, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(~crc32c(~0u, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(~crc32c(~0u, bytes, sizeof bytes), 0x46dd794e);
}

static void test_crc32c_is_the_same_by_table_and_in_pieces(void **state)
{
    unsigned char bytes[1300]; /* more than twice what is summed up at a time */

    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 3));
    for (size_t from = 0; from < 9; from++)
        for (size_t len = 0; from + len <= sizeof bytes; len += len < 260 ? 1 : 7) {
            uint32_t whole = crc32c_table(~0u, bytes + from, len);

            assert_int_equal(crc32c(~0u, bytes + from, len), whole);
            assert_int_equal(crc32c(crc32c(~0u, bytes + from, len / 3), bytes + from + len / 3,
                                    len - len / 3),
                             whole);
        }
}

static union address v4(const char *host, unsigned port)
{
    union address name = {.in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};

    inet_pton(AF_INET, host, &name.in.sin_addr);
    return name;
}

static union address v6(const char *host, unsigned port)
{
    union address name = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};

    inet_pton(AF_INET6, host, &name.in6.sin6_addr);
    return name;
}

static struct request connect_request(void)
{
    struct request request;

    request_begin(&request, REQUEST_CONNECT);
    request.leg = v4("127.83.0.9", 40000);
    request.local = v4("0.0.0.0", 0);
    request.remote = v4("192.0.2.1", 80);
    parameters_take(&request.parameters, &options_default);
    return request;
}

static void test_requests_are_checked(void **state)
{
    struct request good = connect_request(), bad;

    (void)state;
    assert_true(request_valid(&good, sizeof good));
    assert_false(request_valid(&good, sizeof good - 1));
    assert_false(request_valid(&good, 0));
#define REFUSED(change)                                                                       \
    bad = good;                                                                               \
    change;                                                                                   \
    assert_false(request_valid(&bad, sizeof bad))
    REFUSED(bad.magic++);
    REFUSED(bad.version++);
    REFUSED(bad.kind = 0);
    REFUSED(bad.kind = REQUEST_KINDS);
    REFUSED(bad.leg = v4("0.0.0.0", 40000));
    REFUSED(bad.leg = v6("::1", 40000));
    REFUSED(bad.leg = v4("127.83.0.9", 0));
    REFUSED(bad.other = v4("127.83.0.9", 1));
    REFUSED(bad.remote = v4("0.0.0.0", 80));
    REFUSED(bad.remote.any.sa_family = AF_UNIX);
    REFUSED(bad.parameters.stream = bad.parameters.ostreams);
    REFUSED(bad.parameters.chunk = 1);
    REFUSED(bad.parameters.ppid = 0xffffffff);
    REFUSED(bad.parameters.udp_encaps = 65537);
    REFUSED(bad.parameters.dscp = 65);
    REFUSED(bad.parameters.cmt = 3);
    REFUSED(memset(bad.parameters.local_addrs, '1', sizeof bad.parameters.local_addrs));
    REFUSED(strcpy(bad.parameters.primary, "nowhere?"));
    REFUSED(strcpy(bad.parameters.auth_key, "relative"));
    REFUSED(bad.parameters.peers.count = ADDRESSES_MAX + 1);
    REFUSED(bad.parameters.peers = (struct addresses){.count = 1});
#undef REFUSED
    bad = good; /* bound where the program has said, under prefer-sctp */
    bad.leg = v4("10.0.0.1", 40000);
    assert_true(request_valid(&bad, sizeof bad));
}

/* What a request carries is what the rule says, less what is the process's. */
static void test_parameters_are_the_rules_options(void **state)
{
    struct options o = options_default, back;
    struct parameters p;

    (void)state;
    o.dscp = DSCP_PROGRAM;
    o.pathmtu = 1400;
    o.log = LOG_LEVEL_DEBUG;
    o.udp_encaps = 9900;
    strcpy(o.local_addrs, "10.0.0.1,if:eth1,!172.17.0.0/16");
    strcpy(o.log_file, "/tmp/log");
    parameters_take(&p, &o);
    parameters_give(&p, &back);
    assert_int_equal(back.log, options_default.log);
    assert_string_equal(back.log_file, "");
    o.log = options_default.log;
    memset(o.log_file, 0, sizeof o.log_file);
    assert_memory_equal(&o, &back, sizeof o);
    parameters_take(&p, &options_default);
    assert_int_equal(p.udp_encaps, 9899);
}

static void test_legs_are_made_from_names(void **state)
{
    union address leg, other;
    union address name = v4("10.1.2.3", 80), mapped = v6("::ffff:10.1.2.3", 80);

    (void)state;
    address_to_leg(&name, false, &leg);
    assert_true(address_is_leg(&leg));
    assert_int_equal(address_port(&leg), htons(80));
    address_to_leg(&mapped, false, &other);
    assert_true(address_equal(&leg, &other));
    name = v4("10.1.2.4", 80);
    address_to_leg(&name, false, &other);
    assert_false(address_equal(&leg, &other));
    name = v4("0.0.0.0", 80);
    address_to_leg(&name, false, &leg);
    name = v6("::", 80);
    address_to_leg(&name, false, &other);
    assert_true(address_equal(&leg, &other));
    address_to_leg(&name, true, &other);
    assert_false(address_equal(&leg, &other));
}

static void test_names_are_mapped_and_back(void **state)
{
    union address name = v4("10.1.2.3", 80);
    char text[ADDRESS_TEXT];

    (void)state;
    address_fit(&name, AF_INET6);
    assert_string_equal(address_format(&name, text), "[::ffff:10.1.2.3]:80");
    address_unmap(&name);
    assert_string_equal(address_format(&name, text), "10.1.2.3:80");
    name = v6("2001:db8::1", 443);
    address_unmap(&name);
    address_fit(&name, AF_INET6);
    assert_string_equal(address_format(&name, text), "[2001:db8::1]:443");
}

static void test_nobody_has_more_than_his_part(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            assert_true(quota_take(QUOTA_VISITS, 7, 3));
        assert_false(quota_take(QUOTA_VISITS, 7, 3));
        assert_true(quota_take(QUOTA_VISITS, 7 + 256, 1)); /* of the same hash */
        assert_true(quota_take(QUOTA_USER_LEGS, 7, 1));
        assert_false(quota_take(QUOTA_USER_LEGS, 7, 1));
        quota_give(QUOTA_VISITS, 7);
        assert_true(quota_take(QUOTA_VISITS, 7, 3));
        for (int i = 0; i < 3; i++)
            quota_give(QUOTA_VISITS, 7);
        quota_give(QUOTA_VISITS, 7); /* nothing is left to give back */
        quota_give(QUOTA_VISITS, 7 + 256);
        quota_give(QUOTA_USER_LEGS, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_knows_the_vectors),
        cmocka_unit_test(test_crc32c_is_the_same_by_table_and_in_pieces),
        cmocka_unit_test(test_requests_are_checked),
        cmocka_unit_test(test_parameters_are_the_rules_options),
        cmocka_unit_test(test_legs_are_made_from_names),
        cmocka_unit_test(test_names_are_mapped_and_back),
        cmocka_unit_test(test_nobody_has_more_than_his_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
