/* SPDX-License-Identifier: BSD-3-Clause */
/* The passive side: bind, listen, accept. */
#include <string.h>

#include "internal.h"
#include "kernel.h"

int kernel_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    int result = libc.bind(fd, addr, len);

    if (result == 0)
        fd_info(fd)->flags |= FDF_BOUND;
    return result;
}

/*
 * A full backlog refuses clients in SCTP, where TCP lets them retry: ask for the longest one
 * (the kernel clamps to net.core.somaxconn). Zero would even stop listening.
 */
int kernel_listen(int fd, int backlog)
{
    int result;

    (void)backlog;
    result = libc.listen(fd, INT32_MAX);
    if (result == 0)
        fd_set_kind(fd, FD_LISTENING);
    return result;
}

static void inherit_tos(int listener, int fd)
{
    int tos = int_option(listener, IPPROTO_IP, IP_TOS, 0) & ~3; /* the low bits are ECN's */
    int class = int_option(listener, IPPROTO_IPV6, IPV6_TCLASS, 0) & ~3;

    if (tos)
        set_int_option(fd, IPPROTO_IP, IP_TOS, tos);
    if (class > 0)
        set_int_option(fd, IPPROTO_IPV6, IPV6_TCLASS, class);
}

/* What TCP's accepted socket has from its listener, and the association's own settings. */
static void accepted(int listener, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct sctp_status status;
    struct fd_info *info = fd_info(fd);
    const struct fd_info *from = fd_info(listener);

    fd_adopt(fd, FD_OPEN);
    info->flags = from->flags & FDF_TOS;
    info->sndbuf = from->sndbuf;
    info->rcvbuf = from->rcvbuf;
    info->tcpopts_set = from->tcpopts_set;
    memcpy(info->tcpopts, from->tcpopts, sizeof info->tcpopts);
    memcpy(info->congestion, from->congestion, sizeof info->congestion);
    if (len <= sizeof info->peer)
        memcpy(&info->peer, peer, len);
    if (from->flags & FDF_TOS)
        inherit_tos(listener, fd);
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0)
        params_tune(fd, &status);
}

int kernel_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    int result = libc.accept4(fd, (struct sockaddr *)&peer, &peer_len, flags);

    if (result < 0)
        return result;

    accepted(fd, result, (struct sockaddr *)&peer, peer_len);
    if (addr && len) {
        memcpy(addr, &peer, *len < peer_len ? *len : peer_len);
        *len = peer_len;
    }
    return result;
}
