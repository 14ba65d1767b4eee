/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through an association: messages as bytes, and the library's notifications. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../wire.h"
#include "packets.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

/* ---- Receiving ---- */

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

static void notified(struct association *a, const union sctp_notification *event)
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

enum received association_receive(struct association *a, char *bytes, size_t size, size_t *got)
{
    union {
        union sctp_notification event;
        char room[512];
    } small;
    struct sctp_rcvinfo info = {0};
    socklen_t info_len = sizeof info, from_len = sizeof(union address);
    union address from;
    unsigned type = 0;
    int flags = 0;
    ssize_t n;

    n = usrsctp_recvv(a->socket, bytes, size, &from.any, &from_len, &info, &info_len, &type, &flags);
    if (n < 0)
        return RECEIVED_NOTHING;
    if (n == 0) {
        a->convention.peer_ended = a->convention.gone = true;
        return RECEIVED_OTHER;
    }
    if (flags & MSG_NOTIFICATION) {
        memset(&small, 0, sizeof small);
        memcpy(&small, bytes, (size_t)n < sizeof small ? (size_t)n : sizeof small);
        notified(a, &small.event);
        return RECEIVED_OTHER;
    }
    if (type == SCTP_RECVV_RCVINFO && ntohl(info.rcv_ppid) == WIRE_FIN_PPID && a->convention.peer_is_shim) {
        a->convention.peer_ended = true;
        return RECEIVED_OTHER;
    }
    *got = (size_t)n;
    return RECEIVED_DATA;
}

void association_lost(struct association *a, int error)
{
    association_fail(a, error == ETIMEDOUT ? ETIMEDOUT : ECONNRESET);
}

enum link_state stack_link(struct association *a, int *error)
{
    char event[512];
    size_t got;

    /* Until it is up nothing but notifications can be there. */
    while (!a->up && !a->failed) {
        enum received what = association_receive(a, event, sizeof event, &got);

        if (what == RECEIVED_OTHER && !a->convention.peer_ended)
            continue;
        if (usrsctp_get_events(a->socket) & SCTP_EVENT_ERROR)
            association_fail(a, socket_error(a));
        break;
    }
    if (a->failed) {
        *error = a->convention.error ? a->convention.error : ECONNREFUSED;
        return LINK_FAILED;
    }
    return a->up ? LINK_UP : LINK_CONNECTING;
}

/* ---- Sending ---- */

bool association_send(struct association *a, const void *bytes, size_t len, uint32_t ppid,
                      bool sack_at_once)
{
    struct sctp_sndinfo info = {.snd_sid = a->convention.stream, .snd_ppid = ppid,
                                .snd_flags = sack_at_once ? SCTP_SACK_IMMEDIATELY : 0};

    if (usrsctp_sendv(a->socket, bytes, len, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0) >=
        0)
        return true;
    if (errno == ENOENT || errno == ESHUTDOWN || errno == ENOTCONN)
        errno = EPIPE;
    return false;
}

void association_shutdown(struct association *a)
{
    usrsctp_shutdown(a->socket, SHUT_WR);
}
