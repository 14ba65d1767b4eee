/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's timers, in place of its own: its names and structures, and nothing that blocks. */
#ifndef SCTPSHIM_BROKER_USRSCTP_TIMERS_H
#define SCTPSHIM_BROKER_USRSCTP_TIMERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* The library's sctp_os_timer_t, which is part of its larger structures. */
struct timer {
    LIST_ENTRY(timer) neighbours;
    uint32_t due; /* in ticks */
    void *argument;
    void (*function)(void *argument);
    int flags;
};

/* These replace the library's. A tick is a millisecond, and there are as many as it has been told. */
uint32_t sctp_get_tick_count(void);
/* In so many ticks, at least one, from now on, also when it was set already: then 1, else 0. */
int sctp_os_timer_start(struct timer *timer, uint32_t delay, void (*function)(void *),
                        void *argument);
/* 1 when it was set, else 0. */
int sctp_os_timer_stop(struct timer *timer);
/* Time has passed. Functions called may start and stop timers, their own included. */
void sctp_handle_tick(uint32_t elapsed);

/* And this stays. */
void sctp_os_timer_init(struct timer *timer);

/* Is a timer of the library's as large as one is here? */
bool timers_are_known(void);

#endif
