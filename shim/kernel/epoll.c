/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * epoll on sockets that are not connected yet, or not any more. Readiness is the kernel's, and TCP's
 * but for this: when the connection comes up the peer's announcement lies in the receive queue, and
 * is no data; of a socket without a connection the kernel tells nothing at all but its error.
 */
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>

#include "holders.h"
#include "internal.h"
#include "kernel.h"

enum { READABLE = EPOLLIN | EPOLLRDNORM };

/* What epoll keeps of a registration that has come its once, until it is asked for again. */
#define DISARMED (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/*
 * A bit for each number that some epoll was given before it was connected. (The table of kinds
 * would not do: a vfork child that closes what it need not have empties its parent's.)
 */
static _Atomic uint64_t watched[FD_TABLE / 64];
static atomic_int watched_count;

static void watch(int fd, bool on)
{
    uint64_t bit = UINT64_C(1) << fd % 64, before;

    if ((unsigned)fd >= FD_TABLE)
        return;
    before = on ? atomic_fetch_or_explicit(&watched[fd / 64], bit, memory_order_relaxed)
                : atomic_fetch_and_explicit(&watched[fd / 64], ~bit, memory_order_relaxed);
    if (on != !!(before & bit))
        atomic_fetch_add_explicit(&watched_count, on ? 1 : -1, memory_order_relaxed);
}

static void unwatch(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (info->epolls == 1)
        info->epolls = 0;
    info->epoll_events = 0;
    watch(fd, false);
}

void epoll_note(int epoll, int op, int fd, const struct epoll_event *kept)
{
    struct fd_info *info = fd_info(fd);

    if (op == EPOLL_CTL_ADD && info->epolls < 2)
        info->epolls++;
    info->epoll_fd = epoll;
    info->epoll_data = kept->data.u64;
    info->epoll_events = kept->events;
    info->epoll_due = true;
    watch(fd, true);
}

void kernel_epoll_ctl(int epoll, int op, int fd, const struct epoll_event *event)
{
    struct epoll_event kept;
    int saved = errno;

    if (fd_kind_now(fd) == FD_CONNECTING)
        link_look_up(fd);
    if (fd_kind_now(fd) < FD_LISTENING) {
        if (op == EPOLL_CTL_DEL) {
            unwatch(fd);
        } else if (array_readable(fd, event, sizeof *event) == 0) {
            kept = *event;
            kept.events |= EPOLLERR | EPOLLHUP;
            epoll_note(epoll, op, fd, &kept);
        }
    }
    errno = saved;
}

/* The lowest watched number from there on; -1 for none. */
static int next_watched(int from)
{
    if (!atomic_load_explicit(&watched_count, memory_order_relaxed))
        return -1;

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

/*
 * Is there something of it to tell that the kernel does not know? By level always, by edge when what
 * TCP shows has changed. (An EPOLLEXCLUSIVE one is asked for once and for all: see show().)
 */
static bool is_owed(int epoll, int fd)
{
    const struct fd_info *info = fd_info(fd);
    enum fd_kind kind;

    if (fd_kind(fd) == FD_IDLE)
        link_look_up(fd); /* another process may have made something of it */
    kind = fd_kind(fd);
    return (kind == FD_IDLE || kind == FD_FAILED) && info->epolls && info->epoll_fd == epoll &&
           !(info->epoll_events & EPOLLEXCLUSIVE) && info->epoll_events & ~DISARMED &&
           (info->epoll_due || !(info->epoll_events & (EPOLLET | EPOLLONESHOT)));
}

bool kernel_epoll_owes(int epoll)
{
    int saved = errno, fd = next_watched(0);

    while (fd >= 0 && (fd_is_undecided(fd) || !(fd_is_ours(fd) && is_owed(epoll, fd))))
        fd = next_watched(fd + 1);
    errno = saved;
    return fd >= 0;
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

static void remove_event(struct epoll_event *events, int at, int count)
{
    memmove(&events[at], &events[at + 1], (size_t)(count - at - 1) * sizeof *events);
}

/* Which of the events is this socket's; count for none. */
static int find(const struct fd_info *info, const struct epoll_event *events, int count)
{
    int at = 0;

    while (at < count && events[at].data.u64 != info->epoll_data)
        at++;
    return at;
}

/*
 * Shows all that TCP would of a socket without a connection, or whose connect has failed. That it is
 * still registered, the kernel knows: asking again for the same is harmless, as it has nothing new.
 */
static int show(int epoll, int fd, struct epoll_event *events, int at, int count, int max)
{
    struct fd_info *info = fd_info(fd);
    struct epoll_event asked = {.events = info->epoll_events, .data.u64 = info->epoll_data};
    uint32_t bits = (uint16_t)ready_as_tcp(fd, (short)asked.events);

    if (!bits || at == max)
        return count;
    if (at == count) {
        if (libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &asked) < 0) {
            watch(fd, false);
            return count;
        }
        events[count++] = (struct epoll_event){.data.u64 = asked.data.u64};
    }
    events[at].events |= bits;
    info->epoll_due = false;
    if (asked.events & EPOLLONESHOT)
        info->epoll_events = asked.events & DISARMED;
    return count;
}

/* The events with what is TCP's and without what is not; returns how many they are now. */
static int fixup_one(int epoll, int fd, struct epoll_event *events, int count, int max)
{
    const struct fd_info *info = fd_info(fd);
    int at = find(info, events, count);

    if (info->epoll_fd != epoll)
        return count;
    if (is_owed(epoll, fd) || (at < count && events[at].events & EPOLLERR))
        return show(epoll, fd, events, at, count, max);
    if (at == count || !(info->epoll_events & events[at].events & READABLE))
        return count;
    correct(fd, &events[at]);
    if (events[at].events)
        return count;
    withdraw(epoll, fd);
    remove_event(events, at, count);
    return count - 1;
}

/* A socket is not what this event says any more. */
static int remove_failure(uint64_t data, struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == data && events[i].events & (EPOLLERR | EPOLLHUP)) {
            remove_event(events, i, count);
            return count - 1;
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

    if (ready_now(fd, 0) & POLLERR && link_look(fd) == LINK_FAILED && !fd_is_ours(fd)) {
        watch(fd, false);
        if (asked.events & EPOLLONESHOT)
            libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &asked);
    } else if (fd_is_ours(fd) && fd_info(fd)->fallback != FALLBACK_TAKEN) {
        return count; /* and no other thread is about it, or has been */
    }
    return remove_failure(asked.data.u64, events, count);
}

/*
 * Registrations whose socket has just become TCP's, and until when that matters: a wait that began
 * before, in another thread, may hold an event of the old one.
 */
enum { REPLACED = 8, REPLACED_MS = 500 };
static struct {
    _Atomic int64_t until;
    _Atomic uint64_t data;
    atomic_int epoll, number;
} replaced[REPLACED];
static atomic_uint replaced_count;

void epoll_replaced(const struct registration *registration)
{
    unsigned at = atomic_fetch_add(&replaced_count, 1) % REPLACED;

    replaced[at].epoll = registration->epoll;
    replaced[at].number = registration->number;
    replaced[at].data = registration->event.data.u64;
    replaced[at].until = now_ms() + REPLACED_MS;
}

static int remove_old(int epoll, struct epoll_event *events, int count)
{
    int64_t now;

    if (!atomic_load_explicit(&replaced_count, memory_order_relaxed))
        return count;
    now = now_ms();
    for (int i = 0; i < REPLACED; i++)
        if (now < replaced[i].until && replaced[i].epoll == epoll &&
            !(ready_now(replaced[i].number, 0) & (POLLERR | POLLHUP)))
            count = remove_failure(replaced[i].data, events, count);
    return count;
}

static int fixup(int epoll, struct epoll_event *events, int count, int max)
{
    int saved = errno;

    for (int fd = next_watched(0); fd >= 0; fd = next_watched(fd + 1)) {
        if (fd_is_undecided(fd))
            continue; /* it shows what TCP does */
        if (fd_kind(fd) == FD_CONNECTING && fallback_is_open(fd))
            count = go_on(epoll, fd, events, count);
        /* One that seems idle may be connected by another process, or under another number. */
        if (fd_is_ours(fd) && fd_kind(fd) < FD_LISTENING)
            count = fixup_one(epoll, fd, events, count, max);
        else
            watch(fd, false);
    }
    count = remove_old(epoll, events, count);
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

        count = fixup(epoll, events, count, max);
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
