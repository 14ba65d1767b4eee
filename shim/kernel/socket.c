/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth and recognition of our sockets. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "../log.h"
#include "../options.h"
#include "address.h"
#include "dual.h"
#include "internal.h"
#include "kernel.h"
#include "undecided.h"

bool kernel_wanted(void)
{
    return rule_birth.may_be[ACTION_SCTP] || rule_birth.may_be[ACTION_PREFER];
}

/* errno values of socket() that speak of SCTP, not of the program's limits. */
static bool is_missing(int error)
{
    return error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT || error == EAFNOSUPPORT ||
           error == EACCES || error == EPERM || error == EINVAL;
}

bool sctp_missing(int error)
{
    if (!is_missing(error))
        return false;
    if (rule_birth.may_be[ACTION_SCTP])
        log_warn_once("no SCTP here (%s): this program's connections stay TCP",
                      strerrorname_np(error));
    else
        log_info_once("no SCTP here (%s): prefer-sctp means TCP", strerrorname_np(error));
    return true;
}

int kernel_socket(int domain, int type, int protocol)
{
    int saved = errno, fd;

    if (undecided_wanted())
        return undecided_socket(domain, type, protocol);
    fd = libc.socket(domain, type, IPPROTO_SCTP);
    if (fd >= 0) {
        fd_adopt(fd, FD_IDLE);
        fd_info(fd)->rule = rule_birth.rule;
        fd_info(fd)->family = (uint8_t)domain;
        fd_info(fd)->params = PARAMS_DUE;
        params_apply_mark(fd);
        state_begin(fd);
        return fd;
    }
    if (!sctp_missing(errno))
        return -1;
    errno = saved;
    fd = libc.socket(domain, type, protocol);
    if (fd >= 0) {
        fd_set_kind(fd, FD_FOREIGN);
        left_unused(fd, REASON_NO_SCTP);
    }
    return fd;
}

/*
 * Ours are the sockets with our mark, so that native SCTP sockets, inherited or passed along,
 * keep their own semantics; ADOPT=yes extends it to all one-to-one SCTP sockets.
 */
enum fd_kind kernel_classify(int fd)
{
    struct sctp_status status;
    int protocol = int_option(fd, SOL_SOCKET, SO_PROTOCOL, -1);

    if (protocol == IPPROTO_TCP)
        left_elsewhere(fd);
    if (protocol != IPPROTO_SCTP)
        return protocol < 0 && errno == EBADF ? FD_UNKNOWN : FD_FOREIGN;
    if (int_option(fd, SOL_SOCKET, SO_TYPE, 0) != SOCK_STREAM ||
        (!state_is_marked(fd) && !options.adopt))
        return FD_FOREIGN;
    if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0))
        return FD_LISTENING;
    if (events_unsettled(fd))
        return FD_CONNECTING;
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0)
        return FD_OPEN;
    /* Only what has been connected hangs up, or has something to say. */
    return ready_now(fd, POLLIN | POLLRDHUP) && !(shut_early(fd) & FDF_READ_SHUT) ? FD_OPEN : FD_IDLE;
}

/*
 * Of several addresses that were tried the kernel says the last one (RFC 6458 leaves it open); the
 * program's is the first one that the association has.
 */
static void recall_peer(int fd, struct fd_info *info)
{
    struct addresses peer;
    union address name;
    socklen_t len = sizeof name;

    paths_peer(fd, &peer);
    if (peer.count < 2 || libc.getpeername(fd, &name.any, &len) < 0 ||
        memcmp(&name, &peer.at[0], address_len(&peer.at[0])) == 0)
        return;
    memcpy(&info->peer, &peer.at[0], address_len(&peer.at[0]));
    info->flags |= FDF_PEER_NAME;
}

void kernel_recall(int fd, struct fd_info *info)
{
    decide_recalled(fd);
    if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0))
        dual_recall(fd);
    cork_recall(fd, info);
    recall_peer(fd, info);
    if (ends_recall(fd) & FDF_GONE_EARLY)
        fd_gone_early(fd);
    local_recall_name(fd);
    info->mute = (state_get(fd) & STATE_MUTE) != 0;
    info->kept_alive = int_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0) != 0;
    /* Begun by another process. Who wants to hear of ICMP errors then, it is for the connect. */
    if (events_unsettled(fd)) {
        info->flags |= FDF_CONNECT_DUE;
        if (int_option(fd, IPPROTO_IP, IP_RECVERR, 0))
            info->flags |= FDF_RECVERR_OURS;
    }
}

/* Who the peer was: what this option shows of a socket that is not connected any more. */
static int last_peer(int fd, union address *name)
{
    bool six = fd_family(fd) == AF_INET6;
    socklen_t len = six ? sizeof name->in6 : sizeof name->in;

    return libc.getsockopt(fd, SOL_SOCKET, SO_PEERNAME, name, &len);
}

int kernel_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    const struct fd_info *info = fd_info(fd);
    bool closed = is_closed(fd);
    struct sockaddr none;
    union address last;
    int result;
    socklen_t size;

    /* TCP's socket forgets its peer with the connection; SCTP's remembers it. */
    if (closed && libc.getpeername(fd, &none, &(socklen_t){0}) == 0) {
        errno = ENOTCONN;
        return -1;
    }
    result = libc.getpeername(fd, addr, len);
    if (result == 0 ? !(info->flags & FDF_PEER_NAME) : errno != ENOTCONN)
        return result;
    /* The association ends with the peer's close, TCP's connection only with ours too. */
    if (info->peer.any.sa_family != AF_UNSPEC)
        memcpy(&last, &info->peer, sizeof info->peer);
    else if (closed || fd_kind(fd) != FD_OPEN || last_peer(fd, &last) < 0)
        return -1;
    size = address_len(&last);
    if (array_readable(fd, len, sizeof *len) < 0 || answer(fd, &last, size, addr, len) < 0)
        return -1;
    *len = size;
    return 0;
}
