/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's timers. It has them in one list and looks at each of them in every tick: with 4000
 * connections at rest that took a fifth of a processor. Here they lie in a wheel, a slot for each
 * tick of the next few seconds; a tick looks at its own slot, where later rounds' timers are few.
 */
#include "usrsctp_timers.h"

#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct timer, due) == 16 && offsetof(struct timer, argument) == 24 &&
                   offsetof(struct timer, function) == 32 && offsetof(struct timer, flags) == 40 &&
                   sizeof(struct timer) == 48, "as the library has it on 64 bits");

enum { ACTIVE = 2, PENDING = 4 };
enum { SLOTS = 8192 }; /* 8 s: beyond are heartbeats and the like, three or four in a slot's way */

static LIST_HEAD(slot, timer) wheel[SLOTS]; /* by the last bits of due */
static uint32_t ticks;
static struct timer *next; /* to be looked at in this slot: what runs before may stop it */

uint32_t sctp_get_tick_count(void)
{
    return ticks;
}

static void take_off(struct timer *timer)
{
    if (timer == next)
        next = LIST_NEXT(timer, neighbours);
    LIST_REMOVE(timer, neighbours);
}

int sctp_os_timer_start(struct timer *timer, uint32_t delay, void (*function)(void *),
                        void *argument)
{
    int was_pending;

    if (!timer || !function)
        return 0;
    was_pending = (timer->flags & PENDING) != 0;
    if (was_pending)
        take_off(timer);
    timer->due = ticks + (delay ? delay : 1);
    timer->function = function;
    timer->argument = argument;
    timer->flags = ACTIVE | PENDING;
    LIST_INSERT_HEAD(&wheel[timer->due % SLOTS], timer, neighbours);
    return was_pending;
}

int sctp_os_timer_stop(struct timer *timer)
{
    int was_pending = (timer->flags & PENDING) != 0;

    if (was_pending)
        take_off(timer);
    timer->flags &= ~(ACTIVE | PENDING);
    return was_pending;
}

static bool is_due(const struct timer *timer)
{
    return (int32_t)(timer->due - ticks) <= 0;
}

static void run_slot(const struct slot *slot)
{
    struct timer *timer;

    for (next = LIST_FIRST(slot); (timer = next);) {
        next = LIST_NEXT(timer, neighbours);
        if (!is_due(timer))
            continue;
        take_off(timer);
        timer->flags &= ~PENDING;
        timer->function(timer->argument);
    }
}

void sctp_handle_tick(uint32_t elapsed)
{
    uint32_t before = ticks, slots = elapsed < SLOTS ? elapsed : SLOTS;

    ticks += elapsed;
    for (uint32_t i = 1; i <= slots; i++)
        run_slot(&wheel[(before + i) % SLOTS]);
}

bool timers_are_known(void)
{
    unsigned char room[2 * sizeof(struct timer)];

    memset(room, 1, sizeof room);
    sctp_os_timer_init((struct timer *)(void *)room);
    for (size_t i = 0; i < sizeof room; i++)
        if (room[i] != (i >= sizeof(struct timer)))
            return false;
    return true;
}
