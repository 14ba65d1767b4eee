/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exported wrappers. No policy here: "is this fd ours?", then the plane or libc.
 *
 * A wrapper is a hidden function hook_<name>; the name libc uses is an assembler alias of it, so
 * that the declarations in libc's headers (attributes, transparent unions, fortified inlines) need
 * not be matched, and calls between wrappers cannot be preempted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "fd.h"
#include "init.h"
#include "kernel/kernel.h"
#include "libc.h"

#define likely(x) __builtin_expect(!!(x), 1)

#define EXPORT(name, function)                                                                \
    __asm__(".globl " #name "\n.type " #name ", %function\n.set " #name ", " #function);

/* Every wrapper is declared before any is defined: they call each other. */
#define DECLARE(ret, name, proto) __attribute__((used)) ret hook_##name proto;
#define HOOK(ret, name, proto, args, op, raw) DECLARE(ret, name, proto)
#define SPECIAL(ret, name, proto, args, raw) DECLARE(ret, name, proto)
#define TWIN(ret, name, proto, call, raw) DECLARE(ret, name, proto)
#define ALIAS(alias, name)
#define BARE(name)
#include "hooks.def"
#undef HOOK
#undef SPECIAL
#undef TWIN
#undef ALIAS
#undef BARE

/* What a fortified twin checks; where it fails, libc's own twin reports and aborts. */
static inline bool fits(size_t wanted, size_t size)
{
    return wanted <= size;
}

/* One TCP call is several SCTP calls, of which some may fail: a success leaves no trace of it. */
static inline ssize_t kept(ssize_t result, int saved)
{
    if (result >= 0)
        errno = saved;
    return result;
}

#define HOOK(ret, name, proto, args, op, raw)                                                 \
    ret hook_##name proto                                                                     \
    {                                                                                         \
        if (likely(!fd_is_ours(fd)))                                                          \
            return libc.name args;                                                            \
        int saved = errno;                                                                    \
        ret result = op args;                                                                 \
        if (result == -1 && fd_was_stale(fd))                                                 \
            return libc.name args;                                                            \
        return (ret)kept(result, saved);                                                      \
    }                                                                                         \
    EXPORT(name, hook_##name)
#define SPECIAL(ret, name, proto, args, raw) EXPORT(name, hook_##name)
#define TWIN(ret, name, proto, call, raw)                                                     \
    ret hook_##name proto { return call; }                                                    \
    EXPORT(name, hook_##name)
#define ALIAS(alias, name) EXPORT(alias, hook_##name)
#define BARE(name) EXPORT(name, hook_##name)
#include "hooks.def"

/*
 * The predicate that decides what becomes SCTP: socket(AF_INET or AF_INET6, SOCK_STREAM with any
 * type flags, 0 or IPPROTO_TCP). Everything else, IPPROTO_SCTP included, is the program's own.
 */
static bool is_tcp_request(int domain, int type, int protocol)
{
    return (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM &&
           (protocol == 0 || protocol == IPPROTO_TCP);
}

int hook_socket(int domain, int type, int protocol)
{
    if (is_tcp_request(domain, type, protocol) && shim_ready() && kernel_wanted())
        return kernel_socket(domain, type, protocol);

    int fd = libc.socket(domain, type, protocol);

    fd_set_kind(fd, FD_FOREIGN);
    return fd;
}

int hook_socketpair(int domain, int type, int protocol, int fds[2])
{
    int result = libc.socketpair(domain, type, protocol, fds);

    if (result == 0) {
        fd_set_kind(fds[0], FD_FOREIGN);
        fd_set_kind(fds[1], FD_FOREIGN);
    }
    return result;
}

int hook_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    if (fd_is_ours(fd)) {
        int saved = errno;
        int accepted = kernel_accept4(fd, addr, len, flags);

        if (accepted >= 0 || !fd_was_stale(fd))
            return (int)kept(accepted, saved);
    }

    int accepted = libc.accept4(fd, addr, len, flags);

    fd_received(accepted);
    return accepted;
}

int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return hook_accept4(fd, addr, len, 0);
}

int hook_vdprintf(int fd, const char *format, va_list args)
{
    if (!fd_is_ours(fd))
        return libc.vdprintf(fd, format, args);

    char *text;
    int len = vasprintf(&text, format, args);

    if (len < 0)
        return -1;
    for (int sent = 0; sent < len;) {
        ssize_t n = hook_write(fd, text + sent, (size_t)(len - sent));

        if (n < 0) {
            len = -1;
            break;
        }
        sent += (int)n;
    }
    free(text);
    return len;
}

/* These three reach libc's vdprintf inside libc, where no hook sees it. */
__attribute__((used)) int hook_dprintf(int fd, const char *format, ...);
__attribute__((used)) int hook___dprintf_chk(int fd, int flag, const char *format, ...);
__attribute__((used)) int hook___vdprintf_chk(int fd, int flag, const char *format, va_list args);

int hook_dprintf(int fd, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int result = hook_vdprintf(fd, format, args);
    va_end(args);
    return result;
}

int hook___dprintf_chk(int fd, int flag, const char *format, ...)
{
    va_list args;

    (void)flag;
    va_start(args, format);
    int result = hook_vdprintf(fd, format, args);
    va_end(args);
    return result;
}

int hook___vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
    (void)flag;
    return hook_vdprintf(fd, format, args);
}

/* File descriptors that came by SCM_RIGHTS took numbers that had another meaning before. */
static void forget_received(const struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    if (!msg->msg_controllen)
        return;
    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR((struct msghdr *)msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= cmsg->cmsg_len; at += sizeof(int)) {
            int fd;

            memcpy(&fd, (const char *)cmsg + at, sizeof fd);
            fd_received(fd);
        }
    }
}

ssize_t hook_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t result;

    if (fd_is_ours(fd)) {
        int saved = errno;

        result = kernel_recvmsg(fd, msg, flags);
        if (result >= 0 || !fd_was_stale(fd))
            return kept(result, saved);
    }
    result = libc.recvmsg(fd, msg, flags);
    if (result >= 0)
        forget_received(msg);
    return result;
}

int hook_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                  struct timespec *timeout)
{
    int result;

    if (fd_is_ours(fd)) {
        int saved = errno;

        result = kernel_recvmmsg(fd, msgs, count, flags, timeout);
        if (result >= 0 || !fd_was_stale(fd))
            return (int)kept(result, saved);
    }
    result = libc.recvmmsg(fd, msgs, count, flags, timeout);
    for (int i = 0; i < result; i++)
        forget_received(&msgs[i].msg_hdr);
    return result;
}

int hook_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
               const sigset_t *mask)
{
    static const struct timespec now;

    if (kernel_poll_failed(fds, count))
        timeout = &now;

    int result = libc.ppoll(fds, count, timeout, mask);

    return result < 0 ? result : kernel_poll_fixup(fds, count, result);
}

int hook_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout)
{
    struct timeval now = {0};
    struct failed_fds failed;

    if (!kernel_select_failed(count, reads, writes, &failed))
        return libc.select(count, reads, writes, errors, timeout);

    int result = libc.select(count, reads, writes, errors, &now);

    return result < 0 ? result : kernel_select_fixup(&failed, reads, writes, result);
}

int hook_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int result = libc.poll(fds, count, kernel_poll_failed(fds, count) ? 0 : timeout);

    return result < 0 ? result : kernel_poll_fixup(fds, count, result);
}

/*
 * Forgetting comes before closing: afterwards the number may already belong to another thread's
 * new socket, whose state must not be wiped.
 */
int hook_close(int fd)
{
    fd_forget(fd);
    return libc.close(fd);
}

int hook_close_range(unsigned first, unsigned last, int flags)
{
    if (!((unsigned)flags & CLOSE_RANGE_CLOEXEC))
        fd_forget_range(first, last);
    return libc.close_range(first, last, flags);
}

void hook_closefrom(int first)
{
    fd_forget_range(first < 0 ? 0 : (unsigned)first, ~0U);
    libc.closefrom(first);
}

int hook_dup(int fd)
{
    int to = libc.dup(fd);

    fd_duplicated(fd, to);
    return to;
}

int hook_dup2(int fd, int to)
{
    int result = libc.dup2(fd, to);

    if (result >= 0)
        fd_duplicated(fd, to);
    return result;
}

int hook_dup3(int fd, int to, int flags)
{
    int result = libc.dup3(fd, to, flags);

    if (result >= 0)
        fd_duplicated(fd, to);
    return result;
}

int hook_fcntl(int fd, int command, void *arg)
{
    int result = libc.fcntl(fd, command, arg);

    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        fd_duplicated(fd, result);
    return result;
}

int hook_pidfd_getfd(int pidfd, int target, unsigned flags)
{
    int fd = libc.pidfd_getfd(pidfd, target, flags);

    fd_received(fd);
    return fd;
}

int hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (option == PR_SET_SECCOMP)
        fd_seal();
    return libc.prctl(option, a, b, c, d);
}

/* Programs that bypass libc's functions but not libc: the calls that matter take the same way. */
long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    switch (number) {
    case SYS_socket:
        return hook_socket((int)a, (int)b, (int)c);
    case SYS_socketpair:
        return hook_socketpair((int)a, (int)b, (int)c, (int *)d);
    case SYS_bind:
        return hook_bind((int)a, (const struct sockaddr *)b, (socklen_t)c);
    case SYS_listen:
        return hook_listen((int)a, (int)b);
    case SYS_accept:
        return hook_accept((int)a, (struct sockaddr *)b, (socklen_t *)c);
    case SYS_accept4:
        return hook_accept4((int)a, (struct sockaddr *)b, (socklen_t *)c, (int)d);
    case SYS_connect:
        return hook_connect((int)a, (const struct sockaddr *)b, (socklen_t)c);
    case SYS_getpeername:
        return hook_getpeername((int)a, (struct sockaddr *)b, (socklen_t *)c);
    case SYS_shutdown:
        return hook_shutdown((int)a, (int)b);
    case SYS_getsockopt:
        return hook_getsockopt((int)a, (int)b, (int)c, (void *)d, (socklen_t *)e);
    case SYS_setsockopt:
        return hook_setsockopt((int)a, (int)b, (int)c, (const void *)d, (socklen_t)e);
    case SYS_ioctl:
        return hook_ioctl((int)a, (unsigned long)b, (void *)c);
    case SYS_write:
        return hook_write((int)a, (const void *)b, (size_t)c);
    case SYS_writev:
        return hook_writev((int)a, (const struct iovec *)b, (int)c);
    case SYS_sendto:
        return hook_sendto((int)a, (const void *)b, (size_t)c, (int)d, (const struct sockaddr *)e,
                           (socklen_t)f);
    case SYS_sendmsg:
        return hook_sendmsg((int)a, (const struct msghdr *)b, (int)c);
    case SYS_sendmmsg:
        return hook_sendmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d);
    case SYS_sendfile:
        return hook_sendfile((int)a, (int)b, (off_t *)c, (size_t)d);
    case SYS_read:
        return hook_read((int)a, (void *)b, (size_t)c);
    case SYS_readv:
        return hook_readv((int)a, (const struct iovec *)b, (int)c);
    case SYS_recvfrom:
        return hook_recvfrom((int)a, (void *)b, (size_t)c, (int)d, (struct sockaddr *)e,
                             (socklen_t *)f);
    case SYS_recvmsg:
        return hook_recvmsg((int)a, (struct msghdr *)b, (int)c);
    case SYS_recvmmsg:
        return hook_recvmmsg((int)a, (struct mmsghdr *)b, (unsigned)c, (int)d,
                             (struct timespec *)e);
    case SYS_close:
        return hook_close((int)a);
    case SYS_close_range:
        return hook_close_range((unsigned)a, (unsigned)b, (int)c);
    case SYS_dup:
        return hook_dup((int)a);
    case SYS_dup3:
        return hook_dup3((int)a, (int)b, (int)c);
    case SYS_fcntl:
        return hook_fcntl((int)a, (int)b, (void *)c);
    case SYS_prctl:
        return hook_prctl((int)a, (unsigned long)b, (unsigned long)c, (unsigned long)d,
                          (unsigned long)e);
    case SYS_seccomp:
        if (a != SECCOMP_GET_ACTION_AVAIL)
            fd_seal();
        return libc.syscall(number, a, b, c, d, e, f);
    case SYS_pidfd_getfd:
        return hook_pidfd_getfd((int)a, (int)b, (unsigned)c);
    default:
        return libc.syscall(number, a, b, c, d, e, f);
    }
}
