/* SPDX-License-Identifier: BSD-3-Clause */
/* The SCTP parameters of our sockets: the configured ones, and those an association decides. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../log.h"
#include "../options.h"
#include "internal.h"

/*
 * Loopback's 65536-byte path MTU stalls SCTP at a few Mbit/s: a window update is only sent once
 * the window has grown by a whole MTU, which a default window never does. The limit is 16 KB of
 * data with the DATA chunk's, SCTP's and IPv6's headers, so that 64 KB are four whole packets.
 */
enum { LARGEST_PATH_MTU = 16384 + 16 + 12 + 40, SMALLEST_CHUNK = 1024 };

static void set(int fd, int name, const char *what, const void *value, size_t len)
{
    if (sctp_set(fd, name, value, len) < 0)
        log_warn_once("cannot set %s on an SCTP socket: %s", what, strerrorname_np(errno));
}

static void apply_buffers(int fd)
{
    /* The kernel clamps to net.core.*mem_max. The window is fixed by SO_RCVBUF at connect/listen. */
    set_int_option(fd, SOL_SOCKET, SO_RCVBUF, (int)options.rcvbuf);
    set_int_option(fd, SOL_SOCKET, SO_SNDBUF, (int)options.sndbuf);
}

static void apply_timers(int fd)
{
    struct sctp_rtoinfo rto = {
        .srto_initial = options.rto_initial,
        .srto_max = options.rto_max,
        .srto_min = options.rto_min,
    };
    struct sctp_assocparams assoc = {.sasoc_asocmaxrxt = (uint16_t)options.assoc_max_retrans};
    struct sctp_sack_info sack = {
        .sack_delay = options.sack_delay,
        .sack_freq = options.sack_delay ? options.sack_freq : 1,
    };
    /* TCP sends nothing on an idle connection, and so never notices a dead or clashing path. */
    struct sctp_paddrparams path = {.spp_flags = SPP_HB_DISABLE};

    set(fd, SCTP_RTOINFO, "RTO_INITIAL, RTO_MIN and RTO_MAX", &rto, sizeof rto);
    set(fd, SCTP_ASSOCINFO, "ASSOC_MAX_RETRANS", &assoc, sizeof assoc);
    set(fd, SCTP_DELAYED_SACK, "SACK_DELAY and SACK_FREQ", &sack, sizeof sack);
    set(fd, SCTP_PEER_ADDR_PARAMS, "heartbeats", &path, sizeof path);
}

static void apply_init(int fd)
{
    struct sctp_initmsg init = {
        .sinit_num_ostreams = (uint16_t)options.ostreams,
        .sinit_max_instreams = (uint16_t)options.istreams,
        .sinit_max_attempts = (uint16_t)options.init_attempts,
        .sinit_max_init_timeo = (uint16_t)options.init_timeout,
    };
    struct sctp_setadaptation adaptation = {ADAPTATION_PREFIX | ADAPTATION_VERSION};

    set(fd, SCTP_INITMSG, "OSTREAMS, ISTREAMS, INIT_ATTEMPTS and INIT_TIMEOUT", &init, sizeof init);
    set(fd, SCTP_ADAPTATION_LAYER, "the adaptation indication", &adaptation, sizeof adaptation);
}

static void apply_messages(int fd)
{
    struct sctp_sndinfo send = {
        .snd_sid = (uint16_t)options.stream,
        .snd_ppid = htonl(options.ppid),
    };
    int nodelay = options.nodelay != 0;

    set(fd, SCTP_NODELAY, "NODELAY", &nodelay, sizeof nodelay);
    if (options.stream || options.ppid)
        set(fd, SCTP_DEFAULT_SNDINFO, "STREAM and PPID", &send, sizeof send);
}

void params_apply(int fd)
{
    int saved = errno;

    apply_buffers(fd);
    apply_timers(fd);
    apply_init(fd);
    apply_messages(fd);
    errno = saved;
}

bool params_marked(int fd)
{
    struct sctp_setadaptation own = {0};

    return sctp_get(fd, SCTP_ADAPTATION_LAYER, &own, sizeof own) == 0 &&
           (own.ssb_adaptation_ind & ADAPTATION_MASK) == ADAPTATION_PREFIX;
}

/* The peer may grant fewer streams than we asked for; a write on one beyond fails. */
static void use_stream_zero(int fd, unsigned granted)
{
    struct sctp_sndinfo send = {.snd_ppid = htonl(options.ppid)};

    log_warn_once("STREAM=%u, but the peer takes %u streams: using stream 0", options.stream, granted);
    set(fd, SCTP_DEFAULT_SNDINFO, "STREAM", &send, sizeof send);
}

/* A message near the peer's window stalls it; a third leaves room for what is in flight. */
static uint32_t best_chunk(uint32_t window)
{
    uint32_t third = window / 3;

    if (third >= options.chunk)
        return options.chunk;
    return third > SMALLEST_CHUNK ? third : SMALLEST_CHUNK;
}

void params_tune(int fd, const struct sctp_status *status)
{
    fd_info(fd)->chunk = best_chunk(status->sstat_rwnd);
    if (options.stream >= status->sstat_outstrms)
        use_stream_zero(fd, status->sstat_outstrms);
    if (status->sstat_primary.spinfo_mtu <= LARGEST_PATH_MTU)
        return;

    struct sctp_paddrparams path = {
        .spp_pathmtu = LARGEST_PATH_MTU,
        .spp_flags = SPP_PMTUD_DISABLE,
    };

    set(fd, SCTP_PEER_ADDR_PARAMS, "the path MTU", &path, sizeof path);
}
