/* SPDX-License-Identifier: BSD-3-Clause */
/* The passive side: the program's listening socket is on loopback, and the broker connects to it. */
#include <errno.h>
#include <string.h>

#include "../kernel/internal.h"
#include "../libc.h"
#include "../log.h"
#include "internal.h"
#include "userspace.h"

int leg_bind(int fd, const union address *leg)
{
    union address name = *leg;
    int domain = fd_family(fd);

    if (domain == AF_INET6 && int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) {
        /* Legs are IPv4, whatever goes over them. The program will be told what it has set. */
        fd_info(fd)->v6only = 1;
        set_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    address_fit(&name, domain);
    return libc.bind(fd, &name.any, address_len(&name));
}

/* Old programs leave the family out; TCP lets them. */
static void complete_family(int fd, union address *name)
{
    if (name->any.sa_family == AF_UNSPEC && name->in.sin_addr.s_addr == INADDR_ANY &&
        fd_family(fd) == AF_INET)
        name->any.sa_family = AF_INET;
}

/* Is it an address that one may bind here? A datagram socket tells; 0 or the errno. */
static int local_error(const union address *name)
{
    union address probe = *name;
    int fd, error = 0;

    if (address_is_any(name))
        return 0;
    fd = libc.socket(name->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return 0;
    address_set_port(&probe, 0);
    if (libc.bind(fd, &probe.any, address_len(&probe)) < 0)
        error = errno;
    libc.close(fd);
    return error;
}

/* The rule for who listens here, for who binds mostly does. */
static bool is_left_to_tcp(int fd, const union address *name)
{
    struct rule_use use = {.roles = ROLE_LISTEN};

    return rule_birth.open && rule_name(&use.local, &name->any) && leg_left_to_tcp(fd, &use);
}

int userspace_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_storage given = {0};
    union address name, leg, none = {0};
    bool v6only;
    int error;

    if (len < sizeof addr->sa_family || len > sizeof given || check_readable(fd, addr, sizeof(int)) < 0)
        return libc.bind(fd, addr, len); /* the kernel has the right error for it */
    memcpy(&given, addr, len);
    complete_family(fd, (union address *)(void *)&given);
    error = address_take(fd, (struct sockaddr *)&given, &len, &name);
    if (!error)
        error = local_error(&name);
    if (error) {
        errno = error;
        return -1;
    }
    if (is_left_to_tcp(fd, &name) || options_of(fd)->action == ACTION_PREFER)
        return libc.bind(fd, &name.any, address_len(&name));
    v6only = name.any.sa_family == AF_INET6 && int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    address_to_leg(&name, v6only, &leg);
    if (leg_bind(fd, &leg) < 0)
        return -1;
    names_keep(fd, &name, &none);
    return 0;
}

/* What the program bound, for the broker; what only the broker knows is left open. */
static bool bound_name(int fd, const union address *leg, union address *name)
{
    socklen_t len = sizeof *name;

    memset(name, 0, sizeof *name);
    if (userspace_getsockname(fd, &name->any, &len) < 0)
        return false;
    address_set_port(name, address_port(leg));
    return true;
}

static int announce(int fd, const union address *leg)
{
    struct request request;
    struct answer answer;

    request_begin(&request, REQUEST_LISTEN);
    request.leg = *leg;
    if (!bound_name(fd, leg, &request.local))
        return errno;
    request.v6only = request.local.any.sa_family == AF_INET6 && fd_info(fd)->v6only;
    return broker_arrange(fd, &request, &answer, "nobody can connect to this program");
}

/* A port of the kernel's choice, at no particular address. */
static int bind_unbound(int fd)
{
    static const union address any = {.in = {.sin_family = AF_INET}};
    union address name = {.any = {.sa_family = (sa_family_t)fd_family(fd)}}, leg;

    if (is_left_to_tcp(fd, &name) || options_of(fd)->action == ACTION_PREFER)
        return libc.bind(fd, &name.any, address_len(&name));
    address_to_leg(&any, false, &leg);
    return leg_bind(fd, &leg);
}

/* Bound where the program has said, TCP is what a listener can be whatever the broker says. */
static void listen_both(int fd, const union address *name)
{
    union address leg;
    int error = EADDRNOTAVAIL;

    both_leg(name, leg_network | LEG_ANY, &leg);
    if (both_callable(fd, name))
        error = announce(fd, &leg);
    if (error)
        both_left_to_tcp(fd, name, error);
}

int userspace_listen(int fd, int backlog)
{
    union address leg, peer;
    int error;

    if (fd_sealed() || leg_peer(fd, &peer) || !leg_name(fd, &leg))
        return libc.listen(fd, backlog);
    if ((!address_port(&leg) || address_is_leg_out(&leg)) &&
        (bind_unbound(fd) < 0 || !leg_name(fd, &leg)))
        return -1;
    if (address_is_leg(&leg))
        congestion_of_leg(fd);
    if (libc.listen(fd, backlog) < 0)
        return -1;
    if (!fd_is_leg(fd))
        return 0; /* by a rule */
    if (!address_is_leg(&leg)) {
        listen_both(fd, &leg);
        return 0;
    }
    error = announce(fd, &leg);
    if (!error)
        return 0;
    libc.shutdown(fd, SHUT_RD); /* it listens no more */
    errno = error;
    return -1;
}

static bool is_brokers(const union address *peer)
{
    return address_is_leg(peer) && address_leg_host(peer) >= LEG_BROKER;
}

/*
 * Who connects to the leg without being the broker's is no peer of the program's: anybody on this
 * machine could. The broker alone knows its own connections.
 */
static bool is_invited(int fd, int listener, const union address *peer, union address *local,
                       union address *remote)
{
    struct request request;
    struct answer answer;

    request_begin(&request, REQUEST_NAMES);
    if (!leg_name(fd, &request.leg) || !is_brokers(peer))
        return false;
    request.other = *peer;
    if (fd_sealed()) {
        *local = request.leg; /* a sandboxed program cannot ask */
        *remote = request.other;
        return true;
    }
    if (!broker_ask(listener, &request, &answer, false) || answer.error)
        return false;
    *local = answer.local;
    *remote = answer.remote;
    return true;
}

/* Who comes to the address that the program has said, and is not the broker, comes over TCP. */
static bool is_over_tcp(int listener, const union address *peer)
{
    union address name;

    return !is_brokers(peer) && leg_name(listener, &name) && !address_is_leg(&name);
}

static void adopt(int fd, int listener, const union address *local, const union address *remote)
{
    /* Linux gives what comes over IPv6 the option, whatever its listener has. */
    fd_info(fd)->v6only = remote->any.sa_family == AF_INET6;
    fd_info(fd)->rule = fd_info(listener)->rule;
    names_keep(fd, local, remote);
    congestion_of_leg(fd);
}

int userspace_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (addr && (!len || (int)*len < 0))
        return libc.accept4(fd, addr, len, flags); /* which takes the connection, and fails */
    for (;;) {
        /* One that has been reset since says nowhere else who its peer was. */
        union address local, remote, peer = {0};
        socklen_t size = sizeof peer;
        int saved = errno, accepted = libc.accept4(fd, &peer.any, &size, flags);
        bool welcome;

        if (accepted < 0)
            return -1;
        if (is_over_tcp(fd, &peer)) {
            accepted_over_tcp(accepted);
            remote = peer;
            welcome = true;
        } else {
            fd_adopt(accepted, FD_LEG);
            welcome = is_invited(accepted, fd, &peer, &local, &remote);
            if (welcome)
                adopt(accepted, fd, &local, &remote);
        }
        if (welcome) {
            if (addr)
                name_answer(accepted, &remote, addr, len);
            errno = saved;
            return accepted;
        }
        log_info("a connection that is not the broker's was turned away");
        fd_forget(accepted);
        libc.close(accepted);
    }
}
