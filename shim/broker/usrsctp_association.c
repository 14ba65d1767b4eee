/* SPDX-License-Identifier: BSD-3-Clause */
/* Associations over libusrsctp: one socket each. How packets find them, and how they end. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "../params.h"
#include "loop.h"
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

void association_unmake(struct association *a)
{
    int error = errno;

    unmake(a);
    free(a);
    errno = error;
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
        association_unmake(a);
        return NULL;
    }
    return a;
}

void association_take_port(struct association *a)
{
    struct sockaddr *names;

    if (usrsctp_getladdrs(a->socket, 0, &names) <= 0)
        return;
    address_set_port(&a->local, ((struct sockaddr_in *)(void *)names)->sin_port);
    usrsctp_freeladdrs(names);
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
