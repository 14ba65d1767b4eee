/* SPDX-License-Identifier: BSD-3-Clause */
/* Which of several own addresses a packet leaves from. */
#include "usrsctp_sources.h"

#include <stdlib.h>

#include "packets.h"

enum { HASH = 1024 };

struct sources {
    struct sources *next;
    unsigned holders;
    in_port_t port;
    struct addresses list; /* without ports */
};

static struct sources *table[HASH];
static size_t count;

static struct sources **bucket_of(in_port_t port)
{
    return &table[(port * 40503u >> 6) % HASH];
}

static bool has(const struct sources *s, const union address *host)
{
    for (size_t i = 0; i < s->list.count; i++)
        if (address_equal(&s->list.at[i], host))
            return true;
    return false;
}

struct sources *sources_of(in_port_t port, const struct addresses *list)
{
    struct sources *s = list->count > 1 ? malloc(sizeof *s) : NULL;

    if (!s)
        return NULL;
    *s = (struct sources){.next = *bucket_of(port), .holders = 1, .port = port, .list = *list};
    for (size_t i = 0; i < s->list.count; i++)
        address_set_port(&s->list.at[i], 0);
    *bucket_of(port) = s;
    count++;
    return s;
}

struct sources *sources_share(struct sources *s)
{
    if (s)
        s->holders++;
    return s;
}

void sources_drop(struct sources *s)
{
    struct sources **at;

    if (!s || --s->holders)
        return;
    for (at = bucket_of(s->port); *at != s; at = &(*at)->next)
        ;
    *at = s->next;
    count--;
    free(s);
}

void sources_choose(in_port_t port, union address *from, const union address *to)
{
    const union address *best;

    if (!count)
        return;
    for (const struct sources *s = *bucket_of(port); s; s = s->next) {
        if (s->port != port || !has(s, from))
            continue;
        best = packets_source(to);
        if (best && has(s, best))
            *from = *best;
        return;
    }
}
