/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How soon a dead peer is noticed, and how long a silent one is borne: TCP's SO_KEEPALIVE and
 * TCP_USER_TIMEOUT, and the configuration's OUTAGE and ASSOC_MAX_RETRANS, as the counts of
 * retransmissions that SCTP has for it.
 */
#include <netinet/tcp.h>

#include "../retransmissions.h"
#include "internal.h"

/* When TCP's keep-alive gives up a silent peer: milliseconds after its last sign of life. */
static int64_t keepalive_time(int fd, int64_t user_timeout)
{
    static const int names[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
    int values[3];

    tcpopts_values(fd, names, values, 3);

    int64_t idle = (int64_t)values[0] * 1000, interval = (int64_t)values[1] * 1000;
    int64_t probes = values[2];

    if (user_timeout && interval) {
        probes = (user_timeout - idle + interval - 1) / interval;
        probes = probes > 1 ? probes : 1;
    }
    return idle + probes * interval;
}

/* Milliseconds; 0, which is TCP's default, for none. */
static int64_t user_timeout_of(int fd)
{
    return (uint32_t)tcpopts_remembered(fd, TCP_USER_TIMEOUT, 0);
}

bool liveness_is_asked(int fd)
{
    return user_timeout_of(fd) ||
           (!fd_is_untouched(fd) && int_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0));
}

/* Unacknowledged data: after TCP_USER_TIMEOUT, or as configured. */
static struct retransmissions patience(int fd, const struct options *o, bool *by_time)
{
    struct retransmissions sum = {.count = o->assoc_max_retrans, .limit = o->rto_max};
    int64_t user_timeout = user_timeout_of(fd);
    int64_t quarter = user_timeout / 4;

    *by_time = user_timeout || o->outage;
    /*
     * With a limit well below, the sum comes near to what was asked for: TCP cuts its last wait
     * short, SCTP doubles it.
     */
    if (user_timeout)
        return retransmissions_for(o, user_timeout, quarter < o->rto_max ? quarter : o->rto_max);
    return o->outage ? retransmissions_for(o, o->outage, o->rto_max) : sum;
}

/*
 * Another process has asked for SO_KEEPALIVE, and how often stayed in its memory. What was made of
 * that the kernel has: of a listening socket, also for those that are accepted.
 */
static bool is_inherited(int fd)
{
    static const int names[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tcpopts_remembered(fd, names[i], 0))
            return false;
    return fd_info(fd)->kept_alive;
}

static void inherit(int fd, struct liveness *live, struct retransmissions *sum)
{
    struct sctp_paddrparams paths = {0};
    struct sctp_assocparams assoc = {0};
    struct sctp_rtoinfo rto = {0};

    if (sctp_get(fd, SCTP_PEER_ADDR_PARAMS, &paths, sizeof paths) == 0)
        live->heartbeat = paths.spp_hbinterval;
    if (live->by_time || sctp_get(fd, SCTP_ASSOCINFO, &assoc, sizeof assoc) < 0 ||
        sctp_get(fd, SCTP_RTOINFO, &rto, sizeof rto) < 0)
        return;
    sum->count = assoc.sasoc_asocmaxrxt;
    sum->limit = rto.srto_max;
}

static void keep_alive(int fd, const struct options *o, struct liveness *live,
                       struct retransmissions *sum)
{
    int64_t limit = keepalive_time(fd, user_timeout_of(fd)) - o->rto_min;

    if (!live->by_time)
        *sum = retransmissions_within(o, limit);
    limit -= sum->ms;
    live->heartbeat = limit > 2 ? (uint32_t)(limit / 2) : 1;
}

/*
 * An idle connection with SO_KEEPALIVE ends when TCP's probes would have noticed. SCTP's are
 * heartbeats: one goes out at most an interval after the peer fell silent, is missed another
 * interval later, and is then repeated like data, with the one count of retransmissions that an
 * association has.
 */
void liveness_apply(int fd)
{
    const struct options *o = options_of(fd);
    struct liveness live = {.heartbeat = 0};
    struct retransmissions sum = patience(fd, o, &live.by_time);

    if (!int_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0))
        fd_info(fd)->kept_alive = false;
    else if (is_inherited(fd))
        inherit(fd, &live, &sum);
    else
        keep_alive(fd, o, &live, &sum);
    live.retransmissions = sum.count;

    struct sctp_rtoinfo rto = {.srto_max = (uint32_t)sum.limit};
    struct sctp_assocparams assoc = {.sasoc_asocmaxrxt = (uint16_t)sum.count};

    sctp_set(fd, SCTP_RTOINFO, &rto, sizeof rto);
    if (paths_apply(fd, &live))
        return;
    sctp_set(fd, SCTP_ASSOCINFO, &assoc, sizeof assoc);
    params_apply_heartbeats(fd, live.heartbeat ? live.heartbeat : paths_heartbeat(o));
}
