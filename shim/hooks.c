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
#include <unistd.h>

#include "fd.h"
#include "hooks.h"
#include "init.h"
#include "kernel/dual.h"
#include "kernel/kernel.h"
#include "kernel/tell.h"
#include "kernel/undecided.h"
#include "ledger.h"
#include "libc.h"
#include "names.h"
#include "process.h"
#include "sharing.h"
#include "streams.h"
#include "userspace/userspace.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define EXPORT(name, function)                                                                \
    __asm__(".globl " #name "\n.type " #name ", %function\n.set " #name ", " #function);

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

/* Returns the plane's answer, unless fd is not ours, or turns out not to be: then libc's is next. */
#define RETURN_IF_OURS(ret, call)                                                             \
    if (unlikely(fd_is_ours(fd))) {                                                           \
        int saved = errno;                                                                    \
        ret result = (call);                                                                  \
        if (result != -1 || !fd_was_stale(fd))                                                \
            return (ret)kept(result, saved);                                                  \
    }

#define RETURN_IF_LEG(ret, call)                                                              \
    if (unlikely(fd_is_leg(fd)))                                                              \
        return (call);

/*
 * The way of most calls: on a descriptor known to be none that the hook is for, straight on to
 * libc, without a stack frame. The rest is a function of its own.
 */
#define STRAIGHT(ret, name, proto, args, first)                                               \
    ret hook_##name proto                                                                     \
    {                                                                                         \
        if (likely(fd_passes(fd, first)))                                                     \
            return libc.name args;                                                            \
        return other_##name args;                                                             \
    }                                                                                         \
    EXPORT(name, hook_##name)

#define BOTH_PLANES(before, ret, name, proto, args, op, leg)                                  \
    static __attribute__((noinline)) ret other_##name proto                                   \
    {                                                                                         \
        before                                                                                \
        RETURN_IF_OURS(ret, op args)                                                          \
        RETURN_IF_LEG(ret, leg args)                                                          \
        return libc.name args;                                                                \
    }                                                                                         \
    STRAIGHT(ret, name, proto, args, FD_FOREIGN)
#define RETURN_IF_UNDECIDED(call)                                                             \
    if (undecided_hold(fd))                                                                   \
        return (call);

#define PLANES(ret, name, proto, args, op, leg, raw)                                          \
    BOTH_PLANES(, ret, name, proto, args, op, leg)
#define UNDECIDED(ret, name, proto, args, op, leg, first, raw)                                \
    BOTH_PLANES(RETURN_IF_UNDECIDED(first args), ret, name, proto, args, op, leg)
#define LEG(ret, name, proto, args, leg, raw)                                                 \
    ret hook_##name proto                                                                     \
    {                                                                                         \
        RETURN_IF_LEG(ret, leg args)                                                          \
        return libc.name args;                                                                \
    }                                                                                         \
    EXPORT(name, hook_##name)
#define HOOK(ret, name, proto, args, op, raw)                                                 \
    static __attribute__((noinline)) ret other_##name proto                                   \
    {                                                                                         \
        RETURN_IF_OURS(ret, op args)                                                          \
        return libc.name args;                                                                \
    }                                                                                         \
    STRAIGHT(ret, name, proto, args, FD_LEG)
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
    if (is_tcp_request(domain, type, protocol) && shim_ready() && kernel_wanted()) {
        int fd = userspace_wanted() ? userspace_socket(domain, type, protocol)
                                    : kernel_socket(domain, type, protocol);

        streams_follow(fd);
        return fd;
    }

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

static int accept_ours(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int accepted = kernel_accept4(fd, addr, len, flags);

    streams_follow(accepted);
    return accepted;
}

int hook_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    RETURN_IF_OURS(int, accept_ours(fd, addr, len, flags))
    RETURN_IF_LEG(int, userspace_accept4(fd, addr, len, flags))

    int accepted = libc.accept4(fd, addr, len, flags);

    fd_received(accepted);
    return accepted;
}

int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    return hook_accept4(fd, addr, len, 0);
}

ssize_t hook_splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len, unsigned flags)
{
    if (likely(!fd_is_ours(in) && !fd_is_ours(out)))
        return libc.splice(in, in_at, out, out_at, len, flags);

    int saved = errno;
    ssize_t result = kernel_splice(in, in_at, out, out_at, len, flags);

    if (result == -1) {
        bool stale = fd_was_stale(in);

        if (fd_was_stale(out) || stale)
            return libc.splice(in, in_at, out, out_at, len, flags);
    }
    return kept(result, saved);
}

FILE *hook_fdopen(int fd, const char *mode)
{
    return fd_is_ours(fd) ? streams_open(fd, mode) : libc.fdopen(fd, mode);
}

int hook_fclose(FILE *stream)
{
    return streams_close(stream);
}

FILE *hook_freopen(const char *path, const char *mode, FILE *stream)
{
    return streams_reopen(path, mode, stream);
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

/* Sockets of ours that went to another process. */
static void share_sent(const struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    if (!msg->msg_controllen)
        return;
    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR((struct msghdr *)msg, cmsg))
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
            sharing_happened();
}

ssize_t hook_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    RETURN_IF_OURS(ssize_t, kernel_sendmsg(fd, msg, flags))
    RETURN_IF_LEG(ssize_t, userspace_sendmsg(fd, msg, flags))

    undecided_pass(fd);

    ssize_t result = libc.sendmsg(fd, msg, flags);

    if (result >= 0)
        share_sent(msg);
    return result;
}

int hook_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    RETURN_IF_OURS(int, kernel_sendmmsg(fd, msgs, count, flags))

    undecided_pass(fd);

    int result = libc.sendmmsg(fd, msgs, count, flags);

    for (int i = 0; i < result; i++)
        share_sent(&msgs[i].msg_hdr);
    return result;
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
            (void)fd_kind(fd); /* poll() asks nothing about numbers that it does not know */
        }
    }
}

ssize_t hook_recvmsg(int fd, struct msghdr *msg, int flags)
{
    RETURN_IF_OURS(ssize_t, kernel_recvmsg(fd, msg, flags))

    ssize_t result = libc.recvmsg(fd, msg, flags);

    if (result >= 0)
        forget_received(msg);
    return result;
}

int hook_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                  struct timespec *timeout)
{
    RETURN_IF_OURS(int, kernel_recvmmsg(fd, msgs, count, flags, timeout))

    int result = libc.recvmmsg(fd, msgs, count, flags, timeout);

    for (int i = 0; i < result; i++)
        forget_received(&msgs[i].msg_hdr);
    return result;
}

int hook_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return kernel_poll(fds, count, timeout);
}

int hook_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
               const sigset_t *mask)
{
    return kernel_ppoll(fds, count, timeout, mask);
}

int hook_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout)
{
    return kernel_select(count, reads, writes, errors, timeout);
}

int hook_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (undecided_hold(fd))
        return undecided_epoll_ctl(epoll, op, fd, event);

    enum fd_kind kind = fd_kind(fd);

    if (kind > FD_FOREIGN && kind < FD_LISTENING)
        kernel_epoll_ctl(epoll, op, fd, event);

    int result = libc.epoll_ctl(epoll, op, fd, event);

    if (result == 0 && kind == FD_LISTENING)
        dual_epoll_ctl(epoll, op, fd, event);
    return result;
}

/* The time is only looked at when it may be needed. */
#define EPOLL_WAIT(call, timeout, mask)                                                       \
    int64_t deadline = fd_any_unsettled() ? kernel_epoll_deadline(timeout) : (timeout);       \
    tell_paths();                                                                             \
    bool owes = fd_any_unsettled() && kernel_epoll_owes(epoll);                               \
    int count = owes ? libc.epoll_pwait(epoll, events, max, 0, mask) : libc.call;             \
    return (count > 0 || (owes && !count)) && fd_any_unsettled()                              \
               ? kernel_epoll_wait(epoll, events, max, deadline, mask, count)                 \
               : count

int hook_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    EPOLL_WAIT(epoll_wait(epoll, events, max, timeout), timeout, NULL);
}

int hook_epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout,
                     const sigset_t *mask)
{
    EPOLL_WAIT(epoll_pwait(epoll, events, max, timeout, mask), timeout, mask);
}

static int64_t in_ms(const struct timespec *time)
{
    return time ? (int64_t)time->tv_sec * 1000 + (time->tv_nsec + 999999) / 1000000 : -1;
}

int hook_epoll_pwait2(int epoll, struct epoll_event *events, int max,
                      const struct timespec *timeout, const sigset_t *mask)
{
    EPOLL_WAIT(epoll_pwait2(epoll, events, max, timeout, mask), in_ms(timeout), mask);
}

/*
 * Forgetting comes before closing: afterwards the number may already belong to another thread's
 * new socket, whose state must not be wiped.
 */
int hook_close(int fd)
{
    kernel_closing(fd);
    fd_forget(fd);
    return libc.close(fd);
}

static void closing_range(unsigned first, unsigned last)
{
    kernel_closing_range(first, last);
    fd_forget_range(first, last);
}

int hook_close_range(unsigned first, unsigned last, int flags)
{
    if (!((unsigned)flags & CLOSE_RANGE_CLOEXEC))
        closing_range(first, last);
    return libc.close_range(first, last, flags);
}

void hook_closefrom(int first)
{
    closing_range(first < 0 ? 0 : (unsigned)first, ~0U);
    libc.closefrom(first);
}

/* A child of vfork()'s ends in its parent's memory, and what it holds the parent holds too. */
void hook__exit(int status)
{
    if (!process_borrowed())
        kernel_closing_range(0, ~0U);
    libc._exit(status);
}

static int duplicated(int fd, int to)
{
    if (to >= 0) {
        /* So begins the life of a service's standard streams: of any program, with a shim or not. */
        if (to <= STDERR_FILENO && fd_is_ours(fd))
            kernel_quiet(fd);
        fd_duplicated(fd, to);
        dual_duplicated(fd, to);
        streams_follow(to);
    }
    return to;
}

/* Two numbers are to mean the same socket: it is decided which. */
static void decide(int fd)
{
    if (fd_is_undecided(fd))
        (void)fd_kind(fd);
}

int hook_dup(int fd)
{
    decide(fd);
    return duplicated(fd, libc.dup(fd));
}

/* The number gets a new meaning: what it had is closed, if fd is there to take its place. */
static void replaced(int fd, int to)
{
    if (fd != to && fd_was_ours(to) && libc.fcntl(fd, F_GETFD, NULL) >= 0)
        kernel_closing(to);
}

int hook_dup2(int fd, int to)
{
    decide(fd);
    replaced(fd, to);
    return duplicated(fd, libc.dup2(fd, to));
}

int hook_dup3(int fd, int to, int flags)
{
    decide(fd);
    replaced(fd, to);
    return duplicated(fd, libc.dup3(fd, to, flags));
}

static bool sets_signals(int command)
{
    return command == F_SETOWN || command == F_SETOWN_EX || command == F_SETSIG;
}

static bool duplicates(int command)
{
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
}

int hook_fcntl(int fd, int command, void *arg)
{
    int result;

    if (duplicates(command))
        decide(fd);
    if (sets_signals(command))
        fd_touch(fd);
    if (undecided_hold(fd))
        return undecided_fcntl(fd, command, arg);
    result = libc.fcntl(fd, command, arg);
    if (result >= 0 && (command == F_SETFD || command == F_SETFL || sets_signals(command)))
        dual_fcntl(fd, command, arg);
    return duplicates(command) ? duplicated(fd, result) : result;
}

int hook_pidfd_getfd(int pidfd, int target, unsigned flags)
{
    int fd = libc.pidfd_getfd(pidfd, target, flags);

    fd_received(fd);
    (void)fd_kind(fd);
    return fd;
}

int hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (option == PR_SET_SECCOMP)
        fd_seal();
    return libc.prctl(option, a, b, c, d);
}

/* A child of vfork()'s has its parent's memory, and is about to leave it. */
static int left_user(int result)
{
    if (result == 0 && !process_borrowed())
        ledger_leave();
    return result;
}

int hook_setuid(uid_t real)
{
    return left_user(libc.setuid(real));
}

int hook_seteuid(uid_t effective)
{
    return left_user(libc.seteuid(effective));
}

int hook_setreuid(uid_t real, uid_t effective)
{
    return left_user(libc.setreuid(real, effective));
}

int hook_setresuid(uid_t real, uid_t effective, uid_t saved)
{
    return left_user(libc.setresuid(real, effective, saved));
}

int hook_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                     struct addrinfo **found)
{
    int result = libc.getaddrinfo(node, service, hints, found);

    if (result == 0 && node && shim_ready())
        names_learn(*found);
    return result;
}

/* The old functions tell of failure by no host, and some of them by a result too. */
static struct hostent *learned(struct hostent *found)
{
    if (found && shim_ready())
        names_learn_host(found);
    return found;
}

struct hostent *hook_gethostbyname(const char *name)
{
    return learned(libc.gethostbyname(name));
}

struct hostent *hook_gethostbyname2(const char *name, int family)
{
    return learned(libc.gethostbyname2(name, family));
}

int hook_gethostbyname_r(const char *name, struct hostent *host, char *buf, size_t len,
                         struct hostent **found, int *error)
{
    int result = libc.gethostbyname_r(name, host, buf, len, found, error);

    learned(result == 0 ? *found : NULL);
    return result;
}

int hook_gethostbyname2_r(const char *name, int family, struct hostent *host, char *buf, size_t len,
                          struct hostent **found, int *error)
{
    int result = libc.gethostbyname2_r(name, family, host, buf, len, found, error);

    learned(result == 0 ? *found : NULL);
    return result;
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
    case SYS_getsockname:
        return hook_getsockname((int)a, (struct sockaddr *)b, (socklen_t *)c);
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
    case SYS_splice:
        return hook_splice((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e, (unsigned)f);
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
    case SYS_epoll_ctl:
        return hook_epoll_ctl((int)a, (int)b, (int)c, (struct epoll_event *)d);
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
        return hook_epoll_wait((int)a, (struct epoll_event *)b, (int)c, (int)d);
#endif
    case SYS_epoll_pwait:
        return hook_epoll_pwait((int)a, (struct epoll_event *)b, (int)c, (int)d,
                                (const sigset_t *)e);
    case SYS_epoll_pwait2:
        return hook_epoll_pwait2((int)a, (struct epoll_event *)b, (int)c,
                                 (const struct timespec *)d, (const sigset_t *)e);
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
    case SYS_setuid:
    case SYS_setreuid:
    case SYS_setresuid:
        return left_user((int)libc.syscall(number, a, b, c, d, e, f));
    case SYS_clone:
    case SYS_clone3:
#ifdef SYS_fork
    case SYS_fork:
    case SYS_vfork:
#endif
        undecided_end_all();
        sharing_happened();
        return libc.syscall(number, a, b, c, d, e, f);
    default:
        return libc.syscall(number, a, b, c, d, e, f);
    }
}
