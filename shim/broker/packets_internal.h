/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of packets.h share: the sockets. */
#ifndef SCTPSHIM_BROKER_PACKETS_INTERNAL_H
#define SCTPSHIM_BROKER_PACKETS_INTERNAL_H

#include "loop.h"
#include "packets.h"

enum packets_socket { UDP_V4, UDP_V6, RAW_V4, RAW_V6, PACKETS_SOCKETS };

extern struct source packets_sockets[PACKETS_SOCKETS]; /* fd -1: not there */
extern struct packets_counts packets_counted;

/* The socket for packets to that host: raw where no UDP port is given. */
struct source *packets_socket_to(const union address *to);
/* One that is ready has been taken care of. */
void packets_ready(struct source *source, uint32_t events);

/* A place in a table of KNOWN_HOSTS, by a hash of host and port. */
enum { KNOWN_HOSTS = 1024 /* a power of two */ };
size_t packets_slot(const union address *to);

#endif
