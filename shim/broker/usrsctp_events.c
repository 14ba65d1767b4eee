/* SPDX-License-Identifier: BSD-3-Clause */
/* What libusrsctp tells of an association, and what it is told: all but the messages with data. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../wire.h"
#include "packets.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

static int socket_error(struct association *a)
{
    int error = 0;
    socklen_t len = sizeof error;

    usrsctp_getsockopt(a->socket, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

/* A native peer's acknowledgements may come late (RTO_MIN_NATIVE); a shim's do not. */
static void set_rto(struct association *a, uint32_t initial, uint32_t min)
{
    struct sctp_rtoinfo rto = {.srto_initial = initial, .srto_min = min};

    socket_set(a->socket, SCTP_RTOINFO, &rto, sizeof rto, "RTO_MIN");
}

/* Messages fill packets, and one run of them: else each ends with two runs that are short. */
static void fit_chunk(struct association *a)
{
    enum { HEADERS = SCTP_FIRST_CHUNK + 16 /* of a DATA chunk */ };
    struct sctp_status status;
    socklen_t len = sizeof status;
    uint32_t part, parts;

    if (usrsctp_getsockopt(a->socket, IPPROTO_SCTP, SCTP_STATUS, &status, &len) < 0)
        return;
    part = status.sstat_fragmentation_point;
    parts = part ? LARGEST_RUN / (part + HEADERS) : 0;
    if (parts > a->chunk / part)
        parts = a->chunk / part;
    if (parts)
        a->chunk = parts * part;
}

void association_up(struct association *a)
{
    uint32_t initial = a->rto_initial > a->rto_floor ? a->rto_initial : a->rto_floor;

    a->up = true;
    set_rto(a, initial, a->rto_floor);
    fit_chunk(a);
    paths_up(a);
}

/*
 * A run is acknowledged at once (usrsctp_joins.c): with a burst of fewer packets the window would
 * shrink to that with each acknowledgement.
 */
static void allow_bursts(struct association *a)
{
    struct sctp_assoc_value burst = {.assoc_value = RUN_PACKETS};

    if (a->max_burst && a->max_burst < RUN_PACKETS)
        socket_set(a->socket, SCTP_MAX_BURST, &burst, sizeof burst, "MAX_BURST");
}

static void announced(struct association *a, uint32_t code)
{
    union address peer = a->remote;

    a->convention.peer_is_shim = wire_announces(code);
    address_set_port(&peer, a->remote_udp);
    if (!a->convention.peer_is_shim)
        return;
    set_rto(a, a->rto_initial, a->rto_min);
    if (code & WIRE_RUNS)
        allow_bursts(a);
    if (code & WIRE_RUNS && a->remote_udp)
        packets_allow_runs(&peer);
    for (size_t i = 0; a->peer && a->remote_udp && code & WIRE_RUNS && i < a->peer->list.count; i++) {
        peer = a->peer->list.at[i];
        address_set_port(&peer, a->remote_udp);
        packets_allow_runs(&peer);
    }
}

static void path_changed(struct association *a, uint32_t state)
{
    if (state == SCTP_ADDR_ADDED || state == SCTP_ADDR_REMOVED)
        paths_up(a);
    else if (state == SCTP_ADDR_CONFIRMED || state == SCTP_ADDR_AVAILABLE)
        paths_confirmed(a);
}

void association_notified(struct association *a, const union sctp_notification *event)
{
    switch (event->sn_header.sn_type) {
    case SCTP_ASSOC_CHANGE:
        switch (event->sn_assoc_change.sac_state) {
        case SCTP_COMM_UP:
            association_up(a);
            break;
        case SCTP_CANT_STR_ASSOC:
            association_fail(a, socket_error(a));
            break;
        case SCTP_COMM_LOST:
            association_fail(a, ECONNRESET);
            break;
        case SCTP_RESTART: /* a new connection with an old one's name */
            association_fail(a, ECONNRESET);
            break;
        case SCTP_SHUTDOWN_COMP:
            a->convention.peer_ended = true;
            break;
        }
        break;
    case SCTP_PEER_ADDR_CHANGE:
        path_changed(a, event->sn_paddr_change.spc_state);
        break;
    case SCTP_ADAPTATION_INDICATION:
        announced(a, event->sn_adaptation_event.sai_adaptation_ind);
        break;
    case SCTP_SHUTDOWN_EVENT:
        a->convention.peer_ended = true;
        break;
    }
}

void association_lost(struct association *a, int error)
{
    association_fail(a, error == ETIMEDOUT ? ETIMEDOUT : ECONNRESET);
}

enum link_state stack_link(struct association *a, int *error)
{
    struct pieces none = {0};

    /* Until it is up nothing but notifications can be there. */
    while (!a->up && !a->failed) {
        enum received what = association_receive(a, &none);

        if (what == RECEIVED_OTHER && !a->convention.peer_ended)
            continue;
        if (usrsctp_get_events(a->socket) & SCTP_EVENT_ERROR)
            association_fail(a, socket_error(a));
        break;
    }
    pieces_release(&none);
    if (a->failed) {
        *error = a->convention.error ? a->convention.error : ECONNREFUSED;
        return LINK_FAILED;
    }
    return a->up ? LINK_UP : LINK_CONNECTING;
}

/* What TCP would say. */
bool association_not_sent(int error)
{
    errno = error == ENOENT || error == ESHUTDOWN || error == ENOTCONN ? EPIPE : error;
    return false;
}

bool association_send(struct association *a, const void *bytes, size_t len, uint32_t ppid,
                      bool sack_at_once)
{
    struct sctp_sndinfo info = {.snd_sid = a->convention.stream, .snd_ppid = ppid,
                                .snd_flags = sack_at_once ? SCTP_SACK_IMMEDIATELY : 0};

    return usrsctp_sendv(a->socket, bytes, len, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO,
                         0) >= 0 ||
           association_not_sent(errno);
}

void association_shutdown(struct association *a)
{
    usrsctp_shutdown(a->socket, SHUT_WR);
}

/*
 * Nobody is at the peer's UDP port, or there is no way to it: TCP's connect fails at once, too. The
 * packet that came back tells whose it was; one that is up goes on, and one that has other
 * addresses to try.
 */
void association_unreachable(const unsigned char *bytes, size_t len, const union address *to,
                             int error)
{
    struct association *a;
    in_port_t source, destination;

    if (len < SCTP_TAG)
        return;
    memcpy(&source, bytes + SCTP_SOURCE_PORT, sizeof source);
    memcpy(&destination, bytes + SCTP_DESTINATION_PORT, sizeof destination);
    a = association_find(source, destination, to);
    if (!a || a->up || (a->peer && a->peer->list.count > 1))
        return;
    association_fail(a, error);
    wake(&a->wake);
}
