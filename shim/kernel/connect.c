/* SPDX-License-Identifier: BSD-3-Clause */
/* The active side: connect() and the life of a connect that is under way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"
#include "undecided.h"

/*
 * With IP_RECVERR an ICMP error ends a connect as it does in TCP; without it SCTP retries in
 * silence. Only while connecting: later such errors must not disturb the association.
 */
static void recverr(int fd, bool on)
{
    struct fd_info *info = fd_info(fd);
    bool six;

    if (on == !!(info->flags & FDF_RECVERR_OURS))
        return;
    six = fd_family(fd) == AF_INET6;
    if (on && !fd_is_untouched(fd) &&
        (int_option(fd, IPPROTO_IP, IP_RECVERR, 0) ||
         (six && int_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 0))))
        return;
    set_int_option(fd, IPPROTO_IP, IP_RECVERR, on); /* v6 sockets need it for mapped addresses */
    if (six)
        set_int_option(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
    info->flags ^= FDF_RECVERR_OURS;
}

/*
 * The one success that connect() still owes belongs to the socket: once up, the kernel keeps it.
 * Whether another process has been here before shows in the events, which the first one changes.
 */
static void keep_due(int fd)
{
    bool waited_for = fd_kind(fd) == FD_CONNECTING && !(fd_info(fd)->flags & FDF_CONNECT_DUE);

    if (!waited_for && events_unsettled(fd))
        state_add(fd, STATE_CONNECT_DUE);
}

/* shut_early(), asked only of who may have been. */
static unsigned shut_before(int fd)
{
    return fd_is_untouched(fd) ? 0 : shut_early(fd);
}

/* What was shut down before there was a connection is so from its first moment on, unheard. */
static void shut_from_the_start(int fd)
{
    unsigned how = shut_before(fd);

    if (how & FDF_READ_SHUT)
        ends_note(fd, FDF_READ_SHUT);
    if (how & FDF_WRITE_SHUT && !(state_get(fd) & STATE_FIN_SENT))
        state_add(fd, STATE_MUTE);
    fd_info(fd)->mute = (state_get(fd) & STATE_MUTE) != 0;
}

/* There is, or was, a connection. */
static void came_up(int fd)
{
    recverr(fd, false);
    keep_due(fd);
    fallback_up(fd);
    shut_from_the_start(fd);
}

static void connected(int fd, const struct sctp_status *status)
{
    came_up(fd);
    params_tune(fd, status);
    if (fd_kind(fd) != FD_OPEN)
        events_connected(fd);
    fd_set_kind(fd, FD_OPEN);
    paths_up(fd);
    tell_up(fd, "connected");
}

/* Errors after which the kernel has given up too; after others it goes on sending INIT. */
static bool is_final(int error)
{
    return error == ECONNREFUSED || error == ETIMEDOUT || error == ECONNRESET || error == EPIPE;
}

/* Has another process that holds the socket begun to connect it, or seen its connection end? */
static void look_beyond(int fd)
{
    struct fd_info *info = fd_info(fd);
    enum fd_kind kind = kernel_classify(fd);

    if (kind <= FD_IDLE)
        return;
    kernel_recall(fd, info);
    fd_set_kind(fd, kind);
}

/*
 * Up, or up and down again between two calls, by an end or by a reset, which stays for who asks:
 * only a connection has a queue, where the peer's announcement lies. (One that was shut down for
 * reading before always shows POLLIN: an error is its connect's.)
 */
static bool has_come_up(int fd, short ready)
{
    if (!(ready & POLLERR))
        return ready != 0;
    return ready & POLLIN && !(shut_before(fd) & FDF_READ_SHUT);
}

enum link link_settle(int fd)
{
    struct sctp_status status;
    short ready;
    int error;

    if (fd_kind(fd) == FD_OPEN)
        return LINK_UP;
    if (fd_kind(fd) == FD_IDLE) {
        if (fd_is_unshared(fd))
            return LINK_NONE;
        look_beyond(fd);
    }
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0) {
        connected(fd, &status);
        return LINK_UP;
    }
    if (fd_kind(fd) != FD_CONNECTING)
        return fd_kind(fd) == FD_OPEN ? LINK_UP : LINK_NONE;
    ready = ready_now(fd, POLLIN | POLLOUT);
    if (!ready)
        return LINK_PENDING;
    if (has_come_up(fd, ready)) {
        came_up(fd);
        events_came_up(fd);
        fd_set_kind(fd, FD_OPEN);
        return LINK_UP;
    }
    if (!fallback_claim(fd))
        return LINK_PENDING;
    error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
    events_failed(fd);
    if (fallback_go_on(fd, error ? error : ECONNREFUSED)) {
        errno = ENOTSOCK; /* not ours any more: whoever was called, libc is next */
        return LINK_FAILED;
    }
    fd_set_kind(fd, is_final(error) ? FD_FAILED : FD_STRANDED);
    error = error ? error : ECONNREFUSED;
    params_not_connected(fd, error);
    errno = error;
    return LINK_FAILED;
}

enum link link_look(int fd)
{
    enum link link = link_settle(fd);

    if (link == LINK_FAILED && fd_is_ours(fd))
        fd_info(fd)->pending = (uint8_t)errno;
    return link;
}

void link_look_up(int fd)
{
    if (fd_kind(fd) == FD_IDLE)
        (void)link_look(fd); /* another process may have made something of it */
    if (fd_kind(fd) == FD_CONNECTING && has_come_up(fd, ready_now(fd, POLLIN | POLLOUT)))
        (void)link_look(fd);
}

/*
 * poll() never restarts after a signal; TCP's connect() does if the handler said SA_RESTART. Which
 * handler ran cannot be asked, so it counts as restarting when all installed handlers say so.
 */
bool signals_restart(void)
{
    bool handled = false;

    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        if (sigaction(number, NULL, &action) < 0 || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN)
            continue;
        if (!(action.sa_flags & SA_RESTART))
            return false;
        handled = true;
    }
    return handled;
}

/* Does a signal that comes now leave connect() waiting? */
static bool may_restart(int fd)
{
    return timeout_option(fd, SO_SNDTIMEO) < 0 && signals_restart();
}

/* Another thread has seen the connect fail, and perhaps been told why. */
static int failed_meanwhile(int fd)
{
    int error = take_pending(fd);

    errno = error ? error : ECONNABORTED;
    return -1;
}

/* Its end, when there is one: 0, or -1 with errno; 1 when it goes on. */
static int link_end(int fd)
{
    switch (link_settle(fd)) {
    case LINK_UP:
        return 0;
    case LINK_PENDING:
        return 1;
    case LINK_NONE:
        return failed_meanwhile(fd);
    default:
        return -1;
    }
}

/*
 * In slices: poll() forgets a socket whose number another thread gives to another file, and would
 * wait on that one for ever.
 */
int link_wait(int fd)
{
    enum { A_WHILE = 100 };
    const struct fd_info *info = fd_info(fd);
    uint32_t life = info->life;
    int64_t start = now_ms(), deadline = deadline_from(fd, SO_SNDTIMEO, start);

    for (;;) {
        int64_t slice = now_ms() + A_WHILE;
        int end, ready = wait_for(fd, POLLOUT, deadline < 0 || slice < deadline ? slice : deadline);

        if (ready < 0 && (errno != EINTR || !may_restart(fd)))
            return -1;
        if (!fd_is_still(fd, info, life)) {
            errno = ECONNABORTED; /* TCP's connect() holds the socket, and tells how it ended */
            return -1;
        }
        if (ready <= 0) {
            /* Asked again: it may have been the tick that another thread's connect() set. */
            deadline = deadline_from(fd, SO_SNDTIMEO, start);
            if (deadline < 0 || now_ms() < deadline)
                continue;
            errno = EINPROGRESS;
            return -1;
        }
        end = link_end(fd);
        if (end <= 0)
            return end;
    }
}

/*
 * Every port of the ephemeral range carries an association of ours: unlike TCP, SCTP does not
 * share one among destinations unless asked. So take one outside the range, shared.
 */
static int bind_shared_port(int fd)
{
    int domain = fd_family(fd);
    union address from = {.in6 = {.sin6_family = (sa_family_t)domain}};
    int reuse = int_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    struct timespec seed;
    int result = -1;

    clock_gettime(CLOCK_MONOTONIC, &seed);
    set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    for (int tries = 0; tries < 128 && result < 0; tries++) {
        uint32_t mix = ((uint32_t)seed.tv_nsec + (uint32_t)tries) * 2654435761u;

        from.in.sin_port = htons((uint16_t)(1024 + (mix >> 16) % (65536 - 1024)));
        result = local_bind(fd, &from, address_len(&from));
    }
    set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
    if (result < 0)
        errno = EADDRNOTAVAIL;
    return result;
}

/* The first address, and where it does not answer in time the next ones, in turn. */
static int connect_to(int fd, const struct addresses *to)
{
    char packed[PACKED_MAX];

    if (to->count == 1)
        return libc.connect(fd, &to->at[0].any, address_len(&to->at[0]));
    return sctp_set(fd, SCTP_SOCKOPT_CONNECTX, packed, addresses_pack(to, packed));
}

static int start_nonblocking(int fd, const struct addresses *to)
{
    int result = connect_to(fd, to);

    if (result < 0 && errno == EAGAIN && !(fd_info(fd)->flags & FDF_BOUND) &&
        (result = bind_shared_port(fd)) == 0)
        result = connect_to(fd, to);
    return result;
}

/*
 * The kernel's blocking connect neither hears ICMP nor restarts: it gets one tick, then we wait.
 * Not by making the socket non-blocking: a read in another thread or process would see that, and
 * fail; the limit on sends is seen by who asks for it, or sends before there is a connection.
 */
static int start_blocking(int fd, const struct addresses *to)
{
    static const struct timeval tick = {.tv_usec = 1};
    const struct fd_info *info = fd_info(fd);
    uint32_t life = info->life;
    struct timeval limit = {0};
    socklen_t size = sizeof limit;
    int result, error;

    if (!fd_is_untouched(fd))
        libc.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &size);
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
    result = start_nonblocking(fd, to);
    error = errno;
    if (fd_is_still(fd, info, life))
        libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    errno = error;
    return result;
}

/* Did a start that failed leave its error with the socket? Then link_settle() tells what it was. */
static bool is_left_with_error(int fd)
{
    return ready_now(fd, 0) & POLLERR;
}

/* A connect() that fails leaves a TCP socket as good as new. */
static void as_new(int fd)
{
    union address name;

    local_leave(fd, &name);
    local_left(fd, &name);
    fd_set_kind(fd, FD_IDLE);
}

/* And who waits by edges hears of it, if it had begun. */
static void disconnected(int fd)
{
    as_new(fd);
    fd_info(fd)->epoll_due = true;
}

/* The kernel refused to begin, or was so quick to fail that its answer is all there is. */
static int not_started(int fd, int error)
{
    fd_info(fd)->pending = 0;
    events_failed(fd);
    as_new(fd);
    errno = error;
    return -1;
}

/* The end of a blocking connect, which the kernel's has left with this errno; 0: it is up. */
static int finish(int fd, int error)
{
    struct fd_info *info = fd_info(fd);
    int result = error ? 1 : link_end(fd);

    if (error == EINTR && !may_restart(fd)) {
        errno = error;
        result = -1;
    } else if (result > 0) {
        result = link_wait(fd);
    }
    if (result == 0)
        return 0;
    if (fd_kind(fd) == FD_FAILED)
        disconnected(fd);
    else if (fd_kind(fd) == FD_CONNECTING)
        info->flags |= FDF_CONNECT_DUE;
    return result;
}

static int start(int fd, const struct addresses *to)
{
    struct fd_info *info = fd_info(fd);
    uint32_t life = info->life;
    bool blocking = !is_nonblocking(fd);
    int result, error;

    info->pending = 0;
    params_apply_bound(fd);
    local_begin(fd);
    recverr(fd, to->count == 1); /* else the next address is tried */
    events_connecting(fd);
    if (blocking)
        info->flags &= (uint16_t)~FDF_CONNECT_DUE;
    else
        info->flags |= FDF_CONNECT_DUE;
    fd_set_kind(fd, FD_CONNECTING); /* now already: another thread may poll */
    result = blocking ? start_blocking(fd, to) : start_nonblocking(fd, to);
    error = errno;
    if (!fd_is_still(fd, info, life))
        return result < 0 && error == EINPROGRESS ? 0 : result;
    if (result < 0 && error != EINPROGRESS && error != EALREADY && error != EINTR &&
        !(blocking && is_left_with_error(fd)))
        return not_started(fd, error);
    info->epoll_due = true; /* how it ends */
    if (blocking)
        return finish(fd, result < 0 ? error : 0);
    errno = error;
    return result;
}

/* The connection is up, or was: has connect() said so before, to anyone? */
static int told_once(int fd)
{
    int error = EISCONN;
    socklen_t len = sizeof error;

    fd_info(fd)->flags &= (uint16_t)~FDF_CONNECT_DUE;
    if (state_get(fd) & STATE_CONNECT_DUE && ends_recall(fd) & FDF_WRITE_SHUT) {
        error = EINVAL; /* shut down when it was over already */
    } else if (state_take(fd, STATE_CONNECT_DUE)) {
        if (!is_closed(fd))
            return 0;
        kernel_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        error = error ? error : ECONNABORTED;
        socket_replace(fd);
    }
    errno = error;
    return -1;
}

/* connect() on a socket that connects already. */
static int resume(int fd)
{
    enum link link = link_settle(fd);

    if (link == LINK_PENDING) {
        if (is_nonblocking(fd)) {
            errno = EALREADY;
            return -1;
        }
        link = link_wait(fd) == 0 ? LINK_UP : LINK_FAILED;
        if (link == LINK_FAILED && errno == EINPROGRESS)
            errno = EALREADY; /* SO_SNDTIMEO ran out a second time */
    }
    if (link == LINK_UP)
        return told_once(fd);
    if (fd_kind(fd) == FD_FAILED)
        disconnected(fd);
    return -1;
}

/* The kernel will not name the peer as the program did. */
static void keep_name(int fd, const union address *asked, socklen_t len)
{
    memcpy(&fd_info(fd)->peer, asked, len);
    fd_info(fd)->flags |= FDF_PEER_NAME;
}

/*
 * Where to: the addresses that there is a route to come first, since each other one costs a
 * timeout. An errno when there is none to any: the one of what was asked for, 0 if it has one.
 */
static int find_ways(int fd, const union address *asked, int unreached, struct addresses *to)
{
    struct addresses known, lost = {.count = 0};

    peers_of(fd, asked, &known);
    to->count = 0;
    for (size_t i = 0; i < known.count; i++) {
        int error = i ? address_reach(&known.at[i], address_len(&known.at[i])) : unreached;

        addresses_add(error ? &lost : to, &known.at[i]);
    }
    if (!to->count)
        return unreached;
    for (size_t i = 0; i < lost.count; i++)
        addresses_add(to, &lost.at[i]);
    if (to->count > 1)
        keep_name(fd, asked, address_len(asked));
    return 0;
}

/* The own addresses of a socket that the program did not bind. */
static int bind_own(int fd, const struct addresses *to)
{
    if (local_bind_unbound(fd, &to->at[0]) == 0)
        return 0;
    return errno == EADDRINUSE ? bind_shared_port(fd) : -1;
}

/* unreached is an errno where there is no route to it. */
static int connect_sctp(int fd, const union address *asked, socklen_t len, int unreached)
{
    struct addresses to;
    int result, error = find_ways(fd, asked, unreached, &to);

    if (error) {
        errno = error;
        return -1;
    }
    if (to.count == 1 && address_is_loopback_alias(&to.at[0])) {
        keep_name(fd, asked, len);
        to.at[0].in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    /* The kernel still works on an attempt that has been reported as failed: leave it behind. */
    if (fd_kind(fd) == FD_STRANDED) {
        if (socket_replace(fd) < 0)
            return -1;
        if (to.count > 1)
            keep_name(fd, asked, len); /* it forgot */
    }
    params_settle(fd);
    if (bind_own(fd, &to) < 0)
        return -1;
    fallback_arm(fd, asked, to.count);
    result = start(fd, &to);
    /* Every address that SCTP calls invalid now is one that TCP has no route to. */
    if (result < 0 && errno == EINVAL)
        errno = ENETUNREACH;
    return result;
}

/* An undecided socket becomes what the rule has found for it. */
static enum reason begin_sctp(int fd)
{
    unsigned rule = fd_info(fd)->rule;
    enum reason reason = undecided_settle(fd);

    if (reason == REASON_NONE && rule && fd_is_ours(fd))
        note_rule(fd, ROLE_CONNECT, rule);
    return reason;
}

static int connect_asked(int fd, union address *asked, socklen_t len)
{
    const struct fd_info *info = fd_info(fd);
    uint32_t life = info->life;
    struct ledger ledger;
    enum reason reason;
    int error, result;

    result = decide_connect(fd, &asked->any);
    if (result)
        return result < 0 ? -1 : libc.connect(fd, &asked->any, len);
    reason = fallback_decide(fd, asked, &ledger);
    if (reason == REASON_NONE && fd_is_undecided(fd))
        reason = begin_sctp(fd);
    if (reason == REASON_NONE && !fd_is_ours(fd))
        return libc.connect(fd, &asked->any, len); /* it was not what it seemed to be */
    if (reason == REASON_NONE) {
        error = address_reach(asked, len);
        result = connect_sctp(fd, asked, len, error);
        if (result == 0 || error || !fd_is_still(fd, info, life))
            return result;
        reason = fallback_reason(fd, errno);
    }
    if (reason == REASON_NONE || fallback_leave(fd, asked, reason, &ledger) < 0)
        return -1;
    return libc.connect(fd, &asked->any, len);
}

static int connect_new(int fd, const struct sockaddr *addr, socklen_t len)
{
    union address asked;
    int error = address_take(fd, addr, &len, &asked);

    fd_info(fd)->flags &= (uint16_t)~FDF_PEER_NAME;
    if (!error)
        return connect_asked(fd, &asked, len);
    errno = error;
    return -1;
}

/* What SO_ERROR says after a disconnect: what it would have said, or that something was cut off. */
static int error_left(int fd)
{
    enum fd_kind kind = fd_kind(fd);
    short ready = ready_as_tcp(fd, 0);
    int error = 0;
    socklen_t len = sizeof error;

    if (kind == FD_LISTENING)
        return 0;
    if (ready & POLLERR && kernel_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
        return error;
    return (kind == FD_CONNECTING || kind == FD_OPEN) && !(ready & POLLHUP) ? ECONNRESET : 0;
}

/* connect(AF_UNSPEC) */
static int disconnect(int fd)
{
    int error = error_left(fd);

    if (socket_replace(fd) < 0)
        return -1;
    fd_info(fd)->pending = (uint8_t)error;
    return 0;
}

/* The kernel has the right error for it. */
static bool is_no_address(int fd, const struct sockaddr *addr, socklen_t len)
{
    return len < sizeof addr->sa_family || len > sizeof(struct sockaddr_storage) ||
           array_readable(fd, addr, sizeof(int)) < 0;
}

int undecided_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    union address asked;
    socklen_t taken = len;

    if (!is_no_address(fd, addr, len) && address_take(fd, addr, &taken, &asked) == 0)
        return connect_asked(fd, &asked, taken);
    undecided_release(fd);
    return libc.connect(fd, addr, len);
}

int kernel_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (is_no_address(fd, addr, len))
        return libc.connect(fd, addr, len);
    if (addr->sa_family == AF_UNSPEC)
        return disconnect(fd);
    switch (fd_kind(fd)) {
    case FD_CONNECTING:
        return resume(fd);
    case FD_OPEN:
        return told_once(fd);
    case FD_LISTENING:
        errno = EISCONN;
        return -1;
    case FD_FAILED:
        /* TCP reports the failure once more, then the socket may connect again. */
        disconnected(fd);
        errno = ECONNABORTED;
        return -1;
    case FD_IDLE:
        /* Another process that holds the socket may have connected it. */
        if (link_settle(fd) == LINK_UP)
            return told_once(fd);
        return connect_new(fd, addr, len);
    default:
        return connect_new(fd, addr, len);
    }
}
