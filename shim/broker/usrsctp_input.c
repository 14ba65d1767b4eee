/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets on their way in: who they are for, and whether they are who they say. */
#include <arpa/inet.h>
#include <string.h>

#include "../log.h"
#include "packets.h"
#include "usrsctp_io.h"
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

static void input(const unsigned char *bytes, size_t len, const union address *from,
                  const union address *to, uint8_t tos)
{
    union address at = *to, peer = *from;
    struct endpoint *endpoint = NULL;
    struct association *a;
    struct head head;

    if (!read_head(bytes, len, &head))
        return;
    address_set_port(&at, head.destination);
    a = association_find(head.destination, head.source, from);
    if (a && is_our_own(a, from))
        return;
    if (a)
        address_set_port(&peer, believed_port(a, &head, from));
    if (head.chunk == CHUNK_INIT || head.chunk == CHUNK_COOKIE_ECHO)
        endpoint = listen_called(&at, from, head.chunk);
    usrsctp_io_input(bytes, len, &peer, to, tos);
    if (endpoint && head.chunk == CHUNK_COOKIE_ECHO)
        listen_accept(endpoint, &at, head.tag);
}

/*
 * Nobody is at the peer's UDP port, or there is no way to it: TCP's connect fails at once, too. The
 * packet that came back tells whose it was; one that is up goes on, and one that has other
 * addresses to try.
 */
static void unreachable(const unsigned char *bytes, size_t len, const union address *to, int error)
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

void input_start(void)
{
    static const struct packets_user user = {.input = input, .unreachable = unreachable};

    packets_tell(&user);
}
