/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack over libusrsctp has its packets from a UDP port of its own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../log.h"
#include "packets.h"
#include "stack.h"
#include "usrsctp_socket.h"

enum { AT_ONCE = 1024 /* datagrams */ };

const uint32_t stack_leg_network = LEG_NET;

bool stack_open(void)
{
    uint32_t wanted = udp_port(&options);

    if (!packets_open((uint16_t)wanted)) {
        log_error("cannot open UDP port %u: %s", wanted, strerrorname_np(errno));
        return false;
    }
    if (packets_port() != wanted)
        log_warn("UDP port %u is taken: with port %u connections can be made, but none come in",
                 wanted, packets_port());
    return true;
}

bool stack_reachable(const struct parameters *parameters)
{
    if (parameters->udp_encaps == UDP_ENCAPS_RAW && packets_open_raw())
        return true;
    return packets_port() == encapsulation_port(parameters->udp_encaps);
}

void settle_encapsulation(struct options *o)
{
    if (o->udp_encaps != UDP_ENCAPS_RAW || !packets_open_raw())
        o->udp_encaps = udp_port(o);
}

void stack_take(void)
{
    packets_receive(AT_ONCE);
}

void stack_flush(void)
{
    packets_flush();
}

void stack_describe(char *text, size_t size)
{
    const struct packets_counts *p = packets_counts();

    snprintf(text, size,
             "UDP port %u, packets %" PRIu64 " out in %" PRIu64 " calls, %" PRIu64 " in in %" PRIu64
             ", %" PRIu64 " dropped;",
             packets_port(), p->sent, p->sends, p->received, p->receives, p->dropped);
}
