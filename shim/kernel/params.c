/* SPDX-License-Identifier: BSD-3-Clause */
/* The SCTP parameters of our sockets: the configured ones, and those an association decides. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#include "../log.h"
#include "../planes.h"
#include "../sizes.h"
#include "internal.h"

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

/*
 * TCP's buffers grow beyond net.core.*mem_max, SCTP's stop there, except for who may administer the
 * network. The window is fixed by SO_RCVBUF at connect/listen.
 */
static void apply_buffers(int fd, const struct options *o)
{
    int rcvbuf = (int)size_rcvbuf(o);

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

void params_limit_mtu(int fd, const struct sctp_paddrinfo *path)
{
    const struct options *o = options_of(fd);
    struct param_sink to = socket_of(fd);

    if (size_mtu_stalls(path->spinfo_mtu) && !o->pathmtu)
        params_path_mtu(&to, path, size_mtu(fd_info(fd)->chunk, own_window(fd, o)),
                        paths_are_wanted(o));
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
        o->messages ? UINT32_MAX : size_chunk(o->chunk, status->sstat_rwnd, send_buffer(fd, o));
    fd_info(fd)->ostreams = status->sstat_outstrms;
    if (o->stream >= status->sstat_outstrms)
        use_stream_zero(fd, o, status->sstat_outstrms);
    check_offers(fd, o);
    params_association(&to, o, status->sstat_outstrms);
    params_limit_mtu(fd, &status->sstat_primary);
}
