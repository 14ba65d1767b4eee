/* SPDX-License-Identifier: BSD-3-Clause */
/* Times as counts of retransmissions. */
#include "retransmissions.h"

static struct retransmissions one_retransmission(const struct options *o, int64_t limit)
{
    int64_t first = o->rto_min ? o->rto_min : 1;
    struct retransmissions sum = {0, first, limit > first ? limit : first, first};

    return sum;
}

static struct retransmissions one_more(struct retransmissions sum)
{
    sum.rto = sum.rto * 2 < sum.limit ? sum.rto * 2 : sum.limit;
    sum.ms += sum.rto;
    sum.count++;
    return sum;
}

struct retransmissions retransmissions_for(const struct options *o, int64_t ms, int64_t limit)
{
    struct retransmissions sum = one_more(one_retransmission(o, limit));

    while (sum.ms < ms && sum.count < UINT16_MAX)
        sum = one_more(sum);
    return sum;
}

struct retransmissions retransmissions_within(const struct options *o, int64_t ms)
{
    struct retransmissions sum = one_more(one_retransmission(o, o->rto_max));

    while (sum.count < o->assoc_max_retrans && one_more(sum).ms <= ms)
        sum = one_more(sum);
    return sum;
}
