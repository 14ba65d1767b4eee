/* SPDX-License-Identifier: BSD-3-Clause */
/* poll(): the readiness of a socket whose connect has failed. All else the kernel shows right. */
#include <string.h>

#include "internal.h"
#include "kernel.h"

bool kernel_poll_failed(const struct pollfd *fds, nfds_t count)
{
    if (__builtin_expect(!atomic_load_explicit(&fd_any_failed, memory_order_relaxed), 1))
        return false;
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
                                    : POLLIN | POLLOUT | POLLHUP | POLLRDHUP;
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

static bool failed_fd(int fd, const fd_set *set)
{
    return set && FD_ISSET(fd, set) &&
           atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed) == FD_FAILED;
}

bool kernel_select_failed(int count, const fd_set *reads, const fd_set *writes,
                          struct failed_fds *failed)
{
    bool found = false;

    if (__builtin_expect(!atomic_load_explicit(&fd_any_failed, memory_order_relaxed), 1))
        return false;
    memset(failed, 0, sizeof *failed);
    failed->count = count < FD_SETSIZE ? count : FD_SETSIZE;
    for (int fd = 0; fd < failed->count; fd++) {
        if (failed_fd(fd, reads)) {
            FD_SET(fd, &failed->reads);
            found = true;
        }
        if (failed_fd(fd, writes)) {
            FD_SET(fd, &failed->writes);
            found = true;
        }
    }
    return found;
}

static int add_set(const fd_set *from, fd_set *to, int count)
{
    int added = 0;

    for (int fd = 0; to && fd < count; fd++)
        if (FD_ISSET(fd, from) && !FD_ISSET(fd, to)) {
            FD_SET(fd, to);
            added++;
        }
    return added;
}

int kernel_select_fixup(const struct failed_fds *failed, fd_set *reads, fd_set *writes, int ready)
{
    return ready + add_set(&failed->reads, reads, failed->count) +
           add_set(&failed->writes, writes, failed->count);
}
