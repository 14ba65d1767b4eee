/* SPDX-License-Identifier: BSD-3-Clause */
/* Who in this process holds a socket: its numbers, and the epolls that watch them. */
#ifndef SCTPSHIM_KERNEL_HOLDERS_H
#define SCTPSHIM_KERNEL_HOLDERS_H

#include <stdbool.h>
#include <sys/epoll.h>

enum { HOLDERS_MAX = 32 };

struct registration {
    int epoll, number;
    struct epoll_event event;
};

struct holders {
    unsigned numbers_count, registrations_count;
    int numbers[HOLDERS_MAX];
    struct registration registrations[HOLDERS_MAX];
    bool all; /* false: there are more, or /proc could not be read */
};

/* By what this process has seen, where it has seen all of it; else by what the kernel says. */
void holders_find(int fd, struct holders *holders);

/* Takes the registrations back, before another socket gets the numbers. Drops what is stale. */
void holders_withdraw(struct holders *holders);

/* Makes them again. */
void holders_register(const struct holders *holders);

/* epoll.c: one of them is another socket's now, and what an earlier wait tells is the old one's. */
void epoll_replaced(const struct registration *registration);

#endif
