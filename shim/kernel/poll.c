/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll() and select(): readiness as TCP shows it, where the kernel's own picture of SCTP differs:
 * failed connects, notifications among the data, resets, the FIN message. epoll is the kernel's
 * alone, but for sockets that are not connected (epoll.c): what it cannot show is seen with the read
 * that follows.
 */
#include <errno.h>

#include "dual.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"

enum { ALL_BITS = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP };

/* Numbers beyond the table would be asked about each time; who is in a sandbox may not ask. */
static enum fd_kind known_kind(int fd)
{
    return fd >= 0 && fd < FD_TABLE && !fd_sealed() ? fd_kind(fd) : FD_FOREIGN;
}

static short look_again(const struct pollfd *at)
{
    struct pollfd poll = {.fd = at->fd, .events = at->events};

    return libc.poll(&poll, 1, 0) < 0 ? at->revents : poll.revents;
}

/* An error that the kernel does not know of any more. */
static short error_bit(int fd)
{
    if (fd_is_unshared(fd) && !(fd_info(fd)->flags & (FDF_PEER_GONE | FDF_RESET)))
        return 0;
    return state_get(fd) & STATE_DUE ? POLLERR : 0;
}

/* Is the end of the peer's direction asked for, or would it be the connection's? */
static bool asks_for_end(const struct pollfd *at)
{
    unsigned ends = fd_is_unshared(at->fd) ? fd_info(at->fd)->flags : ends_recall(at->fd);

    return at->events & POLLRDHUP || ends & FDF_WRITE_SHUT || fd_info(at->fd)->mute;
}

/* Perhaps an end, the peer's or ours, makes it readable; who asks for no data is not told of that. */
static bool may_hide_end(const struct pollfd *at)
{
    return (at->revents & (POLLIN | POLLRDNORM) || !(at->events & (POLLIN | POLLRDNORM))) &&
           asks_for_end(at);
}

/* With a direction that was never open the peer's end leaves none. */
static short mute_bit(int fd)
{
    return fd_info(fd)->mute && reading_ended(fd) ? POLLHUP : 0;
}

static short open_events(const struct pollfd *at)
{
    short seen = at->revents;

    if (seen & POLLERR) {
        /* The error stays for who asks; what hangs up is shown from now on. */
        if (!hang_up_on_error(at->fd))
            return seen;
    } else if (seen & POLLHUP) {
        return seen | error_bit(at->fd);
    } else if (seen & POLLRDHUP) {
        if (!end_met(at->fd))
            return seen | mute_bit(at->fd);
    } else if (may_hide_end(at)) {
        head_settle(at->fd);
        (void)end_met(at->fd);
    } else {
        return seen;
    }
    return look_again(at) | mute_bit(at->fd);
}

/*
 * A connect came to its end: what the kernel calls readable is the peer's announcement. Who asks for
 * the peer's end alone is not shown that. It may have been used, and be over, in another process.
 */
static short connecting(const struct pollfd *at)
{
    struct pollfd now = *at;
    enum link link;

    if (at->revents & POLLERR && !fallback_is_open(at->fd))
        return ALL_BITS | POLLERR;
    if (!(at->revents & (POLLIN | POLLRDNORM | POLLERR)) && !(at->events & POLLRDHUP) &&
        fd_is_unshared(at->fd))
        return at->revents;
    link = link_look(at->fd);
    if (link == LINK_FAILED && fd_is_ours(at->fd))
        return ALL_BITS | POLLERR;
    now.revents = look_again(at);
    return link == LINK_UP ? open_events(&now) : now.revents;
}

/* Gone before it was accepted: it still takes one write, if this direction is open. */
static short gone_events(const struct pollfd *at)
{
    head_settle(at->fd);
    (void)end_met(at->fd);
    return look_again(at) | POLLOUT | POLLWRNORM | error_bit(at->fd);
}

static short pending_bit(int fd)
{
    return fd_info(fd)->pending ? POLLERR : 0;
}

static short tcp_events(const struct pollfd *at)
{
    switch (known_kind(at->fd)) {
    case FD_IDLE: /* what TCP shows of a socket that is not connected */
        return at->revents | POLLOUT | POLLWRNORM | POLLHUP | pending_bit(at->fd);
    case FD_FAILED:
        return ALL_BITS | pending_bit(at->fd);
    case FD_CONNECTING:
        return connecting(at);
    case FD_OPEN:
        return fd_info(at->fd)->flags & FDF_GONE_EARLY ? gone_events(at) : open_events(at);
    default:
        return at->revents;
    }
}

short ready_as_tcp(int fd, short events)
{
    struct pollfd poll = {.fd = fd, .events = events};

    poll.revents = look_again(&poll);
    return tcp_events(&poll) & (events | POLLERR | POLLHUP);
}

/* Corrects the bits; returns the corrected number of ready fds. */
static int fixup(struct pollfd *fds, nfds_t count, int ready)
{
    int saved = errno;

    for (nfds_t i = 0; i < count; i++) {
        short before = fds[i].revents;
        short after = tcp_events(&fds[i]);

        if (after == before)
            continue;
        fds[i].revents = after & (fds[i].events | POLLERR | POLLHUP);
        ready += (fds[i].revents != 0) - (before != 0);
    }
    errno = saved;
    return ready;
}

/* Is this one on which the kernel would wait for ever, where TCP does not wait at all? */
static bool is_stuck(int fd)
{
    enum fd_kind kind = known_kind(fd);

    if (kind == FD_IDLE) { /* another process may have made something of it */
        (void)link_look(fd);
        kind = known_kind(fd);
    }
    return kind == FD_IDLE || kind == FD_FAILED ||
           (kind == FD_OPEN && fd_info(fd)->flags & FDF_GONE_EARLY);
}

static bool any_stuck(const struct pollfd *fds, nfds_t count)
{
    int saved = errno;
    bool stuck = false;

    if (!fd_any_unsettled())
        return false;
    for (nfds_t i = 0; i < count && !stuck; i++)
        stuck = is_stuck(fds[i].fd);
    errno = saved;
    return stuck;
}

/* The time from now to until, never negative. */
static struct timespec left_until(const struct timespec *until)
{
    struct timespec now, left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_sec = until->tv_sec - now.tv_sec;
    left.tv_nsec = until->tv_nsec - now.tv_nsec;
    if (left.tv_nsec < 0) {
        left.tv_nsec += 1000000000;
        left.tv_sec--;
    }
    return left.tv_sec < 0 ? (struct timespec){0} : left;
}

static struct timespec end_of(const struct timespec *timeout)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout->tv_sec;
    end.tv_nsec += timeout->tv_nsec;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    return end;
}

/* What woke the first wait was not for the program: wait for the rest of the time. */
static int wait_on(struct pollfd *fds, nfds_t count, const struct timespec *until,
                   const sigset_t *mask)
{
    int ready;

    do {
        struct timespec left = until ? left_until(until) : (struct timespec){0};

        ready = libc.ppoll(fds, count, until ? &left : NULL, mask);
        if (ready <= 0)
            return ready;
        ready = fixup(fds, count, ready);
    } while (!ready);
    return ready;
}

int plain_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask)
{
    static const struct timespec now;
    bool bounded = timeout && timeout->tv_sec >= 0 && timeout->tv_nsec >= 0;
    bool waits = bounded && (timeout->tv_sec || timeout->tv_nsec);
    struct timespec until = waits ? end_of(timeout) : now;

    tell_paths();
    int ready = libc.ppoll(fds, count, any_stuck(fds, count) ? &now : timeout, mask);

    if (ready < 0)
        return ready;
    int fixed = fixup(fds, count, ready);

    return fixed || !ready || (bounded && !waits) ? fixed
                                                  : wait_on(fds, count, waits ? &until : NULL, mask);
}

int kernel_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask)
{
    return dual_in(fds, count) ? dual_ppoll(fds, count, timeout, mask)
                               : plain_ppoll(fds, count, timeout, mask);
}

int kernel_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    struct timespec wait = {timeout / 1000, timeout % 1000 * 1000000L}, until = {0};

    if (dual_in(fds, count))
        return dual_ppoll(fds, count, timeout < 0 ? NULL : &wait, NULL);
    if (timeout > 0)
        until = end_of(&wait);
    tell_paths();

    int ready = libc.poll(fds, count, any_stuck(fds, count) ? 0 : timeout);

    if (ready < 0)
        return ready;
    int fixed = fixup(fds, count, ready);

    return fixed || !ready || !timeout ? fixed
                                       : wait_on(fds, count, timeout > 0 ? &until : NULL, NULL);
}

/* What select() was asked for. */
struct sets {
    fd_set reads, writes, errors;
};

static bool in_set(int fd, const fd_set *set)
{
    return set && FD_ISSET(fd, set);
}

static bool any_stuck_in(int count, const struct sets *asked)
{
    for (int fd = 0; fd < count; fd++)
        if ((FD_ISSET(fd, &asked->reads) || FD_ISSET(fd, &asked->writes)) &&
            is_stuck(fd))
            return true;
    return false;
}

/* One fd's bit in one of the sets, as TCP would have it; returns the change of the count. */
static int correct_bit(int fd, fd_set *set, bool now)
{
    bool before = in_set(fd, set);

    if (!set || now == before)
        return 0;
    if (now)
        FD_SET(fd, set);
    else
        FD_CLR(fd, set);
    return now - before;
}

static int select_fixup(int count, const struct sets *asked, fd_set *reads, fd_set *writes)
{
    int saved = errno, change = 0;

    for (int fd = 0; fd < count; fd++) {
        bool readable = FD_ISSET(fd, &asked->reads), writable = FD_ISSET(fd, &asked->writes);
        enum fd_kind kind = known_kind(fd);
        short now;

        if ((!readable && !writable) || (kind != FD_CONNECTING && !is_stuck(fd)))
            continue;
        now = ready_as_tcp(fd, (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)));
        if (readable)
            change += correct_bit(fd, reads, now & (POLLIN | POLLHUP | POLLERR));
        if (writable)
            change += correct_bit(fd, writes, now & (POLLOUT | POLLERR));
    }
    errno = saved;
    return change;
}

int plain_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                 struct timeval *timeout)
{
    struct timeval now = {0};
    struct sets asked;
    bool stuck;
    int ready;

    tell_paths();
    if (!fd_any_unsettled() || count < 0 || count > FD_SETSIZE)
        return libc.select(count, reads, writes, errors, timeout);
    keep_set(count, reads, &asked.reads);
    keep_set(count, writes, &asked.writes);
    keep_set(count, errors, &asked.errors);
    stuck = any_stuck_in(count, &asked);
    for (;;) {
        ready = libc.select(count, reads, writes, errors, stuck ? &now : timeout);
        if (ready < 0 || (!ready && !stuck))
            return ready;
        ready += select_fixup(count, &asked, reads, writes);
        /* Linux's select() leaves the rest of the time in timeout: it can simply go on. */
        if (ready || stuck || (timeout && !timeout->tv_sec && !timeout->tv_usec))
            return ready;
        restore_set(count, &asked.reads, reads);
        restore_set(count, &asked.writes, writes);
        restore_set(count, &asked.errors, errors);
    }
}

int kernel_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                  struct timeval *timeout)
{
    return dual_in_set(count, reads) ? dual_select(count, reads, writes, errors, timeout)
                                     : plain_select(count, reads, writes, errors, timeout);
}
