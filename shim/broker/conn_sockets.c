/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack over libusrsctp's public functions, for a version of it whose insides
 * usrsctp_internal.h does not describe: one path, AF_CONN sockets that are bound to a way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../log.h"
#include "../params.h"
#include "conn_ways.h"
#include "packets.h"
#include "usrsctp_socket.h"
#include "usrsctp_sources.h"

bool stack_fits(void)
{
    return true; /* public functions do not change */
}

/* ---- One path ---- */

bool several_wanted(const struct options *o)
{
    if (paths_are_wanted(o) || o->cmt != CMT_OFF)
        log_warn_once("several paths are wanted: over the library's public functions there is one");
    return false;
}

/* A listener's endpoints are made when they are called: before that there is no way. */
void local_addresses(const union address *bound, const union address *first, bool four, bool six,
                     const struct options *o, struct addresses *list)
{
    (void)bound, (void)first, (void)four, (void)six, (void)o;
    list->count = 0;
}

void paths_up(struct association *a)
{
    (void)a;
}

void paths_confirmed(struct association *a)
{
    (void)a;
}

/* ---- Sockets ---- */

bool socket_bind(struct socket *socket, const struct addresses *list)
{
    struct sockaddr_conn name = way_name(&list->at[0]);

    return usrsctp_bind(socket, (struct sockaddr *)(void *)&name, sizeof name) == 0;
}

struct socket *socket_for(const struct addresses *list, const struct options *o)
{
    struct socket *socket = socket_make(AF_CONN, false, o);
    int on = 1;

    (void)list;
    if (socket)
        socket_set(socket, SCTP_RECVRCVINFO, &on, sizeof on, "what messages say of themselves");
    return socket;
}

void socket_peer(union address *name)
{
    struct sockaddr_conn conn;
    union address spot, local;

    memcpy(&conn, name, sizeof conn);
    spot = way_of(conn.sconn_addr, conn.sconn_port);
    if (way_ends(&spot, &local, name))
        address_set_port(name, conn.sconn_port);
}

/* ---- Connecting ---- */

static struct association *begin(struct socket *socket, const union address *spot,
                                 const union address *remote, const struct options *o, void *owner)
{
    struct association *a = association_make(socket, o);
    struct sockaddr_conn name = way_name(spot);

    if (!a) {
        errno = ENOBUFS;
        return NULL;
    }
    a->wake.owner = owner;
    a->remote = *remote;
    a->remote_udp = htons(params_udp_port(o));
    a->sources = sources_of(0, &(struct addresses){.count = 1, .at = {*spot}});
    socket_set_path(socket, remote, o);
    name.sconn_port = address_port(remote);
    if (usrsctp_connect(socket, (struct sockaddr *)(void *)&name, sizeof name) < 0 &&
        errno != EINPROGRESS) {
        association_unmake(a);
        return NULL;
    }
    return a;
}

static struct association *connect_from(const union address *from, const union address *remote,
                                        const struct options *o, void *owner)
{
    struct addresses list = {.count = 1};
    union address to = *remote;
    struct association *a;
    struct socket *socket;

    address_set_port(&to, htons(params_udp_port(o)));
    if (!way_spot(from, &to, address_port(from), &list.at[0])) {
        errno = ENOBUFS;
        return NULL;
    }
    socket = socket_at(&list, o);
    if (!socket)
        return NULL;
    a = begin(socket, &list.at[0], remote, o, owner);
    if (!a) {
        socket_drop(socket);
        return NULL;
    }
    a->local = *from;
    association_take_port(a);
    association_enter(a);
    return a;
}

struct association *stack_connect(const union address *local, const union address *remote,
                                  const struct parameters *parameters, void *owner)
{
    union address from = {0};
    struct options o;
    uint32_t mtu;
    int error;

    parameters_give(parameters, &o);
    settle_encapsulation(&o);
    error = packets_route(remote, &from, &mtu);
    if (!address_is_any(local))
        from = *local;
    else if (error) {
        errno = error;
        return NULL;
    }
    address_set_port(&from, address_port(local));
    return connect_from(&from, remote, &o, owner);
}
