/* SPDX-License-Identifier: BSD-3-Clause */
/* How large messages, packets and windows are, so that none of them stalls the others. */
#include "sizes.h"

/*
 * Loopback's 65536-byte path MTU stalls SCTP at a few Mbit/s: a window update is only sent once
 * the window has grown by a whole MTU, which a default window never does. The limit is 32 KB of
 * data with the DATA chunk's, SCTP's and IPv6's headers, so that 64 KB are two whole packets.
 */
enum {
    HEADERS = 16 + 12 + 40,
    LARGEST_PATH_MTU = 32768 + HEADERS,
    SMALLEST_CHUNK = 1024,
};

/* How many messages a window holds: a message near it stalls it, and see size_chunk(). */
enum { MESSAGES_IN_WINDOW = 6 };

/*
 * A window that is full has the sender ask with the next packet whether it is open, and the receiver
 * throws that away. That is rare where the window is larger than the sender's buffer, SNDBUF by
 * default, and no whole number of messages.
 */
uint32_t size_rcvbuf(const struct options *o)
{
    bool whole = o->rcvbuf / MESSAGES_IN_WINDOW >= o->chunk && o->rcvbuf % o->chunk == 0;

    return o->rcvbuf + (whole ? o->chunk / 12 * 5 : 0);
}

/*
 * A message near the peer's window stalls it. And when a window that was closed opens, the packet
 * that the receiver has thrown away must not wait for its timer: three behind it have it repeated.
 * They must fit the window that has opened, and the send buffer.
 */
uint32_t size_chunk(uint32_t most, uint32_t window, uint32_t sndbuf)
{
    uint32_t part = (window ? window - 1 : 0) / MESSAGES_IN_WINDOW; /* not whole: size_rcvbuf() */

    if (part > sndbuf / 8)
        part = sndbuf / 8;
    if (part >= most)
        return most;
    return part > SMALLEST_CHUNK ? part : SMALLEST_CHUNK;
}

bool size_mtu_stalls(uint32_t mtu)
{
    return mtu > LARGEST_PATH_MTU;
}

/*
 * So that a message is a packet at least: more of them in one would be as long as the path takes. And
 * so that the own window is announced in time.
 */
uint32_t size_mtu(uint32_t chunk, uint32_t window)
{
    uint32_t most = chunk < window / 4 ? chunk : window / 4;

    return most < LARGEST_PATH_MTU - HEADERS ? most + HEADERS : LARGEST_PATH_MTU;
}
