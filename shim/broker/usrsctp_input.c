/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets on their way in: who they are for, and whether they are who they say. */
#include <arpa/inet.h>
#include <string.h>

#include "../log.h"
#include "packets.h"
#include "pool.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_mbufs.h"
#include "usrsctp_socket.h"

struct head {
    in_port_t source, destination;
    uint32_t tag;
    uint8_t chunk;
};

/* The type of the chunk behind that one; AUTH if there is none. */
static uint8_t chunk_after(const unsigned char *bytes, size_t len, size_t at)
{
    size_t next = len < at + 4 ? len : at + (((size_t)bytes[at + 2] << 8 | bytes[at + 3]) + 3) / 4 * 4;

    return next > at && next < len ? bytes[next] : CHUNK_AUTH;
}

static bool read_head(const unsigned char *bytes, size_t len, struct head *head)
{
    if (len <= SCTP_FIRST_CHUNK)
        return false;
    memcpy(&head->source, bytes + SCTP_SOURCE_PORT, sizeof head->source);
    memcpy(&head->destination, bytes + SCTP_DESTINATION_PORT, sizeof head->destination);
    memcpy(&head->tag, bytes + SCTP_TAG, sizeof head->tag);
    head->chunk = bytes[SCTP_FIRST_CHUNK];
    if (head->chunk == CHUNK_AUTH)
        head->chunk = chunk_after(bytes, len, SCTP_FIRST_CHUNK);
    return true;
}

/* Own addresses that the peer has too lead to this host, and what comes from there is our own. */
static bool is_our_own(const struct association *a, const union address *from)
{
    union address name = *from;

    address_set_port(&name, 0);
    for (size_t i = 0; a->peer && a->up && i < a->peer->list.count; i++)
        if (!a->peer->usable[i] && address_equal(&a->peer->list.at[i], &name))
            return true;
    return false;
}

/* The UDP port that the library sends to at this address of the peer's. */
static in_port_t known_port(const struct association *a, const union address *from)
{
    struct sctp_udpencaps encapsulation = {0};
    socklen_t len = sizeof encapsulation;
    union address name = *from;

    address_set_port(&name, address_port(&a->remote));
    memcpy(&encapsulation.sue_address, &name, address_len(&name));
    if (usrsctp_getsockopt(a->socket, IPPROTO_SCTP, SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation,
                           &len) == 0)
        return encapsulation.sue_port;
    return a->remote_udp;
}

/*
 * The library answers to the UDP port that a packet has come from before it has looked at its
 * verification tag (RFC 6951, 5.4, wants it the other way round): anybody could turn a connection
 * away. It is told the port that it knows, unless the tag is right.
 */
static in_port_t believed_port(struct association *a, const struct head *head,
                               const union address *from)
{
    in_port_t port = address_port(from);

    if (port == a->remote_udp || head->chunk == CHUNK_INIT)
        return port;
    if (a->tag && head->tag == a->tag) {
        log_debug("a peer's packets come from UDP port %u now", ntohs(port));
        a->remote_udp = port;
        return port;
    }
    return known_port(a, from);
}

/* One packet, of which the mbuf is: the library's to keep. */
static void take_packet(struct mbuf *packet, struct association *a, const struct datagram *datagram,
                        bool summed)
{
    union address at = datagram->to, peer = datagram->from;
    struct endpoint *endpoint = NULL;
    struct head head;

    read_head((const unsigned char *)packet->m_data, (size_t)packet->m_len, &head);
    address_set_port(&at, head.destination);
    if (a)
        address_set_port(&peer, believed_port(a, &head, &datagram->from));
    if (head.chunk == CHUNK_INIT || head.chunk == CHUNK_COOKIE_ECHO)
        endpoint = listen_called(&at, &at, &datagram->from, head.chunk);
    usrsctp_io_input(packet, &peer, &datagram->to, datagram->tos, summed);
    if (endpoint && head.chunk == CHUNK_COOKIE_ECHO)
        listen_accept(endpoint, &at, head.tag);
}

static struct mbuf *copy_of(const unsigned char *bytes, size_t len)
{
    struct mbuf *m = sctp_get_mbuf_for_msg((unsigned)len, 1, MBUF_NOWAIT, 1, MBUF_DATA);

    if (!m)
        return NULL;
    memcpy(m->m_data, bytes, len);
    m->m_len = (int)len;
    return m;
}

/*
 * A datagram that fills its block well is not copied: the packets share the block, which is the
 * library's then. NULL: they are copied.
 */
static struct mbuf *lend(struct datagram *datagram)
{
    enum { WORTH = 16 << 10, MOST_LARGE = 1024 /* 64 MB */ };
    const unsigned char *end = datagram->bytes + datagram->len;
    struct mbuf *whole = NULL;

    if (datagram->len >= WORTH && pool_large_used() < MOST_LARGE)
        whole = mbuf_of_block(datagram->block, (size_t)(end - (unsigned char *)datagram->block));
    if (whole)
        datagram->block = NULL;
    return whole;
}

static void input(struct datagram *datagram)
{
    enum { CHUNK_HEADER = 4 };
    struct mbuf *whole = lend(datagram), *packet;
    size_t at = 0, len;

    for (; at < datagram->len; at += len) {
        unsigned char *bytes = datagram->bytes + at;
        struct association *a;
        struct head head;
        bool joined = false;

        len = datagram->len - at < datagram->packet ? datagram->len - at : datagram->packet;
        if (len < SCTP_FIRST_CHUNK + CHUNK_HEADER || !read_head(bytes, len, &head))
            continue;
        a = association_find(head.destination, head.source, &datagram->from);
        if (a && is_our_own(a, &datagram->from))
            continue;
        if (a)
            joined = join(&a->joins, bytes, datagram->len - at, &len);
        packet = whole ? m_copym(whole, (int)((char *)bytes - whole->m_data), (int)len, MBUF_NOWAIT)
                       : copy_of(bytes, len);
        if (packet)
            take_packet(packet, a, datagram, joined);
    }
    if (whole)
        m_freem(whole);
}

void input_acknowledged(const unsigned char *head, const union address *to)
{
    in_port_t local, remote;
    struct association *a;

    memcpy(&local, head + SCTP_SOURCE_PORT, sizeof local);
    memcpy(&remote, head + SCTP_DESTINATION_PORT, sizeof remote);
    a = association_find(local, remote, to);
    if (a)
        join_acknowledged(&a->joins, head + SCTP_FIRST_CHUNK);
}

void input_start(void)
{
    static const struct packets_user user = {.input = input, .unreachable = association_unreachable};

    packets_tell(&user);
}
