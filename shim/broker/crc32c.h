/* SPDX-License-Identifier: BSD-3-Clause */
/* SCTP's checksum (RFC 9260, appendix A), by the processor's instruction where it has one. */
#ifndef SCTPSHIM_BROKER_CRC32C_H
#define SCTPSHIM_BROKER_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which begins as ~0 and is inverted at the end. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same without the instruction. */
uint32_t crc32c_table(uint32_t crc, const void *bytes, size_t len);

/* Is the checksum of this SCTP packet, of a header at least, right? */
bool crc32c_of_packet(const unsigned char *bytes, size_t len);

/* Does this processor have the instruction? */
bool crc32c_is_hardware(void);

#endif
