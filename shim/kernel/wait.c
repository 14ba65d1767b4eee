/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting in place of the kernel where one TCP call takes several SCTP calls. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/time.h>
#include <time.h>

#include "internal.h"

int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t timeout_option(int fd, int name)
{
    struct timeval wait;
    socklen_t len = sizeof wait;

    if (libc.getsockopt(fd, SOL_SOCKET, name, &wait, &len) < 0 || (!wait.tv_sec && !wait.tv_usec))
        return -1;
    return (int64_t)wait.tv_sec * 1000 + (wait.tv_usec + 999) / 1000;
}

int64_t deadline_from(int fd, int name, int64_t start)
{
    int64_t limit = timeout_option(fd, name);

    return limit < 0 ? -1 : start + limit;
}

bool is_nonblocking(int fd)
{
    return (libc.fcntl(fd, F_GETFL, NULL) & O_NONBLOCK) != 0;
}

short ready_now(int fd, short events)
{
    struct pollfd poll = {.fd = fd, .events = events};

    return libc.poll(&poll, 1, 0) > 0 ? poll.revents : 0;
}

int wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd poll = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();

        if (deadline >= 0 && left < 0)
            left = 0;

        int ready = libc.poll(&poll, 1, left > INT_MAX ? INT_MAX : (int)left);

        if (ready != 0 || (deadline >= 0 && now_ms() >= deadline))
            return ready;
    }
}

bool wait_more(int fd, short events, int flags, int64_t *deadline)
{
    if (flags & MSG_DONTWAIT || is_nonblocking(fd))
        return false;
    if (*deadline == DEADLINE_UNKNOWN)
        *deadline = deadline_from(fd, events == POLLOUT ? SO_SNDTIMEO : SO_RCVTIMEO, now_ms());
    return wait_for(fd, events, *deadline) > 0;
}
