/* SPDX-License-Identifier: BSD-3-Clause */
/* See conn_ways.h. One that nobody holds is used again for another way when all are taken. */
#include "conn_ways.h"

#include "loop.h"
#include "packets_internal.h"
#include "usrsctp_sources.h"

enum { WAYS = 4096 /* a power of two */ };

/* The number has the place in its last bits, and how often that was used before in the others. */
struct sources {
    struct sources *next;
    union address local, remote;
    uint32_t number, holders;
    int64_t used; /* ms */
};

static struct sources ways[WAYS], *table[KNOWN_HOSTS]; /* the first is not used: 0 is no way */
static uint32_t begun;

static struct sources **bucket_of(const union address *remote)
{
    return &table[packets_slot(remote)];
}

static void *library_address(uint32_t number)
{
    return (void *)(uintptr_t)number;
}

static struct sources *find(const union address *local, const union address *remote)
{
    struct sources *way;

    for (way = *bucket_of(remote); way; way = way->next)
        if (address_equal(&way->remote, remote) && address_equal(&way->local, local))
            return way;
    return NULL;
}

static void leave(struct sources *way)
{
    struct sources **at = bucket_of(&way->remote);

    while (*at != way)
        at = &(*at)->next;
    *at = way->next;
    usrsctp_deregister_address(library_address(way->number));
}

/* The one that was not used for the longest time. */
static struct sources *take_unheld(void)
{
    struct sources *oldest = NULL;

    for (uint32_t i = 1; i < WAYS; i++)
        if (!ways[i].holders && (!oldest || ways[i].used < oldest->used))
            oldest = &ways[i];
    if (oldest)
        leave(oldest);
    return oldest;
}

static struct sources *make(const union address *local, const union address *remote)
{
    struct sources *way = begun < WAYS - 1 ? &ways[++begun] : take_unheld(), **bucket = bucket_of(remote);

    if (!way)
        return NULL;
    *way = (struct sources){.next = *bucket, .local = *local, .remote = *remote,
                            .number = way->number ? way->number + WAYS : (uint32_t)(way - ways)};
    *bucket = way;
    usrsctp_register_address(library_address(way->number));
    return way;
}

bool way_spot(const union address *local, const union address *remote, in_port_t port,
              union address *spot)
{
    union address here = *local;
    struct sources *way;

    address_set_port(&here, 0);
    way = find(&here, remote);
    if (!way)
        way = make(&here, remote);
    if (!way)
        return false;
    way->used = loop_now();
    *spot = (union address){.in = {.sin_family = AF_INET, .sin_port = port,
                                   .sin_addr.s_addr = way->number}};
    return true;
}

static struct sources *way_at(uint32_t number)
{
    struct sources *way = &ways[number % WAYS];

    return number && way->number == number ? way : NULL;
}

bool way_ends(const union address *spot, union address *local, union address *remote)
{
    const struct sources *way = way_at(spot->in.sin_addr.s_addr);

    if (!way)
        return false;
    *local = way->local;
    *remote = way->remote;
    return true;
}

struct sockaddr_conn way_name(const union address *spot)
{
    struct sockaddr_conn name = {.sconn_family = AF_CONN, .sconn_port = address_port(spot),
                                 .sconn_addr = library_address(spot->in.sin_addr.s_addr)};

    return name;
}

union address way_of(const void *address, in_port_t port)
{
    union address spot = {.in = {.sin_family = AF_INET, .sin_port = port,
                                 .sin_addr.s_addr = (uint32_t)(uintptr_t)address}};

    return spot;
}

/* ---- Who holds them ---- */

struct sources *sources_of(in_port_t port, const struct addresses *list)
{
    (void)port;
    return sources_share(way_at(list->at[0].in.sin_addr.s_addr));
}

struct sources *sources_share(struct sources *way)
{
    if (way)
        way->holders++;
    return way;
}

void sources_drop(struct sources *way)
{
    if (way)
        way->holders--;
}
