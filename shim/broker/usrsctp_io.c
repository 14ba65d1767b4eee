/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libusrsctp's packets: the library calls our functions where it would send and sum up itself,
 * and is given what arrives. The headers that it puts in front are read and left out.
 */
#include "usrsctp_io.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "../log.h"
#include "crc32c.h"
#include "packets.h"
#include "usrsctp_internal.h"
#include "usrsctp_socket.h"
#include "usrsctp_sources.h"

struct usrsctp_io_probe usrsctp_io_probe;

int (*const usrsctp_public)(void *, void *, size_t, uint8_t, uint8_t) = NULL;

uint32_t calculate_crc32c(uint32_t crc, const unsigned char *bytes, unsigned len)
{
    usrsctp_io_probe.checksums++;
    return crc32c(crc, bytes, len);
}

static in_port_t port_at(const unsigned char *bytes, size_t at)
{
    in_port_t port;

    memcpy(&port, bytes + at, sizeof port);
    return port;
}

/* ---- Out ---- */

static void release_mbuf(void *memory)
{
    m_freem(memory);
}

/* More parts than a packet may have become one. */
static bool gather(struct packet *packet, const struct mbuf *first, size_t skip)
{
    static struct iovec whole;
    char *bytes = malloc(packet->len);

    if (!bytes)
        return false;
    whole = (struct iovec){bytes, packet->len};
    for (const struct mbuf *m = first; m; m = m->m_next) {
        memcpy(bytes, m->m_data + skip, (size_t)m->m_len - skip);
        bytes += (size_t)m->m_len - skip;
        skip = 0;
    }
    m_freem(packet->memory);
    packet->parts = &whole;
    packet->count = 1;
    packet->memory = whole.iov_base;
    packet->release = free;
    return true;
}

/* What stands in front of a packet; false: it is shorter. */
static bool read_front(const struct packet *packet, unsigned char *head, size_t size)
{
    size_t got = 0;

    for (size_t i = 0; i < packet->count && i < PACKET_PARTS && got < size; i++) {
        size_t len = packet->parts[i].iov_len;

        if (len > size - got)
            len = size - got;
        memcpy(head + got, packet->parts[i].iov_base, len);
        got += len;
    }
    return got == size;
}

/* Of an INIT: what its sender's packets will be known by. */
static void note_tag(const struct packet *packet)
{
    unsigned char head[SCTP_FIRST_CHUNK + 8];

    if (!read_front(packet, head, sizeof head) || head[SCTP_FIRST_CHUNK] != CHUNK_INIT)
        return;
    memcpy(&usrsctp_io_probe.tag, head + SCTP_FIRST_CHUNK + 4, sizeof usrsctp_io_probe.tag);
    usrsctp_io_probe.tag_wanted = false;
}

/* How far the peer's data has come, by what is acknowledged. */
static void note_sack(const struct packet *packet)
{
    unsigned char head[SCTP_FIRST_CHUNK + SACK_SIZE];

    if (read_front(packet, head, sizeof head) && head[SCTP_FIRST_CHUNK] == CHUNK_SACK)
        input_acknowledged(head, &packet->to);
}

/* Tells the self-test what this packet is. */
static void show(const struct packet *packet)
{
    const unsigned char *bytes = packet->parts[0].iov_base;
    uint32_t sum = ~0u, stated;
    static const unsigned char none[4];

    usrsctp_io_probe.packets++;
    usrsctp_io_probe.from = packet->from;
    usrsctp_io_probe.to = packet->to;
    if (packet->parts[0].iov_len < SCTP_FIRST_CHUNK)
        return;
    memcpy(&stated, bytes + SCTP_SUM, sizeof stated);
    sum = crc32c(crc32c(sum, bytes, SCTP_SUM), none, sizeof none);
    sum = crc32c(sum, bytes + SCTP_FIRST_CHUNK, packet->parts[0].iov_len - SCTP_FIRST_CHUNK);
    for (size_t i = 1; i < packet->count; i++)
        sum = crc32c(sum, packet->parts[i].iov_base, packet->parts[i].iov_len);
    usrsctp_io_probe.checksum_right = ~sum == stated;
    usrsctp_io_probe.chunk = packet->parts[0].iov_len > SCTP_FIRST_CHUNK
                                 ? bytes[SCTP_FIRST_CHUNK]
                                 : *(const unsigned char *)packet->parts[1].iov_base;
}

/* `skip` bytes of headers lie in front, all in the first part. */
static int output(struct packet *packet, struct mbuf *m, size_t skip)
{
    struct iovec parts[PACKET_PARTS];
    struct mbuf *first = m;
    size_t first_skip = skip;
    bool taken;

    sources_choose(port_at((const unsigned char *)m->m_data + skip, SCTP_SOURCE_PORT),
                   &packet->from, &packet->to);
    packet->parts = parts;
    packet->memory = m;
    packet->release = release_mbuf;
    for (; m; m = m->m_next, skip = 0) {
        size_t len = (size_t)m->m_len - skip;

        packet->len += len;
        if (len && packet->count < PACKET_PARTS)
            parts[packet->count] = (struct iovec){m->m_data + skip, len};
        packet->count += len > 0;
    }
    taken = packet->count <= PACKET_PARTS || gather(packet, first, first_skip);
    if (usrsctp_io_probe.tag_wanted)
        note_tag(packet);
    note_sack(packet);
    if (usrsctp_io_probe.held && taken)
        show(packet);
    if (!usrsctp_io_probe.held && taken && packets_send(packet))
        return 0;
    packet->release(packet->memory);
    return ENOBUFS;
}

/* The library looks here for the path's MTU after it has sent a packet, and takes a smaller one. */
static void tell_mtu(struct route *route, const union address *to, uint32_t headers)
{
    if (route && route->entry && route->entry->mtu == ROUTE_MTU)
        route->entry->mtu = packets_limit(to) + headers;
}

void sctp_userspace_ip_output(int *result, struct mbuf *m, void *route, void *association,
                              uint32_t vrf)
{
    const struct iphdr *ip = (const void *)m->m_data;
    const struct udphdr *udp = (const void *)(ip + 1);
    struct packet packet = {0};
    size_t headers = sizeof *ip;

    (void)association, (void)vrf;
    if (ip->protocol == IPPROTO_UDP)
        headers += sizeof *udp;
    if ((size_t)m->m_len < headers) {
        m_freem(m);
        *result = EINVAL;
        return;
    }
    packet.tos = ip->tos;
    packet.from.in.sin_family = packet.to.in.sin_family = AF_INET;
    packet.from.in.sin_addr.s_addr = ip->saddr;
    packet.to.in.sin_addr.s_addr = ip->daddr;
    packet.to.in.sin_port = ip->protocol == IPPROTO_UDP ? udp->uh_dport : 0;
    tell_mtu(route, &packet.to, (uint32_t)headers);
    *result = output(&packet, m, headers);
}

void sctp_userspace_ip6_output(int *result, struct mbuf *m, void *route, void *association,
                               uint32_t vrf)
{
    const struct ip6_hdr *ip = (const void *)m->m_data;
    const struct udphdr *udp = (const void *)(ip + 1);
    struct packet packet = {0};
    size_t headers = sizeof *ip;

    (void)association, (void)vrf;
    if (ip->ip6_nxt == IPPROTO_UDP)
        headers += sizeof *udp;
    if ((size_t)m->m_len < headers) {
        m_freem(m);
        *result = EINVAL;
        return;
    }
    packet.tos = (uint8_t)(ntohl(ip->ip6_flow) >> 20);
    packet.from.in6.sin6_family = packet.to.in6.sin6_family = AF_INET6;
    packet.from.in6.sin6_addr = ip->ip6_src;
    packet.to.in6.sin6_addr = ip->ip6_dst;
    packet.to.in6.sin6_port = ip->ip6_nxt == IPPROTO_UDP ? udp->uh_dport : 0;
    tell_mtu(route, &packet.to, (uint32_t)headers);
    *result = output(&packet, m, headers);
}

/* ---- In ---- */

void usrsctp_io_input(struct mbuf *m, const union address *from, const union address *to,
                      uint8_t tos, bool summed)
{
    enum { ECN = 3 };
    const unsigned char *bytes = (const unsigned char *)m->m_data;
    union address src = *from, dst = *to;

    /* The addresses of the packet inside; the encapsulation's port goes along by itself. */
    address_set_port(&src, port_at(bytes, SCTP_SOURCE_PORT));
    address_set_port(&dst, port_at(bytes, SCTP_DESTINATION_PORT));
    sctp_common_input_processing(&m, 0, SCTP_FIRST_CHUNK, m->m_len, &src.any, &dst.any,
                                 (struct sctphdr *)(void *)m->m_data,
                                 (struct sctp_chunkhdr *)(void *)(m->m_data + SCTP_FIRST_CHUNK),
                                 !summed, tos & ECN, 0, address_port(from));
    if (m)
        m_freem(m);
}

/* ---- Addresses ---- */

/*
 * The library would not use loopback's addresses towards others, private ones towards public ones,
 * and does not know those that came after its start. Which source leads where is the kernel's to
 * say: so all that we bind belong to an interface of our own, and are good for everything.
 */
bool usrsctp_io_know(const union address *address)
{
    enum { OUR_INTERFACE = 0x5343 };
    union address plain = *address;
    struct sctp_ifa *ifa;

    address_set_port(&plain, 0);
    ifa = sctp_add_addr_to_vrf(0, NULL, OUR_INTERFACE, 0, "sctpshim", NULL, &plain.any, 0, 0);
    if (!ifa || !address_equal((const union address *)&ifa->address.sa, &plain) || ifa->vrf != 0 ||
        (ifa->localifa_flags & IFA_VALID) == 0)
        return false;
    ifa->localifa_flags &= ~(uint32_t)IFA_DEFER_USE;
    ifa->is_loopback = ifa->is_private = ifa->is_global = 0;
    return true;
}
