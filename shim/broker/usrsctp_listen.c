/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners over libusrsctp: an endpoint for each address that is called, made when it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "loop.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"
#include "usrsctp_sources.h"

enum {
    BACKLOG = 1024, /* associations of one endpoint that have come in and were not taken up yet */
};

/* One address that a listener listens at, or several that belong together. */
struct endpoint {
    struct listener *listener;
    struct endpoint *next;
    struct socket *socket;
    struct addresses locals;
    struct sources *sources;
};

struct listener {
    struct listener *next;
    union address local;
    struct options options;
    struct endpoint *endpoints;
    bool v6only;
    void *owner;
};

static const struct stack_user *user;
static struct listener *listeners;
static struct association *arrived, **arrived_end = &arrived;

void listen_start(const struct stack_user *told)
{
    user = told;
}

static bool is_loopback(const union address *at)
{
    return at->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&at->in6.sin6_addr)
                                         : ntohl(at->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/*
 * For endpoints that are made when they are called: of a wildcard, whose addresses LOCAL_ADDRS may
 * name instead. Loopback is of use to associations over loopback only, and they may have it.
 */
static bool may_open_at(const struct listener *l, const union address *to)
{
    if (address_equal(&l->local, to))
        return true;
    if (!address_is_any(&l->local) || (l->options.local_addrs[0] && !is_loopback(to)))
        return false;
    return l->local.any.sa_family == to->any.sa_family ||
           (to->any.sa_family == AF_INET && !l->v6only);
}

static bool open_socket(struct endpoint *e, const struct options *o)
{
    e->socket = socket_at(&e->locals, o);
    if (!e->socket)
        return false;
    if (usrsctp_listen(e->socket, BACKLOG) == 0)
        return true;
    socket_drop(e->socket);
    return false;
}

static struct endpoint *open_endpoint(struct listener *l, const struct addresses *at)
{
    struct endpoint *e = calloc(1, sizeof *e);

    if (!e) {
        errno = ENOBUFS;
        return NULL;
    }
    e->locals = *at;
    if (!open_socket(e, &l->options)) {
        free(e);
        return NULL;
    }
    e->sources = sources_of(address_port(&l->local), at);
    e->listener = l;
    e->next = l->endpoints;
    l->endpoints = e;
    return e;
}

/* What is known before anybody calls: the program's own address, and those of LOCAL_ADDRS. */
static bool open_first(struct listener *l)
{
    bool six = l->local.any.sa_family == AF_INET6, any = address_is_any(&l->local);
    struct addresses at = {.count = 0};

    if (any && !l->options.local_addrs[0])
        return true;
    local_addresses(&l->local, &l->local, !six || !l->v6only, six, &l->options, &at);
    if (!at.count)
        return true;
    if (any && address_is_any(&at.at[0])) {
        l->options.local_addrs[0] = '\0'; /* it means none: then all are */
        return true;
    }
    return open_endpoint(l, &at);
}

struct listener *stack_listen(const union address *local, bool v6only,
                              const struct parameters *parameters, void *owner)
{
    struct listener *l;

    for (l = listeners; l; l = l->next)
        if (address_equal(&l->local, local) && user->present(l->owner)) {
            errno = EADDRINUSE;
            return NULL;
        }
    l = calloc(1, sizeof *l);
    if (!l) {
        errno = ENOBUFS;
        return NULL;
    }
    l->local = *local;
    l->v6only = v6only;
    parameters_give(parameters, &l->options);
    settle_encapsulation(&l->options);
    l->owner = owner;
    if (!open_first(l)) {
        free(l);
        return NULL;
    }
    l->next = listeners;
    listeners = l;
    return l;
}

/* Who has come in for a listener that is gone is reset, as by TCP. */
static void turn_away(const struct listener *l)
{
    struct association **at = &arrived;

    while (*at) {
        struct association *a = *at;

        if (a->listener != l) {
            at = &a->next_arrived;
            continue;
        }
        *at = a->next_arrived;
        stack_abort(a);
    }
    arrived_end = at;
}

void stack_unlisten(struct listener *l)
{
    struct listener **at = &listeners;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    turn_away(l);
    while (l->endpoints) {
        struct endpoint *e = l->endpoints;

        l->endpoints = e->next;
        usrsctp_close(e->socket);
        sources_drop(e->sources);
        free(e);
    }
    loop_free(l);
}

static struct endpoint *endpoint_at(const struct listener *l, const union address *spot)
{
    for (struct endpoint *e = l->endpoints; e; e = e->next)
        for (size_t i = 0; i < e->locals.count; i++)
            if (address_equal(&e->locals.at[i], spot))
                return e;
    return NULL;
}

/* The endpoint of this listener that is called there; a wildcard's is made when it is. */
static struct endpoint *find_endpoint(struct listener *l, const union address *spot,
                                      const union address *to)
{
    struct addresses one = {.count = 1, .at = {*spot}};
    struct endpoint *e = endpoint_at(l, spot);

    return e || !may_open_at(l, to) ? e : open_endpoint(l, &one);
}

struct endpoint *listen_called(const union address *spot, const union address *to,
                               const union address *from, uint8_t chunk)
{
    struct endpoint *called = NULL;
    struct listener *next;

    for (struct listener *l = listeners; l; l = next) {
        struct endpoint *e;

        next = l->next;
        if (address_port(&l->local) != address_port(to) ||
            (!endpoint_at(l, spot) && !may_open_at(l, to)))
            continue;
        if (chunk == CHUNK_INIT && !user->present(l->owner)) {
            stack_unlisten(l);
            continue;
        }
        e = find_endpoint(l, spot, to);
        if (e && chunk == CHUNK_COOKIE_ECHO) {
            socket_set_path(e->socket, from, &l->options);
            socket_set_buffers(e->socket, &l->options);
            called = e;
        }
    }
    return called;
}

static void take_arrival(struct endpoint *e, struct socket *socket, const union address *to,
                         const union address *from, uint32_t tag)
{
    struct association *a = association_make(socket, &e->listener->options);
    struct sctp_udpencaps encapsulation = {0};
    socklen_t len = sizeof encapsulation;

    if (!a) {
        socket_reset_on_close(socket);
        usrsctp_close(socket);
        return;
    }
    usrsctp_set_non_blocking(socket, 1);
    a->local = *to;
    a->remote = *from;
    a->tag = tag;
    a->sources = sources_share(e->sources);
    memcpy(&encapsulation.sue_address, &a->remote, address_len(&a->remote));
    if (usrsctp_getsockopt(socket, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation,
                           &len) == 0)
        a->remote_udp = encapsulation.sue_port;
    association_enter(a);
    association_up(a);
    a->listener = e->listener;
    a->next_arrived = NULL;
    *arrived_end = a;
    arrived_end = &a->next_arrived;
}

void listen_accept(struct endpoint *e, const union address *to, uint32_t tag)
{
    struct socket *socket;
    union address from = {0};
    socklen_t len = sizeof from;

    while ((socket = usrsctp_accept(e->socket, &from.any, &len))) {
        socket_peer(&from);
        take_arrival(e, socket, to, &from, tag);
        len = sizeof from;
    }
}

void listen_take_arrivals(void)
{
    while (arrived) {
        struct association *a = arrived;

        arrived = a->next_arrived;
        if (!arrived)
            arrived_end = &arrived;
        user->arrived(a->listener->owner, a);
    }
}
