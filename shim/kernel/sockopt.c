/* SPDX-License-Identifier: BSD-3-Clause */
/* getsockopt, setsockopt and ioctl: the levels above IPPROTO_TCP's own (tcpopts.c). */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "internal.h"
#include "kernel.h"

/* As the kernel counts, twice what a program asks for. Below it a chunk no longer fits. */
enum { SMALLEST_BUFFER = 131072 };

/* The program sees what TCP would have made of its wish; SCTP gets enough to work with. */
static int set_buffer(int fd, int name, const void *value, socklen_t len, uint32_t *seen)
{
    int result = libc.setsockopt(fd, SOL_SOCKET, name, value, len);
    int got;

    if (result < 0)
        return result;
    got = int_option(fd, SOL_SOCKET, name, 0);
    *seen = (uint32_t)got;
    if (got < SMALLEST_BUFFER)
        set_int_option(fd, SOL_SOCKET, name, SMALLEST_BUFFER / 2);
    return 0;
}

static int get_buffer(int fd, int name, uint32_t seen, void *value, socklen_t *len)
{
    int size = (int)seen;

    return seen ? answer(fd, &size, sizeof size, value, len)
                : libc.getsockopt(fd, SOL_SOCKET, name, value, len);
}

/* SO_ERROR is how programs learn the end of a non-blocking connect. */
static int get_error(int fd, void *value, socklen_t *len)
{
    int error = take_pending(fd);
    enum fd_kind kind = fd_kind(fd);

    if (!error && kind == FD_CONNECTING) {
        int saved = errno;

        if (link_settle(fd) == LINK_FAILED)
            error = errno;
        errno = saved;
    } else if (!error) {
        error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
        if (error && kind == FD_OPEN)
            reset_seen(fd);
    }
    return answer(fd, &error, sizeof error, value, len);
}

static int get_socket_option(int fd, int name, void *value, socklen_t *len)
{
    static const int tcp = IPPROTO_TCP;
    int flag;

    switch (name) {
    case SO_PROTOCOL:
        return answer(fd, &tcp, sizeof tcp, value, len);
    case SO_ERROR:
        return get_error(fd, value, len);
    case SO_NO_CHECK:
        flag = (fd_info(fd)->flags & FDF_NO_CHECK) != 0;
        return answer(fd, &flag, sizeof flag, value, len);
    case SO_SNDBUF:
        return get_buffer(fd, name, fd_info(fd)->sndbuf, value, len);
    case SO_RCVBUF:
        return get_buffer(fd, name, fd_info(fd)->rcvbuf, value, len);
    default:
        return libc.getsockopt(fd, SOL_SOCKET, name, value, len);
    }
}

/* SCTP shows its ECN bits in the field; TCP keeps them out. */
static int get_tos(int fd, int level, int name, void *value, socklen_t *len)
{
    int result = libc.getsockopt(fd, level, name, value, len);

    if (result == 0 && *len >= 1)
        *(unsigned char *)value &= 0xfc; /* IP_TOS comes as one byte or as a little int */
    return result;
}

int kernel_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (!value || !len)
        return libc.getsockopt(fd, level, name, value, len);
    if ((level == IPPROTO_TCP || level == SOL_SOCKET) && check_readable(fd, len, sizeof *len) < 0)
        return -1;
    if (level == IPPROTO_TCP)
        return tcpopts_get(fd, name, value, len);
    if (level == SOL_SOCKET)
        return get_socket_option(fd, name, value, len);
    if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
        return get_tos(fd, level, name, value, len);
    if (level == IPPROTO_SCTP) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return libc.getsockopt(fd, level, name, value, len);
}

static int set_socket_option(int fd, int name, const void *value, socklen_t len)
{
    struct fd_info *info = fd_info(fd);
    int result;

    switch (name) {
    case SO_SNDBUF:
        return set_buffer(fd, name, value, len, &info->sndbuf);
    case SO_RCVBUF:
        return set_buffer(fd, name, value, len, &info->rcvbuf);
    case SO_KEEPALIVE:
        result = libc.setsockopt(fd, SOL_SOCKET, name, value, len);
        if (result == 0)
            tcpopts_keepalive(fd);
        return result;
    case SO_NO_CHECK:
        result = libc.setsockopt(fd, SOL_SOCKET, name, value, len);
        if (result == 0)
            info->flags = (uint16_t)((info->flags & ~FDF_NO_CHECK) |
                                     (int_option(fd, SOL_SOCKET, name, 0) ? FDF_NO_CHECK : 0));
        return result;
    case SO_PRIORITY:
        info->flags |= FDF_INHERIT;
        return libc.setsockopt(fd, SOL_SOCKET, name, value, len);
    default:
        return libc.setsockopt(fd, SOL_SOCKET, name, value, len);
    }
}

int kernel_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct fd_info *info = fd_info(fd);

    if (level == IPPROTO_TCP)
        return tcpopts_set(fd, name, value, len);
    if (level == SOL_SOCKET)
        return set_socket_option(fd, name, value, len);
    if (level == IPPROTO_SCTP) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (level == IPPROTO_IP || level == IPPROTO_IPV6)
        info->flags |= FDF_INHERIT;
    if ((level == IPPROTO_IP && name == IP_RECVERR) ||
        (level == IPPROTO_IPV6 && name == IPV6_RECVERR))
        info->flags &= (uint16_t)~FDF_RECVERR_OURS; /* the program's now: leave it as it wants */
    return libc.setsockopt(fd, level, name, value, len);
}

/* What the kernel's bookkeeping holds; 0 on failure. SK_MEMINFO_* of linux/sock_diag.h. */
static uint32_t memory_used(int fd, int what)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof memory;

    return libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) < 0 ? 0 : memory[what];
}

/*
 * SCTP counts the first message only. Too few is not harmless: nginx takes bytes beyond FIONREAD's
 * answer for newly arrived ones and waits for their edge. Who reads without blocking is given the
 * kernel's upper bound, which no read relies on; who blocks might wait for bytes that never come.
 */
static int readable(int fd, int *count)
{
    if (libc.ioctl(fd, FIONREAD, count) == 0) {
        uint32_t bound = *count > 0 && is_nonblocking(fd) ? memory_used(fd, SK_MEMINFO_RMEM_ALLOC)
                                                          : 0;

        if (bound > (uint32_t)*count && bound <= INT32_MAX)
            *count = (int)bound;
        return 0;
    }
    if (errno != ENOTCONN)
        return -1;
    if (fd_kind(fd) == FD_LISTENING) {
        errno = EINVAL;
        return -1;
    }
    if (check_writable(fd, count) < 0)
        return -1;
    *count = 0;
    return 0;
}

/* Bytes not yet acknowledged, with the kernel's bookkeeping; 0 means 0. */
static int unsent(int fd, int *count)
{
    if (fd_kind(fd) == FD_LISTENING) {
        errno = EINVAL;
        return -1;
    }
    if (check_writable(fd, count) < 0)
        return -1;
    *count = (int)memory_used(fd, SK_MEMINFO_WMEM_QUEUED);
    return 0;
}

int kernel_ioctl(int fd, unsigned long request, void *arg)
{
    switch ((unsigned)request) {
    case FIONREAD:
        return readable(fd, arg);
    case SIOCOUTQ:
    case SIOCOUTQNSD:
        return unsent(fd, arg);
    case SIOCATMARK:
        if (check_writable(fd, arg) < 0)
            return -1;
        *(int *)arg = 0; /* there is no urgent data to be at */
        return 0;
    default:
        return libc.ioctl(fd, request, arg);
    }
}
