/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Associations over libusrsctp: one socket each, bound to the one address that the kernel would
 * send from, so that nothing is offered to the peer that was not meant; or to those that
 * LOCAL_ADDRS says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "../params.h"
#include "loop.h"
#include "packets.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"
#include "usrsctp_sources.h"

enum { HASH = 4096 };

static struct association *table[HASH]; /* by their ports */

/* The library calls back while it holds its locks, so nothing is done there. */
static void upcall(struct socket *socket, void *argument, int flags)
{
    struct association *a = argument;

    (void)socket, (void)flags;
    wake(&a->wake);
}

/* ---- By their ports ---- */

static struct association **bucket_of(in_port_t local, in_port_t remote)
{
    return &table[address_ports_hash(local, remote) % HASH];
}

void association_enter(struct association *a)
{
    struct association **bucket = bucket_of(address_port(&a->local), address_port(&a->remote));

    a->next_of_ports = *bucket;
    *bucket = a;
}

static void leave(struct association *a)
{
    struct association **at = bucket_of(address_port(&a->local), address_port(&a->remote));

    while (*at && *at != a)
        at = &(*at)->next_of_ports;
    if (*at)
        *at = a->next_of_ports;
}

static bool is_peers(const struct association *a, const union address *host)
{
    union address name = *host;

    address_set_port(&name, address_port(&a->remote));
    if (address_equal(&a->remote, &name))
        return true;
    address_set_port(&name, 0);
    for (size_t i = 0; a->peer && i < a->peer->list.count; i++)
        if (address_equal(&a->peer->list.at[i], &name))
            return true;
    return false;
}

struct association *association_find(in_port_t local, in_port_t remote, const union address *peer)
{
    struct association *a;

    for (a = *bucket_of(local, remote); a; a = a->next_of_ports)
        if (address_port(&a->local) == local && address_port(&a->remote) == remote &&
            is_peers(a, peer))
            return a;
    return NULL;
}

/* ---- Making and unmaking ---- */

/* What an association that may have several paths has to know later on. */
static bool keep_options(struct association *a, const struct options *o)
{
    a->options = malloc(sizeof *o);
    a->peer = calloc(1, sizeof *a->peer);
    if (!a->options || !a->peer)
        return false;
    *a->options = *o;
    return true;
}

static void unmake(struct association *a)
{
    usrsctp_set_upcall(a->socket, NULL, NULL);
    sources_drop(a->sources);
    free(a->options);
    free(a->peer);
    usrsctp_associations--;
}

struct association *association_make(struct socket *socket, const struct options *o)
{
    struct association *a = calloc(1, sizeof *a);
    uint32_t most = socket_buffer_share(o->sndbuf) / 2;

    if (!a)
        return NULL;
    a->socket = socket;
    a->convention.ppid = htonl(o->ppid);
    a->convention.stream = (uint16_t)o->stream;
    a->chunk = o->chunk < most ? o->chunk : most;
    a->max_burst = o->max_burst;
    a->rto_initial = o->rto_initial;
    a->rto_min = o->rto_min;
    a->rto_floor = params_rto_floor(o);
    usrsctp_set_upcall(socket, upcall, a);
    usrsctp_associations++;
    if (several_wanted(o) && !keep_options(a, o)) {
        unmake(a);
        free(a);
        return NULL;
    }
    return a;
}

void association_fail(struct association *a, int error)
{
    if (!a->convention.error)
        a->convention.error = error;
    a->convention.lost = true;
    a->failed |= !a->up;
}

static void discard(struct association *a)
{
    struct socket *socket = a->socket;

    unmake(a);
    usrsctp_close(socket);
    wake_forget(&a->wake);
    leave(a);
    loop_free(a);
}

void stack_abort(struct association *a)
{
    socket_reset_on_close(a->socket);
    discard(a);
}

void stack_release(struct association *a)
{
    /* What is not read when it closes, a notification even, would turn the good-bye into a reset. */
    (void)stack_alive(a);
    discard(a);
}

struct convention *association_convention(struct association *a)
{
    return &a->convention;
}

void stack_adopt(struct association *a, void *owner)
{
    a->wake.owner = owner;
    wake(&a->wake);
}

void stack_names(struct association *a, union address *local, union address *remote)
{
    *local = a->local;
    *remote = a->remote;
}

size_t stack_chunk(const struct association *a)
{
    return a->chunk;
}

/* ---- Connecting ---- */

/* Which addresses an attempt has, at both ends. */
struct ends {
    struct addresses local, remote;
    bool four, six;
};

static void remote_addresses(struct ends *ends, const union address *remote,
                             const struct addresses *peers)
{
    ends->remote = (struct addresses){.count = 1, .at = {*remote}};
    for (size_t i = 0; i < peers->count; i++) {
        union address other = peers->at[i];

        address_unmap(&other);
        address_set_port(&other, address_port(remote));
        addresses_add(&ends->remote, &other);
    }
    for (size_t i = 0; i < ends->remote.count; i++) {
        ends->four |= ends->remote.at[i].any.sa_family == AF_INET;
        ends->six |= ends->remote.at[i].any.sa_family == AF_INET6;
    }
}

/* The port that it was bound to in the end. */
static void take_port(struct association *a)
{
    struct sockaddr *names;

    if (usrsctp_getladdrs(a->socket, 0, &names) <= 0)
        return;
    address_set_port(&a->local, ((struct sockaddr_in *)(void *)names)->sin_port);
    usrsctp_freeladdrs(names);
}

/* Until the paths are known one by one, packets fit all of them. */
static const union address *narrowest(const struct addresses *list, const struct options *o)
{
    const union address *least = &list->at[0];

    for (size_t i = 1; i < list->count; i++)
        if (path_size(&list->at[i], o) < path_size(least, o))
            least = &list->at[i];
    return least;
}

static struct association *begin(struct socket *socket, const struct ends *ends,
                                 const struct options *o, void *owner)
{
    struct association *a;
    char packed[PACKED_MAX];

    if (!socket_bind(socket, &ends->local))
        return NULL;
    a = association_make(socket, o);
    if (!a) {
        errno = ENOBUFS;
        return NULL;
    }
    a->wake.owner = owner;
    a->local = ends->local.at[0];
    a->remote = ends->remote.at[0];
    a->remote_udp = htons(params_udp_port(o));
    if (a->peer)
        a->peer->list = ends->remote;
    for (size_t i = 0; a->peer && i < a->peer->list.count; i++)
        address_set_port(&a->peer->list.at[i], 0);
    take_port(a);
    a->sources = sources_of(address_port(&a->local), &ends->local);
    socket_set_path(socket, narrowest(&ends->remote, o), o);
    addresses_pack(&ends->remote, packed);
    usrsctp_io_probe.tag = 0;
    usrsctp_io_probe.tag_wanted = true;
    if (usrsctp_connectx(socket, (struct sockaddr *)(void *)packed, (int)ends->remote.count, NULL) < 0 &&
        errno != EINPROGRESS) {
        int error = errno;

        unmake(a);
        free(a);
        errno = error;
        return NULL;
    }
    usrsctp_io_probe.tag_wanted = false;
    a->tag = usrsctp_io_probe.tag;
    association_enter(a);
    return a;
}

/* Where the kernel would send from, towards the first of them that there is a way to. */
static int find_route(const struct addresses *remote, union address *route)
{
    int error = 0;

    for (size_t i = 0; i < remote->count; i++) {
        uint32_t mtu;
        int failed = packets_route(&remote->at[i], route, &mtu);

        if (!failed)
            return 0;
        error = error ? error : failed;
    }
    return error;
}

struct association *stack_connect(const union address *local, const union address *remote,
                                  const struct parameters *parameters, void *owner)
{
    struct ends ends = {.four = false};
    struct options o;
    union address route = {0};
    struct socket *socket;
    struct association *a;
    int error;

    parameters_give(parameters, &o);
    settle_encapsulation(&o);
    remote_addresses(&ends, remote, &parameters->peers);
    error = find_route(&ends.remote, &route);
    if (!address_is_any(local)) {
        route = *local;
    } else if (error) {
        errno = error;
        return NULL;
    }
    address_set_port(&route, address_port(local));
    local_addresses(local, &route, ends.four, ends.six, &o, &ends.local);
    socket = socket_make(ends.six ? AF_INET6 : AF_INET, ends.four, &o);
    if (!socket) {
        errno = ENOBUFS;
        return NULL;
    }
    a = begin(socket, &ends, &o, owner);
    if (!a) {
        error = errno;
        usrsctp_close(socket);
        errno = error;
    }
    return a;
}
