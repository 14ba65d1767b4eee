/* SPDX-License-Identifier: BSD-3-Clause */
/* Birth and recognition of our sockets. */
#include <errno.h>
#include <string.h>

#include "../log.h"
#include "../options.h"
#include "internal.h"
#include "kernel.h"

bool kernel_wanted(void)
{
    return options.action == ACTION_SCTP;
}

/* errno values of socket() that speak of SCTP, not of the program's limits. */
static bool sctp_is_missing(int error)
{
    return error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT || error == EAFNOSUPPORT ||
           error == EACCES || error == EPERM || error == EINVAL;
}

int kernel_socket(int domain, int type, int protocol)
{
    int saved = errno;
    int fd = libc.socket(domain, type, IPPROTO_SCTP);

    if (fd >= 0) {
        fd_adopt(fd, FD_IDLE);
        params_apply(fd);
        return fd;
    }
    if (!sctp_is_missing(errno))
        return -1;

    int error = errno;

    errno = saved;
    fd = libc.socket(domain, type, protocol);
    if (fd >= 0) {
        log_warn_once("no SCTP here (%s): this program's connections stay TCP", strerrorname_np(error));
        fd_set_kind(fd, FD_FOREIGN);
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

    if (protocol != IPPROTO_SCTP)
        return protocol < 0 && errno == EBADF ? FD_UNKNOWN : FD_FOREIGN;
    if (int_option(fd, SOL_SOCKET, SO_TYPE, 0) != SOCK_STREAM ||
        (!params_marked(fd) && !options.adopt))
        return FD_FOREIGN;
    if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0))
        return FD_LISTENING;
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) < 0)
        return FD_IDLE;
    return FD_OPEN;
}

int kernel_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    const struct fd_info *info = fd_info(fd);
    int result = libc.getpeername(fd, addr, len);
    socklen_t size;

    if (result == 0 ? !(info->flags & FDF_PEER_NAME) : errno != ENOTCONN)
        return result;
    /* The association ends with the peer's close, TCP's connection only with ours too. */
    if (info->peer.any.sa_family == AF_UNSPEC || info->flags & FDF_RESET)
        return -1;
    size = info->peer.any.sa_family == AF_INET ? sizeof info->peer.in : sizeof info->peer.in6;
    memcpy(addr, &info->peer, *len < size ? *len : size);
    *len = size;
    return 0;
}
