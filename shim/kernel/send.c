/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending: a byte stream of any length as SCTP messages of bounded length. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../iov.h"
#include "../log.h"
#include "../options.h"
#include "internal.h"
#include "kernel.h"

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

/*
 * The stream is over in the kernel's eyes. TCP accepts the first write after the peer's close (it
 * learns from the answer that nobody listens): accept that one here, and only that one.
 */
static ssize_t after_the_end(int fd, size_t len, int flags)
{
    struct fd_info *info = fd_info(fd);
    struct pollfd poll = {.fd = fd, .events = POLLRDHUP};

    if (info->flags & (FDF_PEER_GONE | FDF_RESET))
        return broken_pipe(flags);
    /* Hung up in both directions: our own shutdown, which TCP refuses at once. */
    if (libc.poll(&poll, 1, 0) > 0 && poll.revents & POLLRDHUP && !(poll.revents & POLLHUP)) {
        info->flags |= FDF_PEER_GONE;
        return (ssize_t)len;
    }
    return broken_pipe(flags);
}

/* Turns the errno of a failed send of all len bytes into TCP's. */
static ssize_t send_failed(int fd, size_t len, int flags)
{
    int pending;

    switch (errno) {
    case EPIPE:
    case ESHUTDOWN:
        pending = take_pending(fd);
        if (pending) {
            errno = pending;
            return -1;
        }
        return after_the_end(fd, len, flags);
    case ESRCH: /* reset while we waited for room; the error itself is still there */
        pending = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
        errno = pending ? pending : ECONNRESET;
        reset_seen(fd);
        return -1;
    case ECONNRESET:
    case ETIMEDOUT:
    case ECONNABORTED:
        reset_seen(fd);
        return -1;
    default:
        return -1;
    }
}

/* One message of the next bytes. */
static ssize_t send_chunk(int fd, const struct iov_cursor *at, size_t chunk, int flags)
{
    struct iovec window[IOV_WINDOW];
    struct msghdr msg = {.msg_iov = window};

    iov_window(at, chunk, window, &msg.msg_iovlen);
    return libc.sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

/* No room in the middle of a write: 1 when there is some, 0 when the caller gets a short count. */
static int wait_for_room(int fd, int flags, int64_t *deadline)
{
    if (flags & MSG_DONTWAIT || is_nonblocking(fd))
        return 0;
    if (*deadline == INT64_MIN) {
        int64_t limit = timeout_option(fd, SO_SNDTIMEO);

        *deadline = limit < 0 ? -1 : now_ms() + limit;
    }
    return wait_for(fd, POLLOUT, *deadline) > 0;
}

/*
 * The first message is sent as the program asked, so that the kernel does the waiting, the
 * timeout and the restart after a signal. From then on TCP returns what it has: no restart.
 */
static ssize_t send_stream(int fd, const struct iovec *iov, size_t count, size_t total, int flags)
{
    struct iov_cursor at = {iov, count, 0};
    size_t chunk = fd_info(fd)->chunk ? fd_info(fd)->chunk : options.chunk;
    size_t sent = 0;
    int64_t deadline = INT64_MIN;
    int first = flags;

    while (sent < total) {
        ssize_t n = send_chunk(fd, &at, chunk, first);

        if (n >= 0) {
            sent += (size_t)n;
            iov_advance(&at, (size_t)n);
            first = flags | MSG_DONTWAIT;
            continue;
        }
        if (!sent)
            return send_failed(fd, total, flags);
        if (errno != EAGAIN || !wait_for_room(fd, flags, &deadline))
            break; /* the error, if it is one, stays for the next call */
    }
    return (ssize_t)sent;
}

/* A socket that is not known to be connected. 0: go on; else the call's result is -1. */
static int send_early(int fd, int flags)
{
    int pending;

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
        pending = take_pending(fd);
        if (!pending)
            return (int)broken_pipe(flags);
        errno = pending;
        return -1;
    default:
        return link_settle(fd) == LINK_UP ? 0 : (int)broken_pipe(flags);
    }
}

ssize_t stream_send(int fd, const struct iovec *iov, size_t count, int flags)
{
    size_t total = iov_total(iov, count);

    if (total == (size_t)-1) {
        errno = EINVAL;
        return -1;
    }
    if (__builtin_expect(fd_kind(fd) != FD_OPEN, 0) && send_early(fd, flags) < 0)
        return -1;
    if (flags & MSG_OOB) {
        log_warn_once("urgent data (MSG_OOB) does not exist in SCTP: refused");
        errno = EOPNOTSUPP;
        return -1;
    }
    if (!total) /* a message that SCTP cannot send; TCP still says whether anybody would get it */
        return fd_info(fd)->flags & (FDF_PEER_GONE | FDF_RESET) ? broken_pipe(flags) : 0;
    /* SCTP would hold MSG_MORE's data until the next send, for ever; TCP for 200 ms at most. */
    return send_stream(fd, iov, count, total, flags & ~(MSG_MORE | MSG_ZEROCOPY));
}

static ssize_t send_buffer(int fd, const void *buf, size_t len, int flags)
{
    struct iovec iov = {(void *)buf, len < SSIZE_MAX ? len : SSIZE_MAX};

    return stream_send(fd, &iov, 1, flags);
}

/* In a sandbox: with write(2) and poll(2) alone; a short count where more would have to wait. */
static ssize_t write_sandboxed(int fd, const char *buf, size_t len)
{
    size_t chunk = fd_info(fd)->chunk ? fd_info(fd)->chunk : options.chunk, sent = 0;
    struct pollfd poll = {.fd = fd, .events = POLLOUT};

    do {
        size_t part = len - sent < chunk ? len - sent : chunk;
        ssize_t n = libc.write(fd, buf + sent, part);

        if (n < 0)
            return sent ? (ssize_t)sent : -1;
        sent += (size_t)n;
    } while (sent < len && libc.poll(&poll, 1, 0) > 0 && poll.revents == POLLOUT);
    return (ssize_t)sent;
}

ssize_t kernel_write(int fd, const void *buf, size_t len)
{
    if (__builtin_expect(fd_sealed(), 0) && len)
        return write_sandboxed(fd, buf, len);
    return send_buffer(fd, buf, len, 0);
}

ssize_t kernel_writev(int fd, const struct iovec *iov, int count)
{
    if (count < 0 || count > IOV_MAX) {
        errno = EINVAL;
        return -1;
    }
    return stream_send(fd, iov, (size_t)count, 0);
}

ssize_t kernel_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (offset != -1 || flags || count < 0 || count > IOV_MAX)
        return libc.pwritev2(fd, iov, count, offset, flags); /* fails on any socket */
    return stream_send(fd, iov, (size_t)count, 0);
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
    return send_buffer(fd, buf, len, flags & ~MSG_FASTOPEN);
}

ssize_t kernel_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (msg->msg_iovlen > IOV_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (fast_open(fd, msg->msg_name, msg->msg_namelen, flags) < 0)
        return -1;
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
