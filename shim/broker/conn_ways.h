/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ways between an own address and a peer's. libusrsctp's AF_CONN addresses mean nothing to the
 * library, and both ends of an association have the same: here they are the numbers of ways. The
 * other files of the stack see them as IPv4 addresses, "spots", whose host is such a number; who
 * holds a way holds it as `struct sources` (usrsctp_sources.h).
 */
#ifndef SCTPSHIM_BROKER_CONN_WAYS_H
#define SCTPSHIM_BROKER_CONN_WAYS_H

#include <usrsctp.h>

#include "../userspace/protocol.h"

/* The spot of the way between them, with `port`; `remote` has the UDP port. False: there are too many. */
bool way_spot(const union address *local, const union address *remote, in_port_t port,
              union address *spot);
/* Its two ends, with their UDP ports; false: it is not used any more. */
bool way_ends(const union address *spot, union address *local, union address *remote);
/* For the library, and from it. */
struct sockaddr_conn way_name(const union address *spot);
union address way_of(const void *address, in_port_t port);

#endif
