/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What SCTP itself puts into the receive queue, among the program's data: notifications, and the
 * FIN message of a peer that is a shim. A program never sees either, only what they mean.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"
#include "kernel.h"

/* One call for all kinds, those that are not named are switched off. */
static void subscribe(int fd, bool adaptation, bool changes)
{
    struct sctp_event_subscribe wanted = {
        .sctp_association_event = changes,
        .sctp_adaptation_layer_event = adaptation,
    };

    sctp_set(fd, SCTP_EVENTS, &wanted, sizeof wanted);
}

/* The end of a connect has ways of its own to be seen; who the peer is, only this one. */
void events_connecting(int fd)
{
    subscribe(fd, true, false);
}

/*
 * Looking for the next message takes the error of a reset that comes after the last one. So the
 * kernel is asked to look only where a notification of the reset lies before it.
 */
static void tell_followers(int fd, int on)
{
    sctp_set(fd, SCTP_RECVNXTINFO, &on, sizeof on);
}

static void follow(int fd, bool on)
{
    tell_followers(fd, on);
    fd_info(fd)->followers = on ? FOLLOWERS_TOLD : FOLLOWERS_UNTOLD;
}

/* Of a socket from elsewhere only the kernel knows. */
bool events_follow(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (info->followers == FOLLOWERS_UNKNOWN)
        info->followers = int_option(fd, IPPROTO_SCTP, SCTP_RECVNXTINFO, 0) ? FOLLOWERS_TOLD
                                                                            : FOLLOWERS_UNTOLD;
    return info->followers == FOLLOWERS_TOLD;
}

void events_listening(int fd)
{
    subscribe(fd, true, true);
    follow(fd, true);
}

void events_failed(int fd)
{
    subscribe(fd, false, false);
}

bool events_unsettled(int fd)
{
    struct sctp_event_subscribe now = {0};

    return sctp_get(fd, SCTP_EVENTS, &now, sizeof now) == 0 && now.sctp_adaptation_layer_event &&
           !now.sctp_association_event;
}

void events_came_up(int fd)
{
    subscribe(fd, true, true);
}

static bool has_error(int fd)
{
    return ready_now(fd, 0) & POLLERR;
}

/* What follows an error may come without a notification of it. */
void events_for_end(int fd)
{
    events_came_up(fd);
    if (!has_error(fd))
        follow(fd, true);
}

void kernel_quiet(int fd)
{
    int saved = errno;

    if (fd_kind(fd) == FD_OPEN) {
        head_settle(fd);
        if (state_get(fd) & STATE_FIN_DUE)
            libc.shutdown(fd, SHUT_WR); /* nobody would hear when it is due */
        subscribe(fd, false, false);
        follow(fd, false);
    }
    errno = saved;
}

/*
 * A new association in the place of the old: two strangers' bytes must not become one stream. One
 * association of a socket cannot be aborted but by the socket's end, so it gets another one, which
 * nothing was ever connected to; readers that still wait on the old one read its end.
 */
static int cut_restarted(int fd)
{
    libc.shutdown(fd, SHUT_RD);
    socket_replace(fd);
    fd_set_kind(fd, FD_FAILED);
    return ECONNRESET;
}

/* What the socket's error was: reading the notification has taken it. */
static int error_of(const struct sctp_assoc_change *change)
{
    bool aborted = change->sac_length > sizeof *change; /* the peer's ABORT lies in it */

    if (!aborted && !change->sac_error)
        return ETIMEDOUT;
    return aborted ? ECONNRESET : ECONNABORTED;
}

static int ended_by(int fd, const struct sctp_assoc_change *change)
{
    bool known = ends_recall(fd) & FDF_RESET;
    int error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
    int told;

    if (!error && !known)
        error = error_of(change);
    told = reset_told(fd, error ? error : ECONNRESET);
    if (told && told != EPIPE)
        return known ? 0 : told;
    /* A stream that had ended before stays just that for its reader. */
    error_owe(fd, error ? told : 0);
    return 0;
}

static int association_changed(int fd, const struct sctp_assoc_change *change)
{
    switch (change->sac_state) {
    case SCTP_SHUTDOWN_COMP:
        /* The end that shut down first: the kernel would have it wait for data for ever. */
        libc.shutdown(fd, SHUT_RD);
        ends_note(fd, FDF_ENDED);
        return 0;
    case SCTP_COMM_LOST:
        return ended_by(fd, change);
    case SCTP_RESTART:
        return cut_restarted(fd);
    default:
        return 0;
    }
}

static void peer_announced(int fd, uint32_t indication)
{
    if (wire_announces(indication))
        state_add(fd, STATE_PEER_IS_SHIM);
}

static int event_seen(int fd, const union sctp_notification *event, size_t len)
{
    if (len >= sizeof event->sn_adaptation_event &&
        event->sn_header.sn_type == SCTP_ADAPTATION_INDICATION)
        peer_announced(fd, event->sn_adaptation_event.sai_adaptation_ind);
    else if (len >= sizeof event->sn_assoc_change && event->sn_header.sn_type == SCTP_ASSOC_CHANGE)
        return association_changed(fd, &event->sn_assoc_change);
    else if (event->sn_header.sn_type == SCTP_SENDER_DRY_EVENT)
        fin_due(fd);
    return 0;
}

/* Reads what is missing of a notification; returns how much of it there is. */
static size_t event_rest(int fd, union sctp_notification *event, size_t got, int flags)
{
    char rest[256];

    while (!(flags & MSG_EOR)) {
        bool whole = got >= sizeof *event;
        struct iovec iov = {whole ? rest : (char *)event + got,
                            whole ? sizeof rest : sizeof *event - got};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n = libc.recvmsg(fd, &msg, MSG_DONTWAIT);

        if (n <= 0)
            break;
        if (!whole)
            got += (size_t)n;
        flags = msg.msg_flags;
    }
    return got;
}

int event_finish(int fd, union sctp_notification *event, size_t got, int flags)
{
    return event_seen(fd, event, event_rest(fd, event, got, flags));
}

/* What SCTP tells along with a message. */
static bool find_info(struct msghdr *msg, int type, void *into, size_t size)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == IPPROTO_SCTP && c->cmsg_type == type) {
            memcpy(into, CMSG_DATA(c), size);
            return true;
        }
    return false;
}

bool is_fin(int fd, struct msghdr *msg)
{
    struct sctp_rcvinfo info;

    return find_info(msg, SCTP_RCVINFO, &info, sizeof info) &&
           info.rcv_ppid == htonl(WIRE_FIN_PPID) && state_get(fd) & STATE_PEER_IS_SHIM;
}

void fin_seen(int fd)
{
    if (state_get(fd) & STATE_FIN_SENT)
        both_ended(fd);
    else
        libc.shutdown(fd, SHUT_RD);
    /* Where the kernel shows the same without the peer's end. */
    if (ends_recall(fd) & (FDF_GONE_EARLY | FDF_READ_SHUT | FDF_HUNG_UP))
        ends_note(fd, FDF_ENDED);
}

enum follower event_follower(int fd, struct msghdr *msg)
{
    struct sctp_nxtinfo next;

    if (!find_info(msg, SCTP_NXTINFO, &next, sizeof next))
        return events_follow(fd) ? FOLLOWER_NONE : FOLLOWER_UNKNOWN;
    if (next.nxt_flags & SCTP_NOTIFICATION)
        return FOLLOWER_EVENT;
    /* Who the peer is may stand in what was just read. */
    return next.nxt_ppid == htonl(WIRE_FIN_PPID) ? FOLLOWER_UNKNOWN : FOLLOWER_DATA;
}

/* Reads the message at the head, and leaves the error of a reset to who asks for it. */
static ssize_t read_head(int fd, struct msghdr *msg, bool troubled, enum follower *next)
{
    bool takes_error = troubled && events_follow(fd);
    ssize_t n;

    if (takes_error)
        tell_followers(fd, 0);
    n = libc.recvmsg(fd, msg, MSG_DONTWAIT);
    if (takes_error)
        tell_followers(fd, 1);
    *next = n <= 0 || takes_error ? FOLLOWER_UNKNOWN : event_follower(fd, msg);
    return n;
}

/* Removes the message at the head, which is not data. */
static int take_head(int fd, bool troubled, enum follower *next)
{
    union sctp_notification event;
    union rcvinfo_control control;
    struct iovec iov = {&event, sizeof event};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t n = read_head(fd, &msg, troubled, next);

    if (n <= 0)
        return 0;
    if (!(msg.msg_flags & MSG_NOTIFICATION)) {
        fin_seen(fd);
        return 0;
    }
    n = (ssize_t)event_rest(fd, &event, (size_t)n, msg.msg_flags);
    if (event.sn_header.sn_type == SCTP_ASSOC_CHANGE &&
        event.sn_assoc_change.sac_state == SCTP_COMM_LOST && has_error(fd)) {
        hang_up(fd); /* the error that goes with it stays */
        return 0;
    }
    return event_seen(fd, &event, (size_t)n);
}

/* A reset, and nothing before it. */
static bool is_error_next(int fd)
{
    int length = 0;

    return has_error(fd) && libc.ioctl(fd, FIONREAD, &length) == 0 && !length;
}

/* Is the head of the queue not data? An errno where looking has met, and taken, a reset. */
static bool is_event_next(int fd, int *error)
{
    char byte;
    union rcvinfo_control control;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t n = libc.recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);

    if (n < 0 && is_reset(errno))
        *error = reset_told(fd, errno); /* it came just now */
    return n > 0 && (msg.msg_flags & MSG_NOTIFICATION || is_fin(fd, &msg));
}

/* An error that is there already is left to who asks for it: looking would take it. */
static void settle(int fd, bool troubled)
{
    enum follower next = FOLLOWER_UNKNOWN;
    int error = 0;

    while (!error && next != FOLLOWER_NONE && next != FOLLOWER_DATA &&
           !(troubled && is_error_next(fd))) {
        if (next == FOLLOWER_UNKNOWN && !is_event_next(fd, &error))
            break;
        error = take_head(fd, troubled, &next);
    }
    if (error && fd_kind(fd) == FD_OPEN)
        error_owe(fd, error);
    else if (error)
        fd_info(fd)->pending = (uint8_t)error;
}

void head_settle(int fd)
{
    settle(fd, has_error(fd));
}

void events_connected(int fd)
{
    events_came_up(fd);
    follow(fd, true);
    settle(fd, false);
}

void events_accepted(int fd)
{
    settle(fd, false);
}
