/* SPDX-License-Identifier: BSD-3-Clause */
/* The addresses that this host's interfaces have, and those of them that a list means. */
#ifndef SCTPSHIM_KERNEL_HOST_H
#define SCTPSHIM_KERNEL_HOST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "address.h"

enum { HOST_MAX = 256, RANK_NONE = -1, RANK_EXCEPTED = -2 };

struct host_address {
    struct in6_addr address; /* IPv4 as IPv4-mapped */
    unsigned interface;      /* its index; 0: unknown */
    int rank;                /* host_rank(): which of a list's entries means it, RANK_* for none */
};

struct host {
    size_t count;
    struct host_address at[HOST_MAX];
};

/*
 * Asks the kernel (rtnetlink(7)). Without heap, cancellation and, when it returns, fds; keeps
 * errno. IPv6 link-local addresses, which mean nothing without an interface, are left out, and
 * those that are not usable yet. NULL without memory.
 */
struct host *host_open(void);

/* One without addresses, for the caller to fill in. */
struct host *host_empty(void);

void host_close(struct host *host);

/* NULL when it is none of them. */
const struct host_address *host_find(const struct host *host, const struct in6_addr *address);

/*
 * Ranks them by a list of the configuration, called name in the log. A list of exceptions only
 * means all others. "all" leaves loopback out. Entries that mean none of them are logged if
 * complain. fd: any socket.
 */
void host_rank(struct host *host, int fd, const char *name, const char *list, bool complain);

#endif
