/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's alarms (shim/broker/alarms.c), against a table that is searched through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "broker/alarms.h"

enum { MANY = 500, STEPS = 200000, LATEST = 1000 };

static struct alarm alarms[MANY];

static int64_t earliest(void)
{
    int64_t at = LATEST;

    for (size_t i = 0; i < MANY; i++)
        if (alarms[i].set && alarms[i].at < at)
            at = alarms[i].at;
    return at;
}

static void remove_all(void)
{
    int64_t last = -1;

    for (struct alarm *first; (first = alarms_first());) {
        assert_true(first->set);
        assert_true(first->at >= last);
        last = first->at;
        alarms_remove(first);
        assert_false(first->set);
    }
    for (size_t i = 0; i < MANY; i++)
        assert_false(alarms[i].set);
}

static void test_none(void **state)
{
    (void)state;
    assert_null(alarms_first());
}

static void test_in_any_order(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        struct alarm *alarm = &alarms[(unsigned)rand_r(&seed) % MANY];

        if (alarm->set) {
            alarms_remove(alarm);
        } else {
            alarm->at = rand_r(&seed) % LATEST;
            alarms_add(alarm);
        }
        if (step % 16 == 0) {
            const struct alarm *first = alarms_first();

            assert_int_equal(first ? first->at : LATEST, earliest());
        }
    }
    remove_all();
}

/* As connections do: later and later, and the earliest goes. */
static void test_one_after_the_other(void **state)
{
    (void)state;
    for (int round = 0; round < STEPS / MANY; round++)
        for (size_t i = 0; i < MANY; i++) {
            if (alarms[i].set) {
                assert_ptr_equal(alarms_first(), &alarms[i]);
                alarms_remove(&alarms[i]);
            }
            alarms[i].at = (int64_t)round * MANY + (int64_t)i;
            alarms_add(&alarms[i]);
        }
    remove_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_in_any_order),
        cmocka_unit_test(test_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
