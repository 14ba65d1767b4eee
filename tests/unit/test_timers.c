/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's timers, which replace libusrsctp's (shim/broker/usrsctp_timers.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "broker/usrsctp_timers.h"

enum { MANY = 2000, LONGEST = 30000 };

struct alarm {
    struct timer timer;
    uint32_t fired_at; /* in ticks since the test began; 0: not yet */
    unsigned fired;
    struct timer *stops;
    uint32_t again; /* after so many ticks; 0: not */
};

static uint32_t begun;

static uint32_t now(void)
{
    return sctp_get_tick_count() - begun;
}

/* The library's, which is not linked here. */
void sctp_os_timer_init(struct timer *timer)
{
    memset(timer, 0, sizeof *timer);
}

static void rings(void *argument)
{
    struct alarm *alarm = argument;

    alarm->fired++;
    alarm->fired_at = now();
    if (alarm->stops)
        sctp_os_timer_stop(alarm->stops);
    if (alarm->again)
        sctp_os_timer_start(&alarm->timer, alarm->again, rings, alarm);
}

static int set(struct alarm *alarm, uint32_t delay)
{
    return sctp_os_timer_start(&alarm->timer, delay, rings, alarm);
}

static int setup(void **state)
{
    (void)state;
    begun = sctp_get_tick_count();
    return 0;
}

static void test_fires_once_and_not_early(void **state)
{
    struct alarm alarm = {.fired = 0};

    (void)state;
    assert_int_equal(set(&alarm, 5), 0);
    sctp_handle_tick(4);
    assert_int_equal(alarm.fired, 0);
    sctp_handle_tick(1);
    assert_int_equal(alarm.fired, 1);
    sctp_handle_tick(100000);
    assert_int_equal(alarm.fired, 1);
}

static void test_no_delay_is_one_tick(void **state)
{
    struct alarm alarm = {.fired = 0};

    (void)state;
    set(&alarm, 0);
    sctp_handle_tick(0);
    assert_int_equal(alarm.fired, 0);
    sctp_handle_tick(1);
    assert_int_equal(alarm.fired, 1);
}

static void test_set_again_and_stopped(void **state)
{
    struct alarm alarm = {.fired = 0};

    (void)state;
    assert_int_equal(sctp_os_timer_stop(&alarm.timer), 0);
    assert_int_equal(set(&alarm, 5), 0);
    assert_int_equal(set(&alarm, 50), 1);
    sctp_handle_tick(49);
    assert_int_equal(alarm.fired, 0);
    assert_int_equal(sctp_os_timer_stop(&alarm.timer), 1);
    assert_int_equal(sctp_os_timer_stop(&alarm.timer), 0);
    sctp_handle_tick(1000);
    assert_int_equal(alarm.fired, 0);
}

/* Each in its tick, however the ticks come, and over several rounds of the wheel. */
static void fire_all(uint32_t step)
{
    static struct alarm alarms[MANY];
    uint32_t delays[MANY];

    memset(alarms, 0, sizeof alarms);
    for (unsigned i = 0; i < MANY; i++) {
        delays[i] = 1 + (uint32_t)rand() % LONGEST;
        set(&alarms[i], delays[i]);
    }
    for (uint32_t passed = 0; passed < LONGEST + step; passed += step)
        sctp_handle_tick(step);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(alarms[i].fired, 1);
        assert_int_equal(alarms[i].fired_at, (delays[i] + step - 1) / step * step);
    }
}

static void test_many(void **state)
{
    static const uint32_t steps[] = {1, 10, 333, 8192, 20000};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        begun = sctp_get_tick_count();
        fire_all(steps[i]);
    }
}

static void test_one_that_fires_stops_its_neighbours(void **state)
{
    struct alarm alarms[3] = {{.fired = 0}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        alarms[i].stops = &alarms[(i + 1) % 3].timer;
        set(&alarms[i], 7);
    }
    sctp_handle_tick(7);
    sctp_handle_tick(20000);
    /* Whoever is first stops one; the other one fires, and there is nobody left for it to stop. */
    assert_int_equal(alarms[0].fired + alarms[1].fired + alarms[2].fired, 2);
}

static void test_one_that_sets_itself_again(void **state)
{
    struct alarm alarm = {.again = 3};

    (void)state;
    set(&alarm, 3);
    for (int i = 0; i < 12; i++)
        sctp_handle_tick(1);
    assert_int_equal(alarm.fired, 4);
    /* A long silence is one tick of the library's. */
    sctp_handle_tick(50000);
    assert_int_equal(alarm.fired, 5);
    sctp_os_timer_stop(&alarm.timer);
}

static void test_the_count_of_ticks_wraps(void **state)
{
    struct alarm alarm = {.fired = 0};
    uint32_t left = UINT32_MAX - sctp_get_tick_count();

    (void)state;
    sctp_handle_tick(left - 10);
    set(&alarm, 100);
    sctp_handle_tick(99);
    assert_int_equal(alarm.fired, 0);
    sctp_handle_tick(1);
    assert_int_equal(alarm.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fires_once_and_not_early, setup),
        cmocka_unit_test_setup(test_no_delay_is_one_tick, setup),
        cmocka_unit_test_setup(test_set_again_and_stopped, setup),
        cmocka_unit_test_setup(test_many, setup),
        cmocka_unit_test_setup(test_one_that_fires_stops_its_neighbours, setup),
        cmocka_unit_test_setup(test_one_that_sets_itself_again, setup),
        cmocka_unit_test_setup(test_the_count_of_ticks_wraps, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
