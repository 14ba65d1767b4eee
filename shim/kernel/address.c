/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket addresses by TCP's rules: which are taken, and where they lead. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { SIN6_LEN_RFC2133 = 24 }; /* TCP takes a sockaddr_in6 without its last field */

int address_take(int fd, const struct sockaddr *addr, socklen_t *len, union address *to)
{
    bool six = fd_family(fd) == AF_INET6;

    if (*len < (six ? SIN6_LEN_RFC2133 : sizeof to->in))
        return EINVAL;
    memset(to, 0, sizeof *to);
    memcpy(to, addr, *len < sizeof *to ? *len : sizeof *to);
    *len = six ? sizeof to->in6 : sizeof to->in;
    return to->any.sa_family == (six ? AF_INET6 : AF_INET) ? 0 : EAFNOSUPPORT;
}

/*
 * SCTP keeps sending INIT where there is no route; TCP fails at once. A datagram socket's connect
 * is a route lookup and nothing else. 0, or the errno of the lookup.
 */
static int route_error(const union address *to, socklen_t len)
{
    int probe = libc.socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    int error = 0;

    if (probe < 0)
        return 0;
    if (libc.connect(probe, &to->any, len) < 0)
        error = errno;
    /* A broadcast address, or a route that prohibits: the first is refused to datagrams by default. */
    if (error == EACCES && set_int_option(probe, SOL_SOCKET, SO_BROADCAST, 1) == 0 &&
        libc.connect(probe, &to->any, len) == 0)
        error = ENETUNREACH;
    libc.close(probe);
    return error;
}

int address_reach(union address *to, socklen_t len)
{
    if (to->any.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_UNSPECIFIED(&to->in6.sin6_addr))
            to->in6.sin6_addr = in6addr_loopback;
        if (IN6_IS_ADDR_MULTICAST(&to->in6.sin6_addr))
            return ENETUNREACH;
    } else {
        if (to->in.sin_addr.s_addr == INADDR_ANY)
            to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (IN_MULTICAST(ntohl(to->in.sin_addr.s_addr)))
            return ENETUNREACH;
    }
    return route_error(to, len);
}

/*
 * All of 127/8 is this host, but SCTP's wildcard listeners answer only at addresses that an
 * interface has, and of those there is 127.0.0.1. (Debian gives a host's own name 127.0.1.1.)
 */
static bool in_loopback_net(const union address *to)
{
    uint32_t addr = ntohl(to->in.sin_addr.s_addr);

    return to->any.sa_family == AF_INET && addr >> 24 == IN_LOOPBACKNET && addr != INADDR_LOOPBACK;
}

/*
 * A line of the kernel's list of endpoints: pointers and numbers, padded with blanks on either side,
 * then the addresses. What LOCAL_ADDRS makes of a wildcard has the loopback address beside others;
 * a program that binds loopback alone means it.
 */
static void read_endpoint(char *line, const char *address, const char *port, bool *there,
                          bool *wildcard)
{
    enum { STATE = 3, PORT = 5, ADDRESSES = 8 };
    bool any = false, home = false;
    unsigned column = 0;
    char *rest;

    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        unsigned here = column++;

        if ((here == STATE && strcmp(word, "10") != 0) || (here == PORT && strcmp(word, port) != 0))
            return;
        if (here < ADDRESSES)
            continue;
        *there |= strcmp(word, address) == 0;
        home |= strcmp(word, "127.0.0.1") == 0;
        any |= strcmp(word, "0.0.0.0") == 0 ||
               strcmp(word, "0000:0000:0000:0000:0000:0000:0000:0000") == 0;
    }
    *wildcard |= any || (home && column > ADDRESSES + 1);
}

/* At which addresses do sockets listen on this port? */
static void find_listeners(const union address *to, bool *there, bool *wildcard)
{
    char address[INET_ADDRSTRLEN], port[8], line[512];
    const unsigned char *a = (const unsigned char *)&to->in.sin_addr;
    FILE *list = fopen("/proc/net/sctp/eps", "re");

    *there = *wildcard = false;
    if (!list)
        return;
    snprintf(address, sizeof address, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    snprintf(port, sizeof port, "%u", ntohs(to->in.sin_port));
    while (fgets(line, sizeof line, list))
        read_endpoint(line, address, port, there, wildcard);
    fclose(list);
}

bool address_is_loopback_alias(const union address *to)
{
    bool there, wildcard;

    if (!in_loopback_net(to))
        return false;
    find_listeners(to, &there, &wildcard);
    return wildcard && !there;
}
