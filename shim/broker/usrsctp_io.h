/* SPDX-License-Identifier: BSD-3-Clause */
/* libusrsctp's packets on their way from and to the UDP sockets. */
#ifndef SCTPSHIM_BROKER_USRSCTP_IO_H
#define SCTPSHIM_BROKER_USRSCTP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../userspace/protocol.h"

/* Where the fields of an SCTP packet are, and the chunks that are looked at (RFC 9260, 3.1). */
enum { SCTP_SOURCE_PORT = 0, SCTP_DESTINATION_PORT = 2, SCTP_TAG = 4, SCTP_SUM = 8,
       SCTP_FIRST_CHUNK = 12 };
enum {
    CHUNK_DATA = 0, CHUNK_INIT = 1, CHUNK_SACK = 3, CHUNK_COOKIE_ECHO = 10, CHUNK_AUTH = 15,
    CHUNK_PAD = 132, /* RFC 4820 */
};

/* Packets that a run may have, and so an acknowledgement between brokers. */
enum { RUN_PACKETS = 64 };

struct mbuf;

/*
 * Hands a packet to the library, which owns it then; `from` has the UDP port. Its checksum is
 * looked at unless that has been done.
 */
void usrsctp_io_input(struct mbuf *packet, const union address *from, const union address *to,
                      uint8_t tos, bool summed);

/* The library will bind this address: it must be on its list. False: the list is not as expected. */
bool usrsctp_io_know(const union address *address);

/*
 * The self-test's view: packets that the library has given us, and the last one's first chunk;
 * while `held` they go nowhere.
 */
struct usrsctp_io_probe {
    bool held;
    unsigned packets, checksums;
    uint8_t chunk;
    bool checksum_right;
    union address from, to;
    bool tag_wanted; /* of the next INIT, which sets it to false again */
    uint32_t tag;    /* as packets have it */
};
extern struct usrsctp_io_probe usrsctp_io_probe;

#endif
