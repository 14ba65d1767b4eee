/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways of the stack over libusrsctp's public functions (shim/broker/conn_ways.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include <arpa/inet.h>

#include "broker/conn_ways.h"
#include "broker/loop.h"
#include "broker/packets_internal.h"
#include "broker/usrsctp_sources.h"

enum { MOST = 4095 };

static int known; /* addresses that the library knows */
static int64_t now;

void usrsctp_register_address(void *address)
{
    assert_non_null(address);
    known++;
}

void usrsctp_deregister_address(void *address)
{
    assert_non_null(address);
    known--;
}

int64_t loop_now(void)
{
    return ++now;
}

size_t packets_slot(const union address *to)
{
    return to->in.sin_addr.s_addr % KNOWN_HOSTS;
}

static union address host(uint32_t number, in_port_t port)
{
    union address name = {.in = {.sin_family = AF_INET, .sin_port = port,
                                 .sin_addr.s_addr = htonl(number)}};

    return name;
}

static union address spot_to(uint32_t number)
{
    union address own = host(1, htons(7)), peer = host(number, htons(9899)), spot;

    assert_true(way_spot(&own, &peer, htons(80), &spot));
    return spot;
}

static struct sources *hold(const union address *spot)
{
    struct sources *way = sources_of(0, &(struct addresses){.count = 1, .at = {*spot}});

    assert_non_null(way);
    return way;
}

static void assert_leads_to(const union address *spot, uint32_t number)
{
    union address own, peer, expected = host(number, htons(9899)), here = host(1, 0);

    assert_true(way_ends(spot, &own, &peer));
    assert_true(address_equal(&own, &here));
    assert_true(address_equal(&peer, &expected));
}

static void test_the_same_ends_have_the_same_way(void **state)
{
    union address first = spot_to(5), again = spot_to(5), other = spot_to(6), back;
    struct sockaddr_conn name = way_name(&first);

    (void)state;
    assert_true(address_equal(&first, &again));
    assert_false(address_equal(&first, &other));
    assert_int_equal(name.sconn_port, htons(80));
    back = way_of(name.sconn_addr, name.sconn_port);
    assert_true(address_equal(&first, &back));
    assert_leads_to(&first, 5);
    assert_leads_to(&other, 6);
}

static void test_who_is_not_held_makes_room(void **state)
{
    union address held = spot_to(100), oldest, own, peer;
    struct sources *holder = hold(&held);

    (void)state;
    oldest = spot_to(101);
    for (uint32_t i = 0; i < 3 * MOST; i++)
        assert_leads_to(&(union address){spot_to(1000 + i).any}, 1000 + i);
    assert_int_equal(known, MOST);
    assert_leads_to(&held, 100);
    assert_false(way_ends(&oldest, &own, &peer));
    sources_drop(holder);
    for (uint32_t i = 0; i < MOST; i++)
        spot_to(100000 + i);
    assert_false(way_ends(&held, &own, &peer));
    assert_int_equal(known, MOST);
}

static void test_all_held_is_an_end(void **state)
{
    static struct sources *holders[MOST];
    union address own = host(1, 0), peer = host(1, htons(9899)), spot;

    (void)state;
    for (uint32_t i = 0; i < MOST; i++) {
        spot = spot_to(200000 + i);
        holders[i] = hold(&spot);
    }
    assert_false(way_spot(&own, &peer, 0, &spot));
    for (uint32_t i = 0; i < MOST; i++)
        sources_drop(holders[i]);
    assert_true(way_spot(&own, &peer, 0, &spot));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_ends_have_the_same_way),
        cmocka_unit_test(test_who_is_not_held_makes_room),
        cmocka_unit_test(test_all_held_is_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
