/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run of packets as one packet with the DATA chunks of all: the library looks its association up,
 * locks it, acknowledges and wakes once, not for each. The headers between become PAD chunks, which
 * a receiver skips (RFC 4820), so that the run stays where it has arrived.
 *
 * Where something is missing the packets stay alone: each is acknowledged then, and the peer counts
 * the acknowledgements to know what is lost. What is missing is what our last acknowledgement says.
 */
#include <arpa/inet.h>
#include <string.h>

#include "crc32c.h"
#include "usrsctp_io.h"
#include "usrsctp_joins.h"

enum { DATA_FLAGS = 1, DATA_LENGTH = 2, DATA_TSN = 4, DATA_HEADER = 16 };
enum { ACKNOWLEDGE_NOW = 8 }; /* a DATA chunk's flag (RFC 7053) */
enum { SACK_TSN = 4, SACK_GAPS = 12 };

static uint32_t long_at(const unsigned char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return ntohl(value);
}

static uint16_t short_at(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* How many chunks a packet has, if it is DATA chunks from this TSN on and nothing else; or 0. */
static uint32_t count_data(const unsigned char *bytes, size_t len, uint32_t tsn)
{
    uint32_t count = 0;
    size_t at = SCTP_FIRST_CHUNK, size;

    for (; at < len; at += (size + 3) & ~(size_t)3, count++) {
        if (len - at < DATA_HEADER || bytes[at] != CHUNK_DATA ||
            long_at(bytes + at + DATA_TSN) != tsn + count)
            return 0;
        size = short_at(bytes + at + DATA_LENGTH);
        if (size <= DATA_HEADER)
            return 0;
    }
    return at == len ? count : 0;
}

static void become_pad(unsigned char *header)
{
    static const unsigned char pad[SCTP_FIRST_CHUNK] = {CHUNK_PAD, 0, 0, SCTP_FIRST_CHUNK};

    memcpy(header, pad, sizeof pad);
}

/* The next packet in order, for the same association as the first, and as its sender made it? */
static bool fits(const unsigned char *packet, size_t len, const unsigned char *first,
                 uint32_t chunks)
{
    return chunks && memcmp(packet, first, SCTP_SUM) == 0 && crc32c_of_packet(packet, len);
}

bool join(struct joins *joins, unsigned char *bytes, size_t all, size_t *len)
{
    size_t packet = *len, at = 0, size;

    for (; joins->in_order && at < all; at += size) {
        uint32_t chunks;

        size = all - at < packet ? all - at : packet;
        chunks = count_data(bytes + at, size, joins->next);
        /* The checksum of one that stays alone is the library's to look at. */
        if (all > packet && !fits(bytes + at, size, bytes, chunks))
            break;
        joins->next += chunks;
        if (at)
            become_pad(bytes + at);
    }
    if (at <= packet)
        return false;
    bytes[SCTP_FIRST_CHUNK + DATA_FLAGS] |= ACKNOWLEDGE_NOW;
    *len = at;
    return true;
}

void join_acknowledged(struct joins *joins, const unsigned char *sack)
{
    joins->in_order = short_at(sack + SACK_GAPS) == 0;
    joins->next = long_at(sack + SACK_TSN) + 1;
}
