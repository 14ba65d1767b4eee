/* SPDX-License-Identifier: BSD-3-Clause */
/* The active side: the program's socket connects to where the broker holds its SYN. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../kernel/internal.h"
#include "../libc.h"
#include "../log.h"
#include "internal.h"
#include "userspace.h"

/* Some host of LEG_OUT's: a port that was used a moment ago is free under another one. */
static void choose_leg(union address *leg)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(leg, 0, sizeof *leg);
    leg->in.sin_family = AF_INET;
    leg->in.sin_addr.s_addr =
        htonl(leg_network | (LEG_OUT + (uint32_t)(now.tv_nsec / 64) % (LEG_BOUND - LEG_OUT)));
}

/*
 * Gives the socket its own end of the leg. One that is bound where the program has said has it; the
 * kernel has it call from 127.0.0.1, when that is nowhere in particular.
 */
static int bind_end(int fd, union address *leg)
{
    if (!leg_name(fd, leg))
        return -1;
    if (address_port(leg) && !address_is_leg(leg)) {
        both_leg(leg, INADDR_LOOPBACK, leg);
        return 0;
    }
    if (!address_port(leg))
        choose_leg(leg);
    /* A connect that failed has given back a port that the program had not asked for by number. */
    address_set_port(leg, 0);
    if ((leg_bind(fd, leg) < 0 && errno != EINVAL) || !leg_name(fd, leg))
        return -1;
    address_unmap(leg);
    return 0;
}

/* And says what the association's is to be. */
static int prepare(int fd, const union address *to, union address *leg, union address *local)
{
    socklen_t len = sizeof *local;

    if (bind_end(fd, leg) < 0)
        return -1;
    memset(local, 0, sizeof *local);
    if (address_is_leg_out(leg))
        local->any.sa_family = to->any.sa_family;
    else if (userspace_getsockname(fd, &local->any, &len) < 0)
        return -1;
    address_unmap(local);
    /* [::] of a socket that goes to IPv4 is 0.0.0.0. */
    if (address_is_any(local) && local->any.sa_family != to->any.sa_family) {
        in_port_t port = address_port(local);

        memset(local, 0, sizeof *local);
        local->any.sa_family = to->any.sa_family;
        address_set_port(local, port);
    }
    return 0;
}

int leg_start(int fd, const union address *to)
{
    struct request request;
    struct answer answer;
    union address hold, asked;
    int result, error;

    request_begin(&request, REQUEST_CONNECT);
    request.remote = *to;
    address_unmap(&request.remote);
    if (prepare(fd, &request.remote, &request.leg, &request.local) < 0)
        return -1;
    if (request.local.any.sa_family != request.remote.any.sa_family) {
        errno = ENETUNREACH; /* bound to an address of the other family */
        return -1;
    }
    asked = request.remote;
    address_fit(&asked, fd_family(fd));
    peers_of(fd, &asked, &request.parameters.peers);
    error = broker_arrange(fd, &request, &answer, "this program cannot connect");
    if (error) {
        errno = error;
        return -1;
    }
    names_keep(fd, &answer.local, &request.remote);
    congestion_of_leg(fd);
    hold = answer.hold;
    address_fit(&hold, fd_family(fd));
    result = libc.connect(fd, &hold.any, address_len(&hold));
    if (result < 0)
        errno = connect_error(fd, errno);
    return result;
}

/* To nobody over TCP, as the kernel finds before it has begun anything: ENETUNREACH. */
static int connect_nowhere(int fd)
{
    union address group = {.in = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP)}};

    if (fd_family(fd) == AF_INET6)
        group = (union address){.in6 = {.sin6_family = AF_INET6,
                                        .sin6_addr.s6_addr = {0xff, 0x02, [15] = 0x01}}};
    return libc.connect(fd, &group.any, address_len(&group));
}

/*
 * Two bytes of the address are too few to begin anything, but enough for the kernel to answer as
 * TCP does in every other state: EALREADY or waiting, 0 once, EISCONN, the error of an attempt that
 * failed, and the disconnection that AF_UNSPEC asks for. EINVAL means that it would begin; or that
 * SELinux wants more to see, and then an address that nobody can connect to asks the same.
 */
static bool kernel_answers(int fd, const struct sockaddr *addr, int *result)
{
    *result = libc.connect(fd, addr, sizeof addr->sa_family);
    if (*result < 0 && errno == EINVAL) {
        *result = connect_nowhere(fd);
        if (*result < 0 && errno == ENETUNREACH)
            return false;
    }
    if (*result < 0)
        errno = connect_error(fd, errno);
    return true;
}

static bool is_v6only(int fd)
{
    return fd_info(fd)->v6only || int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

static bool is_left_to_tcp(int fd, const union address *to)
{
    struct rule_use use = {.roles = ROLE_CONNECT};

    return rule_birth.open && rule_name(&use.remote, &to->any) && leg_left_to_tcp(fd, &use);
}

int userspace_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    union address to;
    int result, error;

    if (fd_sealed() || len < sizeof addr->sa_family || len > sizeof(struct sockaddr_storage))
        return libc.connect(fd, addr, len);
    if (kernel_answers(fd, addr, &result))
        return result;
    if (check_readable(fd, addr, sizeof(int)) < 0)
        return -1;
    error = address_take(fd, addr, &len, &to);
    if (!error && is_left_to_tcp(fd, &to))
        return libc.connect(fd, addr, len);
    if (!error && to.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&to.in6.sin6_addr) &&
        is_v6only(fd))
        error = ENETUNREACH;
    if (!error)
        error = address_reach(&to, len);
    if (error) {
        errno = error;
        return -1;
    }
    return leg_connect(fd, &to, len);
}

/* MSG_FASTOPEN: connect() and send() in one; data does not go with the first packet. */
ssize_t userspace_sendto(int fd, const void *buf, size_t len, int flags,
                         const struct sockaddr *addr, socklen_t addrlen)
{
    if (!(flags & MSG_FASTOPEN) || !addr)
        return libc.sendto(fd, buf, len, flags, addr, addrlen);
    if (userspace_connect(fd, addr, addrlen) < 0)
        return -1;
    return libc.send(fd, buf, len, flags & ~MSG_FASTOPEN);
}

ssize_t userspace_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct msghdr rest;

    if (!(flags & MSG_FASTOPEN) || !msg->msg_name)
        return libc.sendmsg(fd, msg, flags);
    if (userspace_connect(fd, msg->msg_name, msg->msg_namelen) < 0)
        return -1;
    rest = *msg;
    rest.msg_name = NULL;
    rest.msg_namelen = 0;
    return libc.sendmsg(fd, &rest, flags & ~MSG_FASTOPEN);
}
