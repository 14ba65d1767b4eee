/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the kernel plane share among themselves. */
#ifndef SCTPSHIM_KERNEL_INTERNAL_H
#define SCTPSHIM_KERNEL_INTERNAL_H

#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../fd.h"
#include "../libc.h"

/* The value of our adaptation layer indication (docs/wire.md): "SCT", then version 1. */
enum { ADAPTATION_PREFIX = 0x53435400, ADAPTATION_MASK = 0x7fffff00, ADAPTATION_VERSION = 1 };

/* params.c: the configured SCTP parameters of a new socket; losses are logged, not fatal. */
void params_apply(int fd);
/* Is this SCTP socket one that params_apply() marked? */
bool params_marked(int fd);
/* What can only be decided per association: loopback's path MTU, the chunk size. */
void params_tune(int fd, const struct sctp_status *status);

/* connect.c */
enum link { LINK_NONE, LINK_PENDING, LINK_UP, LINK_FAILED };
/*
 * Where a connect that this process has not seen the end of stands. Settles the fd's kind:
 * LINK_UP makes it FD_OPEN, LINK_FAILED sets errno and makes it FD_FAILED.
 */
enum link link_settle(int fd);
/* Waits for the end of a connect as TCP would: 0, or -1 with errno (EINTR, EINPROGRESS, error). */
int link_wait(int fd);

/* replace.c: a fresh socket with the same options under the same number; 0 or -1 with errno. */
int socket_replace(int fd);

/* sockopt helpers; values in host order as the kernel takes them. */
static inline int sctp_set(int fd, int name, const void *value, size_t len)
{
    return libc.setsockopt(fd, IPPROTO_SCTP, name, value, (socklen_t)len);
}

static inline int sctp_get(int fd, int name, void *value, size_t len)
{
    socklen_t actual = (socklen_t)len;

    return libc.getsockopt(fd, IPPROTO_SCTP, name, value, &actual);
}

static inline int int_option(int fd, int level, int name, int otherwise)
{
    int value = 0;
    socklen_t len = sizeof value;

    return libc.getsockopt(fd, level, name, &value, &len) == 0 ? value : otherwise;
}

static inline int set_int_option(int fd, int level, int name, int value)
{
    return libc.setsockopt(fd, level, name, &value, sizeof value);
}

/*
 * May the program's pointer be used? As the kernel sees it: 0, or -1 with EFAULT. The kernel is
 * made to read or write an int there by a socket option that means nothing to SCTP.
 */
static inline int check_readable(int fd, const void *from, socklen_t len)
{
    return libc.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, from, len);
}

static inline int check_writable(int fd, void *to)
{
    socklen_t len = sizeof(int);

    return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, to, &len);
}

/* wait.c */
/* Milliseconds on CLOCK_MONOTONIC. */
int64_t now_ms(void);
/* SO_RCVTIMEO or SO_SNDTIMEO in ms, -1 for none. */
int64_t timeout_option(int fd, int name);
bool is_nonblocking(int fd);
/* poll() for events until deadline (ms on now_ms()'s clock, -1 none): 1, 0 timeout, -1 EINTR. */
int wait_for(int fd, short events, int64_t deadline);

/* close.c: a reset was read: from now on the kernel shows end of file and EPIPE, as TCP's does. */
void reset_seen(int fd);

/* Takes an errno left behind by a probe of ours; 0 when there is none. */
static inline int take_pending(int fd)
{
    struct fd_info *info = fd_info(fd);
    int error = info->pending;

    info->pending = 0;
    return error;
}

/* send.c */
ssize_t stream_send(int fd, const struct iovec *iov, size_t count, int flags);

/* tcpopts.c */
int tcpopts_get(int fd, int name, void *value, socklen_t *len);
int tcpopts_set(int fd, int name, const void *value, socklen_t len);
/* SO_KEEPALIVE was switched: heartbeats follow it. */
void tcpopts_keepalive(int fd);
/* getsockopt's way of handing an answer over: truncated to *len, *len set. 0, or -1 with EINVAL
 * or EFAULT. */
int answer(int fd, const void *from, size_t size, void *value, socklen_t *len);

/* tcpinfo.c: struct tcp_info as getsockopt(TCP_INFO) fills it, truncated to *len. */
int tcpinfo_get(int fd, void *value, socklen_t *len);

#endif
