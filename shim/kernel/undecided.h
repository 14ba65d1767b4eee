/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets whose protocol is not decided. Under prefer-sctp a socket begins as TCP's, which is what a
 * peer without SCTP needs, and all that it costs there is what TCP costs. It stays so for as long as
 * only options and flags are asked of it. A connect that is to go over SCTP makes it SCTP's, and so
 * does every other call (fd_classify()): to those it is the socket that it always was.
 */
#ifndef SCTPSHIM_KERNEL_UNDECIDED_H
#define SCTPSHIM_KERNEL_UNDECIDED_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../fd.h"
#include "../ledger.h"

/* Are new sockets to begin so? */
bool undecided_wanted(void);
/* socket(2) for that; -1 with its errno. */
int undecided_socket(int domain, int type, int protocol);

/* Keeps a socket undecided, and other threads from it, up to the release. False where it is not. */
bool undecided_hold_now(int fd);
void undecided_release(int fd);

static inline bool undecided_hold(int fd)
{
    return fd_is_undecided(fd) && undecided_hold_now(fd);
}

/*
 * Makes one that is held SCTP's. Why it cannot be, else; REASON_NONE also where it has turned out
 * not to be what it was taken for, and its kind is to be asked again.
 */
enum reason undecided_settle(int fd);
/* One that is held is TCP's from now on. False where none is held. */
bool undecided_leave(int fd);
/* What it is when it has to be decided. Keeps errno. */
enum fd_kind undecided_end(int fd);

/* Are there any? For sharing.c; a true answer may be late by all that there were. */
extern _Atomic uint8_t undecided_any;
/* What comes next shares all descriptors: each is to mean the same to all that hold it. */
void undecided_end_all(void);

/* A message on this descriptor may pass others on: what is in it, the kernel is to read first. */
void undecided_pass_now(int fd);

static inline void undecided_pass(int fd)
{
    if (undecided_any)
        undecided_pass_now(fd);
}

/* The calls that need not decide, or decide themselves, of one that is held: they release it. */
int undecided_connect(int fd, const struct sockaddr *addr, socklen_t len); /* connect.c */
int undecided_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int undecided_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int undecided_ioctl(int fd, unsigned long request, void *arg);
int undecided_fcntl(int fd, int command, void *arg);
int undecided_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);

#endif
