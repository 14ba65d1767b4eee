/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose owners are to be told that something may have changed: noted at once, told in turn. */
#ifndef SCTPSHIM_BROKER_WAKES_H
#define SCTPSHIM_BROKER_WAKES_H

#include <stdbool.h>

/* Embedded in what has an owner. */
struct wake {
    void *owner; /* NULL: nobody is told */
    struct wake *next;
    bool due;
};

void wake(struct wake *one);
/* What it is embedded in goes away. */
void wake_forget(struct wake *one);
bool wakes_due(void);
/* Tells the owners of those that are due; those that become due meanwhile come next. */
bool wakes_turn(void (*woken)(void *owner));

#endif
