/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire convention over any stack: messages as bytes, and the ends of both directions. */
#include "convention.h"

#include <arpa/inet.h>
#include <errno.h>

#include "../wire.h"
#include "stack.h"

bool convention_is_end(const struct convention *c, uint32_t ppid)
{
    return ppid == WIRE_FIN_PPID && c->peer_is_shim;
}

static void note_error(struct association *a)
{
    if (errno != EAGAIN && errno != EINTR)
        association_lost(a, errno);
}

static void pieces_clear(struct pieces *pieces)
{
    pieces->count = pieces->bytes = 0;
    pieces->memory = NULL;
}

ssize_t stack_receive(struct association *a, struct pieces *pieces, size_t most)
{
    const struct convention *c = association_convention(a);

    pieces_clear(pieces);
    while (!c->peer_ended && !c->lost && pieces->bytes < most && pieces->count < PIECES)
        if (association_receive(a, pieces) == RECEIVED_NOTHING) {
            note_error(a);
            break;
        }
    if (pieces->bytes)
        return (ssize_t)pieces->bytes;
    if (c->peer_ended && !c->lost)
        return 0;
    errno = !c->lost ? EAGAIN : c->error ? c->error : ECONNRESET;
    return -1;
}

bool stack_alive(struct association *a)
{
    const struct convention *c = association_convention(a);
    struct pieces rest;

    while (!c->gone && !c->lost) {
        enum received what;

        pieces_clear(&rest);
        what = association_receive(a, &rest);
        pieces_release(&rest);
        if (what == RECEIVED_NOTHING) {
            note_error(a);
            break;
        }
    }
    return !c->lost;
}

bool stack_finish(struct association *a)
{
    struct convention *c = association_convention(a);

    if (c->finished)
        return true;
    /* With a peer that has ended its direction, or knows no half-close, it is SCTP's own end. */
    if (c->peer_ended || !c->peer_is_shim)
        association_shutdown(a);
    else if (!association_send(a, "", 1, htonl(WIRE_FIN_PPID), true) &&
             errno == EAGAIN)
        return false;
    c->finished = true;
    return true;
}
