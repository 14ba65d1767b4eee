/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving: as many queued messages as fit the caller's buffer, as one run of bytes. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "../iov.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"

/*
 * The start of the caller's buffer as it was. SCTP puts what is not data there as well, and TCP's
 * reader may look at bytes behind those that it got. Not kept: what an ABORT whose reason is longer
 * than any other notification overwrites.
 */
struct beneath {
    size_t len;
    union sctp_notification bytes;
};

static void keep_beneath(int fd, const struct iovec *iov, size_t count, struct beneath *kept)
{
    char *to = (char *)&kept->bytes;
    int saved = errno;

    kept->len = 0;
    for (size_t i = 0; i < count && kept->len < sizeof kept->bytes; i++) {
        size_t room = sizeof kept->bytes - kept->len;
        size_t len = iov[i].iov_len < room ? iov[i].iov_len : room;

        if (array_readable(fd, iov[i].iov_base, len) < 0)
            break; /* SCTP loses a message that it cannot copy: nothing is put there */
        memcpy(to + kept->len, iov[i].iov_base, len);
        kept->len += len;
    }
    errno = saved;
}

/* Gives what was there back, and has what was put there instead; returns how much. */
static size_t exchange_beneath(const struct iovec *iov, struct beneath *kept, size_t got)
{
    struct beneath found = {got < sizeof found.bytes ? got : sizeof found.bytes, {{0}}};

    for (size_t done = 0, len, back; done < found.len; done += len, iov++) {
        len = found.len - done < iov->iov_len ? found.len - done : iov->iov_len;
        back = kept->len < done ? 0 : kept->len - done < len ? kept->len - done : len;
        memcpy((char *)&found.bytes + done, iov->iov_base, len);
        memcpy(iov->iov_base, (char *)&kept->bytes + done, back);
    }
    *kept = found;
    return found.len;
}

/* A notification came where data was wanted: 0 read on, -1 with the errno it stands for. */
static int take_event(int fd, union sctp_notification *event, size_t got, int msg_flags, int flags)
{
    int error;

    if (flags & MSG_PEEK) {
        head_settle(fd);
        error = take_pending(fd);
        error = error ? error : error_due(fd, true);
    } else {
        error = event_finish(fd, event, got, msg_flags);
    }
    errno = error;
    return error ? -1 : 0;
}

/* The peer's direction is over. A peek leaves the FIN message there; take it all the same. */
static ssize_t take_fin(int fd, int flags)
{
    if (flags & MSG_PEEK)
        head_settle(fd);
    else
        fin_seen(fd);
    return 0;
}

/* The association is gone. A stream that had ended before stays just that, as in TCP. */
static ssize_t recv_ended(int fd)
{
    int error = errno, told = reset_told(fd, error);

    errno = error;
    if (told == error)
        return -1;
    error_owe(fd, told); /* reading has taken it from the kernel, and is not who is told */
    return 0;
}

/*
 * A message wakes one of the threads that are blocked in the kernel's reads of one socket, and what
 * that one leaves of it wakes no other. So only one may block there. The others wait in poll(),
 * which wakes them all; and as a message that is being read is out of the queue for a moment,
 * they look again after a while.
 */
static ssize_t recv_beside(int fd, const struct fd_info *info, uint32_t life, struct msghdr *msg,
                           int flags)
{
    enum { A_WHILE = 20 };
    int64_t deadline = INT64_MIN;

    for (;;) {
        ssize_t n = libc.recvmsg(fd, msg, flags | MSG_DONTWAIT);
        int64_t now;

        if (n >= 0 || errno != EAGAIN || is_nonblocking(fd))
            return n;
        now = now_ms();
        if (deadline == INT64_MIN) {
            int64_t limit = timeout_option(fd, SO_RCVTIMEO);

            deadline = limit < 0 ? INT64_MAX : now + limit;
        }
        if (now >= deadline)
            return n; /* EAGAIN */
        if (wait_for(fd, POLLIN, deadline - now < A_WHILE ? deadline : now + A_WHILE) < 0 &&
            (deadline != INT64_MAX || errno != EINTR || !signals_restart()))
            return -1;
        if (!fd_is_still(fd, info, life)) {
            errno = ECONNABORTED;
            return -1;
        }
    }
}

static ssize_t recv_one(int fd, struct msghdr *msg, int flags)
{
    struct fd_info *info = fd_info(fd);
    ssize_t got;

    if (flags & MSG_DONTWAIT)
        return libc.recvmsg(fd, msg, flags);
    if (atomic_fetch_add_explicit(&info->readers, 1, memory_order_relaxed) == 0)
        got = libc.recvmsg(fd, msg, flags);
    else
        got = recv_beside(fd, info, info->life, msg, flags);
    /* Not reached by a thread that is cancelled: then the next ones wait in poll(), no more. */
    atomic_fetch_sub_explicit(&info->readers, 1, memory_order_relaxed);
    return got;
}

/* What the kernel tells along with a message. */
struct told {
    enum follower next;
    size_t control_len;
    union rcvinfo_control control; /* receive information, timestamps */
};

/* One message, or the rest of one, at the cursor. */
static ssize_t recv_chunk(int fd, const struct iov_cursor *at, int flags, struct told *told)
{
    struct iovec window[IOV_WINDOW];
    struct msghdr msg = {.msg_iov = window, .msg_control = &told->control};
    struct beneath beneath;
    ssize_t got;

    beneath.len = 0;
    iov_window(at, SSIZE_MAX, window, IOV_WINDOW, &msg.msg_iovlen);
    if (told->next != FOLLOWER_DATA)
        keep_beneath(fd, window, msg.msg_iovlen, &beneath);
    for (;;) {
        size_t put;

        msg.msg_controllen = sizeof told->control;
        got = recv_one(fd, &msg, flags);
        if (got < 0 && is_reset(errno))
            return recv_ended(fd);
        if (got < 0)
            break;
        if (__builtin_expect(!(msg.msg_flags & MSG_NOTIFICATION), 1)) {
            if (__builtin_expect(got == 0 || !is_fin(fd, &msg), 1))
                break;
            exchange_beneath(window, &beneath, (size_t)got);
            return take_fin(fd, flags);
        }
        put = exchange_beneath(window, &beneath, (size_t)got);
        if (take_event(fd, &beneath.bytes, put, msg.msg_flags, flags) < 0)
            return -1;
        keep_beneath(fd, window, msg.msg_iovlen, &beneath);
    }
    told->control_len = msg.msg_controllen;
    /* Of a message that is not read to its end the rest is still there. */
    told->next = got > 0 && msg.msg_flags & MSG_EOR ? event_follower(fd, &msg) : FOLLOWER_UNKNOWN;
    return got;
}

/* Nothing more to read: the error of which the reader must be told first, or 0. */
static int read_end(int fd)
{
    if (!(ends_recall(fd) & (FDF_RESET | FDF_WRITE_SHUT)))
        return 0;
    (void)end_met(fd);
    return error_due(fd, true);
}

/* A read that moves nothing: SCTP's answer in TCP's words. */
static ssize_t recv_failed(int fd)
{
    if ((errno == EAGAIN || errno == ENOTCONN) && fd_kind(fd) == FD_IDLE)
        errno = ENOTCONN; /* SCTP would wait for an association that nobody makes */
    tell_lost(fd);
    return -1;
}

/* TCP's reader is told of timestamps and the like, never of the IP or SCTP level. */
static void hand_over_control(struct msghdr *msg, struct told *told)
{
    struct msghdr ours = {.msg_control = &told->control, .msg_controllen = told->control_len};
    char *to = msg->msg_control;
    size_t room = to ? msg->msg_controllen : 0, used = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&ours); c; c = CMSG_NXTHDR(&ours, c)) {
        size_t want = c->cmsg_len, padded;

        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (want > room - used) {
            msg->msg_flags |= MSG_CTRUNC;
            if (room - used < sizeof *c)
                break;
            want = c->cmsg_len = room - used;
        }
        memcpy(to + used, c, want);
        padded = CMSG_ALIGN(want);
        used += padded < room - used ? padded : room - used;
    }
    msg->msg_controllen = used;
}

/* What the probes of earlier calls left behind, and sockets that are not connected. 0: go on. */
static int recv_early(int fd, struct msghdr *msg, ssize_t *result)
{
    int pending = take_pending(fd);

    *result = -1;
    if (pending) {
        errno = pending;
        tell_lost(fd);
        return -1;
    }
    switch (fd_kind(fd)) {
    case FD_FAILED:
    case FD_STRANDED:
        msg->msg_namelen = 0;
        msg->msg_controllen = 0;
        msg->msg_flags = 0;
        *result = 0;
        return -1;
    case FD_LISTENING:
        errno = ENOTCONN;
        return -1;
    case FD_CONNECTING:
        return link_settle(fd) == LINK_FAILED ? -1 : 0;
    case FD_IDLE:
        (void)link_settle(fd);
        return 0;
    default:
        return 0;
    }
}

/*
 * Fills the rest of the buffer. Not a luxury: a program that sees a short read takes the socket
 * for drained, and an edge-triggered one would never be woken for the messages left behind. The
 * kernel says with each message whether there is another: asking in vain would cost a call a read.
 */
static size_t fill(int fd, const struct fd_info *info, uint32_t life, struct iov_cursor *at,
                   size_t left, size_t least, int flags, int64_t *deadline, struct told *told)
{
    size_t got = 0;

    /* Another connection that has the number now keeps its bytes. */
    while (got < left && !(told->next == FOLLOWER_NONE && got >= least) && fd_is_still(fd, info, life)) {
        ssize_t n = recv_chunk(fd, at, MSG_DONTWAIT, told);

        if (n > 0) {
            got += (size_t)n;
            iov_advance(at, (size_t)n);
        } else if (n == 0) {
            break;
        } else if (errno != EAGAIN) {
            if (is_reset(errno))
                error_owe(fd, errno); /* the probe consumed it */
            break;
        } else if (got >= least || !wait_more(fd, POLLIN, flags, deadline)) {
            break;
        }
    }
    return got;
}

/* How many bytes a blocking read of total waits for. */
static size_t enough(const struct fd_info *info, size_t total, int flags)
{
    size_t low = info->rcvlowat;

    return flags & MSG_WAITALL || low > total ? total : low;
}

/* SO_RCVTIMEO is for the whole of a read that may wait more than once. */
static int64_t read_deadline(int fd, size_t least)
{
    return least > 1 ? deadline_from(fd, SO_RCVTIMEO, now_ms()) : DEADLINE_UNKNOWN;
}

/* One place for count bytes at most, over and over: as many as it is, returned. */
static size_t sink_of(struct iovec *iov, char *sink, size_t size, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < IOV_WINDOW; i++) {
        iov[i] = (struct iovec){sink, count - bytes < size ? count - bytes : size};
        bytes += iov[i].iov_len;
    }
    return bytes;
}

/* recv(MSG_TRUNC) throws bytes away in TCP. The caller's buffer is not touched. */
static ssize_t discard(int fd, const struct fd_info *info, size_t total, size_t least, int flags,
                       int64_t *deadline)
{
    char sink[1024];
    uint32_t life = info->life;
    size_t done, left, got;
    struct iovec iov[IOV_WINDOW];
    struct told told;
    ssize_t first;

    told.next = FOLLOWER_UNKNOWN;
    sink_of(iov, sink, sizeof sink, total);
    first = recv_chunk(fd, &(struct iov_cursor){iov, IOV_WINDOW, 0}, flags & MSG_DONTWAIT, &told);
    if (first <= 0)
        return first;
    done = (size_t)first;
    do {
        size_t wanted = least > done ? least - done : 0;

        left = sink_of(iov, sink, sizeof sink, total - done);
        got = fill(fd, info, life, &(struct iov_cursor){iov, IOV_WINDOW, 0}, left,
                   wanted < left ? wanted : left, flags, deadline, &told);
        done += got;
    } while (got == left && done < total);
    return (ssize_t)done;
}

/* Is the first byte's place none? */
static bool is_unreadable(int fd, const struct iov_cursor *at)
{
    size_t i = 0;

    while (i < at->count && !at->iov[i].iov_len)
        i++;
    return i < at->count && array_readable(fd, at->iov[i].iov_base, 1) < 0;
}

/* SCTP loses a message that it cannot copy: so it is only looked at. */
static ssize_t recv_nowhere(int fd, int flags)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct iov_cursor at = {&iov, 1, 0};
    struct told told;
    ssize_t n;

    told.next = FOLLOWER_UNKNOWN;
    n = recv_chunk(fd, &at, (flags & MSG_DONTWAIT) | MSG_PEEK, &told);
    if (n < 0)
        return recv_failed(fd);
    if (n == 0)
        return 0;
    errno = EFAULT;
    return -1;
}

/* The one reader behind all calls; msg is the caller's and receives name, control and flags. */
static ssize_t stream_recv(int fd, struct msghdr *msg, int flags)
{
    struct iov_cursor at = {msg->msg_iov, msg->msg_iovlen, 0};
    size_t total = iov_total(msg->msg_iov, msg->msg_iovlen);
    int special = flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC | MSG_PEEK);
    struct fd_info *info;
    uint32_t life;
    ssize_t got;

    if (total == (size_t)-1) {
        errno = EINVAL;
        return -1;
    }
    if (__builtin_expect(fd_kind(fd) != FD_OPEN || fd_info(fd)->pending, 0) &&
        recv_early(fd, msg, &got) < 0)
        return got;
    tell_paths();
    if (flags & MSG_ERRQUEUE)
        return libc.recvmsg(fd, msg, flags);
    if (flags & MSG_OOB) {
        errno = EINVAL; /* TCP's "no urgent data" */
        return -1;
    }
    msg->msg_namelen = 0;

    bool discards = special == MSG_TRUNC && total;
    struct told told;

    told.control_len = 0;
    told.next = FOLLOWER_UNKNOWN;
    info = fd_info(fd);
    life = info->life;
    if (!discards && is_unreadable(fd, &at))
        return recv_nowhere(fd, flags);

    size_t least = enough(info, total, flags);
    int64_t deadline = read_deadline(fd, least);

    got = discards ? discard(fd, info, total, least, flags, &deadline)
                   : recv_chunk(fd, &at, flags & ~(MSG_WAITALL | MSG_TRUNC), &told);
    if (got < 0)
        return recv_failed(fd);
    hand_over_control(msg, &told);
    if (got == 0) {
        int error = read_end(fd);

        if (error) {
            errno = error;
            tell_lost(fd);
            return -1;
        }
    }
    if (flags & MSG_PEEK)
        return got;
    /* Also a read of nothing: TCP lets it wait for data, and so does this. */
    if (got > 0 && (size_t)got < total && !discards) {
        size_t left = total - (size_t)got;

        least = least > (size_t)got ? least - (size_t)got : 0;
        iov_advance(&at, (size_t)got);
        got += (ssize_t)fill(fd, info, life, &at, left, least, flags, &deadline, &told);
    }
    atomic_fetch_add_explicit(&info->received, (uint64_t)got, memory_order_relaxed);
    return got;
}

static ssize_t recv_buffer(int fd, void *buf, size_t len, int flags)
{
    struct iovec iov = {buf, len < SSIZE_MAX ? len : SSIZE_MAX};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return stream_recv(fd, &msg, flags);
}

static ssize_t recv_vector(int fd, const struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};

    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (array_readable(fd, iov, (size_t)count * sizeof *iov) < 0)
        return -1;
    if (!iov_total(iov, (size_t)count))
        return 0; /* as read(2) of nothing, which never asks the socket */
    return stream_recv(fd, &msg, 0);
}

/* In a sandbox: with read(2) and poll(2) alone. */
static ssize_t read_sandboxed(int fd, char *buf, size_t len)
{
    ssize_t got = libc.read(fd, buf, len);

    while (got > 0 && (size_t)got < len && ready_now(fd, POLLIN) == POLLIN) {
        ssize_t n = libc.read(fd, buf + got, len - (size_t)got);

        if (n <= 0)
            break;
        got += n;
    }
    return got;
}

ssize_t kernel_read(int fd, void *buf, size_t len)
{
    if (__builtin_expect(fd_sealed(), 0))
        return read_sandboxed(fd, buf, len);
    return len ? recv_buffer(fd, buf, len, 0) : 0;
}

ssize_t kernel_readv(int fd, const struct iovec *iov, int count)
{
    return recv_vector(fd, iov, count);
}

ssize_t kernel_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (offset != -1 || flags)
        return libc.preadv2(fd, iov, count, offset, flags); /* fails on any socket */
    return recv_vector(fd, iov, count);
}

ssize_t kernel_recv(int fd, void *buf, size_t len, int flags)
{
    return recv_buffer(fd, buf, len, flags);
}

ssize_t kernel_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
                        socklen_t *addrlen)
{
    ssize_t result = recv_buffer(fd, buf, len, flags);

    if (result >= 0 && addr && addrlen)
        *addrlen = 0; /* a TCP segment has no sender */
    return result;
}

ssize_t kernel_recvmsg(int fd, struct msghdr *msg, int flags)
{
    socklen_t namelen;
    ssize_t result;

    if (array_readable(fd, msg, sizeof *msg) < 0)
        return -1;
    if (msg->msg_iovlen > IOV_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (array_readable(fd, msg->msg_iov, msg->msg_iovlen * sizeof *msg->msg_iov) < 0)
        return -1;
    namelen = msg->msg_namelen;
    msg->msg_flags = 0;
    result = stream_recv(fd, msg, flags);
    if (!msg->msg_name || result < 0)
        msg->msg_namelen = namelen;
    if (result >= 0 && flags & MSG_CMSG_CLOEXEC)
        msg->msg_flags |= MSG_CMSG_CLOEXEC;
    return result;
}

static bool expired(const struct timespec *timeout, int64_t start)
{
    return timeout &&
           now_ms() - start >= (int64_t)timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000;
}

int kernel_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                    struct timespec *timeout)
{
    int64_t start = timeout ? now_ms() : 0;
    unsigned done;
    int error;

    link_look_up(fd);
    error = fd_kind(fd) == FD_OPEN ? untold_error(fd) : 0;
    if (error) { /* this call is told of it before the data that came first */
        errno = error;
        return -1;
    }
    for (done = 0; done < count && done < IOV_MAX; done++) {
        int once = flags & ~MSG_WAITFORONE;
        ssize_t got;

        if (done && (expired(timeout, start)))
            break;
        if (done && flags & MSG_WAITFORONE)
            once |= MSG_DONTWAIT;
        got = kernel_recvmsg(fd, &msgs[done].msg_hdr, once);
        if (got < 0)
            return done ? (int)done : -1;
        msgs[done].msg_len = (unsigned)got;
    }
    return (int)done;
}
