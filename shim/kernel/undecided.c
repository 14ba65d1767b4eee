/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a socket whose protocol is not decided (undecided.h). */
#include "undecided.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../process.h"
#include "internal.h"
#include "kernel.h"

__attribute__((visibility("hidden"))) _Atomic uint8_t undecided_any;

/* Who has a copy of it must be known: there all are settled before (sharing.c). */
bool undecided_wanted(void)
{
#ifdef __x86_64__
    return rule_birth.may_be[ACTION_PREFER];
#else
    return false;
#endif
}

int undecided_socket(int domain, int type, int protocol)
{
    int fd = libc.socket(domain, type, protocol);

    if (fd < 0)
        return -1;
    if (fd >= FD_TABLE) { /* nothing would be known of it */
        fd_set_kind(fd, FD_FOREIGN);
        return fd;
    }
    undecided_any = true;
    fd_adopt(fd, FD_UNDECIDED);
    fd_info(fd)->rule = rule_birth.rule;
    fd_info(fd)->family = (uint8_t)domain;
    return fd;
}

/* ---- Holding ---- */

static bool change(int fd, uint8_t from, uint8_t to)
{
    return atomic_compare_exchange_strong(&fd_kinds[fd], &from, to);
}

/* Others hold it for a few system calls, unless it is this thread, which a signal has interrupted. */
bool undecided_hold_now(int fd)
{
    enum { TRIES = 200 };

    for (int i = 0; i < TRIES && fd_is_undecided(fd); i++) {
        if (change(fd, FD_UNDECIDED, FD_DECIDING))
            return true;
        sched_yield();
    }
    return false;
}

void undecided_release(int fd)
{
    (void)change(fd, FD_DECIDING, FD_UNDECIDED);
}

/* ---- Decisions ---- */

/* Has nobody connected it, or put another file there, where no hook saw it? */
static bool is_as_new(int fd)
{
    uint8_t state = 0; /* the first field of struct tcp_info */
    socklen_t len = sizeof state;

    return libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 && state == TCP_CLOSE;
}

enum reason undecided_settle(int fd)
{
    if (!is_as_new(fd)) {
        fd_received(fd);
        return REASON_NONE;
    }
    if (socket_become(fd, IPPROTO_SCTP) == 0) {
        state_begin(fd);
        return REASON_NONE;
    }
    return sctp_missing(errno) ? REASON_NO_SCTP : REASON_LOCAL;
}

bool undecided_leave(int fd)
{
    return fd_is_undecided(fd) && change(fd, FD_DECIDING, FD_FOREIGN);
}

enum fd_kind undecided_end(int fd)
{
    int saved = errno;

    if (undecided_hold(fd)) {
        enum reason reason = undecided_settle(fd);

        if (undecided_leave(fd))
            left_unused(fd, reason);
    }
    errno = saved;
    return fd_is_undecided(fd) ? FD_FOREIGN : fd_kind(fd);
}

/*
 * A vfork child's numbers are its own: those that its parent has made since are not there. And in a
 * sandbox nobody is to be asked.
 */
void undecided_end_all(void)
{
    int saved = errno;

    if (!undecided_any || fd_sealed() || process_borrowed())
        return;
    for (int fd = 0; fd <= fd_highest; fd++)
        if (fd_is_undecided(fd))
            (void)undecided_end(fd);
    errno = saved;
}

/* Of all sockets only these can. */
void undecided_pass_now(int fd)
{
    int saved = errno;

    if (!fd_sealed() && int_option(fd, SOL_SOCKET, SO_DOMAIN, -1) == AF_UNIX)
        undecided_end_all();
    errno = saved;
}

/* ---- Calls ---- */

int undecided_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int result;

    if (!option_can_wait(level, name)) {
        undecided_release(fd);
        return fd_is_ours(fd) ? kernel_setsockopt(fd, level, name, value, len)
                              : libc.setsockopt(fd, level, name, value, len);
    }
    result = libc.setsockopt(fd, level, name, value, len);
    if (result == 0) {
        fd_touch(fd);
        option_note(fd, level, name);
    }
    undecided_release(fd);
    return result;
}

int undecided_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    undecided_release(fd);
    return libc.getsockopt(fd, level, name, value, len);
}

int undecided_ioctl(int fd, unsigned long request, void *arg)
{
    int result;

    if ((unsigned)request == FIOSETOWN || (unsigned)request == SIOCSPGRP)
        fd_touch(fd);
    result = libc.ioctl(fd, request, arg);
    undecided_release(fd);
    return result;
}

int undecided_fcntl(int fd, int command, void *arg)
{
    int result = libc.fcntl(fd, command, arg);

    undecided_release(fd);
    return result;
}

int undecided_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    int result;

    kernel_epoll_ctl(epoll, op, fd, event);
    result = libc.epoll_ctl(epoll, op, fd, event);
    undecided_release(fd);
    return result;
}
