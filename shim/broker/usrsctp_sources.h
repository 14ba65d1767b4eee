/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of several own addresses a packet leaves from. The library takes any; here it is the one
 * that the kernel's route would take, if the association has it.
 */
#ifndef SCTPSHIM_BROKER_USRSCTP_SOURCES_H
#define SCTPSHIM_BROKER_USRSCTP_SOURCES_H

#include "../userspace/protocol.h"

struct sources;

/* The sockets that have this port and one of these addresses have all of them. NULL if it is one. */
struct sources *sources_of(in_port_t port, const struct addresses *list);
struct sources *sources_share(struct sources *sources);
/* Counted; none is NULL. */
void sources_drop(struct sources *sources);

/* The packet's source becomes the right one. */
void sources_choose(in_port_t port, union address *from, const union address *to);

#endif
