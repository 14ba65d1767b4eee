/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs of packets that become one packet, and those that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "broker/crc32c.h"
#include "broker/usrsctp_joins.h"

enum { HEADER = 12, SUM = 8, TAG = 4, CHUNK = 20, PACKET = HEADER + 2 * CHUNK, PACKETS = 4 };

static void put_long(unsigned char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

static void sum_up(unsigned char *packet, size_t len)
{
    uint32_t sum;

    memset(packet + SUM, 0, sizeof sum);
    sum = ~crc32c(~0u, packet, len);
    for (int i = 0; i < 4; i++)
        packet[SUM + i] = (unsigned char)(sum >> 8 * i);
}

/* Each of two DATA chunks with 3 bytes and one of padding. */
static void make_run(unsigned char *bytes, uint32_t tsn)
{
    memset(bytes, 0, PACKETS * PACKET);
    for (int i = 0; i < PACKETS; i++, bytes += PACKET) {
        memcpy(bytes, "\x30\x39\x01\xbb\x01\x02\x03\x04", SUM);
        for (int chunk = 0; chunk < 2; chunk++) {
            unsigned char *at = bytes + HEADER + chunk * CHUNK;

            at[1] = 3; /* a message of its own */
            at[3] = 19;
            put_long(at + 4, tsn++);
            memset(at + 16, 'x', 3);
        }
        sum_up(bytes, PACKET);
    }
}

/* After an acknowledgement of all up to this TSN, with so many gaps. */
static struct joins acknowledged(uint32_t tsn, uint8_t gaps)
{
    struct joins joins = {0};
    unsigned char sack[SACK_SIZE] = {3, 0, 0, SACK_SIZE, [13] = gaps};

    put_long(sack + 4, tsn);
    join_acknowledged(&joins, sack);
    return joins;
}

static size_t joined(struct joins joins, unsigned char *bytes, size_t all)
{
    size_t len = PACKET;

    return join(&joins, bytes, all, &len) ? len : 0;
}

static void test_a_run_in_order_becomes_one_packet(void **state)
{
    static const unsigned char pad[HEADER] = {132, 0, 0, HEADER};
    unsigned char run[PACKETS * PACKET], was[sizeof run];
    struct joins joins = acknowledged(UINT32_MAX - 2, 0);
    size_t len = PACKET;

    (void)state;
    make_run(run, UINT32_MAX - 1);
    memcpy(was, run, sizeof run);
    assert_true(join(&joins, run, sizeof run, &len));
    assert_int_equal(len, sizeof run);
    assert_int_equal(joins.next, 6);
    assert_int_equal(run[HEADER + 1], 3 | 8); /* to be acknowledged at once */
    run[HEADER + 1] = 3;
    for (int i = 0; i < PACKETS; i++) {
        assert_memory_equal(run + i * PACKET, i ? pad : was, HEADER);
        assert_memory_equal(run + i * PACKET + HEADER, was + i * PACKET + HEADER, PACKET - HEADER);
    }
}

static void test_a_packet_alone_is_counted_and_left(void **state)
{
    unsigned char run[PACKETS * PACKET], was[sizeof run];
    struct joins joins = acknowledged(99, 0);
    size_t len = PACKET;

    (void)state;
    make_run(run, 100);
    memcpy(was, run, sizeof run);
    assert_false(join(&joins, run, PACKET, &len));
    assert_int_equal(len, PACKET);
    assert_int_equal(joins.next, 102);
    assert_memory_equal(run, was, sizeof run);
}

static void test_nothing_is_joined_while_something_is_missing(void **state)
{
    unsigned char run[PACKETS * PACKET], was[sizeof run];

    (void)state;
    make_run(run, 100);
    memcpy(was, run, sizeof run);
    assert_int_equal(joined(acknowledged(99, 1), run, sizeof run), 0);
    assert_int_equal(joined(acknowledged(98, 0), run, sizeof run), 0);  /* 99 is lost */
    assert_int_equal(joined(acknowledged(100, 0), run, sizeof run), 0); /* 100 comes again */
    assert_int_equal(joined((struct joins){0}, run, sizeof run), 0);
    assert_memory_equal(run, was, sizeof run);
}

/* What the third packet is: the run ends before it. */
static size_t with_third(void (*change)(unsigned char *packet))
{
    unsigned char run[PACKETS * PACKET], was[sizeof run];
    size_t len;

    make_run(run, 100);
    change(run + 2 * PACKET);
    memcpy(was, run, sizeof run);
    len = joined(acknowledged(99, 0), run, sizeof run);
    assert_memory_equal(run + 2 * PACKET, was + 2 * PACKET, 2 * PACKET);
    return len;
}

static void damage(unsigned char *packet)
{
    packet[PACKET - 2] ^= 1;
}

static void rename_association(unsigned char *packet)
{
    packet[TAG] ^= 1;
    sum_up(packet, PACKET);
}

static void skip_one(unsigned char *packet)
{
    put_long(packet + HEADER + CHUNK + 4, 106);
    sum_up(packet, PACKET);
}

static void acknowledge(unsigned char *packet)
{
    packet[HEADER] = 3;
    sum_up(packet, PACKET);
}

static void lengthen(unsigned char *packet)
{
    packet[HEADER + CHUNK + 3] = 25;
    sum_up(packet, PACKET);
}

static void empty(unsigned char *packet)
{
    packet[HEADER + CHUNK + 3] = 16;
    sum_up(packet, PACKET);
}

static void test_a_run_ends_where_a_packet_is_another_kind(void **state)
{
    (void)state;
    assert_int_equal(with_third(damage), 2 * PACKET);
    assert_int_equal(with_third(rename_association), 2 * PACKET);
    assert_int_equal(with_third(skip_one), 2 * PACKET);
    assert_int_equal(with_third(acknowledge), 2 * PACKET);
    assert_int_equal(with_third(lengthen), 2 * PACKET);
    assert_int_equal(with_third(empty), 2 * PACKET);
}

static void test_the_last_packet_may_be_shorter(void **state)
{
    unsigned char run[PACKETS * PACKET];

    (void)state;
    make_run(run, 100);
    sum_up(run + 3 * PACKET, PACKET - CHUNK);
    assert_int_equal(joined(acknowledged(99, 0), run, sizeof run - CHUNK), sizeof run - CHUNK);
    make_run(run, 100);
    assert_int_equal(joined(acknowledged(99, 0), run, sizeof run - 30), 3 * PACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_in_order_becomes_one_packet),
        cmocka_unit_test(test_a_packet_alone_is_counted_and_left),
        cmocka_unit_test(test_nothing_is_joined_while_something_is_missing),
        cmocka_unit_test(test_a_run_ends_where_a_packet_is_another_kind),
        cmocka_unit_test(test_the_last_packet_may_be_shorter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
