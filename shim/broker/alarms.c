/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986): adding takes one comparison,
 * removing the logarithm of how many there are, amortized.
 */
#include "alarms.h"

#include <stddef.h>

static struct alarm *first;

struct alarm *alarms_first(void)
{
    return first;
}

/* Two heaps become one; either may be empty. */
static struct alarm *meld(struct alarm *a, struct alarm *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at < a->at) {
        struct alarm *later = a;

        a = b;
        b = later;
    }
    b->before = a;
    b->next = a->child;
    if (b->next)
        b->next->before = b;
    a->child = b;
    return a;
}

/* The children of one that goes: two and two from the front, then all from the back. */
static struct alarm *meld_children(struct alarm *child)
{
    struct alarm *pairs = NULL, *all = NULL;

    while (child) {
        struct alarm *one = child, *other = one->next, *pair;

        child = other ? other->next : NULL;
        pair = meld(one, other);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct alarm *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        all = meld(all, pair);
    }
    return all;
}

void alarms_add(struct alarm *alarm)
{
    alarm->child = alarm->next = alarm->before = NULL;
    alarm->set = true;
    first = meld(first, alarm);
}

void alarms_remove(struct alarm *alarm)
{
    struct alarm *rest = meld_children(alarm->child);

    alarm->set = false;
    if (alarm == first) {
        first = rest;
        return;
    }
    if (alarm->before->child == alarm)
        alarm->before->child = alarm->next;
    else
        alarm->before->next = alarm->next;
    if (alarm->next)
        alarm->next->before = alarm->before;
    first = meld(first, rest);
}
