/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says about TCP sockets that are not ours (sock_diag(7)). */
#ifndef SCTPSHIM_BROKER_DIAG_H
#define SCTPSHIM_BROKER_DIAG_H

#include <stdbool.h>
#include <sys/types.h>

#include "../userspace/protocol.h"

/*
 * The kernel's name (SO_COOKIE) of the TCP socket of this user that listens at this IPv4 name; 0
 * when there is none, 1 where the kernel cannot be asked.
 */
uint64_t diag_listener(const union address *name, uid_t uid);

/*
 * The state (TCP_SYN_SENT, ...; netinet/tcp.h) of the TCP socket with this name that connects or is
 * connected to that one; 0 when there is none, -1 where the kernel cannot be asked.
 */
int diag_state(const union address *name, const union address *peer);

/* Is it this user's socket, and does it connect? */
bool diag_owned(const union address *name, const union address *peer, uid_t uid);

#endif
