/* SPDX-License-Identifier: BSD-3-Clause */
/* poll(): the readiness of a socket whose connect has failed. All else the kernel shows right. */
#include "internal.h"
#include "kernel.h"

bool kernel_poll_failed(const struct pollfd *fds, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].fd >= 0 && fds[i].fd < FD_TABLE &&
            atomic_load_explicit(&fd_kinds[fds[i].fd], memory_order_relaxed) == FD_FAILED)
            return true;
    return false;
}

/* What TCP reports, beyond what was asked for (POLLERR, POLLHUP). */
static short tcp_events(int fd, short revents)
{
    if (fd < 0 || fd >= FD_TABLE)
        return revents;
    switch (atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed)) {
    case FD_FAILED:
        return fd_info(fd)->pending ? POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP
                                    : POLLOUT | POLLHUP;
    case FD_CONNECTING:
        if (revents & POLLERR)
            return POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP;
        return revents;
    default:
        return revents;
    }
}

int kernel_poll_fixup(struct pollfd *fds, nfds_t count, int ready)
{
    for (nfds_t i = 0; i < count; i++) {
        short before = fds[i].revents;
        short after = tcp_events(fds[i].fd, before);

        if (after == before)
            continue;
        /* SCTP's POLLRDNORM and friends come with POLLIN and POLLOUT, as asked for. */
        if (after & POLLIN)
            after |= POLLRDNORM;
        if (after & POLLOUT)
            after |= POLLWRNORM;
        fds[i].revents = after & (fds[i].events | POLLERR | POLLHUP);
        ready += (fds[i].revents != 0) - (before != 0);
    }
    return ready;
}
