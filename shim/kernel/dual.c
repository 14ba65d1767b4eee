/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a listener's companion, and accept() from both (dual.h). */
#include "dual.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "../log.h"
#include "../process.h"
#include "address.h"
#include "holders.h"
#include "internal.h"

atomic_bool dual_any;

/* ---- Birth and end ---- */

/* Far from where programs expect their numbers, and where select() can still reach. */
enum { NUMBERS = FD_SETSIZE, NUMBERS_LEFT = 256 };

static int lowest_number(void)
{
    struct rlimit limit;
    long most = NUMBERS;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)most)
        most = (long)limit.rlim_cur;
    return (int)(most > 2 * NUMBERS_LEFT ? most - NUMBERS_LEFT : most / 2);
}

static int move_up(int fd)
{
    int up = libc.fcntl(fd, F_DUPFD_CLOEXEC, (void *)(intptr_t)lowest_number());

    if (up < 0)
        return fd;
    socket_dismiss(fd);
    return up;
}

static void follow_cloexec(int companion, int fd)
{
    int flags = libc.fcntl(fd, F_GETFD, NULL);

    if (flags >= 0)
        libc.fcntl(companion, F_SETFD, (void *)(intptr_t)(flags & FD_CLOEXEC));
}

/* It never waits: accept() waits for both. */
static void never_wait(int companion)
{
    long flags = libc.fcntl(companion, F_GETFL, NULL);

    libc.fcntl(companion, F_SETFL, (void *)(intptr_t)(flags | O_NONBLOCK));
}

static int make(int fd, int backlog)
{
    union address name;
    socklen_t len = sizeof name;
    int tcp = socket_like(fd, IPPROTO_TCP);

    if (tcp < 0)
        return -1;
    if (local_bound(fd, &name, &len) < 0 || libc.bind(tcp, &name.any, len) < 0 ||
        libc.listen(tcp, backlog) < 0) {
        socket_dismiss(tcp);
        return -1;
    }
    file_state_copy(fd, tcp);
    never_wait(tcp);
    return tcp;
}

static void keep(int fd, int companion)
{
    fd_received(companion);
    fd_set_kind(companion, FD_COMPANION);
    fd_info(companion)->cookie = fd_cookie(companion);
    fd_info(fd)->companion = companion + 1;
    atomic_store(&dual_any, true);
}

/* The number may have been closed, and mean something else: or a vfork child has closed its own. */
static bool is_still_there(int companion)
{
    uint64_t cookie = fd_info(companion)->cookie;

    if (companion < FD_TABLE && atomic_load(&fd_kinds[companion]) == FD_COMPANION)
        return true;
    if (!cookie || fd_cookie(companion) != cookie)
        return false;
    fd_set_kind(companion, FD_COMPANION);
    return true;
}

static int lose(int fd)
{
    log_warn_once("what listened to TCP beside fd %d was closed: SCTP clients only", fd);
    fd_info(fd)->companion = 0;
    return -1;
}

int dual_look(int fd)
{
    int saved = errno, companion;

    if (fd < 0 || fd_kind(fd) != FD_LISTENING || !fd_info(fd)->companion)
        return -1;
    companion = fd_info(fd)->companion - 1;
    if (!is_still_there(companion))
        companion = lose(fd);
    errno = saved;
    return companion;
}

/* The epolls that watch the one watch the other, by the same data. */
static void register_too(int fd, int companion)
{
    struct holders holders;

    holders_find(fd, &holders);
    for (unsigned i = 0; i < holders.registrations_count; i++)
        libc.epoll_ctl(holders.registrations[i].epoll, EPOLL_CTL_ADD, companion,
                       &holders.registrations[i].event);
}

int dual_listen(int fd, int backlog)
{
    int companion = fd_info(fd)->companion - 1;

    if (companion >= 0)
        return libc.listen(companion, backlog);
    companion = make(fd, backlog);
    if (companion < 0)
        return -1;
    companion = move_up(companion);
    follow_cloexec(companion, fd);
    keep(fd, companion);
    register_too(fd, companion);
    return 0;
}

void dual_drop(int fd)
{
    int companion = fd_info(fd)->companion - 1;

    if (companion < 0 || !is_still_there(companion))
        return;
    if (!process_borrowed()) { /* else it is the parent's memory, and another table of numbers */
        fd_info(fd)->companion = 0;
        fd_forget(companion);
    }
    socket_dismiss(companion);
}

void dual_closing(int fd)
{
    if (dual_companion(fd) >= 0 && !fd_has_duplicate(fd))
        dual_drop(fd);
}

static bool is_companion(int number, const union address *name, socklen_t len)
{
    union address other;
    socklen_t other_len = sizeof other;

    memset(&other, 0, sizeof other);
    return int_option(number, SOL_SOCKET, SO_PROTOCOL, -1) == IPPROTO_TCP &&
           int_option(number, SOL_SOCKET, SO_ACCEPTCONN, 0) &&
           libc.getsockname(number, &other.any, &other_len) == 0 && other_len == len &&
           memcmp(&other, name, len) == 0;
}

void dual_recall(int fd)
{
    union address name;
    socklen_t len = sizeof name;

    memset(&name, 0, sizeof name);
    if (options_of(fd)->action != ACTION_PREFER || local_bound(fd, &name, &len) < 0)
        return;
    for (int number = lowest_number(); number < NUMBERS; number++)
        if (is_companion(number, &name, len)) {
            keep(fd, number);
            return;
        }
    log_info("fd %d listens to SCTP only: what listens to TCP beside it did not come along", fd);
}

/* ---- accept() ---- */

static int accept_tcp(int companion, struct sockaddr *addr, socklen_t *len, int flags)
{
    int accepted = libc.accept4(companion, addr, len, flags);

    if (accepted >= 0)
        accepted_over_tcp(accepted);
    return accepted;
}

/*
 * Without waiting, on a socket that may: another process may have taken what was there. The limit
 * is the socket's, so another one that looks now sees it: what is as short is not a program's.
 */
enum { TICK_MS = 10 };

static int accept_now(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    static const struct timeval tick = {.tv_usec = 1};
    int64_t limit = timeout_option(fd, SO_RCVTIMEO);
    struct timeval was = {0};
    int accepted, error;

    if (!(ready_now(fd, POLLIN) & POLLIN)) {
        errno = EAGAIN;
        return -1;
    }
    if (limit > TICK_MS)
        was = (struct timeval){limit / 1000, limit % 1000 * 1000};
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    accepted = accept_sctp(fd, addr, len, flags);
    error = errno;
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &was, sizeof was);
    if (accepted >= 0) /* inherits it */
        libc.setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &was, sizeof was);
    errno = error;
    return accepted;
}

static int accept_either(int fd, int companion, struct sockaddr *addr, socklen_t *len, int flags,
                         bool waits)
{
    unsigned turn = fd_info(fd)->turn++;
    int accepted = -1;

    for (unsigned i = 0; i < 2; i++) {
        if ((turn + i) % 2) {
            accepted = accept_tcp(companion, addr, len, flags);
            if (accepted < 0 && (errno == ENOTSOCK || errno == EBADF)) {
                lose(fd); /* closed where nobody saw it */
                errno = EAGAIN;
            }
        } else {
            accepted = waits ? accept_now(fd, addr, len, flags) : accept_sctp(fd, addr, len, flags);
        }
        if (accepted >= 0 || errno != EAGAIN)
            break;
    }
    return accepted;
}

/* 1 when there may be something to accept, else -1 with errno as of accept(). */
static int wait_for_either(int fd, int companion, int64_t deadline)
{
    struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = companion, .events = POLLIN}};
    int64_t left = deadline < 0 ? -1 : deadline - now_ms();
    int ready = libc.poll(both, 2, left > INT_MAX ? INT_MAX : deadline < 0 ? -1 : left < 0 ? 0
                                                                                : (int)left);

    if (ready < 0 && errno == EINTR && deadline < 0 && signals_restart())
        return 1;
    if (ready == 0)
        errno = EAGAIN;
    if (ready > 0 && both[0].revents & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    return ready > 0 ? 1 : -1;
}

int dual_accept4(int fd, int companion, struct sockaddr *addr, socklen_t *len, int flags)
{
    bool waits = !is_nonblocking(fd);
    int64_t limit = waits ? timeout_option(fd, SO_RCVTIMEO) : -1;
    int64_t deadline = limit > TICK_MS ? now_ms() + limit : -1;

    for (;;) {
        int accepted = accept_either(fd, companion, addr, len, flags, waits);

        if (accepted >= 0 || errno != EAGAIN || !waits ||
            wait_for_either(fd, companion, deadline) < 0)
            return accepted;
    }
}

/* ---- What is done to the one is done to the other ---- */

void dual_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    int saved = errno, companion = dual_companion(fd);

    if (companion >= 0 && libc.epoll_ctl(epoll, op, companion, event) < 0 &&
        op == EPOLL_CTL_ADD && errno != EEXIST)
        log_info_once("an epoll cannot watch for TCP clients: %s", strerrorname_np(errno));
    errno = saved;
}

void dual_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int saved = errno, companion = dual_companion(fd);

    if (companion >= 0)
        libc.setsockopt(companion, level, name, value, len);
    errno = saved;
}

void dual_fcntl(int fd, int command, void *arg)
{
    int saved = errno, companion = dual_companion(fd);

    if (companion < 0)
        return;
    libc.fcntl(companion, command, arg);
    if (command == F_SETFL)
        never_wait(companion);
    errno = saved;
}

void dual_ioctl(int fd, unsigned long request, void *arg)
{
    int saved = errno, companion = dual_companion(fd);

    if (companion >= 0 && ((unsigned)request == FIOCLEX || (unsigned)request == FIONCLEX ||
                           (unsigned)request == FIOASYNC))
        libc.ioctl(companion, request, arg);
    errno = saved;
}

/* A number that an exec is to keep: the companion goes along. */
void dual_duplicated(int fd, int to)
{
    int saved = errno, companion = dual_companion(fd);
    int flags = companion < 0 ? -1 : libc.fcntl(to, F_GETFD, NULL);

    if (flags >= 0 && !(flags & FD_CLOEXEC))
        libc.fcntl(companion, F_SETFD, NULL);
    errno = saved;
}
