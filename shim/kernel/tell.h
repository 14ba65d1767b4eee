/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What LOG=info tells of connections: that they came up, what becomes of their paths, how they
 * ended. Each call costs one load while the log is less curious; all keep errno.
 *
 * Nothing is subscribed for this: notifications of SCTP travel among the program's data, wake its
 * epoll and are bytes to a plain read(2). So the library looks at the paths now and then, when the
 * program makes a call that may wait or move data; while it sleeps in one, nobody looks.
 */
#ifndef SCTPSHIM_KERNEL_TELL_H
#define SCTPSHIM_KERNEL_TELL_H

#include "../log.h"

void tell_paths_now(void);
void tell_up_now(int fd, const char *how);
void tell_lost_now(int fd);
void tell_closing_now(int fd);

/* At most every 100 ms: have the paths of a few of this process's connections changed? */
static inline void tell_paths(void)
{
    if (log_enabled(LOG_LEVEL_INFO))
        tell_paths_now();
}

/* The association has come up, "connected" or "accepted"; or it had before, and nothing is said. */
static inline void tell_up(int fd, const char *how)
{
    if (log_enabled(LOG_LEVEL_INFO))
        tell_up_now(fd, how);
}

/* A call is about to return -1: does errno say that the association is gone? */
static inline void tell_lost(int fd)
{
    if (log_enabled(LOG_LEVEL_INFO))
        tell_lost_now(fd);
}

/* This number of a connected socket is about to be closed. */
static inline void tell_closing(int fd)
{
    if (log_enabled(LOG_LEVEL_INFO))
        tell_closing_now(fd);
}

#endif
