/* SPDX-License-Identifier: BSD-3-Clause */
/* The passive side: bind, listen, accept. */
#include <errno.h>
#include <string.h>

#include "address.h"
#include "dual.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"

/* Old programs leave the family out; TCP lets them. */
static void complete_family(struct sockaddr_in *to)
{
    if (to->sin_family == AF_UNSPEC && to->sin_addr.s_addr == INADDR_ANY)
        to->sin_family = AF_INET;
}

/* From the program, whatever was left of another. */
static void has_name(int fd)
{
    fd_info(fd)->flags |= FDF_BOUND;
    local_begin(fd);
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
    if (local_free(fd) < 0)
        return -1;
    params_settle(fd);
    result = decide_bind(fd, &to, len);
    if (result == 0 && fd_is_ours(fd))
        has_name(fd);
    return result;
}

/* A port that both kinds can have, where the program leaves the choice to listen(). */
static int bind_unbound(int fd)
{
    union address name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof name;

    if (libc.getsockname(fd, &name.any, &len) < 0 || name.in.sin_port)
        return 0;
    memset(&name, 0, sizeof name);
    name.any.sa_family = (sa_family_t)fd_family(fd);
    return decide_bind(fd, &name, address_len(&name));
}

/* SCTP cannot have what TCP can: the listener is TCP's alone. */
static int listen_tcp(int fd, int backlog)
{
    struct sockaddr_in6 end = {0};
    union address name;
    socklen_t len = sizeof name;

    if (socket_become(fd, IPPROTO_TCP) < 0)
        return -1;
    if (libc.getsockname(fd, &name.any, &len) == 0 && rule_name(&end, &name.any))
        left_to_tcp(fd, ROLE_LISTEN, &end, REASON_PORT_TAKEN);
    return libc.listen(fd, backlog);
}

/*
 * A full backlog refuses clients in SCTP, where TCP lets them retry: ask for the longest one
 * (the kernel clamps to net.core.somaxconn). Zero would even stop listening.
 */
int kernel_listen(int fd, int backlog)
{
    int result = local_free(fd) < 0 ? -1 : decide_listen(fd);
    bool both;

    if (result)
        return result < 0 ? -1 : libc.listen(fd, backlog);
    both = options_of(fd)->action == ACTION_PREFER &&
           (fd_kind(fd) == FD_IDLE || fd_kind(fd) == FD_LISTENING);
    if (both && (bind_unbound(fd) < 0 || dual_listen(fd, backlog) < 0))
        return -1;
    params_settle(fd);
    params_apply_bound(fd);
    local_begin(fd);
    events_listening(fd);
    if (local_bind_unbound(fd, NULL) < 0)
        return -1;
    result = libc.listen(fd, INT32_MAX);
    if (result == 0) {
        fd_set_kind(fd, FD_LISTENING);
    } else if (both) {
        dual_drop(fd);
        return errno == EADDRINUSE ? listen_tcp(fd, backlog) : -1;
    }
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

/* Gone before it was accepted; the queue tells how. */
static void gone_early(int fd)
{
    fd_gone_early(fd);
    ends_note(fd, FDF_GONE_EARLY);
}

/* What TCP's accepted socket has from its listener, and the association's own settings. */
static void accepted(int listener, int fd, const struct sockaddr *peer, socklen_t len)
{
    struct sctp_status status;
    struct fd_info *info;
    const struct fd_info *from = fd_info(listener);

    fd_adopt(fd, FD_OPEN);
    info = fd_info(fd);
    info->rule = from->rule;
    info->flags |= from->flags & FDF_INHERIT;
    info->sndbuf = from->sndbuf;
    info->rcvbuf = from->rcvbuf;
    info->rcvlowat = from->rcvlowat;
    info->followers = from->followers;
    info->patience = from->patience;
    info->kept_alive = from->kept_alive;
    info->touched = !fd_is_untouched(listener);
    info->family = (uint8_t)fd_family(listener);
    memcpy(info->mtu_discover, from->mtu_discover, sizeof info->mtu_discover);
    info->tcpopts_set = from->tcpopts_set;
    memcpy(info->tcpopts, from->tcpopts, sizeof info->tcpopts);
    memcpy(info->congestion, from->congestion, sizeof info->congestion);
    if (len <= sizeof info->peer)
        memcpy(&info->peer, peer, len);
    if (from->flags & FDF_INHERIT)
        inherit(listener, fd);
    state_inherit(fd, listener);
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0) {
        params_tune(fd, &status);
        events_accepted(fd); /* who the peer is */
    } else {
        gone_early(fd);
        head_settle(fd);
    }
    paths_up(fd);
    tell_up(fd, "accepted");
}

int accept_sctp(int fd, struct sockaddr *addr, socklen_t *len, int flags)
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

int kernel_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int companion = dual_companion(fd);

    return companion < 0 ? accept_sctp(fd, addr, len, flags)
                         : dual_accept4(fd, companion, addr, len, flags);
}
