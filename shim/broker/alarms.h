/* SPDX-License-Identifier: BSD-3-Clause */
/* Alarms by their time. They lie in their owners: setting one takes no memory and cannot fail. */
#ifndef SCTPSHIM_BROKER_ALARMS_H
#define SCTPSHIM_BROKER_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

struct alarm {
    int64_t at; /* ms on loop_now()'s clock */
    void (*ring)(struct alarm *alarm);
    struct alarm *child, *next, *before; /* in the heap: before is the parent of a first child */
    bool set;
};

/* One with the earliest time; NULL: none is set. */
struct alarm *alarms_first(void);
/* An alarm that is not set, to ring at its time. */
void alarms_add(struct alarm *alarm);
/* One that is. */
void alarms_remove(struct alarm *alarm);

#endif
