/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel's routes say of the way to a host. */
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>
#include <unistd.h>

#include "packets_internal.h"

enum { ROUTE_AGE = 2000 /* ms after which a route is looked up again */ };

static struct {
    union address name, from; /* `from` is AF_UNSPEC without a route */
    uint32_t limit;
    int64_t at;
} routes[KNOWN_HOSTS];

size_t packets_slot(const union address *to)
{
    const unsigned char *bytes = (const unsigned char *)to;
    uint32_t hash = 2166136261u;

    for (socklen_t i = 0; i < address_len(to); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (hash ^ hash >> 16) % KNOWN_HOSTS;
}

int packets_route(const union address *to, union address *from, uint32_t *mtu)
{
    bool six = to->any.sa_family == AF_INET6;
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    socklen_t len = sizeof *from, size = sizeof(int);
    int found = 0, error = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, &to->any, address_len(to)) < 0)
        error = errno;
    else
        getsockname(fd, &from->any, &len);
    if (getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU : IP_MTU, &found, &size) == 0)
        *mtu = (uint32_t)found;
    else
        *mtu = six ? 1280 : 1500;
    address_set_port(from, 0);
    close(fd);
    return error;
}

/* What is known of the way to this host, asked for again now and then. */
static size_t route_to(const union address *to)
{
    union address host = *to;
    uint32_t mtu;
    size_t slot;

    address_set_port(&host, 0);
    slot = packets_slot(&host);
    if (address_equal(&routes[slot].name, &host) && loop_now() - routes[slot].at < ROUTE_AGE)
        return slot;
    memset(&routes[slot].from, 0, sizeof routes[slot].from);
    if (packets_route(to, &routes[slot].from, &mtu) != 0)
        routes[slot].from.any.sa_family = AF_UNSPEC;
    mtu -= host.any.sa_family == AF_INET6 ? ENCAPSULATION_V6 : ENCAPSULATION_V4;
    routes[slot].name = host;
    routes[slot].limit = mtu < LARGEST_PACKET ? mtu : LARGEST_PACKET;
    routes[slot].at = loop_now();
    return slot;
}

uint32_t packets_limit(const union address *to)
{
    return routes[route_to(to)].limit;
}

const union address *packets_source(const union address *to)
{
    const union address *from = &routes[route_to(to)].from;

    return from->any.sa_family == AF_UNSPEC ? NULL : from;
}
