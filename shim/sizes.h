/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How large messages, packets and windows are, so that none of them stalls the others: in bytes. Of
 * the kernel's SCTP; docs/performance.md says what was measured.
 */
#ifndef SCTPSHIM_SIZES_H
#define SCTPSHIM_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

/* SO_RCVBUF, where the process may: the kernel doubles it, and announces half as the window. */
uint32_t size_rcvbuf(const struct options *o);
/* The messages to a peer with that window, out of a send buffer as SO_SNDBUF is read: at most MOST. */
uint32_t size_chunk(uint32_t most, uint32_t window, uint32_t sndbuf);
/* Is an interface's MTU, loopback's, too large for a path? */
bool size_mtu_stalls(uint32_t mtu);
/* The path MTU to set there, for such messages and that own window. */
uint32_t size_mtu(uint32_t chunk, uint32_t window);

#endif
