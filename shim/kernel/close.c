/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a connection: shutdown(), half-close between two shims (docs/wire.md), resets. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "../log.h"
#include "dual.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"

enum { CLOSING_SOME = 64 };

/*
 * Has the peer ended its direction, and everything before that been read? The kernel shows the same
 * after a shutdown of our own, and, before a socket is accepted, after anything.
 */
static bool peer_ended(int fd)
{
    unsigned flags = ends_recall(fd);

    if (flags & (FDF_ENDED | FDF_READ_SHUT | FDF_GONE_EARLY))
        return flags & FDF_ENDED;
    return reading_ended(fd);
}

bool hang_up(int fd)
{
    int saved = errno;

    if (!(ends_recall(fd) & FDF_HUNG_UP)) {
        ends_note(fd, peer_ended(fd) ? FDF_HUNG_UP | FDF_ENDED : FDF_HUNG_UP);
        libc.shutdown(fd, SHUT_RDWR);
    }
    errno = saved;
    return ends_recall(fd) & FDF_ENDED;
}

/* Not by a shutdown() that failed, and only stopped connect() from telling that it is up. */
static bool writing_had_ended(int fd)
{
    return ends_recall(fd) & FDF_WRITE_SHUT && !(state_get(fd) & STATE_CONNECT_DUE);
}

bool hang_up_on_error(int fd)
{
    if (int_option(fd, IPPROTO_IP, IP_RECVERR, 0))
        return false;
    head_settle(fd);
    (void)end_met(fd);
    /* Both before the reset, which tells nobody anything. */
    if ((ends_recall(fd) & (FDF_ENDED | FDF_RESET)) == FDF_ENDED && writing_had_ended(fd))
        (void)int_option(fd, SOL_SOCKET, SO_ERROR, 0);
    hang_up(fd);
    return true;
}

/* The peer's end may still lie at the head of the queue: it came before the reset. */
static bool reset_seen(int fd)
{
    int saved = errno;
    bool known = ends_recall(fd) & FDF_RESET;

    ends_note(fd, FDF_RESET);
    if (!known)
        head_settle(fd);
    errno = saved;
    return hang_up(fd);
}

int reset_told(int fd, int error)
{
    if (!reset_seen(fd))
        return error;
    return writing_had_ended(fd) ? 0 : EPIPE;
}

int untold_error(int fd)
{
    int error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);

    if (error)
        error = reset_told(fd, error);
    return error ? error : error_due(fd, false);
}

void both_ended(int fd)
{
    libc.shutdown(fd, SHUT_RDWR);
    ends_note(fd, FDF_HUNG_UP | FDF_ENDED);
}

bool end_met(int fd)
{
    unsigned flags = ends_recall(fd);

    if ((flags & (FDF_WRITE_SHUT | FDF_HUNG_UP)) != FDF_WRITE_SHUT || !peer_ended(fd))
        return false;
    both_ended(fd);
    return true;
}

/* Is there still what the peer must take before it can hear of the end? */
static bool is_held_up(int fd)
{
    enum { CLOSED_WINDOW = 1500 };
    struct sctp_status status;

    return sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0 &&
           status.sstat_rwnd < CLOSED_WINDOW;
}

bool is_closed(int fd)
{
    unsigned ends;

    link_look_up(fd);
    if (fd_kind(fd) != FD_OPEN || fd_sealed())
        return fd_info(fd)->flags & FDF_HUNG_UP;
    ends = ends_recall(fd);
    if (ends & FDF_HUNG_UP)
        return !is_held_up(fd);
    if (ready_now(fd, 0) & POLLERR) {
        hang_up_on_error(fd);
    } else if (ends & (FDF_WRITE_SHUT | FDF_GONE_EARLY)) {
        head_settle(fd);
        (void)end_met(fd);
    }
    return ends_recall(fd) & FDF_HUNG_UP && !is_held_up(fd);
}

/* SCTP refuses shutdown() on a listener; without a backlog it is one no more, and obeys. */
static int shutdown_listener(int fd, int how)
{
    if (how == SHUT_WR)
        return 0; /* TCP's listener does not mind */
    if (dual_companion(fd) >= 0)
        libc.shutdown(dual_companion(fd), how);
    libc.listen(fd, 0);
    libc.shutdown(fd, how); /* wakes a blocked accept(), then says ENOTCONN */
    fd_set_kind(fd, FD_IDLE);
    return 0;
}

/* The FIN message, which must arrive even where messages need not. */
static ssize_t write_fin(int fd, unsigned stream)
{
    static const struct sctp_prinfo reliable = {SCTP_PR_SCTP_NONE, 0};
    const struct sctp_sndinfo fin = {
        .snd_sid = (uint16_t)stream,
        .snd_ppid = htonl(WIRE_FIN_PPID),
        .snd_flags = SCTP_SACK_IMMEDIATELY,
    };
    union sndinfo_control control;
    struct iovec iov = {"", 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    sndinfo_put(&msg, &control, &fin, &reliable);
    return libc.sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int push_fin(int fd, unsigned stream)
{
    if (write_fin(fd, stream) >= 0)
        return 0;
    if (errno == EAGAIN) {
        /* Full. What params_sndbuf() keeps back is for this one byte. */
        if (!params_force(fd, SO_SNDBUFFORCE, INT32_MAX / 2))
            set_int_option(fd, SOL_SOCKET, SO_SNDBUF, INT32_MAX / 2);
        if (write_fin(fd, stream) >= 0)
            return 0;
        /* Another process has made the buffer larger than this one may. */
        if (errno == EAGAIN && fin_hold(fd))
            return 0;
    }
    if (errno == EPIPE || is_reset(errno) || errno == ESHUTDOWN)
        return 0; /* ended meanwhile: TCP's shutdown does not mind */
    log_warn_once("no room for the end of a stream (%s): shut down in both directions",
                  strerrorname_np(errno));
    return libc.shutdown(fd, SHUT_WR);
}

/*
 * A wall in the kernel: with a default stream that does not exist no process's plain write goes
 * through from now on. What the stream was is kept where its PPID was: the answer, also of a wall
 * that stands.
 */
enum { NO_STREAM = UINT16_MAX };

static unsigned wall_up(int fd)
{
    struct sctp_sndinfo wall = {.snd_sid = 0};

    sctp_get(fd, SCTP_DEFAULT_SNDINFO, &wall, sizeof wall);
    if (wall.snd_sid != NO_STREAM) {
        wall.snd_ppid = wall.snd_sid;
        wall.snd_sid = NO_STREAM;
        sctp_set(fd, SCTP_DEFAULT_SNDINFO, &wall, sizeof wall);
    }
    return wall.snd_ppid;
}

unsigned shut_early(int fd)
{
    struct sctp_sndinfo now = {.snd_sid = 0};

    sctp_get(fd, SCTP_DEFAULT_SNDINFO, &now, sizeof now);
    return (now.snd_sid == NO_STREAM ? FDF_WRITE_SHUT : 0) |
           (now.snd_context & NOTE_READ_SHUT ? FDF_READ_SHUT : 0);
}

void fin_due(int fd)
{
    int saved = errno;

    if (state_take(fd, STATE_FIN_DUE))
        push_fin(fd, wall_up(fd));
    errno = saved;
}

/* The FIN message goes after the last data on the data's stream; before it, the wall. */
static int send_fin(int fd)
{
    unsigned stream;

    cork_write(fd, fd_info(fd), 0, false); /* what a cork holds leaves with it */
    stream = wall_up(fd);
    state_add(fd, STATE_FIN_SENT);
    return messages_hold_fin(fd) ? 0 : push_fin(fd, stream);
}

/* As each shutdown() in TCP does for who waits by edges: a limit that is set anew tells of room. */
static void wake(int fd)
{
    set_int_option(fd, SOL_SOCKET, SO_SNDBUF, int_option(fd, SOL_SOCKET, SO_SNDBUF, 0) / 2);
}

static int shutdown_writing(int fd)
{
    unsigned state;

    head_settle(fd); /* the announcement may still lie there, or the peer's end */
    state = state_get(fd);
    ends_note(fd, FDF_WRITE_SHUT);
    if (end_met(fd))
        return 0;
    if (state & STATE_FIN_SENT) {
        wake(fd);
        return 0;
    }
    if (state & FDF_READ_SHUT) {
        libc.shutdown(fd, SHUT_WR);
        return 0;
    }
    if (state & STATE_PEER_IS_SHIM && !messages_end_as_one(fd))
        return send_fin(fd);
    events_for_end(fd);
    libc.shutdown(fd, SHUT_WR);
    return 0;
}

/* From now on the kernel drops what comes, the peer's end too: what has come counts. */
static void note_end(int fd)
{
    head_settle(fd);
    if (peer_ended(fd))
        ends_note(fd, FDF_ENDED);
}

static int shutdown_reading(int fd)
{
    note_end(fd);
    ends_note(fd, FDF_READ_SHUT);
    if (!end_met(fd))
        libc.shutdown(fd, state_get(fd) & STATE_FIN_SENT ? SHUT_RDWR : SHUT_RD);
    return 0; /* without an association SCTP does it, and says ENOTCONN */
}

static int shutdown_both(int fd)
{
    note_end(fd);
    ends_note(fd, FDF_WRITE_SHUT | FDF_READ_SHUT);
    if (!end_met(fd))
        libc.shutdown(fd, SHUT_RDWR);
    return 0;
}

static int shutdown_connecting(int fd)
{
    /* Passed through it would mark the handshake in a way that cannot be taken back. */
    if (socket_replace(fd) < 0)
        return -1;
    fd_info(fd)->pending = ECONNRESET;
    fd_set_kind(fd, FD_FAILED);
    return 0;
}

/* It fails, and holds for the connection that the socket may have later, as in TCP. */
static int shutdown_unconnected(int fd, int how)
{
    struct sctp_sndinfo now = {.snd_sid = 0};

    fd_touch(fd);
    params_settle(fd);
    fd_info(fd)->epoll_due = true;
    if (how != SHUT_RD)
        wall_up(fd);
    if (how != SHUT_WR && sctp_get(fd, SCTP_DEFAULT_SNDINFO, &now, sizeof now) == 0) {
        now.snd_context |= NOTE_READ_SHUT;
        sctp_set(fd, SCTP_DEFAULT_SNDINFO, &now, sizeof now);
    }
    return libc.shutdown(fd, how);
}

/* It fails on what is over, and wakes who waits; a connect() that has not told of it never will. */
static int shutdown_closed(int fd)
{
    if (state_get(fd) & STATE_CONNECT_DUE)
        ends_note(fd, FDF_WRITE_SHUT);
    libc.shutdown(fd, SHUT_RDWR);
    errno = ENOTCONN;
    return -1;
}

int kernel_shutdown(int fd, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR) {
        errno = EINVAL;
        return -1;
    }
    if (fd_sealed())
        return libc.shutdown(fd, how);
    switch (fd_kind(fd)) {
    case FD_LISTENING:
        return shutdown_listener(fd, how);
    case FD_CONNECTING:
    case FD_STRANDED:
        if (link_settle(fd) != LINK_UP)
            return fd_is_ours(fd) ? shutdown_connecting(fd) : libc.shutdown(fd, how);
        break;
    case FD_OPEN:
        break;
    case FD_IDLE: /* unless another process that holds it has connected it */
        if (link_settle(fd) == LINK_UP)
            break;
        /* fallthrough */
    case FD_FAILED:
        return shutdown_unconnected(fd, how);
    default:
        return libc.shutdown(fd, how);
    }
    if (is_closed(fd))
        return shutdown_closed(fd);
    state_drop(fd, STATE_CONNECT_DUE); /* as TCP: from now on connect() says EISCONN */
    if (how == SHUT_WR)
        return shutdown_writing(fd);
    if (how == SHUT_RD)
        return shutdown_reading(fd);
    return shutdown_both(fd);
}

void reset_on_close(int fd)
{
    static const struct linger reset = {1, 0};

    libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/*
 * Where both directions have ended, and the peer has taken all, TCP resets nothing, whatever is
 * unread. The peer's end may lie behind that, where only reading finds it.
 */
static void drop_unread(int fd)
{
    if (!(state_get(fd) & STATE_FIN_SENT) || !is_acknowledged(fd))
        return;
    ends_note(fd, FDF_READ_SHUT); /* what the kernel shows of the peer's end is ours from now on */
    if (kernel_recv(fd, NULL, SSIZE_MAX, MSG_TRUNC | MSG_DONTWAIT) > 0 &&
        !(ends_recall(fd) & FDF_ENDED))
        reset_on_close(fd);
}

/*
 * Closing with unread data resets the peer, in SCTP as in TCP, and the peer's FIN message is data
 * to the kernel: it must not be what destroys an answer that is still on its way. One that comes
 * between this and the close is thrown away by the kernel, if reading may be shut down before: it
 * may not where another process or a blocked thread still reads.
 */
static void closing_open(int fd)
{
    tell_closing(fd);
    if (fd_info(fd)->flags & FDF_ENDED)
        return; /* it has come */
    if (fd_is_unshared(fd) && !fd_info(fd)->readers) {
        libc.shutdown(fd, SHUT_RD);
        drop_unread(fd);
    }
    head_settle(fd);
}

/* Who was waiting to be accepted is told that nobody will: TCP resets, SCTP would say good-bye. */
static void closing_listener(int fd)
{
    if (fd_is_unshared(fd))
        reset_on_close(fd);
    dual_closing(fd);
}

void kernel_closing(int fd)
{
    int saved = errno;

    if (fd_sealed() || !fd_was_ours(fd))
        return;
    link_look_up(fd); /* a connect that came up unnoticed */
    if (fd_kind(fd) == FD_OPEN)
        closing_open(fd);
    else if (fd_kind(fd) == FD_LISTENING)
        closing_listener(fd);
    errno = saved;
}

/* Most numbers mean nothing: which do one call tells, where asking each would be a call each. */
static void closing_some(unsigned first, unsigned count)
{
    struct pollfd fds[CLOSING_SOME];
    int saved = errno;
    bool told;

    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = (int)(first + i)};
    told = libc.poll(fds, count, 0) >= 0;
    for (unsigned i = 0; i < count; i++)
        if (!told || !(fds[i].revents & POLLNVAL))
            kernel_closing(fds[i].fd);
    errno = saved;
}

/* No cancellation point, as none of the calls is that comes here: _exit() ends the process. */
void kernel_closing_range(unsigned first, unsigned last)
{
    unsigned end = fd_were_ours_below();
    int cancelable;

    if (fd_sealed())
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelable);
    if (last < end)
        end = last + 1;
    for (unsigned count; first < end; first += count) {
        count = end - first < CLOSING_SOME ? end - first : CLOSING_SOME;
        closing_some(first, count);
    }
    pthread_setcancelstate(cancelable, NULL);
}
