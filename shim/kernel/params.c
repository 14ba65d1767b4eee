/* SPDX-License-Identifier: BSD-3-Clause */
/* The SCTP parameters of our sockets: the configured ones, and those an association decides. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#include "../log.h"
#include "../planes.h"
#include "internal.h"

/*
 * Loopback's 65536-byte path MTU stalls SCTP at a few Mbit/s: a window update is only sent once
 * the window has grown by a whole MTU, which a default window never does. The limit is 32 KB of
 * data with the DATA chunk's, SCTP's and IPv6's headers, so that 64 KB are two whole packets.
 */
enum {
    HEADERS = 16 + 12 + 40,
    LARGEST_PATH_MTU = 32768 + HEADERS,
    SMALLEST_CHUNK = 1024,
};

static void set(int fd, int name, const char *what, const void *value, size_t len)
{
    if (sctp_set(fd, name, value, len) < 0)
        log_warn_once("cannot set %s on an SCTP socket: %s", what, strerrorname_np(errno));
}

/* What the kernel makes of the largest wish: twice net.core.wmem_max. */
static int sndbuf_limit(int fd)
{
    static _Atomic int limit;

    if (!limit) {
        set_int_option(fd, SOL_SOCKET, SO_SNDBUF, INT32_MAX / 2);
        limit = int_option(fd, SOL_SOCKET, SO_SNDBUF, 0);
    }
    return limit;
}

/*
 * A full buffer takes no FIN message, and shutdown() must not wait: so the kernel's limit is never
 * used up, and raised to for that one byte. A message is taken as long as one byte of room is left,
 * so the reserve is the largest message as the kernel counts it, twice its length and a bit.
 */
int params_sndbuf(int fd, uint32_t wanted, const struct options *o)
{
    int limit = sndbuf_limit(fd) / 2;
    int reserve = (int)(o->chunk + o->chunk / 8);
    int most = limit - reserve > limit / 2 ? limit - reserve : limit / 2;

    return wanted < (uint32_t)most ? (int)wanted : most;
}

static atomic_bool force_refused;

bool params_force(int fd, int name, int size)
{
    if (atomic_load_explicit(&force_refused, memory_order_relaxed))
        return false;
    if (set_int_option(fd, SOL_SOCKET, name, size) == 0)
        return true;
    atomic_store_explicit(&force_refused, errno == EPERM, memory_order_relaxed);
    return false;
}

/* How many messages a window holds: a message near it stalls it, and see best_chunk(). */
enum { MESSAGES_IN_WINDOW = 6 };

/*
 * A window that is full has the sender ask with the next packet whether it is open, and the receiver
 * throws that away. That is rare where the window is larger than the sender's buffer, SNDBUF by
 * default, and no whole number of messages (docs/performance.md).
 */
static int receive_buffer(const struct options *o)
{
    uint32_t odd = o->rcvbuf / MESSAGES_IN_WINDOW >= o->chunk && o->rcvbuf % o->chunk == 0
                       ? o->chunk / 12 * 5
                       : 0;

    return (int)(o->rcvbuf + odd);
}

/*
 * TCP's buffers grow beyond net.core.*mem_max, SCTP's stop there, except for who may administer the
 * network. The window is fixed by SO_RCVBUF at connect/listen.
 */
static void apply_buffers(int fd, const struct options *o)
{
    int rcvbuf = receive_buffer(o);

    if (!params_force(fd, SO_RCVBUFFORCE, rcvbuf))
        set_int_option(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
    if (!params_force(fd, SO_SNDBUFFORCE, (int)o->sndbuf))
        set_int_option(fd, SOL_SOCKET, SO_SNDBUF, params_sndbuf(fd, o->sndbuf, o));
}

static void set_on(const struct param_sink *sink, int name, const char *what, const void *value,
                   size_t len)
{
    set(sink->fd, name, what, value, len);
}

static void cannot_set(const struct param_sink *sink, const char *what, const char *why)
{
    (void)sink;
    log_warn_once("cannot set %s: %s", what, why);
}

static struct param_sink socket_of(int fd)
{
    struct param_sink sink = {.set = set_on, .fail = cannot_set, .fd = fd};

    return sink;
}

/* The kernel says nothing: it sends raw SCTP, which is what the operator wanted to avoid. */
static void check_encapsulation(const struct options *o)
{
    static atomic_flag checked = ATOMIC_FLAG_INIT;

    if (params_udp_port(o) && !atomic_flag_test_and_set(&checked) && sctp_setting("udp_port") == 0)
        log_warn("UDP_ENCAPS=%u has no effect: net.sctp.udp_port is 0 on this host, and SCTP goes "
                 "out as IP protocol 132 (as root: sysctl -w net.sctp.udp_port=9899)",
                 o->udp_encaps);
}

void params_not_connected(int fd, int error)
{
    uint32_t port = options_of(fd)->udp_encaps;

    if (port)
        log_warn_once("UDP_ENCAPS=%u: a connection was not made (%s); if no peer takes SCTP in UDP at "
                      "that port, set net.sctp.udp_port=%u there", port, strerrorname_np(error), port);
}

void params_apply_mark(int fd)
{
    struct param_sink to = socket_of(fd);
    int saved = errno;

    params_mark(&to);
    errno = saved;
}

/* What is ours and tells no receive information has none of its parameters yet. */
static bool is_bare(int fd)
{
    return !fd_sealed() && state_is_marked(fd) &&
           int_option(fd, IPPROTO_SCTP, SCTP_RECVRCVINFO, 1) == 0;
}

bool params_due(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (info->params == PARAMS_SET || fd_kind(fd) != FD_IDLE)
        return false;
    if ((info->params == PARAMS_DUE && fd_is_unshared(fd)) || is_bare(fd))
        return true;
    info->params = PARAMS_SET;
    return false;
}

void params_settle(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (!params_due(fd))
        return;
    params_apply(fd, options_of(fd));
    info->params = PARAMS_SET;
    if (info->rule)
        note_rule(fd, 0, info->rule);
}

void params_apply(int fd, const struct options *o)
{
    struct param_sink to = socket_of(fd);
    int saved = errno;

    apply_buffers(fd, o);
    params_socket(&to, o);
    plane_warn(PLANE_DIRECT, o);
    check_encapsulation(o);
    errno = saved;
}

/* The kernel binds a socket that the program did not only when it is too late for these. */
static void bind_to_all(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
    } all = {.in6 = {.sin6_family = (sa_family_t)fd_family(fd)}};

    libc.bind(fd, &all.any,
              all.any.sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof all.in6);
}

void params_apply_heartbeats(int fd, uint32_t interval)
{
    struct param_sink to = socket_of(fd);

    params_heartbeats(&to, interval);
}

void params_apply_bound(int fd)
{
    const struct options *o = options_of(fd);
    struct param_sink to = socket_of(fd);
    int saved = errno;

    if (o->auto_asconf && !(fd_info(fd)->flags & FDF_BOUND))
        bind_to_all(fd);
    params_bound(&to, o);
    errno = saved;
}

/* The peer may grant fewer streams than we asked for; a write on one beyond fails. */
static void use_stream_zero(int fd, const struct options *o, unsigned granted)
{
    struct sctp_sndinfo send = {
        .snd_ppid = htonl(o->ppid),
        .snd_flags = o->unordered ? SCTP_UNORDERED : 0,
        .snd_context = note_get(fd),
    };

    log_warn_once("STREAM=%u, but the peer takes %u streams: using stream 0", o->stream, granted);
    set(fd, SCTP_DEFAULT_SNDINFO, "STREAM", &send, sizeof send);
}

/* As the kernel counts: of what the program asked for, or the configuration, what was granted. */
static uint32_t granted(int fd, int name, uint32_t asked, uint32_t configured)
{
    if (asked || atomic_load_explicit(&force_refused, memory_order_relaxed))
        return (uint32_t)int_option(fd, SOL_SOCKET, name, 0);
    return 2 * configured;
}

static uint32_t send_buffer(int fd, const struct options *o)
{
    return granted(fd, SO_SNDBUF, fd_info(fd)->sndbuf, o->sndbuf);
}

/* Half of the buffer is announced. */
static uint32_t own_window(int fd, const struct options *o)
{
    return granted(fd, SO_RCVBUF, fd_info(fd)->rcvbuf, o->rcvbuf) / 2;
}

/*
 * A message near the peer's window stalls it. And when a window that was closed opens, the packet
 * that the receiver has thrown away must not wait for its timer: three behind it have it repeated.
 * They must fit the window that has opened, and the send buffer (docs/performance.md).
 */
static uint32_t best_chunk(uint32_t most, uint32_t window, uint32_t buffer)
{
    uint32_t part = (window ? window - 1 : 0) / MESSAGES_IN_WINDOW; /* not whole: receive_buffer() */

    if (part > buffer / 8)
        part = buffer / 8;
    if (part >= most)
        return most;
    return part > SMALLEST_CHUNK ? part : SMALLEST_CHUNK;
}

/*
 * So that a message is a packet at least: more of them in one would be as long as the path takes. And
 * so that the own window is announced in time.
 */
static uint32_t best_mtu(int fd, const struct options *o)
{
    uint32_t part = own_window(fd, o) / 4;
    uint32_t most = fd_info(fd)->chunk < part ? fd_info(fd)->chunk : part;

    return most < LARGEST_PATH_MTU - HEADERS ? most + HEADERS : LARGEST_PATH_MTU;
}

/*
 * For the association: Linux looks whether that leaves discovery on, and else puts the interface's
 * back with the next packet. But not where its paths may differ.
 */
void params_limit_mtu(int fd, const struct sctp_paddrinfo *info)
{
    const struct options *o = options_of(fd);
    struct sctp_paddrparams path = {.spp_flags = SPP_PMTUD_DISABLE};

    if (info->spinfo_mtu <= LARGEST_PATH_MTU || o->pathmtu)
        return;
    path.spp_pathmtu = best_mtu(fd, o);
    if (paths_are_wanted(o))
        path.spp_address = info->spinfo_address;
    set(fd, SCTP_PEER_ADDR_PARAMS, "the path MTU", &path, sizeof path);
}

/* What both ends have to offer, and how the kernel says that the peer did not. */
static void check_offers(int fd, const struct options *o)
{
    const struct {
        bool wanted;
        int name;
        const char *what;
    } offers[] = {
        {o->lifetime || o->message_retrans != MESSAGE_RETRANS_UNLIMITED, SCTP_PR_SUPPORTED,
         "LIFETIME and MESSAGE_RETRANS"},
        {o->interleaving, SCTP_INTERLEAVING_SUPPORTED, "INTERLEAVING"},
        {o->auth != 0, SCTP_AUTH_SUPPORTED, "AUTH"},
        {o->asconf == SWITCH_YES, SCTP_ASCONF_SUPPORTED, "ASCONF"},
        {o->ecn == SWITCH_YES, SCTP_ECN_SUPPORTED, "ECN"},
    };

    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        struct sctp_assoc_value has = {.assoc_id = SCTP_CURRENT_ASSOC};

        if (offers[i].wanted && sctp_get(fd, offers[i].name, &has, sizeof has) == 0 &&
            !has.assoc_value)
            log_warn("%s: the peer does not know it, and the connection goes without",
                     offers[i].what);
    }
}

void params_tune(int fd, const struct sctp_status *status)
{
    const struct options *o = options_of(fd);
    struct param_sink to = socket_of(fd);

    fd_info(fd)->chunk =
        o->messages ? UINT32_MAX : best_chunk(o->chunk, status->sstat_rwnd, send_buffer(fd, o));
    fd_info(fd)->ostreams = status->sstat_outstrms;
    if (o->stream >= status->sstat_outstrms)
        use_stream_zero(fd, o, status->sstat_outstrms);
    check_offers(fd, o);
    params_association(&to, o, status->sstat_outstrms);
    params_limit_mtu(fd, &status->sstat_primary);
}
