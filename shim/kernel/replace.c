/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another socket in the place of one: what connect(AF_UNSPEC) does to a TCP socket, the only way to
 * end an SCTP handshake without closing, and what makes a socket TCP's when a rule says so after it
 * was made. Other processes that hold the old one keep it (docs/semantics.md).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../log.h"
#include "../process.h"
#include "address.h"
#include "dual.h"
#include "holders.h"
#include "internal.h"
#include "tell.h"
#include "undecided.h"

/* Of kernels newer than the headers. */
enum {
#ifndef IP_LOCAL_PORT_RANGE
    IP_LOCAL_PORT_RANGE = 51,
#endif
#ifndef SO_BUSY_POLL_BUDGET
    SO_BUSY_POLL_BUDGET = 70,
#endif
};

/* Options a program can have set before; all are plain memory to getsockopt and setsockopt. */
static const struct {
    int level, name;
} kept[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_RCVTIMEO},
    {SOL_SOCKET, SO_SNDTIMEO},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_TIMESTAMP},
    {SOL_SOCKET, SO_TIMESTAMPNS},
    {SOL_SOCKET, SO_TIMESTAMPING},
    {SOL_SOCKET, SO_DONTROUTE},
    {SOL_SOCKET, SO_MARK},
    {SOL_SOCKET, SO_BINDTODEVICE},
    {SOL_SOCKET, SO_INCOMING_CPU},
    {SOL_SOCKET, SO_MAX_PACING_RATE},
    {SOL_SOCKET, SO_BUSY_POLL},
    {SOL_SOCKET, SO_BUSY_POLL_BUDGET},
    {SOL_SOCKET, SO_DEBUG},
    {IPPROTO_IP, IP_OPTIONS},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MINTTL},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_RECVOPTS},
    {IPPROTO_IP, IP_PKTINFO},
    {IPPROTO_IP, IP_FREEBIND},
    {IPPROTO_IP, IP_TRANSPARENT},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {IPPROTO_IP, IP_LOCAL_PORT_RANGE},
    {IPPROTO_IP, IP_UNICAST_IF},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_MINHOPCOUNT},
    {IPPROTO_IPV6, IPV6_RECVERR},
    {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_DONTFRAG},
    {IPPROTO_IPV6, IPV6_FREEBIND},
    {IPPROTO_IPV6, IPV6_TRANSPARENT},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL},
    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES},
    {IPPROTO_IPV6, IPV6_UNICAST_IF},
};

/* Switched on by us, for the length of a connect. */
static bool is_own(const struct fd_info *info, int level, int name)
{
    return info->flags & FDF_RECVERR_OURS && ((level == IPPROTO_IP && name == IP_RECVERR) ||
                                              (level == IPPROTO_IPV6 && name == IPV6_RECVERR));
}

_Static_assert(sizeof kept / sizeof kept[0] <= 64, "a row is a bit of fd_info.waiting");

uint64_t replace_bit(int level, int name)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (kept[i].level == level && kept[i].name == name)
            return UINT64_C(1) << i;
    return 0;
}

/* Those that the program set on a TCP socket: what it has by itself is not SCTP's to have. */
static void give_waiting(int from, int to, uint64_t waiting)
{
    char value[64];

    for (; waiting; waiting &= waiting - 1) {
        int row = __builtin_ctzll(waiting);
        socklen_t len = sizeof value;

        if (libc.getsockopt(from, kept[row].level, kept[row].name, value, &len) == 0)
            libc.setsockopt(to, kept[row].level, kept[row].name, value, len);
    }
}

static void copy_options(int from, int to, const struct fd_info *info)
{
    if (info->flags & FDF_OWN && !info->touched)
        return; /* all is as it was made */
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        char value[64], now[64];
        socklen_t len = sizeof value, now_len = sizeof now;

        if (is_own(info, kept[i].level, kept[i].name) ||
            libc.getsockopt(from, kept[i].level, kept[i].name, value, &len) < 0)
            continue;
        /* Only what differs: setting some (SO_MARK, TTL) needs a privilege even when unchanged. */
        if (libc.getsockopt(to, kept[i].level, kept[i].name, now, &now_len) < 0 ||
            now_len != len || memcmp(now, value, len) != 0)
            libc.setsockopt(to, kept[i].level, kept[i].name, value, len);
    }
}

/* What SCTP's own socket does not show as the program has set it. */
static void copy_remembered(int to, const struct fd_info *info)
{
    if (info->mtu_discover[0])
        set_int_option(to, IPPROTO_IP, IP_MTU_DISCOVER, info->mtu_discover[0] - 1);
    if (info->mtu_discover[1])
        set_int_option(to, IPPROTO_IPV6, IPV6_MTU_DISCOVER, info->mtu_discover[1] - 1);
    if (info->flags & FDF_NO_CHECK)
        set_int_option(to, SOL_SOCKET, SO_NO_CHECK, 1);
}

/* Those of a TCP socket. The kernel reports buffers doubled. */
static void give_to_tcp(int fd, int tcp, const struct fd_info *info)
{
    if (info->sndbuf)
        set_int_option(tcp, SOL_SOCKET, SO_SNDBUF, (int)info->sndbuf / 2);
    if (info->rcvbuf)
        set_int_option(tcp, SOL_SOCKET, SO_RCVBUF, (int)info->rcvbuf / 2);
    tcpopts_give(fd, tcp);
}

int socket_like(int fd, int protocol)
{
    const struct fd_info *info = fd_info(fd);
    int domain = fd_family(fd);
    int fresh = libc.socket(domain, SOCK_STREAM | SOCK_CLOEXEC, protocol);

    if (fresh < 0)
        return -1;
    if (protocol == IPPROTO_SCTP) {
        params_apply_mark(fresh);
        params_apply(fresh, options_of(fd));
    } else {
        give_to_tcp(fd, fresh, info);
    }
    if (fd_is_undecided(fd)) {
        give_waiting(fd, fresh, info->waiting);
    } else {
        if (protocol == IPPROTO_SCTP)
            note_set(fresh, note_nameless(note_get(fd)));
        copy_options(fd, fresh, info);
    }
    copy_remembered(fresh, info);
    return fresh;
}

static void copy_owner(int from, int to)
{
    struct f_owner_ex owner = {0};
    int number = libc.fcntl(from, F_GETSIG, NULL);

    if (libc.fcntl(from, F_GETOWN_EX, &owner) == 0 && owner.pid)
        libc.fcntl(to, F_SETOWN_EX, &owner);
    if (number > 0)
        libc.fcntl(to, F_SETSIG, (void *)(intptr_t)number);
}

/* Signal-driven I/O belongs to the file, not to the socket. */
void file_state_copy(int from, int to)
{
    if (!fd_is_untouched(from))
        copy_owner(from, to);
    libc.fcntl(to, F_SETFL, (void *)(intptr_t)libc.fcntl(from, F_GETFL, NULL));
}

void socket_dismiss(int fd)
{
    int saved = errno;

    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    errno = saved;
}

/* A filter of packets cannot be read back in general, and is made for one protocol's packets. */
static bool is_filtered(int fd)
{
    socklen_t len = 0;

    return libc.getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) < 0 ? errno == EACCES
                                                                          : len > 0;
}

static void log_losses(int fd, const struct holders *holders)
{
    if (!fd_is_untouched(fd) && is_filtered(fd))
        log_warn_once("a socket is replaced: its packet filter is not taken along");
    if (!holders->all)
        log_warn_once("a socket is replaced: of its duplicates and epolls only %u and %u follow",
                      holders->numbers_count - 1, holders->registrations_count);
    if (!fd_is_unshared(fd))
        log_info_once("a socket is replaced: another process that has it keeps the old one");
}

/* The name that the program gave it, for another socket to be bound to; its length, or 0. */
static socklen_t bound_name(int fd, union address *name)
{
    socklen_t len = sizeof *name;

    return fd_info(fd)->flags & FDF_BOUND && local_bound(fd, name, &len) == 0 ? len : 0;
}

/* From now on all numbers are the fresh socket. Those that are gone meanwhile stay away. */
static int take_numbers(int fresh, int fd, const struct holders *holders)
{
    int result = -1;

    for (unsigned i = 0; i < holders->numbers_count; i++) {
        int number = holders->numbers[i], flags = libc.fcntl(number, F_GETFD, NULL);

        if (flags >= 0 && libc.dup3(fresh, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0 &&
            number == fd)
            result = 0;
    }
    return result;
}

/* What is remembered of a socket that is as new but for what the program did to it. */
static void begin_again(int fd, struct fd_info *info)
{
    info->flags &= FDF_BOUND | FDF_INHERIT | FDF_OWN | FDF_NO_CHECK;
    info->pending = 0;
    info->epolls = 0;
    info->cookie = 0;
    info->small_writes = 0;
    info->chunk = 0;
    info->ostreams = 0;
    info->followers = FOLLOWERS_UNKNOWN;
    info->mute = false;
    info->params = PARAMS_SET;
    info->indication = 0;
    info->paths = 0;
    info->waiting = 0;
    memset(&info->peer, 0, sizeof info->peer);
    memset(&info->own, 0, sizeof info->own);
    fd_set_kind(fd, FD_IDLE);
    buffers_repeat(fd);
    tcpopts_repeat(fd);
}

static void settle_numbers(int fd, int protocol, const struct holders *holders)
{
    if (protocol == IPPROTO_SCTP) {
        begin_again(fd, holders->all ? fd_info(fd) : fd_separate(fd));
        return;
    }
    for (unsigned i = 0; i < holders->numbers_count; i++) {
        /* In a vfork child the number is another socket to the parent, whose tables these are. */
        if (process_borrowed()) {
            fd_forget(holders->numbers[i]);
            continue;
        }
        fd_received(holders->numbers[i]);
        fd_set_kind(holders->numbers[i], FD_FOREIGN);
    }
}

static int discard(int fresh)
{
    socket_dismiss(fresh);
    return -1;
}

/* Where the program goes to already, as far as it knows. */
static int connect_meanwhile(int fresh, const union address *to)
{
    libc.fcntl(fresh, F_SETFL, (void *)(intptr_t)O_NONBLOCK); /* file_state_copy() corrects it */
    return libc.connect(fresh, &to->any, address_len(to)) == 0 || errno == EINPROGRESS ? 0 : -1;
}

static int become(int fd, int protocol, const union address *to)
{
    union address name, left;
    socklen_t bound = bound_name(fd, &name);
    struct holders holders;
    int saved = errno, fresh = socket_like(fd, protocol);

    if (fresh < 0)
        return -1;
    left.any.sa_family = AF_UNSPEC; /* what was never SCTP's has the name that the kernel tells */
    if (protocol == IPPROTO_SCTP && !fd_is_undecided(fd))
        local_leave(fd, &left);
    /* Ports of one protocol are no other's: what cannot be had shows before anything ends. */
    if (bound && protocol != IPPROTO_SCTP && libc.bind(fresh, &name.any, bound) < 0)
        return discard(fresh);
    if (to && connect_meanwhile(fresh, to) < 0)
        return discard(fresh);
    file_state_copy(fd, fresh);
    holders_find(fd, &holders);
    log_losses(fd, &holders);
    dual_drop(fd);
    tell_closing(fd);
    holders_withdraw(&holders);
    /* What TCP's disconnect says to the other end: a reset. */
    if (fd_kind_now(fd) > FD_IDLE || !fd_is_unshared(fd))
        reset_on_close(fd);
    if (take_numbers(fresh, fd, &holders) < 0) {
        discard(fresh);
        holders_register(&holders);
        return -1;
    }
    libc.close(fresh);
    for (unsigned i = 0; to && i < holders.registrations_count; i++)
        epoll_replaced(&holders.registrations[i]);
    settle_numbers(fd, protocol, &holders);
    if (protocol == IPPROTO_SCTP)
        local_left(fd, &left);
    holders_register(&holders);
    errno = saved;
    return bound && protocol == IPPROTO_SCTP ? local_bind(fd, &name, bound) : 0;
}

int socket_become(int fd, int protocol)
{
    if (protocol == IPPROTO_TCP && undecided_leave(fd))
        return 0;
    return become(fd, protocol, NULL);
}

int socket_become_connecting(int fd, const union address *to)
{
    return become(fd, IPPROTO_TCP, to);
}
