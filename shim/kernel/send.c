/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending: a byte stream of any length as SCTP messages of bounded length. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../iov.h"
#include "../log.h"
#include "internal.h"
#include "kernel.h"
#include "tell.h"

/* Directed at the thread, as the kernel's own. */
static void raise_sigpipe(void)
{
    int saved = errno;

    raw_syscall(SYS_tgkill, getpid(), raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGPIPE, 0, 0, 0);
    errno = saved;
}

static ssize_t broken_pipe(int flags)
{
    errno = EPIPE;
    if (!(flags & MSG_NOSIGNAL))
        raise_sigpipe();
    return -1;
}

/* Has the program ended its direction, or been told that nobody listens? */
static bool is_refused(int fd)
{
    enum { REFUSED = FDF_PEER_GONE | FDF_RESET | FDF_WRITE_SHUT | FDF_HUNG_UP };

    return ends_recall(fd) & REFUSED || state_get(fd) & (STATE_FIN_SENT | STATE_MUTE);
}

/*
 * The stream is over in the kernel's eyes. TCP accepts the first write after the peer's close, as
 * much as its buffer holds; the answer is a reset, and tells it that nobody listens.
 */
static ssize_t after_the_end(int fd, size_t len, int flags)
{
    short ends = ready_now(fd, POLLRDHUP);
    size_t room = (size_t)int_option(fd, SOL_SOCKET, SO_SNDBUF, 0);

    if (is_refused(fd))
        return broken_pipe(flags);
    /* Hung up in both directions: our own shutdown, which TCP refuses at once. */
    if (!(ends & POLLRDHUP) || ends & POLLHUP)
        return broken_pipe(flags);
    both_ended(fd);
    ends_note(fd, FDF_PEER_GONE);
    error_owe(fd, EPIPE);
    return (ssize_t)(len < room ? len : room);
}

/* Part of a write went out: the error that ended it is the next call's. */
static void keep_error(int fd)
{
    int error = errno == ESRCH ? int_option(fd, SOL_SOCKET, SO_ERROR, 0) : errno;

    if (is_reset(error))
        error_owe(fd, reset_told(fd, error));
}

/* Turns the errno of a failed send of all len bytes into TCP's. */
static ssize_t send_failed(int fd, size_t len, int flags)
{
    int pending;

    switch (errno) {
    case EPIPE:
    case ESHUTDOWN:
        head_settle(fd); /* a reset that came before it was accepted, behind what has been read */
        pending = untold_error(fd);
        if (!pending)
            return after_the_end(fd, len, flags);
        if (pending == EPIPE)
            return broken_pipe(flags);
        errno = pending;
        return -1;
    case EINVAL: /* no such stream: the wall that shutdown_writing() left */
        return is_refused(fd) ? broken_pipe(flags) : -1;
    case ESRCH: /* reset while we waited for room; the error itself is still there */
        pending = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
        errno = pending ? pending : ECONNRESET;
        /* fallthrough */
    case ECONNRESET:
    case ETIMEDOUT:
    case ECONNABORTED:
        pending = reset_told(fd, errno);
        return pending == errno ? -1 : broken_pipe(flags);
    default:
        return -1;
    }
}

/* The next messages of a write that is longer than one. */
struct batch {
    struct mmsghdr messages[16];
    struct iovec windows[IOV_WINDOW];
    size_t count, bytes;
};

/* The cursor ends behind them. */
static void batch_fill(struct batch *batch, struct iov_cursor *at, size_t chunk)
{
    const size_t most = sizeof batch->messages / sizeof batch->messages[0];
    size_t used = 0;

    batch->count = batch->bytes = 0;
    while (batch->count < most && used < IOV_WINDOW) {
        struct msghdr msg = {.msg_iov = batch->windows + used};
        size_t room = IOV_WINDOW - used;
        size_t bytes = iov_window(at, chunk, msg.msg_iov, room, &msg.msg_iovlen);

        /* What is short for want of room is the next batch's, as one message. */
        if (!bytes || (batch->count && bytes < chunk && msg.msg_iovlen == room))
            break;
        batch->messages[batch->count++] = (struct mmsghdr){.msg_hdr = msg};
        batch->bytes += bytes;
        used += msg.msg_iovlen;
        iov_advance(at, bytes);
    }
}

/* Returns the bytes that were taken, or -1 when it was none. */
static ssize_t batch_send(int fd, struct batch *batch, int flags)
{
    ssize_t bytes = 0;
    int n = libc.sendmmsg(fd, batch->messages, (unsigned)batch->count, flags | MSG_NOSIGNAL);

    if (n < 0)
        return -1;
    for (int i = 0; i < n; i++)
        bytes += batch->messages[i].msg_len;
    return bytes;
}

/* A process that shares the socket may change it; then a write waits too long, no worse. */
static bool waits_endlessly(int fd, struct fd_info *info)
{
    if (info->patience == PATIENCE_UNKNOWN)
        info->patience = timeout_option(fd, SO_SNDTIMEO) < 0 ? PATIENCE_ENDLESS : PATIENCE_LIMITED;
    return info->patience == PATIENCE_ENDLESS;
}

/*
 * The kernel does the waiting, and the restart after a signal that came before the first message
 * left. Whatever ends a batch early ends the write, as in TCP: what it was the next call is told.
 */
static ssize_t send_batches(int fd, struct iov_cursor *at, size_t chunk, size_t total, int flags)
{
    const struct fd_info *info = fd_info(fd);
    uint32_t life = info->life;
    size_t sent = 0;

    /* The rest must not go to whoever has the number now. */
    while (sent < total && (!sent || fd_is_still(fd, info, life))) {
        struct batch batch;
        ssize_t n;

        batch_fill(&batch, at, chunk);
        n = batch_send(fd, &batch, flags);
        if (n < 0 && !sent)
            return -1;
        if (n < 0)
            keep_error(fd);
        sent += n > 0 ? (size_t)n : 0;
        if (n < (ssize_t)batch.bytes)
            break;
    }
    return (ssize_t)sent;
}

/* One message of the next bytes. */
static ssize_t send_chunk(int fd, const struct iov_cursor *at, size_t chunk, int flags)
{
    struct iovec window[IOV_WINDOW];
    struct msghdr msg = {.msg_iov = window};

    iov_window(at, chunk, window, IOV_WINDOW, &msg.msg_iovlen);
    return libc.sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

/*
 * The same one by one, where all of them together have a time limit. The kernel waits for the
 * first message; from then on TCP returns what it has: no restart.
 */
static ssize_t send_chunks(int fd, struct iov_cursor *at, size_t chunk, size_t total, int flags)
{
    const struct fd_info *info = fd_info(fd);
    int64_t deadline = total > chunk ? deadline_from(fd, SO_SNDTIMEO, now_ms()) : DEADLINE_UNKNOWN;
    uint32_t life = info->life;
    size_t sent = 0;

    while (sent < total && (!sent || fd_is_still(fd, info, life))) {
        ssize_t n = send_chunk(fd, at, chunk, sent ? flags | MSG_DONTWAIT : flags);

        if (n < 0 && !sent)
            return -1;
        if (n >= 0) {
            sent += (size_t)n;
            iov_advance(at, (size_t)n);
        } else if (errno != EAGAIN || !wait_more(fd, POLLOUT, flags, &deadline)) {
            keep_error(fd);
            break;
        }
    }
    return (ssize_t)sent;
}

static ssize_t send_stream(int fd, const struct iovec *iov, size_t count, size_t total, int flags)
{
    struct iov_cursor at = {iov, count, 0};
    struct fd_info *info = fd_info(fd);
    size_t chunk = info->chunk ? info->chunk : options_of(fd)->chunk;
    ssize_t sent;

    if ((total <= chunk && count <= IOV_WINDOW) || !waits_endlessly(fd, info))
        sent = send_chunks(fd, &at, chunk, total, flags);
    else
        sent = send_batches(fd, &at, chunk, total, flags);
    if (sent < 0) {
        sent = send_failed(fd, total, flags);
        if (sent < 0)
            tell_lost(fd);
        return sent;
    }
    atomic_fetch_add_explicit(&info->sent, (uint64_t)sent, memory_order_relaxed);
    return sent;
}

/* A write of a program whose writes are messages: all of it, or nothing. */
static ssize_t send_whole(int fd, const struct iovec *iov, size_t count, size_t total, int flags)
{
    ssize_t n = message_send(fd, iov, count, flags);

    if (n < 0)
        return send_failed(fd, total, flags);
    atomic_fetch_add_explicit(&fd_info(fd)->sent, (uint64_t)n, memory_order_relaxed);
    return n;
}

/* A message that SCTP cannot send; TCP still says whether anybody would get it. */
static ssize_t send_nothing(int fd, int flags)
{
    int error;

    error = untold_error(fd);
    if (error && error != EPIPE) {
        errno = error;
        return -1;
    }
    return error || is_refused(fd) ? broken_pipe(flags) : 0;
}

/* What ended the connection is told once, instead of SIGPIPE. */
static int unconnected(int fd, int flags)
{
    int pending = take_pending(fd);

    if (!pending)
        return (int)broken_pipe(flags);
    errno = pending;
    return -1;
}

/* A socket that is not known to be connected. 0: go on; else the call's result is -1. */
static int send_early(int fd, int flags)
{
    switch (fd_kind(fd)) {
    case FD_CONNECTING:
        switch (link_settle(fd)) {
        case LINK_PENDING:
            if (!(flags & MSG_DONTWAIT) && !is_nonblocking(fd))
                return link_wait(fd);
            errno = EAGAIN;
            return -1;
        case LINK_FAILED:
            return -1;
        default:
            return 0;
        }
    case FD_FAILED:
    case FD_STRANDED:
        return unconnected(fd, flags);
    default:
        return link_settle(fd) == LINK_UP ? 0 : unconnected(fd, flags);
    }
}

ssize_t stream_send(int fd, const struct iovec *iov, size_t count, int flags)
{
    size_t total = iov_total(iov, count);
    struct fd_info *info;

    if (total == (size_t)-1) {
        errno = EINVAL;
        return -1;
    }
    if (__builtin_expect(fd_kind(fd) != FD_OPEN, 0) && send_early(fd, flags) < 0)
        return -1;
    if (__builtin_expect(fd_info(fd)->pending, 0)) {
        errno = take_pending(fd);
        tell_lost(fd);
        return -1;
    }
    tell_paths();
    if (flags & MSG_OOB) {
        log_warn_once("urgent data (MSG_OOB) does not exist in SCTP: refused");
        errno = EOPNOTSUPP;
        return -1;
    }
    info = fd_info(fd);
    if (!total)
        return send_nothing(fd, flags);
    if (__builtin_expect(flags & MSG_MORE || info->flags & (FDF_CORKED | FDF_MORE), 0))
        cork_write(fd, info, total, flags & MSG_MORE || info->flags & FDF_CORKED);
    flags &= ~(MSG_MORE | MSG_ZEROCOPY);
    if (__builtin_expect(options_of(fd)->messages, 0))
        return send_whole(fd, iov, count, total, flags);
    return send_stream(fd, iov, count, total, flags);
}

static ssize_t send_buffer(int fd, const void *buf, size_t len, int flags)
{
    struct iovec iov = {(void *)buf, len < SSIZE_MAX ? len : SSIZE_MAX};

    return stream_send(fd, &iov, 1, flags);
}

/* In a sandbox: with write(2) and poll(2) alone; a short count where more would have to wait. */
static ssize_t write_sandboxed(int fd, const char *buf, size_t len)
{
    size_t chunk = fd_info(fd)->chunk ? fd_info(fd)->chunk : options_of(fd)->chunk, sent = 0;

    do {
        size_t part = len - sent < chunk ? len - sent : chunk;
        ssize_t n = libc.write(fd, buf + sent, part);

        if (n < 0)
            return sent ? (ssize_t)sent : -1;
        sent += (size_t)n;
    } while (sent < len && ready_now(fd, POLLOUT) == POLLOUT);
    return (ssize_t)sent;
}

ssize_t kernel_write(int fd, const void *buf, size_t len)
{
    if (__builtin_expect(fd_sealed(), 0) && len)
        return write_sandboxed(fd, buf, len);
    return send_buffer(fd, buf, len, 0);
}

static ssize_t send_vector(int fd, const struct iovec *iov, size_t count)
{
    if (array_readable(fd, iov, count * sizeof *iov) < 0)
        return -1;
    if (!iov_total(iov, count))
        return 0; /* unlike write(2) of nothing, which asks the socket */
    return stream_send(fd, iov, count, 0);
}

ssize_t kernel_writev(int fd, const struct iovec *iov, int count)
{
    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return send_vector(fd, iov, (size_t)count);
}

ssize_t kernel_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (offset != -1 || flags || count < 0 || count > IOV_MAX)
        return libc.pwritev2(fd, iov, count, offset, flags); /* fails on any socket */
    return send_vector(fd, iov, (size_t)count);
}

ssize_t kernel_send(int fd, const void *buf, size_t len, int flags)
{
    return send_buffer(fd, buf, len, flags);
}

/* TCP ignores the address, except where it means "connect, and send along". */
static int fast_open(int fd, const struct sockaddr *addr, socklen_t len, int flags)
{
    if (addr && len > sizeof(struct sockaddr_storage)) {
        errno = EINVAL;
        return -1;
    }
    if (!(flags & MSG_FASTOPEN) || !addr)
        return 0;
    return kernel_connect(fd, addr, len);
}

ssize_t kernel_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                      socklen_t addrlen)
{
    if (fast_open(fd, addr, addrlen, flags) < 0)
        return -1;
    if (!fd_is_ours(fd)) /* a rule has made it TCP's */
        return libc.sendto(fd, buf, len, flags & ~MSG_FASTOPEN, addr, addrlen);
    return send_buffer(fd, buf, len, flags & ~MSG_FASTOPEN);
}

ssize_t kernel_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (array_readable(fd, msg, sizeof *msg) < 0)
        return -1;
    if (msg->msg_iovlen > IOV_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (array_readable(fd, msg->msg_iov, msg->msg_iovlen * sizeof *msg->msg_iov) < 0)
        return -1;
    if (__builtin_expect(msg->msg_controllen != 0, 0) &&
        (control_copyable(fd, msg) < 0 ||
         (fd_kind(fd) == FD_OPEN && control_check(fd, msg) < 0)))
        return -1;
    if (fast_open(fd, msg->msg_name, msg->msg_namelen, flags) < 0)
        return -1;
    if (!fd_is_ours(fd)) /* a rule has made it TCP's */
        return libc.sendmsg(fd, msg, flags & ~MSG_FASTOPEN);
    return stream_send(fd, msg->msg_iov, msg->msg_iovlen, flags & ~MSG_FASTOPEN);
}

int kernel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    unsigned done;

    for (done = 0; done < count && done < IOV_MAX; done++) {
        const struct msghdr *msg = &msgs[done].msg_hdr;
        ssize_t sent = kernel_sendmsg(fd, msg, flags);

        if (sent < 0)
            return done ? (int)done : -1;
        msgs[done].msg_len = (unsigned)sent;
        if ((size_t)sent < iov_total(msg->msg_iov, msg->msg_iovlen))
            return (int)done + 1;
    }
    return (int)done;
}
