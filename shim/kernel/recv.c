/* SPDX-License-Identifier: BSD-3-Clause */
/* Receiving: as many queued messages as fit the caller's buffer, as one run of bytes. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "../iov.h"
#include "internal.h"
#include "kernel.h"

/* One message, or the rest of one, at the cursor. */
static ssize_t recv_chunk(int fd, const struct iov_cursor *at, int flags)
{
    struct iovec window[IOV_WINDOW];
    struct msghdr msg = {.msg_iov = window};

    iov_window(at, SSIZE_MAX, window, &msg.msg_iovlen);
    return libc.recvmsg(fd, &msg, flags);
}

static bool is_reset(int error)
{
    return error == ECONNRESET || error == ETIMEDOUT || error == ECONNABORTED;
}

/* A read that moves nothing: SCTP's answer in TCP's words. */
static ssize_t recv_failed(int fd)
{
    if (is_reset(errno))
        reset_seen(fd);
    else if ((errno == EAGAIN || errno == ENOTCONN) && fd_kind(fd) == FD_IDLE)
        errno = ENOTCONN; /* SCTP would wait for an association that nobody makes */
    return -1;
}

/* What the probes of earlier calls left behind, and sockets that are not connected. 0: go on. */
static int recv_early(int fd, ssize_t *result)
{
    int pending = take_pending(fd);

    *result = -1;
    if (pending) {
        errno = pending;
        return -1;
    }
    switch (fd_kind(fd)) {
    case FD_FAILED:
    case FD_STRANDED:
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

/* Between two messages of a MSG_WAITALL read: 1 go on, 0 the caller gets what there is. */
static int wait_for_more(int fd, int flags, int64_t *deadline)
{
    if (!(flags & MSG_WAITALL) || flags & MSG_DONTWAIT || is_nonblocking(fd))
        return 0;
    if (*deadline == INT64_MIN) {
        int64_t limit = timeout_option(fd, SO_RCVTIMEO);

        *deadline = limit < 0 ? -1 : now_ms() + limit;
    }
    return wait_for(fd, POLLIN, *deadline) > 0;
}

/*
 * Fills the rest of the buffer. Not a luxury: a program that sees a short read takes the socket
 * for drained, and an edge-triggered one would never be woken for the messages left behind.
 */
static size_t fill(int fd, struct iov_cursor *at, size_t left, int flags)
{
    int64_t deadline = INT64_MIN;
    size_t got = 0;

    while (got < left) {
        ssize_t n = recv_chunk(fd, at, MSG_DONTWAIT);

        if (n > 0) {
            got += (size_t)n;
            iov_advance(at, (size_t)n);
        } else if (n == 0) {
            break;
        } else if (errno != EAGAIN) {
            if (is_reset(errno)) {
                reset_seen(fd);
                fd_info(fd)->pending = (uint8_t)errno; /* the probe consumed it */
            }
            break;
        } else if (!wait_for_more(fd, flags, &deadline)) {
            break;
        }
    }
    return got;
}

/*
 * recv(MSG_TRUNC) throws bytes away in TCP. The buffer is not touched.
 */
static ssize_t discard(int fd, size_t total, int flags)
{
    char sink[1024];
    ssize_t done = 0;

    while ((size_t)done < total) {
        size_t left = total - (size_t)done;
        struct iovec iov = {sink, left < sizeof sink ? left : sizeof sink};
        struct iov_cursor at = {&iov, 1, 0};
        ssize_t n = recv_chunk(fd, &at, done ? MSG_DONTWAIT : flags & MSG_DONTWAIT);

        if (n <= 0)
            return done ? done : n;
        done += n;
    }
    return done;
}

/* The one reader behind all calls; msg is the caller's and receives name, control and flags. */
static ssize_t stream_recv(int fd, struct msghdr *msg, int flags)
{
    struct iov_cursor at = {msg->msg_iov, msg->msg_iovlen, 0};
    size_t total = iov_total(msg->msg_iov, msg->msg_iovlen);
    int special = flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC | MSG_PEEK);
    ssize_t got;

    if (total == (size_t)-1) {
        errno = EINVAL;
        return -1;
    }
    if (__builtin_expect(fd_kind(fd) != FD_OPEN || fd_info(fd)->pending, 0) &&
        recv_early(fd, &got) < 0)
        return got;
    if (flags & MSG_ERRQUEUE)
        return libc.recvmsg(fd, msg, flags);
    if (flags & MSG_OOB) {
        errno = EINVAL; /* TCP's "no urgent data" */
        return -1;
    }
    msg->msg_namelen = 0;
    if (special == MSG_TRUNC)
        return discard(fd, total, flags);

    void *name = msg->msg_name;

    msg->msg_name = NULL;
    got = libc.recvmsg(fd, msg, flags & ~(MSG_WAITALL | MSG_TRUNC));
    msg->msg_name = name;
    msg->msg_flags &= ~MSG_EOR;
    if (got < 0)
        return recv_failed(fd);
    /* Also a read of nothing: TCP lets it wait for data, and so does this. */
    if (got == 0 || (size_t)got >= total || flags & MSG_PEEK)
        return got;
    iov_advance(&at, (size_t)got);
    return got + (ssize_t)fill(fd, &at, total - (size_t)got, flags);
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
    if (!iov_total(iov, (size_t)count))
        return 0; /* as read(2) of nothing, which never asks the socket */
    return stream_recv(fd, &msg, 0);
}

/* In a sandbox: with read(2) and poll(2) alone. */
static ssize_t read_sandboxed(int fd, char *buf, size_t len)
{
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    ssize_t got = libc.read(fd, buf, len);

    while (got > 0 && (size_t)got < len && libc.poll(&poll, 1, 0) > 0 &&
           !(poll.revents & (POLLERR | POLLHUP))) {
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
    socklen_t namelen = msg->msg_namelen;
    ssize_t result;

    if (msg->msg_iovlen > IOV_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
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
