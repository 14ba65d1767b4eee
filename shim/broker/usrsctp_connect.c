/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connecting over libusrsctp: from the one address that the kernel would send from, so that nothing
 * is offered to the peer that was not meant; or from those that LOCAL_ADDRS says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../params.h"
#include "packets.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"
#include "usrsctp_sources.h"

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
    association_take_port(a);
    a->sources = sources_of(address_port(&a->local), &ends->local);
    socket_set_path(socket, narrowest(&ends->remote, o), o);
    addresses_pack(&ends->remote, packed);
    usrsctp_io_probe.tag = 0;
    usrsctp_io_probe.tag_wanted = true;
    if (usrsctp_connectx(socket, (struct sockaddr *)(void *)packed, (int)ends->remote.count, NULL) < 0 &&
        errno != EINPROGRESS) {
        association_unmake(a);
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
    if (!a)
        socket_drop(socket);
    return a;
}
