/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes that fit each other: none larger than asked for, none that stalls what holds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "sizes.h"

enum { KB = 1024, LOOPBACK = 65536, ETHERNET = 1500, LARGEST_LIMITED = 32768 + 68 };

static uint32_t rcvbuf_of(uint32_t rcvbuf, uint32_t chunk)
{
    struct options o = options_default;

    o.rcvbuf = rcvbuf;
    o.chunk = chunk;
    return size_rcvbuf(&o);
}

/* Where messages fill the window exactly, a part of one is added; nothing where nothing is gained. */
static void test_windows(void **state)
{
    (void)state;
    assert_true(size_rcvbuf(&options_default) % options_default.chunk != 0);
    assert_true(rcvbuf_of(1024 * KB, 64 * KB) > 1024 * KB);
    assert_true(rcvbuf_of(1024 * KB, 64 * KB) < (1024 + 64) * KB);
    assert_int_equal(rcvbuf_of(1000 * 1000, 64 * KB), 1000 * 1000);
    assert_int_equal(rcvbuf_of(128 * KB, 64 * KB), 128 * KB);
}

/* More than six whole ones fit the window, and eight the send buffer. */
static void test_messages(void **state)
{
    (void)state;
    assert_int_equal(size_chunk(64 * KB, 1024 * KB, 2048 * KB), 64 * KB);
    assert_int_equal(size_chunk(64 * KB, 6 * 64 * KB + 1, 2048 * KB), 64 * KB);
    assert_true(size_chunk(64 * KB, 6 * 64 * KB, 2048 * KB) < 64 * KB);
    assert_int_equal(size_chunk(64 * KB, 1024 * KB, 256 * KB), 32 * KB);
    assert_int_equal(size_chunk(64 * KB, 0, 2048 * KB), KB);
    assert_int_equal(size_chunk(KB, 0, 2048 * KB), KB);
}

/* Only loopback's is limited: to a message, a quarter of the window, or what fits twice into 64 KB. */
static void test_paths(void **state)
{
    (void)state;
    assert_false(size_mtu_stalls(ETHERNET));
    assert_false(size_mtu_stalls(LARGEST_LIMITED));
    assert_true(size_mtu_stalls(LARGEST_LIMITED + 1));
    assert_true(size_mtu_stalls(LOOPBACK));
    assert_int_equal(size_mtu(64 * KB, 1024 * KB), LARGEST_LIMITED);
    assert_int_equal(size_mtu(16 * KB, 1024 * KB), 16 * KB + 68);
    assert_int_equal(size_mtu(64 * KB, 32 * KB), 8 * KB + 68);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
