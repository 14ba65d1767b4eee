/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a connection: shutdown() and resets. Half-close between two shims will live here. */
#include <errno.h>

#include "internal.h"
#include "kernel.h"

void reset_seen(int fd)
{
    int saved = errno;

    fd_info(fd)->flags |= FDF_RESET;
    libc.shutdown(fd, SHUT_RDWR);
    errno = saved;
}

/* SCTP refuses shutdown() on a listener; without a backlog it is one no more, and obeys. */
static int shutdown_listener(int fd, int how)
{
    if (how == SHUT_WR)
        return 0; /* TCP's listener does not mind */
    libc.listen(fd, 0);
    libc.shutdown(fd, how); /* wakes a blocked accept(), then says ENOTCONN */
    fd_set_kind(fd, FD_IDLE);
    return 0;
}

int kernel_shutdown(int fd, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR) {
        errno = EINVAL;
        return -1;
    }
    switch (fd_kind(fd)) {
    case FD_LISTENING:
        return shutdown_listener(fd, how);
    case FD_CONNECTING:
    case FD_STRANDED:
        if (link_settle(fd) == LINK_UP)
            break;
        /* Passed through it would mark the handshake in a way that cannot be taken back. */
        if (socket_replace(fd) < 0)
            return -1;
        fd_info(fd)->pending = ECONNRESET;
        fd_set_kind(fd, FD_FAILED);
        return 0;
    default:
        break;
    }
    return libc.shutdown(fd, how);
}
