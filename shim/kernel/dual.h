/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listeners under prefer-sctp: the program's fd is an SCTP listener, and beside it, at a number far
 * up that the program does not know, lies its companion, a TCP listener of the same name. What is
 * done to the one is done to the other, and accept() takes from both in turn.
 */
#ifndef SCTPSHIM_KERNEL_DUAL_H
#define SCTPSHIM_KERNEL_DUAL_H

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

#include "../fd.h"

/* Has any socket of this process ever had a companion? */
extern atomic_bool dual_any;

/* The companion of a listening socket; -1 for none. */
int dual_look(int fd);
static inline int dual_companion(int fd)
{
    return __builtin_expect(atomic_load_explicit(&dual_any, memory_order_relaxed), 0) ? dual_look(fd)
                                                                                      : -1;
}

/* Has the socket listen to TCP too, from before it listens to SCTP; -1 with errno as of listen(). */
int dual_listen(int fd, int backlog);
/* The listener is one no more: by close() (of its last number here), and for good. */
void dual_closing(int fd);
void dual_drop(int fd);
/* After an exec: the companion of a listener that this process has not made. */
void dual_recall(int fd);

int dual_accept4(int fd, int companion, struct sockaddr *addr, socklen_t *len, int flags);

/* What was just done to the fd, with success. */
void dual_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
void dual_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
void dual_fcntl(int fd, int command, void *arg); /* one that sets something */
void dual_ioctl(int fd, unsigned long request, void *arg);
void dual_duplicated(int fd, int to);

/* poll.c: these functions without what companions need. */
int plain_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask);
int plain_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                 struct timeval *timeout);

/* Bytes of a set of numbers below count: a program's set may be shorter than the type. */
static inline size_t set_size(int count)
{
    return ((size_t)count + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);
}

/* The sets of a select(), which overwrites them; the program gives NULL for what it does not ask. */
static inline void keep_set(int count, const fd_set *from, fd_set *to)
{
    FD_ZERO(to);
    if (from)
        memcpy(to, from, set_size(count));
}

static inline void restore_set(int count, const fd_set *from, fd_set *to)
{
    if (to)
        memcpy(to, from, set_size(count));
}

/* Are companions to be waited for with these? Then by the functions below. */
bool dual_in(const struct pollfd *fds, nfds_t count);
int dual_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
               const sigset_t *mask);
bool dual_in_set(int count, const fd_set *reads);
int dual_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout);

#endif
