/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of docs/wire.md, for both planes. */
#ifndef SCTPSHIM_WIRE_H
#define SCTPSHIM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

/* The adaptation code point: "SCT", four capability bits, four of version. */
enum { WIRE_PREFIX = 0x53435400, WIRE_MASK = 0x7fffff00, WIRE_VERSION = 1 };
/* A capability: runs of packets (UDP GSO) may be sent to this end. */
enum { WIRE_RUNS = 1 << 4 };
/* The payload protocol identifier of the FIN message. */
#define WIRE_FIN_PPID 0xffffffffu

/* Is this indication a shim's announcement? */
static inline bool wire_announces(uint32_t indication)
{
    return (indication & WIRE_MASK) == WIRE_PREFIX;
}

#endif
