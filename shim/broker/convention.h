/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire convention (docs/wire.md), which is the same over each stack: messages are bytes, and a
 * message of its own ends a direction. convention.c is the part of stack.h that follows from it;
 * the rest of the stack provides what is here.
 */
#ifndef SCTPSHIM_BROKER_CONVENTION_H
#define SCTPSHIM_BROKER_CONVENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack.h"

/* How far the conversation has come. */
struct convention {
    uint32_t ppid; /* as packets have it */
    uint16_t stream;
    bool peer_is_shim;
    bool peer_ended; /* the peer's direction is at its end */
    bool finished;   /* and ours */
    bool gone;       /* the association has said good-bye */
    bool lost;       /* it was reset, or never came up */
    int error;       /* of one that is lost */
};

/* Is a message with that PPID, in host order, the end of the peer's direction? */
bool convention_is_end(const struct convention *c, uint32_t ppid);

struct convention *association_convention(struct association *a);

enum received { RECEIVED_DATA, RECEIVED_OTHER /* dealt with */, RECEIVED_NOTHING /* with errno */ };

/* One message or part of one, behind the pieces that are there. */
enum received association_receive(struct association *a, struct pieces *pieces);
/* One small message, acknowledged at once or not; false with errno, EPIPE: the association has ended. */
bool association_send(struct association *a, const void *bytes, size_t len, uint32_t ppid,
                      bool sack_at_once);
/* SCTP's own end (RFC 9260, 9.2). */
void association_shutdown(struct association *a);
/* The socket has said this error. */
void association_lost(struct association *a, int error);

#endif
