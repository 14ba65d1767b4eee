/* SPDX-License-Identifier: BSD-3-Clause */
/* The passive side: bind, listen, accept. */
#include <errno.h>
#include <string.h>

#include "address.h"
#include "internal.h"
#include "kernel.h"

/* Old programs leave the family out; TCP lets them. */
static void complete_family(struct sockaddr_in *to)
{
    if (to->sin_family == AF_UNSPEC && to->sin_addr.s_addr == INADDR_ANY)
        to->sin_family = AF_INET;
}

int kernel_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_storage from = {0};
    union address to;
    int error, result;

    if (len < sizeof addr->sa_family || len > sizeof from ||
        check_readable(fd, addr, sizeof(int)) < 0)
        return libc.bind(fd, addr, len); /* the kernel has the right error for it */
    memcpy(&from, addr, len);
    complete_family((struct sockaddr_in *)&from);
    error = address_take(fd, (struct sockaddr *)&from, &len, &to);
    if (error) {
        errno = error;
        return -1;
    }
    result = libc.bind(fd, &to.any, len);

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

/* What TCP's accepted sockets have from their listener and SCTP's have not. */
static void inherit(int listener, int fd)
{
    static const struct {
        int level, name;
    } taken[] = {
        {IPPROTO_IP, IP_TOS},
        {IPPROTO_IPV6, IPV6_TCLASS},
    };

    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        int value = int_option(listener, taken[i].level, taken[i].name, -1);

        if (value >= 0 && value != int_option(fd, taken[i].level, taken[i].name, -1))
            set_int_option(fd, taken[i].level, taken[i].name, value);
    }
    /* The other way round: TCP's begin without a priority. */
    set_int_option(fd, SOL_SOCKET, SO_PRIORITY, 0);
}

/* What TCP's accepted socket has from its listener, and the association's own settings. */
static void accepted(int listener, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct sctp_status status;
    struct fd_info *info = fd_info(fd);
    const struct fd_info *from = fd_info(listener);

    fd_adopt(fd, FD_OPEN);
    info->flags = from->flags & FDF_INHERIT;
    info->sndbuf = from->sndbuf;
    info->rcvbuf = from->rcvbuf;
    info->tcpopts_set = from->tcpopts_set;
    memcpy(info->tcpopts, from->tcpopts, sizeof info->tcpopts);
    memcpy(info->congestion, from->congestion, sizeof info->congestion);
    if (len <= sizeof info->peer)
        memcpy(&info->peer, peer, len);
    if (from->flags & FDF_INHERIT)
        inherit(listener, fd);
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0)
        params_tune(fd, &status);
}

int kernel_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;

    if (addr && (!len || (int)*len < 0))
        return libc.accept4(fd, addr, len, flags); /* which takes the connection, and fails */

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
