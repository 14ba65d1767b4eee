/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose owners are to be told that something may have changed. */
#include "wakes.h"

#include <stddef.h>

static struct wake *due, *telling; /* in this turn */

void wake(struct wake *one)
{
    if (one->due || !one->owner)
        return;
    one->due = true;
    one->next = due;
    due = one;
}

static void take_off(struct wake **at, const struct wake *one)
{
    while (*at && *at != one)
        at = &(*at)->next;
    if (*at)
        *at = one->next;
}

void wake_forget(struct wake *one)
{
    if (!one->due)
        return;
    take_off(&due, one);
    take_off(&telling, one);
    one->due = false;
}

bool wakes_due(void)
{
    return due != NULL;
}

bool wakes_turn(void (*woken)(void *owner))
{
    bool any = due != NULL;

    telling = due;
    due = NULL;
    while (telling) {
        struct wake *one = telling;

        telling = one->next;
        one->due = false;
        woken(one->owner);
    }
    return any;
}
