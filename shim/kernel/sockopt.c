/* SPDX-License-Identifier: BSD-3-Clause */
/* getsockopt, setsockopt and ioctl: the levels above IPPROTO_TCP's own (tcpopts.c). */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dual.h"
#include "internal.h"
#include "kernel.h"

/*
 * As the kernel counts, twice what a program asks for. With less than half of it a window that was
 * closed opens only when a timer runs out: the sender has one packet on its way, which the receiver
 * throws away, and not the three behind it that would have that one repeated (docs/performance.md).
 */
enum { SMALLEST_BUFFER = 65536 };

/* The program sees what TCP would have made of its wish; SCTP gets enough to work with. */
static void apply_buffer(int fd, int name, int seen)
{
    int wanted = (seen > SMALLEST_BUFFER ? seen : SMALLEST_BUFFER) / 2;

    if (name == SO_SNDBUF)
        wanted = params_sndbuf(fd, (uint32_t)wanted, options_of(fd));
    if (wanted != seen / 2)
        set_int_option(fd, SOL_SOCKET, name, wanted);
}

void buffers_repeat(int fd)
{
    const struct fd_info *info = fd_info(fd);
    int sndbuf = (int)info->sndbuf, rcvbuf = (int)info->rcvbuf;

    if (sndbuf && set_int_option(fd, SOL_SOCKET, SO_SNDBUF, sndbuf / 2) == 0)
        apply_buffer(fd, SO_SNDBUF, sndbuf);
    if (rcvbuf && set_int_option(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf / 2) == 0)
        apply_buffer(fd, SO_RCVBUF, rcvbuf);
}

/* A connection shows what it has, as TCP's grow with use; before, the default is TCP's. */
static int get_buffer(int fd, int name, uint32_t seen, void *value, socklen_t *len)
{
    int size = (int)seen;

    if (seen)
        return answer(fd, &size, sizeof size, value, len);
    if (fd_kind(fd) == FD_IDLE || fd_kind(fd) == FD_LISTENING)
        return tcp_answer(fd, SOL_SOCKET, name, value, len);
    return libc.getsockopt(fd, SOL_SOCKET, name, value, len);
}

/* SO_ERROR is how programs learn the end of a non-blocking connect. */
static int get_error(int fd, void *value, socklen_t *len)
{
    int error = take_pending(fd);
    enum fd_kind kind;

    if (fd_kind(fd) == FD_IDLE)
        link_look_up(fd);
    kind = fd_kind(fd);
    if (!error && kind == FD_CONNECTING) {
        int saved = errno;

        if (link_settle(fd) == LINK_FAILED)
            error = errno;
        kind = fd_kind(fd);
        if (kind <= FD_FOREIGN)
            return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, len);
        errno = saved;
    }
    if (!error && kind != FD_CONNECTING) {
        bool hard = ready_now(fd, 0) & POLLERR;

        error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
        if ((kind == FD_OPEN && !hard) || kind == FD_LISTENING)
            error = 0; /* of one path: the connection lives; or of who was not accepted yet */
        if (error && kind == FD_OPEN)
            error = reset_told(fd, error);
        if (!error && kind == FD_OPEN)
            error = error_due(fd, false);
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

/* SCTP's own path MTU discovery changes it with each association. */
static int get_mtu_discover(int fd, int level, int name, void *value, socklen_t *len)
{
    int mode = fd_info(fd)->mtu_discover[level == IPPROTO_IPV6] - 1;

    if (mode < 0)
        return tcp_answer(fd, level, name, value, len);
    if (*len > 0 && *len < sizeof mode) { /* as the kernel: small values as one byte */
        unsigned char byte = (unsigned char)mode;

        return level == IPPROTO_IP ? answer(fd, &byte, 1, value, len)
                                   : answer(fd, &mode, sizeof mode, value, len);
    }
    return answer(fd, &mode, sizeof mode, value, len);
}

static bool is_mtu_discover(int level, int name)
{
    return (level == IPPROTO_IP && name == IP_MTU_DISCOVER) ||
           (level == IPPROTO_IPV6 && name == IPV6_MTU_DISCOVER);
}

/* TCP's accepted socket of a native IPv6 peer says so; its listener did not have to. */
static int get_v6only(int fd, void *value, socklen_t *len)
{
    static const int only = 1;
    const struct fd_info *info = fd_info(fd);

    if (fd_kind(fd) == FD_OPEN && !(info->flags & FDF_PEER_NAME) &&
        info->peer.any.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&info->peer.in6.sin6_addr))
        return answer(fd, &only, sizeof only, value, len);
    return libc.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, value, len);
}

int kernel_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (!value || !len)
        return libc.getsockopt(fd, level, name, value, len);
    if ((level == IPPROTO_TCP || level == SOL_SOCKET || is_mtu_discover(level, name) ||
         (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)) &&
        check_readable(fd, len, sizeof *len) < 0)
        return -1;
    if (level == IPPROTO_TCP) {
        params_settle(fd);
        return tcpopts_get(fd, name, value, len);
    }
    if (level == SOL_SOCKET)
        return get_socket_option(fd, name, value, len);
    if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
        return get_tos(fd, level, name, value, len);
    if (is_mtu_discover(level, name))
        return get_mtu_discover(fd, level, name, value, len);
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        return get_v6only(fd, value, len);
    if (level == IPPROTO_SCTP) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return libc.getsockopt(fd, level, name, value, len);
}

static void note_socket_option(int fd, int name)
{
    struct fd_info *info = fd_info(fd);
    int value = int_option(fd, SOL_SOCKET, name, 0);

    switch (name) {
    case SO_SNDBUF:
        info->sndbuf = (uint32_t)value;
        break;
    case SO_RCVBUF:
        info->rcvbuf = (uint32_t)value;
        break;
    case SO_RCVLOWAT:
        info->rcvlowat = (uint32_t)value;
        break;
    case SO_NO_CHECK:
        info->flags = (uint16_t)((info->flags & ~FDF_NO_CHECK) | (value ? FDF_NO_CHECK : 0));
        break;
    }
}

/* What the kernel's SCTP does not tell later as the program has set it. */
static bool is_remembered(int level, int name)
{
    return level == SOL_SOCKET &&
           (name == SO_SNDBUF || name == SO_RCVBUF || name == SO_RCVLOWAT || name == SO_NO_CHECK);
}

static void remember(int fd, int level, int name)
{
    struct fd_info *info = fd_info(fd);

    if (is_remembered(level, name))
        note_socket_option(fd, name);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        info->patience = PATIENCE_UNKNOWN;
    if (level != SOL_SOCKET || name == SO_PRIORITY)
        info->flags |= FDF_INHERIT;
    if (is_mtu_discover(level, name))
        info->mtu_discover[level == IPPROTO_IPV6] = (uint8_t)(int_option(fd, level, name, 0) + 1);
}

bool option_can_wait(int level, int name)
{
    if (level == IPPROTO_TCP)
        return tcpopts_can_wait(name);
    return replace_bit(level, name) || is_remembered(level, name) || is_mtu_discover(level, name);
}

void option_note(int fd, int level, int name)
{
    if (level == IPPROTO_TCP) {
        tcpopts_note(fd, name);
        return;
    }
    fd_info(fd)->waiting |= replace_bit(level, name);
    remember(fd, level, name);
}

/* What SCTP makes of it beside. */
static void apply(int fd, int level, int name)
{
    struct fd_info *info = fd_info(fd);

    if (level != SOL_SOCKET)
        return;
    if (name == SO_SNDBUF)
        apply_buffer(fd, name, (int)info->sndbuf);
    if (name == SO_RCVBUF)
        apply_buffer(fd, name, (int)info->rcvbuf);
    if (name == SO_KEEPALIVE)
        liveness_apply(fd);
}

static int set_option(int fd, int level, int name, const void *value, socklen_t len)
{
    int result;

    if (level == IPPROTO_TCP)
        return tcpopts_set(fd, name, value, len);
    if (level == IPPROTO_SCTP) {
        errno = ENOPROTOOPT;
        return -1;
    }
    result = libc.setsockopt(fd, level, name, value, len);
    if (result < 0)
        return result;
    if ((level == IPPROTO_IP && name == IP_RECVERR) ||
        (level == IPPROTO_IPV6 && name == IPV6_RECVERR))
        fd_info(fd)->flags &= (uint16_t)~FDF_RECVERR_OURS; /* the program's: leave it as it wants */
    remember(fd, level, name);
    apply(fd, level, name);
    return result;
}

int kernel_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int result;

    fd_touch(fd);
    params_settle(fd);
    result = set_option(fd, level, name, value, len);
    if (result == 0)
        dual_setsockopt(fd, level, name, value, len);
    return result;
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
    if (fd_kind(fd) == FD_CONNECTING || fd_kind(fd) == FD_IDLE)
        (void)link_look(fd);
    if (fd_kind(fd) == FD_OPEN)
        head_settle(fd); /* the kernel would count what is not data */
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

/*
 * Bytes not yet acknowledged: 0 is exact, otherwise it is what they take in memory, which is more,
 * but never more than was sent at all.
 */
static int unsent(int fd, int *count)
{
    if (fd_kind(fd) == FD_LISTENING) {
        errno = EINVAL;
        return -1;
    }
    if (check_writable(fd, count) < 0)
        return -1;
    uint64_t sent = fd_info(fd)->sent, memory = memory_used(fd, SK_MEMINFO_WMEM_QUEUED);

    *count = (int)(sent && sent < memory ? sent : memory);
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
    case FIOSETOWN:
    case SIOCSPGRP:
        fd_touch(fd);
        break;
    default:
        dual_ioctl(fd, request, arg);
    }
    return libc.ioctl(fd, request, arg);
}
