/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Times as counts of retransmissions. SCTP gives up after so many of a packet that nobody answers.
 * The RTO doubles with each, from RTO_MIN up to a limit; the sum is the time until then.
 */
#ifndef SCTPSHIM_RETRANSMISSIONS_H
#define SCTPSHIM_RETRANSMISSIONS_H

#include <stdint.h>

#include "options.h"

struct retransmissions {
    unsigned count;
    int64_t rto, limit, ms;
};

/* The fewest that take so many milliseconds. */
struct retransmissions retransmissions_for(const struct options *o, int64_t ms, int64_t limit);

/* The most, up to what is configured, that end within so many milliseconds. */
struct retransmissions retransmissions_within(const struct options *o, int64_t ms);

#endif
