/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets between the UDP sockets and libusrsctp's public interface; checksums are ours. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "conn_ways.h"
#include "crc32c.h"
#include "packets.h"
#include "pool.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

/* ---- Out ---- */

static int output(void *address, void *bytes, size_t len, uint8_t tos, uint8_t set_df)
{
    const union address spot = way_of(address, 0);
    void *block = len < SCTP_FIRST_CHUNK ? NULL : pool_malloc(len);
    struct iovec part = {block, len};
    struct packet packet = {.tos = tos, .parts = &part, .count = 1, .len = len, .memory = block,
                            .release = pool_free};
    uint32_t sum;

    (void)set_df;
    if (!block)
        return ENOBUFS;
    memcpy(block, bytes, len);
    sum = ~crc32c(~0u, block, len); /* the library has left zeros there */
    memcpy((char *)block + SCTP_SUM, &sum, sizeof sum);
    if (way_ends(&spot, &packet.from, &packet.to) && packets_send(&packet))
        return 0;
    pool_free(block);
    return ENOBUFS;
}

int (*const usrsctp_public)(void *, void *, size_t, uint8_t, uint8_t) = output;

/* ---- In ---- */

static void take_packet(const struct datagram *datagram, const unsigned char *bytes, size_t len)
{
    enum { ECN = 3 };
    uint8_t chunk = bytes[SCTP_FIRST_CHUNK];
    struct endpoint *endpoint = NULL;
    union address spot, to = datagram->to;
    in_port_t port;
    uint32_t tag;

    memcpy(&port, bytes + SCTP_DESTINATION_PORT, sizeof port);
    memcpy(&tag, bytes + SCTP_TAG, sizeof tag);
    address_set_port(&to, port);
    if (!way_spot(&datagram->to, &datagram->from, port, &spot))
        return;
    if (chunk == CHUNK_INIT || chunk == CHUNK_COOKIE_ECHO)
        endpoint = listen_called(&spot, &to, &datagram->from, chunk);
    usrsctp_conninput(way_name(&spot).sconn_addr, bytes, len, datagram->tos & ECN);
    if (endpoint && chunk == CHUNK_COOKIE_ECHO)
        listen_accept(endpoint, &to, tag);
}

static void input(struct datagram *datagram)
{
    enum { CHUNK_HEADER = 4 };
    size_t len;

    for (size_t at = 0; at < datagram->len; at += len) {
        const unsigned char *bytes = datagram->bytes + at;

        len = datagram->len - at < datagram->packet ? datagram->len - at : datagram->packet;
        if (len >= SCTP_FIRST_CHUNK + CHUNK_HEADER && crc32c_of_packet(bytes, len))
            take_packet(datagram, bytes, len);
    }
}

void input_start(void)
{
    static const struct packets_user user = {.input = input, .unreachable = association_unreachable};

    packets_tell(&user);
    usrsctp_enable_crc32c_offload();
}
