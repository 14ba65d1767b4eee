/* SPDX-License-Identifier: BSD-3-Clause */
/* The configured options as SCTP socket options; those of authentication are auth.c's. */
#define _GNU_SOURCE
#include "params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wire.h"

/* A whole number for the association, the endpoint or the socket: struct sctp_assoc_value. */
static void set_value(const struct param_sink *to, int name, const char *what, uint32_t value)
{
    struct sctp_assoc_value v = {.assoc_value = value};

    param_set(to, name, what, &v, sizeof v);
}

static void set_int(const struct param_sink *to, int name, const char *what, int value)
{
    param_set(to, name, what, &value, sizeof value);
}

static void set_switch(const struct param_sink *to, int name, const char *what, uint32_t value)
{
    if (value != SWITCH_SYSTEM)
        set_value(to, name, what, value);
}

/* RFC 9260, section 16: HB.interval, ms. */
enum { HEARTBEAT_STANDARD = 30000 };

uint32_t params_rto_floor(const struct options *o)
{
    uint32_t floor = o->rto_min > o->rto_min_native ? o->rto_min : o->rto_min_native;

    return floor < o->rto_max ? floor : o->rto_max;
}

static void timers(const struct param_sink *to, const struct options *o)
{
    struct sctp_rtoinfo rto = {
        .srto_initial = o->rto_initial,
        .srto_max = o->rto_max,
        .srto_min = params_rto_floor(o),
    };
    struct sctp_assocparams assoc = {
        .sasoc_asocmaxrxt = (uint16_t)o->assoc_max_retrans,
        .sasoc_cookie_life = o->cookie_life,
    };
    struct sctp_sack_info sack = {
        .sack_delay = o->sack_delay,
        .sack_freq = o->sack_delay ? o->sack_freq : 1,
    };
    param_set(to, SCTP_RTOINFO, "RTO_INITIAL, RTO_MIN and RTO_MAX", &rto, sizeof rto);
    param_set(to, SCTP_ASSOCINFO, "ASSOC_MAX_RETRANS and COOKIE_LIFE", &assoc, sizeof assoc);
    param_set(to, SCTP_DELAYED_SACK, "SACK_DELAY and SACK_FREQ", &sack, sizeof sack);
}

bool paths_are_wanted(const struct options *o)
{
    if (o->heartbeat == HEARTBEAT_AUTO)
        return o->local_addrs[0] || o->peer_addrs[0] || o->primary[0] || o->peer_primary[0];
    return o->heartbeat != HEARTBEAT_OFF;
}

uint32_t paths_heartbeat(const struct options *o)
{
    if (!paths_are_wanted(o))
        return 0;
    return o->heartbeat == HEARTBEAT_AUTO ? HEARTBEAT_STANDARD : o->heartbeat;
}

/*
 * TCP sends nothing on an idle connection, and so never notices a dead or clashing path: off until
 * paths.c switches them on. The interval is of use already to their timers, which run anyway.
 */
void params_heartbeats(const struct param_sink *to, uint32_t interval)
{
    struct sctp_paddrparams on = {.spp_hbinterval = interval, .spp_flags = SPP_HB_ENABLE};
    struct sctp_paddrparams off = {.spp_flags = SPP_HB_DISABLE};

    if (interval)
        param_set(to, SCTP_PEER_ADDR_PARAMS, "HEARTBEAT", &on, sizeof on);
    param_set(to, SCTP_PEER_ADDR_PARAMS, "heartbeats", &off, sizeof off);
}

static void paths(const struct param_sink *to, const struct options *o)
{
    struct sctp_paddrthlds limits = {
        .spt_pathmaxrxt = (uint16_t)o->path_max_retrans,
        .spt_pathpfthld = (uint16_t)o->pf_retrans,
    };

    params_heartbeats(to, paths_heartbeat(o));
    param_set(to, SCTP_PEER_ADDR_THLDS, "PATH_MAX_RETRANS and PF_RETRANS", &limits, sizeof limits);
}

static void handshake(const struct param_sink *to, const struct options *o)
{
    struct sctp_initmsg init = {
        .sinit_num_ostreams = (uint16_t)o->ostreams,
        .sinit_max_instreams = (uint16_t)o->istreams,
        .sinit_max_attempts = (uint16_t)o->init_attempts,
        .sinit_max_init_timeo = (uint16_t)o->init_timeout,
    };

    param_set(to, SCTP_INITMSG, "OSTREAMS, ISTREAMS, INIT_ATTEMPTS and INIT_TIMEOUT", &init,
              sizeof init);
    set_switch(to, SCTP_ECN_SUPPORTED, "ECN", o->ecn);
    set_switch(to, SCTP_PR_SUPPORTED, "PR_SCTP", o->pr_sctp);
}

/* How large the packets are, and what is written on them. */
static void packets(const struct param_sink *to, const struct options *o)
{
    struct sctp_paddrparams mtu = {.spp_flags = SPP_PMTUD_DISABLE, .spp_pathmtu = o->pathmtu};
    struct sctp_paddrparams dscp = {.spp_flags = SPP_DSCP, .spp_dscp = (uint8_t)(o->dscp << 2)};
    struct sctp_paddrparams label = {.spp_flags = SPP_IPV6_FLOWLABEL,
                                     .spp_ipv6_flowlabel = o->flowlabel};
    struct sctp_probeinterval probe = {.spi_interval = o->probe_interval};
    struct sctp_udpencaps udp = {.sue_port = htons(params_udp_port(o))};

    if (o->pathmtu || !o->pmtud)
        param_set(to, SCTP_PEER_ADDR_PARAMS, "PATHMTU and PMTUD", &mtu, sizeof mtu);
    if (o->dscp != DSCP_PROGRAM)
        param_set(to, SCTP_PEER_ADDR_PARAMS, "DSCP", &dscp, sizeof dscp);
    if (o->flowlabel != FLOWLABEL_KERNEL)
        param_set(to, SCTP_PEER_ADDR_PARAMS, "FLOWLABEL", &label, sizeof label);
    if (o->probe_interval)
        param_set(to, SCTP_PLPMTUD_PROBE_INTERVAL, "PROBE_INTERVAL", &probe, sizeof probe);
    if (params_udp_port(o))
        param_set(to, SCTP_REMOTE_UDP_ENCAPS_PORT, "UDP_ENCAPS", &udp, sizeof udp);
    if (o->maxseg)
        set_value(to, SCTP_MAXSEG, "MAXSEG", o->maxseg);
    if (o->max_burst != options_default.max_burst)
        set_value(to, SCTP_MAX_BURST, "MAX_BURST", o->max_burst);
}

static uint16_t message_flags(const struct options *o)
{
    return o->unordered ? SCTP_UNORDERED : 0;
}

static void streams(const struct param_sink *to, const struct options *o)
{
    struct sctp_sndinfo send = {
        .snd_sid = (uint16_t)o->stream,
        .snd_ppid = htonl(o->ppid),
        .snd_flags = message_flags(o),
    };
    struct sctp_default_prinfo lossy = {.pr_policy = SCTP_PR_SCTP_TTL, .pr_value = o->lifetime};

    set_int(to, SCTP_NODELAY, "NODELAY", o->nodelay != 0);
    /* Every read learns the message's payload protocol: the FIN message is known by it. */
    set_int(to, SCTP_RECVRCVINFO, "receive information", 1);
    if (send.snd_sid || send.snd_ppid || send.snd_flags)
        param_set(to, SCTP_DEFAULT_SNDINFO, "STREAM, PPID and UNORDERED", &send, sizeof send);
    if (o->message_retrans != MESSAGE_RETRANS_UNLIMITED) {
        lossy.pr_policy = SCTP_PR_SCTP_RTX;
        lossy.pr_value = o->message_retrans;
    }
    if (o->lifetime || lossy.pr_policy == SCTP_PR_SCTP_RTX)
        param_set(to, SCTP_DEFAULT_PRINFO, "LIFETIME and MESSAGE_RETRANS", &lossy, sizeof lossy);
    if (o->scheduler != SCHEDULER_FCFS)
        set_value(to, SCTP_STREAM_SCHEDULER, "SCHEDULER", o->scheduler);
    if (o->partial_delivery)
        set_int(to, SCTP_PARTIAL_DELIVERY_POINT, "PARTIAL_DELIVERY", (int)o->partial_delivery);
    if (o->interleaving) {
        set_int(to, SCTP_FRAGMENT_INTERLEAVE, "INTERLEAVING", 1); /* else the kernel refuses it */
        set_value(to, SCTP_INTERLEAVING_SUPPORTED, "INTERLEAVING", 1);
    }
}

void params_mark(const struct param_sink *to)
{
    struct sctp_setadaptation adaptation = {WIRE_PREFIX | WIRE_VERSION};

    param_set(to, SCTP_ADAPTATION_LAYER, "the adaptation indication", &adaptation,
              sizeof adaptation);
}

void params_socket(const struct param_sink *to, const struct options *o)
{
    timers(to, o);
    paths(to, o);
    handshake(to, o);
    packets(to, o);
    streams(to, o);
    params_auth(to, o);
}

/* What params_socket() sets, by the words for it, instead of setting it. */
struct record {
    struct param_sink sink;
    const char *what[64];
    size_t count;
};

static void note(const struct param_sink *sink, int name, const char *what, const void *value,
                 size_t len)
{
    struct record *record = (struct record *)sink;

    (void)name, (void)value, (void)len;
    if (record->count < sizeof record->what / sizeof record->what[0])
        record->what[record->count++] = what;
}

static void note_nothing(const struct param_sink *sink, const char *what, const char *why)
{
    (void)sink, (void)what, (void)why;
}

static bool is_noted(const struct record *record, const char *what)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->what[i], what) == 0)
            return true;
    return false;
}

bool params_stick(const struct options *from, const struct options *to)
{
    struct record before = {.sink = {.set = note, .fail = note_nothing}};
    struct record after = before;

    params_socket(&before.sink, from);
    params_socket(&after.sink, to);
    for (size_t i = 0; i < before.count; i++)
        if (!is_noted(&after, before.what[i]))
            return true;
    /* Chunk types and keys are only ever added. */
    return from->auth & ~to->auth ||
           (from->auth && from->auth_key[0] && from->auth_key_id != to->auth_key_id);
}

void params_bound(const struct param_sink *to, const struct options *o)
{
    if (o->auto_asconf)
        set_int(to, SCTP_AUTO_ASCONF, "AUTO_ASCONF", 1);
}

void params_association(const struct param_sink *to, const struct options *o, unsigned count)
{
    const char *list = o->stream_values;
    uint16_t stream, value;

    while (option_next_number(&list, &stream, &value)) {
        struct sctp_stream_value of = {.stream_id = stream, .stream_value = value};

        if (stream < count)
            param_set(to, SCTP_STREAM_SCHEDULER_VALUE, "STREAM_VALUES", &of, sizeof of);
        else
            to->fail(to, "STREAM_VALUES", "the peer takes fewer streams");
    }
}

/*
 * For the association, since Linux looks whether that leaves discovery on, and else puts the
 * interface's back with the next packet.
 */
void params_path_mtu(const struct param_sink *to, const struct sctp_paddrinfo *path, uint32_t mtu,
                     bool differ)
{
    struct sctp_paddrparams of = {.spp_flags = SPP_PMTUD_DISABLE, .spp_pathmtu = mtu};

    if (differ)
        of.spp_address = path->spinfo_address;
    param_set(to, SCTP_PEER_ADDR_PARAMS, "the path MTU", &of, sizeof of);
}

long sctp_setting(const char *name)
{
    char path[64], text[24];
    long fd, n;

    snprintf(path, sizeof path, "/proc/sys/net/sctp/%s", name);
    /* syscall(): not one of the library's own hooks. */
    fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = syscall(SYS_read, (int)fd, text, sizeof text - 1);
    syscall(SYS_close, (int)fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return strtol(text, NULL, 10);
}
