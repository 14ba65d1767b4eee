/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll on sockets that connect. Readiness is the kernel's, and TCP's but for one moment: when the
 * connection comes up the peer's announcement lies in the receive queue, and is no data.
 */
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

#include "internal.h"
#include "kernel.h"

enum { READABLE = EPOLLIN | EPOLLRDNORM };

/*
 * A bit for each number that some epoll was given before it was connected. (The table of kinds
 * would not do: a vfork child that closes what it need not have empties its parent's.)
 */
static _Atomic uint64_t watched[FD_TABLE / 64];

static void watch(int fd, bool on)
{
    uint64_t bit = UINT64_C(1) << fd % 64;

    if ((unsigned)fd >= FD_TABLE)
        return;
    if (on)
        atomic_fetch_or_explicit(&watched[fd / 64], bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&watched[fd / 64], ~bit, memory_order_relaxed);
}

void kernel_epoll_ctl(int epoll, int op, int fd, const struct epoll_event *event)
{
    struct fd_info *info;
    int saved = errno;

    if (fd_kind(fd) == FD_CONNECTING)
        link_look_up(fd);
    if (fd_kind(fd) < FD_LISTENING) {
        info = fd_info(fd);
        if (op == EPOLL_CTL_ADD && info->epolls < 2)
            info->epolls++;
        if (op == EPOLL_CTL_DEL) {
            if (info->epolls == 1)
                info->epolls = 0;
            info->epoll_events = 0;
            watch(fd, false);
        } else if (array_readable(fd, event, sizeof *event) == 0) {
            info->epoll_fd = epoll;
            info->epoll_data = event->data.u64;
            info->epoll_events = event->events;
            watch(fd, true);
        }
    }
    errno = saved;
}

/* The lowest watched number from there on; -1 for none. */
static int next_watched(int from)
{
    int end = atomic_load_explicit(&fd_highest, memory_order_relaxed) / 64;

    for (int word = from / 64; word <= end && word < FD_TABLE / 64; word++) {
        uint64_t bits = atomic_load_explicit(&watched[word], memory_order_relaxed);

        if (word == from / 64)
            bits &= UINT64_MAX << from % 64;
        if (bits)
            return word * 64 + __builtin_ctzll(bits);
    }
    return -1;
}

/* Is this event readable for the peer's announcement alone? Then it says so no more. */
static void correct(int fd, struct epoll_event *event)
{
    struct pollfd poll = {.fd = fd, .events = POLLIN | POLLRDNORM};

    if (link_look(fd) != LINK_UP || libc.poll(&poll, 1, 0) < 0)
        return;
    event->events &= ~(uint32_t)READABLE | (uint32_t)poll.revents;
}

/* Nothing is left of an event. One that comes but once is asked for again. */
static void withdraw(int epoll, int fd)
{
    const struct fd_info *info = fd_info(fd);
    struct epoll_event event = {.events = info->epoll_events, .data.u64 = info->epoll_data};

    if (event.events & EPOLLONESHOT)
        libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* The events without what is not TCP's; returns how many are left. */
static int fixup_one(int epoll, int fd, struct epoll_event *events, int count)
{
    const struct fd_info *info = fd_info(fd);

    if (info->epoll_fd != epoll || !(info->epoll_events & READABLE))
        return count;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 != info->epoll_data || !(events[i].events & READABLE) ||
            events[i].events & EPOLLERR)
            continue;
        correct(fd, &events[i]);
        if (!events[i].events) {
            withdraw(epoll, fd);
            memmove(&events[i], &events[i + 1], (size_t)(count - i - 1) * sizeof *events);
            count--;
        }
        break;
    }
    return count;
}

/* A connect that failed, and may go on over TCP: what this event says is over, and was not all. */
static int go_on(int epoll, int fd, struct epoll_event *events, int count)
{
    struct epoll_event asked = {
        .events = fd_info(fd)->epoll_events,
        .data.u64 = fd_info(fd)->epoll_data,
    };

    if (!(ready_now(fd, 0) & POLLERR) || link_look(fd) != LINK_FAILED || fd_is_ours(fd))
        return count;
    watch(fd, false);
    if (asked.events & EPOLLONESHOT)
        libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &asked);
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == asked.data.u64 && events[i].events & (EPOLLERR | EPOLLHUP)) {
            memmove(&events[i], &events[i + 1], (size_t)(count - i - 1) * sizeof *events);
            return count - 1;
        }
    return count;
}

static bool any_of_connecting(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        if (events[i].events & (READABLE | EPOLLERR))
            return true;
    return false;
}

static int fixup(int epoll, struct epoll_event *events, int count)
{
    int saved = errno;

    for (int fd = any_of_connecting(events, count) ? next_watched(0) : -1; fd >= 0;
         fd = next_watched(fd + 1)) {
        if (fd_kind(fd) == FD_CONNECTING && fallback_is_open(fd))
            count = go_on(epoll, fd, events, count);
        /* One that seems idle may be connected by another process, or under another number. */
        if (fd_kind(fd) == FD_CONNECTING || fd_kind(fd) == FD_IDLE)
            count = fixup_one(epoll, fd, events, count);
        else
            watch(fd, false);
    }
    errno = saved;
    return count;
}

int64_t kernel_epoll_deadline(int64_t timeout)
{
    return timeout > 0 ? now_ms() + timeout : timeout;
}

int kernel_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t deadline,
                      const sigset_t *mask, int count)
{
    for (;;) {
        int64_t left = deadline;

        count = fixup(epoll, events, count);
        if (count || !deadline)
            return count;
        /* What woke the first wait was not for the program: wait for the rest of the time. */
        if (deadline > 0) {
            left = deadline - now_ms();
            left = left < 0 ? 0 : left > INT_MAX ? INT_MAX : left;
        }
        count = libc.epoll_pwait(epoll, events, max, (int)left, mask);
        if (count <= 0)
            return count;
    }
}
