/* SPDX-License-Identifier: BSD-3-Clause */
/* The active side: connect() and the life of a connect that is under way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "internal.h"
#include "kernel.h"

/*
 * With IP_RECVERR an ICMP error ends a connect as it does in TCP; without it SCTP retries in
 * silence. Only while connecting: later such errors must not disturb the association.
 */
static void recverr(int fd, bool on)
{
    struct fd_info *info = fd_info(fd);
    bool six = int_option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET) == AF_INET6;

    if (on == !!(info->flags & FDF_RECVERR_OURS) || (on && int_option(fd, IPPROTO_IP, IP_RECVERR, 0)))
        return;
    set_int_option(fd, IPPROTO_IP, IP_RECVERR, on); /* v6 sockets need it for mapped addresses */
    if (six)
        set_int_option(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
    info->flags ^= FDF_RECVERR_OURS;
}

static void connected(int fd, const struct sctp_status *status)
{
    recverr(fd, false);
    params_tune(fd, status);
    fd_set_kind(fd, FD_OPEN);
}

/* Errors after which the kernel has given up too; after others it goes on sending INIT. */
static bool is_final(int error)
{
    return error == ECONNREFUSED || error == ETIMEDOUT || error == ECONNRESET || error == EPIPE;
}

enum link link_settle(int fd)
{
    struct sctp_status status;
    struct pollfd poll = {.fd = fd, .events = POLLIN | POLLOUT};
    int error;

    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0) {
        connected(fd, &status);
        return LINK_UP;
    }
    if (fd_kind(fd) != FD_CONNECTING)
        return LINK_NONE;
    if (libc.poll(&poll, 1, 0) <= 0)
        return LINK_PENDING;
    /* Up and down again between two calls: the stream ended before this process looked. */
    if (!(poll.revents & POLLERR)) {
        fd_set_kind(fd, FD_OPEN);
        return LINK_UP;
    }
    error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
    fd_set_kind(fd, is_final(error) ? FD_FAILED : FD_STRANDED);
    errno = error ? error : ECONNREFUSED;
    return LINK_FAILED;
}

/*
 * poll() never restarts after a signal; TCP's connect() does if the handler said SA_RESTART. Which
 * handler ran cannot be asked, so it counts as restarting when all installed handlers say so.
 */
static bool signals_restart(void)
{
    bool handled = false;

    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        if (sigaction(number, NULL, &action) < 0 || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN)
            continue;
        if (!(action.sa_flags & SA_RESTART))
            return false;
        handled = true;
    }
    return handled;
}

int link_wait(int fd)
{
    int64_t limit = timeout_option(fd, SO_SNDTIMEO);
    int64_t deadline = limit < 0 ? -1 : now_ms() + limit;

    for (;;) {
        int ready = wait_for(fd, POLLOUT, deadline);

        if (ready < 0) {
            if (errno == EINTR && limit < 0 && signals_restart())
                continue;
            return -1;
        }
        if (ready == 0) {
            errno = EINPROGRESS;
            return -1;
        }
        switch (link_settle(fd)) {
        case LINK_UP:
            return 0;
        case LINK_PENDING:
            continue;
        case LINK_NONE:
            errno = ENOTCONN;
            return -1;
        case LINK_FAILED:
            return -1;
        }
    }
}

/*
 * Every port of the ephemeral range carries an association of ours: unlike TCP, SCTP does not
 * share one among destinations unless asked. So take one outside the range, shared.
 */
static int connect_shared_port(int fd, const union address *to, socklen_t len)
{
    union address from = {.in6 = {.sin6_family = to->any.sa_family}};
    int reuse = int_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    struct timespec seed;
    int result = -1;

    clock_gettime(CLOCK_MONOTONIC, &seed);
    set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    for (int tries = 0; tries < 128 && result < 0; tries++) {
        uint32_t mix = ((uint32_t)seed.tv_nsec + (uint32_t)tries) * 2654435761u;

        from.in.sin_port = htons((uint16_t)(1024 + (mix >> 16) % (65536 - 1024)));
        result = libc.bind(fd, &from.any, len);
    }
    set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
    if (result == 0)
        return libc.connect(fd, &to->any, len);
    errno = EADDRNOTAVAIL;
    return -1;
}

static int start_nonblocking(int fd, const union address *to, socklen_t len)
{
    int result = libc.connect(fd, &to->any, len);

    if (result < 0 && errno == EAGAIN && !(fd_info(fd)->flags & FDF_BOUND))
        result = connect_shared_port(fd, to, len);
    return result;
}

/* The kernel's blocking connect neither hears ICMP nor restarts: start it, and wait ourselves. */
static int start(int fd, const union address *to, socklen_t len)
{
    int flags = libc.fcntl(fd, F_GETFL, NULL);
    bool blocking = !(flags & O_NONBLOCK);
    int result, error;

    recverr(fd, true);
    if (blocking)
        libc.fcntl(fd, F_SETFL, (void *)(intptr_t)(flags | O_NONBLOCK));
    result = start_nonblocking(fd, to, len);
    error = errno;
    if (blocking)
        libc.fcntl(fd, F_SETFL, (void *)(intptr_t)flags);
    errno = error;
    if (result < 0 && error != EINPROGRESS)
        return -1;
    fd_info(fd)->flags |= FDF_CONNECT_DUE;
    fd_set_kind(fd, FD_CONNECTING);
    if (!blocking)
        return result;
    result = link_wait(fd);
    /* A blocking connect that failed leaves a TCP socket as good as new. */
    if (result < 0 && fd_kind(fd) == FD_FAILED)
        fd_set_kind(fd, FD_IDLE);
    if (result == 0)
        fd_info(fd)->flags &= (uint16_t)~FDF_CONNECT_DUE;
    return result;
}

/* connect() on a socket that connects already, or has just finished to. */
static int resume(int fd)
{
    struct fd_info *info = fd_info(fd);
    enum link link = fd_kind(fd) == FD_OPEN ? LINK_UP : link_settle(fd);

    if (link == LINK_PENDING) {
        if (is_nonblocking(fd)) {
            errno = EALREADY;
            return -1;
        }
        link = link_wait(fd) == 0 ? LINK_UP : LINK_FAILED;
        if (link == LINK_FAILED && errno == EINPROGRESS)
            errno = EALREADY; /* SO_SNDTIMEO ran out a second time */
    }
    if (link == LINK_UP) {
        info->flags &= (uint16_t)~FDF_CONNECT_DUE;
        return 0;
    }
    if (fd_kind(fd) == FD_FAILED)
        fd_set_kind(fd, FD_IDLE);
    return -1;
}

static int connect_new(int fd, const struct sockaddr *addr, socklen_t len)
{
    union address to;
    int error = address_take(fd, addr, &len, &to);
    int result;

    if (!error)
        error = address_reach(&to, len);
    if (error) {
        errno = error;
        return -1;
    }
    if (address_is_loopback_alias(&to)) {
        memcpy(&fd_info(fd)->peer, &to, len);
        fd_info(fd)->flags |= FDF_PEER_NAME;
        to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    /* The kernel still works on an attempt that has been reported as failed: leave it behind. */
    if (fd_kind(fd) == FD_STRANDED && socket_replace(fd) < 0)
        return -1;
    result = start(fd, &to, len);
    /* Every address that SCTP calls invalid now is one that TCP has no route to. */
    if (result < 0 && errno == EINVAL)
        errno = ENETUNREACH;
    return result;
}

int kernel_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (len < sizeof addr->sa_family || len > sizeof(struct sockaddr_storage) ||
        check_readable(fd, addr, sizeof(int)) < 0)
        return libc.connect(fd, addr, len); /* the kernel has the right error for it */
    if (addr->sa_family == AF_UNSPEC)
        return socket_replace(fd);
    switch (fd_kind(fd)) {
    case FD_CONNECTING:
        return resume(fd);
    case FD_OPEN:
        if (fd_info(fd)->flags & FDF_CONNECT_DUE)
            return resume(fd);
        errno = EISCONN;
        return -1;
    case FD_LISTENING:
        errno = EISCONN;
        return -1;
    case FD_FAILED:
        /* TCP reports the failure once more, then the socket may connect again. */
        fd_set_kind(fd, FD_IDLE);
        errno = ECONNABORTED;
        return -1;
    default:
        return connect_new(fd, addr, len);
    }
}
