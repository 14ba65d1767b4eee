/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fresh socket under the same number: what connect(AF_UNSPEC) does to a TCP socket, and the only
 * way to end an SCTP handshake without closing. Duplicates in other numbers or processes keep the
 * old socket, and epoll forgets the number; TCP has neither effect (docs/semantics.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

/* Options a program can have set before; all are plain memory to getsockopt and setsockopt. */
static const struct {
    int level, name;
} kept[] = {
    {SOL_SOCKET, SO_REUSEADDR},     {SOL_SOCKET, SO_REUSEPORT},   {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_BROADCAST},     {SOL_SOCKET, SO_OOBINLINE},   {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_LINGER},        {SOL_SOCKET, SO_RCVTIMEO},    {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},      {SOL_SOCKET, SO_TIMESTAMP},   {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_MARK},          {IPPROTO_IP, IP_TOS},         {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_FREEBIND},      {IPPROTO_IP, IP_TRANSPARENT}, {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_TCLASS},    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_SCTP, SCTP_INITMSG},   {IPPROTO_SCTP, SCTP_ASSOCINFO},
};

static void copy_options(int from, int to)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        char value[64], now[64];
        socklen_t len = sizeof value, now_len = sizeof now;

        if (libc.getsockopt(from, kept[i].level, kept[i].name, value, &len) < 0)
            continue;
        /* Only what differs: setting some (SO_MARK, TTL) needs a privilege even when unchanged. */
        if (libc.getsockopt(to, kept[i].level, kept[i].name, now, &now_len) < 0 ||
            now_len != len || memcmp(now, value, len) != 0)
            libc.setsockopt(to, kept[i].level, kept[i].name, value, len);
    }
    /* The kernel reports buffers doubled. */
    set_int_option(to, SOL_SOCKET, SO_SNDBUF, int_option(from, SOL_SOCKET, SO_SNDBUF, 0) / 2);
    set_int_option(to, SOL_SOCKET, SO_RCVBUF, int_option(from, SOL_SOCKET, SO_RCVBUF, 0) / 2);
}

/* Signal-driven I/O belongs to the file, not to the socket. */
static void copy_file_state(int from, int to)
{
    int flags = libc.fcntl(from, F_GETFL, NULL);
    int owner = libc.fcntl(from, F_GETOWN, NULL);

    if (owner)
        libc.fcntl(to, F_SETOWN, (void *)(intptr_t)owner);
    libc.fcntl(to, F_SETFL, (void *)(intptr_t)flags);
}

int socket_replace(int fd)
{
    static const struct linger abort_on_close = {1, 0};
    struct sockaddr_storage name;
    socklen_t name_len = sizeof name;
    struct fd_info *info = fd_info(fd);
    int domain = int_option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET);
    int fd_flags = libc.fcntl(fd, F_GETFD, NULL);
    bool bound = info->flags & FDF_BOUND &&
                 getsockname(fd, (struct sockaddr *)&name, &name_len) == 0;
    int fresh = libc.socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

    if (fresh < 0)
        return -1;
    params_apply(fresh);
    copy_options(fd, fresh);
    copy_file_state(fd, fresh);
    /* What TCP's disconnect says to the other end: a reset. */
    libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
    if (libc.dup3(fresh, fd, fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0) {
        int error = errno;

        libc.close(fresh);
        errno = error;
        return -1;
    }
    libc.close(fresh);
    info->flags &= FDF_BOUND | FDF_INHERIT;
    info->pending = 0;
    info->chunk = 0;
    memset(&info->peer, 0, sizeof info->peer);
    fd_set_kind(fd, FD_IDLE);
    return bound ? libc.bind(fd, (struct sockaddr *)&name, name_len) : 0;
}
