/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What we keep in the kernel with a socket, for the library and for `sctpshim status`. First in its
 * adaptation layer indication: what it announces to the peer (docs/wire.md) and, once the
 * association is up, what must be known of it wherever it goes (state.c).
 */
#ifndef SCTPSHIM_KERNEL_ADAPTATION_H
#define SCTPSHIM_KERNEL_ADAPTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "../wire.h"

/* What is kept: the topmost bit, which no announcement has, then "SC"; the lower half is state. */
#define STATE_KEPT 0xd3430000u
enum { STATE_BITS = 0xffff };

/* Kept by the kernel with the socket, for whoever holds it. Bits not named here are FDF_ENDS'. */
enum state {
    STATE_PEER_IS_SHIM = 1 << 0, /* the peer announced itself: it knows the FIN message */
    STATE_FIN_SENT = 1 << 1,     /* our direction is at its end */
    STATE_CONNECT_DUE = 1 << 2,  /* connect() has not yet returned success to the program */
    STATE_MUTE = 1 << 6,         /* writing was shut down before there was a connection */
    STATE_FIN_DUE = 1 << 15,     /* the FIN message leaves when all data is acknowledged */
    /* The error that ended the connection, which nobody has been told of and the kernel not kept. */
    STATE_PIPE_DUE = 1 << 3, /* EPIPE: what was written after the end was refused */
    STATE_RESET_DUE = 1 << 7,
    STATE_TIMEOUT_DUE = 1 << 11,
    STATE_ABORT_DUE = 1 << 14,
    STATE_DUE = STATE_PIPE_DUE | STATE_RESET_DUE | STATE_TIMEOUT_DUE | STATE_ABORT_DUE,
};

/* Does a socket's own indication hold state? */
static inline bool adaptation_has_state(uint32_t indication)
{
    return (indication & ~(uint32_t)STATE_BITS) == STATE_KEPT;
}

/* A socket with this indication of its own is a shim's. */
static inline bool adaptation_is_ours(uint32_t indication)
{
    return adaptation_has_state(indication) || wire_announces(indication);
}

/* The bits that it holds; none before the first is kept. */
static inline unsigned adaptation_state(uint32_t indication)
{
    return adaptation_has_state(indication) ? indication & STATE_BITS : 0;
}

/*
 * Then in the association's context (SCTP_CONTEXT, RFC 6458 8.1.25), which no program of ours gets
 * to see: failovers, where the library looks for them (tell.c). From the top a prefix, a count and
 * a digest of what was counted last.
 */
#define CONTEXT_PREFIX 0x53000000u
#define CONTEXT_PREFIX_MASK 0xff000000u
enum { CONTEXT_COUNT_AT = 8, CONTEXT_COUNT_MASK = 0xffff, CONTEXT_DIGEST_MASK = 0xff };

/*
 * And in the context of what it sends (SCTP_DEFAULT_SNDINFO, RFC 6458 8.1.31), which would come
 * back with messages that fail: what was decided about it (note.c). From the bottom a digest of the
 * rule's name (rule_digest(); 0: none), whether reading was shut down before there was a connection,
 * what the rules saw it used for, and which of the own addresses the program knows it by, from 1 on. All 0: nobody has noted anything.
 */
enum {
    NOTE_RULE_MASK = 0x7fffff,
    NOTE_READ_SHUT = 1 << 23,
    NOTE_USE_AT = 24, /* enum rule_role */
    NOTE_USE_MASK = 3,
    NOTE_NAME_AT = 26,
    NOTE_NAME_MASK = 63,
};

#endif
