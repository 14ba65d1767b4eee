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
    int domain = leg_domain(fd);

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
        leg_domain(fd) == AF_INET)
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
    if (is_left_to_tcp(fd, &name))
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

static int announce(int fd)
{
    struct request request;
    struct answer answer;

    request_begin(&request, REQUEST_LISTEN);
    if (!leg_name(fd, &request.leg) || !bound_name(fd, &request.leg, &request.local))
        return errno;
    request.v6only = request.local.any.sa_family == AF_INET6 && fd_info(fd)->v6only;
    return broker_arrange(fd, &request, &answer, "nobody can connect to this program");
}

int userspace_listen(int fd, int backlog)
{
    static const union address any = {.in = {.sin_family = AF_INET}};
    union address leg, peer;
    int error;

    if (fd_sealed() || leg_peer(fd, &peer) || !leg_name(fd, &leg))
        return libc.listen(fd, backlog);
    if (!address_port(&leg)) {
        address_to_leg(&any, false, &leg);
        if (leg_bind(fd, &leg) < 0)
            return -1;
    }
    if (libc.listen(fd, backlog) < 0)
        return -1;
    error = announce(fd);
    if (!error)
        return 0;
    libc.shutdown(fd, SHUT_RD); /* it listens no more */
    errno = error;
    return -1;
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
    union address plain = *peer;

    request_begin(&request, REQUEST_NAMES);
    if (!leg_name(fd, &request.leg))
        return false;
    request.other = *peer;
    address_unmap(&plain);
    if (!address_is_leg(&plain) || address_leg_host(&plain) < LEG_BROKER)
        return false;
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

int userspace_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (addr && (!len || (int)*len < 0))
        return libc.accept4(fd, addr, len, flags); /* which takes the connection, and fails */
    for (;;) {
        /* One that has been reset since says nowhere else who its peer was. */
        union address local, remote, peer = {0};
        socklen_t size = sizeof peer;
        int saved = errno, accepted = libc.accept4(fd, &peer.any, &size, flags);

        if (accepted < 0)
            return -1;
        fd_adopt(accepted, FD_LEG);
        if (is_invited(accepted, fd, &peer, &local, &remote)) {
            /* Linux gives what comes over IPv6 the option, whatever its listener has. */
            fd_info(accepted)->v6only = remote.any.sa_family == AF_INET6;
            fd_info(accepted)->rule = fd_info(fd)->rule;
            names_keep(accepted, &local, &remote);
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
