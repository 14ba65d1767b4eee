/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several paths of an association: own addresses by LOCAL_ADDRS, and one path to each address of
 * the peer. Heartbeats find out which of them work. An address of the peer's that this host has
 * too (bridges for containers have the same one everywhere) is no path: it leads here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../kernel/host.h"
#include "../log.h"
#include "../params.h"
#include "../retransmissions.h"
#include "packets.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

bool several_wanted(const struct options *o)
{
    return paths_are_wanted(o) || o->cmt != CMT_OFF;
}

/* ---- Own addresses ---- */

static bool is_loopback(const union address *at)
{
    return at->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&at->in6.sin6_addr)
                                         : ntohl(at->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static void rank(struct host *host, const char *name, const char *list, bool complain)
{
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    host_rank(host, any, name, list, complain);
    close(any);
}

/* What LOCAL_ADDRS names, in its order, as far as the families go. */
static void list_named(const struct options *o, bool four, bool six, in_port_t port,
                       struct addresses *list)
{
    struct host *host = host_open();

    if (!host)
        return;
    rank(host, "LOCAL_ADDRS", o->local_addrs, true);
    for (int number = 0; number < HOST_MAX; number++)
        for (size_t i = 0; i < host->count; i++) {
            union address at = address_of(&host->at[i].address, port);

            if (host->at[i].rank == number && (at.any.sa_family == AF_INET ? four : six))
                addresses_add(list, &at);
        }
    host_close(host);
}

static bool has(const struct addresses *list, const union address *at)
{
    for (size_t i = 0; i < list->count; i++)
        if (address_equal(&list->at[i], at))
            return true;
    return false;
}

void local_addresses(const union address *bound, const union address *first, bool four, bool six,
                     const struct options *o, struct addresses *list)
{
    struct addresses named = {.count = 0};

    list->count = 0;
    /* Who talks over loopback, or binds it, has no other paths. */
    if (o->local_addrs[0] && !is_loopback(first))
        list_named(o, four, six, address_port(first), &named);
    if (o->local_addrs[0] && !is_loopback(first) && !named.count)
        log_warn_once("LOCAL_ADDRS=%s means no address of this host that could be used here",
                      o->local_addrs);
    if (!address_is_any(bound) || !named.count || has(&named, first))
        addresses_add(list, first);
    for (size_t i = 0; i < named.count; i++)
        addresses_add(list, &named.at[i]);
}

bool socket_bind(struct socket *socket, const struct addresses *list)
{
    in_port_t port = address_port(&list->at[0]);

    for (size_t i = 0; i < list->count; i++) {
        union address at = list->at[i];

        if (!usrsctp_io_know(&at)) {
            errno = EADDRNOTAVAIL;
            return false;
        }
        /* The first one may get any port; the others then have it without saying so. */
        if (i > 0)
            address_set_port(&at, port);
        if (i == 0 ? usrsctp_bind(socket, &at.any, address_len(&at)) < 0
                   : usrsctp_bindx(socket, &at.any, 1, SCTP_BINDX_ADD_ADDR) < 0)
            return false;
    }
    return true;
}

static bool has_six(const struct addresses *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].any.sa_family == AF_INET6)
            return true;
    return false;
}

struct socket *socket_for(const struct addresses *list, const struct options *o)
{
    return socket_make(has_six(list) ? AF_INET6 : AF_INET, list->count > 1, o);
}

void socket_peer(union address *name)
{
    address_unmap(name);
}

/* ---- The peer's ---- */

static void read_peer(struct association *a)
{
    struct sockaddr *names;
    int count = usrsctp_getpaddrs(a->socket, 0, &names);
    struct addresses *list = &a->peer->list;

    if (count <= 0)
        return;
    addresses_unpack(list, (const char *)names, (size_t)count);
    usrsctp_freepaddrs(names);
    for (size_t i = 0; i < list->count; i++) {
        address_unmap(&list->at[i]);
        address_set_port(&list->at[i], 0);
    }
}

/* A connection within this host leads here on all its paths, and rightly so. */
static size_t judge(struct association *a)
{
    struct host *host = host_open();
    struct in6_addr primary = address_bare(&a->remote);
    bool at_home = !host || host_find(host, &primary);
    size_t usable = 0;

    for (size_t i = 0; i < a->peer->list.count; i++) {
        struct in6_addr bare = address_bare(&a->peer->list.at[i]);

        a->peer->usable[i] = at_home || !host_find(host, &bare);
        usable += a->peer->usable[i];
    }
    host_close(host);
    return usable;
}

static void name_of(const struct association *a, const union address *at,
                    struct sockaddr_storage *name)
{
    union address full = *at;

    address_set_port(&full, address_port(&a->remote));
    memset(name, 0, sizeof *name);
    memcpy(name, &full, address_len(&full));
}

static void watch(struct association *a, const union address *at)
{
    struct sctp_paddrparams path = {
        .spp_hbinterval = paths_heartbeat(a->options),
        .spp_pathmtu = path_size(at, a->options),
        .spp_pathmaxrxt = (uint16_t)a->options->path_max_retrans,
        .spp_flags = SPP_PMTUD_DISABLE,
    };

    /* The first one at once: a path is used only when it has been answered. */
    if (path.spp_hbinterval)
        path.spp_flags |= SPP_HB_ENABLE | SPP_HB_DEMAND;
    name_of(a, at, &path.spp_address);
    socket_set(a->socket, SCTP_PEER_ADDR_PARAMS, &path, sizeof path, "HEARTBEAT");
}

/* Each path's heartbeats count, and the data's retransmissions. */
static void set_patience(struct association *a, size_t usable)
{
    const struct options *o = a->options;
    uint64_t count = o->outage ? retransmissions_for(o, o->outage, o->rto_max).count * (usable + 1)
                               : o->assoc_max_retrans;
    struct sctp_assocparams assoc = {
        .sasoc_asocmaxrxt = count < UINT16_MAX ? (uint16_t)count : UINT16_MAX};

    socket_set(a->socket, SCTP_ASSOCINFO, &assoc, sizeof assoc, "OUTAGE");
}

/* ---- The primary path ---- */

/* Each path by two names: the peer's address, and the own one, with its interface. */
static void name_paths(const struct association *a, const struct host *host, struct host *names)
{
    const struct addresses *list = &a->peer->list;

    for (size_t i = 0; i < list->count; i++) {
        const union address *from = packets_source(&list->at[i]);
        struct host_address *own = &names->at[2 * i + 1];
        const struct host_address *known;

        names->at[2 * i] = (struct host_address){.address = address_bare(&list->at[i])};
        *own = (struct host_address){.interface = 0};
        if (!from)
            continue;
        own->address = address_bare(from);
        known = host_find(host, &own->address);
        own->interface = known ? known->interface : 0;
    }
    names->count = 2 * list->count;
}

_Static_assert(2 * ADDRESSES_MAX <= HOST_MAX, "a path has two names");

/* The lowest rank, where neither name is excepted. */
static int rank_of_path(const struct host *names, size_t path)
{
    int peer = names->at[2 * path].rank, own = names->at[2 * path + 1].rank;

    if (peer == RANK_EXCEPTED || own == RANK_EXCEPTED)
        return RANK_EXCEPTED;
    return peer >= 0 && (own < 0 || peer < own) ? peer : own;
}

/* The library takes none that has not been answered: it is asked again for each that has. */
static bool set_primary(struct association *a, const union address *at)
{
    struct sctp_setprim primary = {0};

    name_of(a, at, &primary.ssp_addr);
    return usrsctp_setsockopt(a->socket, IPPROTO_SCTP, SCTP_PRIMARY_ADDR, &primary,
                              sizeof primary) == 0;
}

static void choose_primary(struct association *a)
{
    struct host *host = host_open(), *names = host_empty();

    if (host && names) {
        name_paths(a, host, names);
        rank(names, "PRIMARY", a->options->primary, false);
        for (int number = 0, done = false; number < HOST_MAX && !done; number++)
            for (size_t i = 0; i < a->peer->list.count && !done; i++)
                done = a->peer->usable[i] && rank_of_path(names, i) == number &&
                       set_primary(a, &a->peer->list.at[i]);
    }
    host_close(host);
    host_close(names);
}

/* The peer is asked by ASCONF (RFC 5061, 4.2.4). */
static void request_primary(struct association *a)
{
    struct sctp_setpeerprim request = {0};
    struct host *host = host_open();
    struct sockaddr *names;
    struct addresses own = {.count = 0};
    int best = -1, count = usrsctp_getladdrs(a->socket, 0, &names);

    if (count > 0) {
        addresses_unpack(&own, (const char *)names, (size_t)count);
        usrsctp_freeladdrs(names);
    }
    if (host)
        rank(host, "PEER_PRIMARY", a->options->peer_primary, true);
    for (size_t i = 0; host && i < own.count; i++) {
        struct in6_addr bare = address_bare(&own.at[i]);
        const struct host_address *known = host_find(host, &bare);

        if (known && known->rank >= 0 && (best < 0 || known->rank < best)) {
            best = known->rank;
            memcpy(&request.sspp_addr, &own.at[i], address_len(&own.at[i]));
        }
    }
    host_close(host);
    if (best < 0)
        log_info_once("PEER_PRIMARY=%s: a connection has no such address",
                      a->options->peer_primary);
    else
        socket_set(a->socket, SCTP_SET_PEER_PRIMARY_ADDR, &request, sizeof request,
                   "PEER_PRIMARY (ASCONF has to be on at both ends)");
}

/* ---- What becomes of an association ---- */

/* Who wants no paths may have a peer that has: the library asks whether its addresses answer. */
static bool knows_peer(struct association *a)
{
    struct sockaddr *names;
    int count;

    if (a->peer)
        return true;
    count = usrsctp_getpaddrs(a->socket, 0, &names);
    if (count > 0)
        usrsctp_freepaddrs(names);
    a->peer = count > 1 ? calloc(1, sizeof *a->peer) : NULL;
    return a->peer;
}

void paths_up(struct association *a)
{
    size_t usable;

    if (!knows_peer(a))
        return;
    read_peer(a);
    usable = judge(a);
    if (!a->options)
        return;
    set_patience(a, usable);
    for (size_t i = 0; usable > 1 && i < a->peer->list.count; i++)
        if (a->peer->usable[i])
            watch(a, &a->peer->list.at[i]);
    if (a->options->primary[0])
        choose_primary(a);
    if (a->options->peer_primary[0])
        request_primary(a);
    log_debug("%zu of the peer's %zu addresses are paths", usable, a->peer->list.count);
}

void paths_confirmed(struct association *a)
{
    if (a->options && a->options->primary[0])
        choose_primary(a);
}
