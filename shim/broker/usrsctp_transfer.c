/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through an association: messages as bytes, and the library's notifications. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "../wire.h"
#include "packets.h"
#include "pool.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_mbufs.h"
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

/* Where it stays until pieces_release(). */
static void add_pieces(struct pieces *pieces, struct mbuf *chain)
{
    chain->m_nextpkt = pieces->memory;
    pieces->memory = chain;
    for (const struct mbuf *m = chain; m; m = m->m_next) {
        if (m->m_len)
            pieces->at[pieces->count++] = (struct iovec){m->m_data, (size_t)m->m_len};
        pieces->bytes += (size_t)m->m_len;
    }
}

void pieces_release(struct pieces *pieces)
{
    struct mbuf *chain = pieces->memory, *next;

    for (; chain; chain = next) {
        next = chain->m_nextpkt;
        m_freem(chain);
    }
    pieces->memory = NULL;
}

/* Into as many pieces as are left, of which there is one at least. */
static struct mbuf *fit_pieces(const struct pieces *pieces, struct mbuf *chain)
{
    size_t count = 0;

    for (const struct mbuf *m = chain; m; m = m->m_next)
        count++;
    return count <= PIECES - pieces->count ? chain : mbuf_gather(chain);
}

static enum received took(struct association *a, struct pieces *pieces, struct mbuf *chain,
                          uint32_t ppid)
{
    struct mbuf *fitting;

    if (ntohl(ppid) == WIRE_FIN_PPID && a->convention.peer_is_shim) {
        m_freem(chain);
        a->convention.peer_ended = true;
        return RECEIVED_OTHER;
    }
    fitting = fit_pieces(pieces, chain);
    if (!fitting) { /* what it had must not be missing in silence */
        m_freem(chain);
        association_fail(a, ECONNRESET);
        errno = ENOBUFS;
        return RECEIVED_NOTHING;
    }
    add_pieces(pieces, fitting);
    return RECEIVED_DATA;
}

enum received association_receive(struct association *a, struct pieces *pieces)
{
    union {
        union sctp_notification event;
        char room[512];
    } small = {0};
    struct sctp_sndrcvinfo info = {0};
    struct uio all = {.left = SSIZE_MAX};
    struct mbuf *chain = NULL;
    int flags = 0, error = sctp_sorecvmsg(a->socket, &all, &chain, NULL, 0, &flags, &info, 1);

    if (error) {
        errno = error;
        return RECEIVED_NOTHING;
    }
    if (!chain) {
        a->convention.peer_ended = a->convention.gone = true;
        return RECEIVED_OTHER;
    }
    if (!(flags & MSG_NOTIFICATION))
        return took(a, pieces, chain, info.sinfo_ppid);
    mbuf_copy_out(chain, &small, sizeof small);
    m_freem(chain);
    notified(a, &small.event);
    return RECEIVED_OTHER;
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

/* ---- Sending ---- */

/* What TCP would say. */
static bool not_sent(int error)
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
           not_sent(errno);
}

void *stack_block(size_t size)
{
    return pool_malloc(size);
}

void stack_block_free(void *block)
{
    pool_free(block);
}

/* 0, and the block is the library's; or the errno. */
static int send_in_place(struct socket *socket, void *block, size_t len,
                         struct sctp_sndrcvinfo *info)
{
    unsigned *references;
    struct mbuf *message = mbuf_of_message(block, len, &references);
    int error;

    if (!message)
        return ENOBUFS;
    error = sctp_lower_sosend(socket, NULL, NULL, message, NULL, 0, info);
    block_settle(block, references, error == 0);
    return error;
}

bool stack_send(struct association *a, void *block, size_t len)
{
    enum { WORTH = 16 << 10 }; /* the whole block stays until the peer has what is in it */

    if (len >= WORTH) {
        struct sctp_sndrcvinfo info = {.sinfo_stream = a->convention.stream,
                                       .sinfo_ppid = a->convention.ppid};
        int error = send_in_place(a->socket, block, len, &info);

        return !error || not_sent(error);
    }
    if (!association_send(a, block, len, a->convention.ppid, false))
        return false;
    pool_free(block);
    return true;
}

bool messages_are_known(struct socket *socket)
{
    enum { SOME = 16 };
    struct sctp_sndrcvinfo info = {0};
    struct uio all = {.left = SSIZE_MAX};
    struct mbuf *chain = NULL;
    void *block = pool_calloc(1, SOME);
    int flags = 0;

    if (!block)
        return false;
    if (send_in_place(socket, block, SOME, &info) != 0) {
        pool_free(block);
        return false;
    }
    return sctp_sorecvmsg(socket, &all, &chain, NULL, 0, &flags, &info, 1) == EWOULDBLOCK &&
           !chain && all.left == SSIZE_MAX;
}

void association_shutdown(struct association *a)
{
    usrsctp_shutdown(a->socket, SHUT_WR);
}
