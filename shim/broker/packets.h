/* SPDX-License-Identifier: BSD-3-Clause */
/* SCTP packets, in UDP datagrams (RFC 6951) or as they are: sent and received many at a time. */
#ifndef SCTPSHIM_BROKER_PACKETS_H
#define SCTPSHIM_BROKER_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "../userspace/protocol.h"

/* The IP and UDP headers around an SCTP packet, bytes. */
enum { ENCAPSULATION_V4 = 20 + 8, ENCAPSULATION_V6 = 40 + 8, LARGEST_DATAGRAM = 65507 };
/* Of SCTP: loopback's 64 KB leave no room for the headers. And packets that leave together. */
enum { LARGEST_PACKET = 61440, LARGEST_RUN = LARGEST_DATAGRAM - ENCAPSULATION_V6 };

/*
 * Opens the UDP sockets, IPv4's and, where there is one, IPv6's. A port that is taken becomes any
 * other: then connections can be made, but nobody finds us. False with errno.
 */
bool packets_open(uint16_t port);
/* Sends and receives IP protocol 132 too, from the first call on; false: said why not. */
bool packets_open_raw(void);
/* The port that it has become, host order. */
uint16_t packets_port(void);

struct packet {
    union address from; /* its port is ours and ignored */
    union address to;   /* with the UDP port; 0: none, IP protocol 132 */
    uint8_t tos;
    const struct iovec *parts;
    size_t count;
    size_t len;
    void *memory; /* given to release() once the packet is gone */
    void (*release)(void *memory);
};

enum { PACKET_PARTS = 64 };

/* Queues a packet of at most PACKET_PARTS parts until packets_flush(); false: dropped. */
bool packets_send(const struct packet *packet);
void packets_flush(void);

/* Takes what has arrived, at most `most` datagrams; how many it were. */
unsigned packets_receive(unsigned most);

/* This host and UDP port is a broker's, which may be sent runs of packets in one go (GSO). */
void packets_allow_runs(const union address *to);

/*
 * Where the kernel would send from, and how large an IP packet may be on the way: the port of
 * `from` is not set. 0 or the errno of the route.
 */
int packets_route(const union address *to, union address *from, uint32_t *mtu);

/* How large an SCTP packet to this host may be: by the route, which is asked now and then. */
uint32_t packets_limit(const union address *to);
/* And which own address they leave from, without a port; NULL where there is no way. */
const union address *packets_source(const union address *to);

/* A packet, or a run of packets of one size, the last of which may be shorter. */
struct datagram {
    unsigned char *bytes;
    size_t len, packet; /* of all, of each */
    union address from, to; /* `from` has the UDP port */
    uint8_t tos;
    void *block; /* pool_malloc()'s, where the bytes are: who sets it to NULL keeps it */
};

/* Who is told of what comes in; set once. */
struct packets_user {
    void (*input)(struct datagram *datagram);
    /* An ICMP error about a packet of ours, of which `len` bytes came back; may be none. */
    void (*unreachable)(const unsigned char *bytes, size_t len, const union address *to,
                        int error);
};
void packets_tell(const struct packets_user *user);

/* For the log and tests. */
struct packets_counts {
    uint64_t sent, sends, received, receives, dropped, runs;
};
const struct packets_counts *packets_counts(void);

#endif
