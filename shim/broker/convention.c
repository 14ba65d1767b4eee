/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire convention over any stack: messages as bytes, and the ends of both directions. */
#include "convention.h"

#include <arpa/inet.h>
#include <errno.h>

#include "../wire.h"
#include "stack.h"

static void note_error(struct association *a)
{
    if (errno != EAGAIN && errno != EINTR)
        association_lost(a, errno);
}

ssize_t stack_receive(struct association *a, void *bytes, size_t size)
{
    enum { ROOM = 4096 }; /* a message's rest or a notification must find room */
    const struct convention *c = association_convention(a);
    size_t done = 0;

    while (!c->peer_ended && !c->lost && size - done >= ROOM) {
        size_t got = 0;
        enum received what = association_receive(a, (char *)bytes + done, size - done, &got);

        if (what == RECEIVED_NOTHING) {
            note_error(a);
            break;
        }
        done += what == RECEIVED_DATA ? got : 0;
    }
    if (done)
        return (ssize_t)done;
    if (c->peer_ended && !c->lost)
        return 0;
    errno = !c->lost ? EAGAIN : c->error ? c->error : ECONNRESET;
    return -1;
}

bool stack_alive(struct association *a)
{
    const struct convention *c = association_convention(a);
    char rest[4096];
    size_t got;

    while (!c->gone && !c->lost)
        if (association_receive(a, rest, sizeof rest, &got) == RECEIVED_NOTHING) {
            note_error(a);
            break;
        }
    return !c->lost;
}

bool stack_send(struct association *a, const void *bytes, size_t len)
{
    return association_send(a, bytes, len, association_convention(a)->ppid, false);
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
