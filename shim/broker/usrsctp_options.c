/* SPDX-License-Identifier: BSD-3-Clause */
/* libusrsctp's sockets, with the options that the program is configured with. */
#include "../params.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../log.h"
#include "../wire.h"
#include "packets.h"
#include "usrsctp_internal.h"
#include "usrsctp_io.h"
#include "usrsctp_socket.h"

enum {
    BUFFERS = 256 << 20, /* bytes that all associations' buffers may hold, so much each way */
    SMALLEST_BUFFER = 65536,
};

unsigned usrsctp_associations;

void socket_set(struct socket *socket, int name, const void *value, size_t len, const char *what)
{
    if (usrsctp_setsockopt(socket, IPPROTO_SCTP, name, value, (socklen_t)len) < 0)
        log_warn_once("cannot set %s in the userspace stack: %s", what, strerrorname_np(errno));
}

static void set_value(struct socket *socket, int name, uint32_t value, const char *what)
{
    struct sctp_assoc_value v = {.assoc_value = value};

    socket_set(socket, name, &v, sizeof v, what);
}

/* What each association's buffer may have, so that all together stay within the budget. */
uint32_t socket_buffer_share(uint32_t wanted)
{
    uint32_t share = (uint32_t)BUFFERS / (usrsctp_associations + 1);

    if (share < SMALLEST_BUFFER)
        share = SMALLEST_BUFFER;
    return wanted < share ? wanted : share;
}

void socket_set_buffers(struct socket *socket, const struct options *o)
{
    int sndbuf = (int)socket_buffer_share(o->sndbuf), rcvbuf = (int)socket_buffer_share(o->rcvbuf);

    usrsctp_setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    usrsctp_setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
}

/* Unlike the kernel the library wants the first timeout not to be below the least. */
static void set_timers(struct socket *socket, const struct options *o)
{
    uint32_t floor = params_rto_floor(o);
    struct sctp_rtoinfo rto = {.srto_initial = o->rto_initial, .srto_max = o->rto_max,
                               .srto_min = floor < o->rto_initial ? floor : o->rto_initial};
    struct sctp_assocparams assoc = {.sasoc_asocmaxrxt = (uint16_t)o->assoc_max_retrans,
                                     .sasoc_cookie_life = o->cookie_life};
    struct sctp_sack_info sack = {.sack_delay = o->sack_delay,
                                  .sack_freq = o->sack_delay ? o->sack_freq : 1};

    socket_set(socket, SCTP_RTOINFO, &rto, sizeof rto, "RTO_INITIAL, RTO_MIN and RTO_MAX");
    socket_set(socket, SCTP_ASSOCINFO, &assoc, sizeof assoc, "ASSOC_MAX_RETRANS and COOKIE_LIFE");
    socket_set(socket, SCTP_DELAYED_SACK, &sack, sizeof sack, "SACK_DELAY and SACK_FREQ");
}

static void set_init(struct socket *socket, const struct options *o)
{
    struct sctp_initmsg init = {(uint16_t)o->ostreams, (uint16_t)o->istreams,
                                (uint16_t)o->init_attempts, (uint16_t)o->init_timeout};
    struct sctp_setadaptation adaptation = {WIRE_PREFIX | WIRE_RUNS | WIRE_VERSION};

    socket_set(socket, SCTP_INITMSG, &init, sizeof init,
               "OSTREAMS, ISTREAMS, INIT_ATTEMPTS and INIT_TIMEOUT");
    socket_set(socket, SCTP_ADAPTATION_LAYER, &adaptation, sizeof adaptation, "the announcement");
    /* The system has no settings for a stack that is not its own: then they are off. */
    set_value(socket, SCTP_ECN_SUPPORTED, o->ecn == SWITCH_YES, "ECN");
    set_value(socket, SCTP_PR_SUPPORTED, o->pr_sctp == SWITCH_YES, "PR_SCTP");
}

static void set_paths(struct socket *socket, int family, const struct options *o)
{
    static const uint32_t modes[] = {
        [CMT_OFF] = 0, [CMT_ON] = SCTP_CMT_BASE, [CMT_COUPLED] = SCTP_CMT_MPTCP};
    struct sctp_paddrthlds limits = {
        .spt_address.ss_family = (sa_family_t)family,
        .spt_pathmaxrxt = (uint16_t)o->path_max_retrans,
        .spt_pathpfthld = (uint16_t)o->pf_retrans,
        .spt_pathcpthld = UINT16_MAX,
    };
    struct sctp_udpencaps encapsulation = {.sue_address.ss_family = (sa_family_t)family,
                                           .sue_port = htons(params_udp_port(o))};

    socket_set(socket, SCTP_PEER_ADDR_THLDS, &limits, sizeof limits,
               "PATH_MAX_RETRANS and PF_RETRANS");
    set_value(socket, SCTP_CMT_ON_OFF, modes[o->cmt], "CMT");
    socket_set(socket, SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation, sizeof encapsulation,
               "UDP_ENCAPS");
}

static void set_packets(struct socket *socket, const struct options *o)
{
    struct sctp_paddrparams dscp = {.spp_flags = SPP_DSCP, .spp_dscp = (uint8_t)(o->dscp << 2)};
    uint32_t partial = o->partial_delivery;
    int on = 1;

    if (o->dscp != DSCP_PROGRAM)
        socket_set(socket, SCTP_PEER_ADDR_PARAMS, &dscp, sizeof dscp, "DSCP");
    if (o->maxseg)
        set_value(socket, SCTP_MAXSEG, o->maxseg, "MAXSEG");
    set_value(socket, SCTP_MAX_BURST, o->max_burst, "MAX_BURST");
    if (partial)
        socket_set(socket, SCTP_PARTIAL_DELIVERY_POINT, &partial, sizeof partial,
                   "PARTIAL_DELIVERY");
    /* The legs have collected what belongs together: nothing is gained by waiting for more. */
    socket_set(socket, SCTP_NODELAY, &on, sizeof on, "NODELAY");
}

static void set_events(struct socket *socket, const struct options *o)
{
    static const uint16_t wanted[] = {SCTP_ASSOC_CHANGE, SCTP_ADAPTATION_INDICATION,
                                      SCTP_SHUTDOWN_EVENT, SCTP_PEER_ADDR_CHANGE};
    size_t count = sizeof wanted / sizeof wanted[0];

    for (size_t i = 0; i < (several_wanted(o) ? count : count - 1); i++) {
        struct sctp_event event = {.se_type = wanted[i], .se_on = 1};

        socket_set(socket, SCTP_EVENT, &event, sizeof event, "events");
    }
}

/* ---- Authentication: the kernel's options of the same layout have other numbers here ---- */

enum { /* linux/sctp.h */
    KERNEL_AUTH_CHUNK = 21, KERNEL_HMAC_IDENT = 22, KERNEL_AUTH_KEY = 23, KERNEL_AUTH_ACTIVE_KEY = 24,
    KERNEL_ASCONF_SUPPORTED = 128, KERNEL_AUTH_SUPPORTED = 129,
};

struct auth_sink {
    struct param_sink sink;
    struct socket *socket;
};

static void set_auth(const struct param_sink *sink, int name, const char *what, const void *value,
                     size_t len)
{
    static const struct {
        int kernel, ours;
    } names[] = {
        {KERNEL_AUTH_CHUNK, SCTP_AUTH_CHUNK},
        {KERNEL_HMAC_IDENT, SCTP_HMAC_IDENT},
        {KERNEL_AUTH_KEY, SCTP_AUTH_KEY},
        {KERNEL_AUTH_ACTIVE_KEY, SCTP_AUTH_ACTIVE_KEY},
        {KERNEL_ASCONF_SUPPORTED, SCTP_ASCONF_SUPPORTED},
        {KERNEL_AUTH_SUPPORTED, SCTP_AUTH_SUPPORTED},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].kernel == name)
            socket_set(((const struct auth_sink *)sink)->socket, names[i].ours, value, len, what);
}

static void auth_failed(const struct param_sink *sink, const char *what, const char *why)
{
    (void)sink;
    log_warn_once("cannot set %s: %s", what, why);
}

/* ---- Sockets ---- */

uint32_t path_size(const union address *to, const struct options *o)
{
    uint32_t size = packets_limit(to), headers;

    headers = to->any.sa_family == AF_INET6 ? ENCAPSULATION_V6 : ENCAPSULATION_V4;
    if (o->pathmtu && o->pathmtu - headers < size)
        size = o->pathmtu - headers;
    return (size - SCTP_FIRST_CHUNK) & ~3u;
}

/*
 * The path's MTU for associations to come, by the kernel's route; the library would take 1500.
 * TCP sends nothing on an idle connection: neither do we, unless there are several paths.
 */
void socket_set_path(struct socket *socket, const union address *to, const struct options *o)
{
    struct sctp_paddrparams path = {.spp_flags = SPP_PMTUD_DISABLE | SPP_HB_DISABLE,
                                    .spp_pathmtu = path_size(to, o)};

    socket_set(socket, SCTP_PEER_ADDR_PARAMS, &path, sizeof path, "the path MTU");
}

struct socket *socket_make(int family, bool both, const struct options *o)
{
    struct socket *socket =
        usrsctp_socket(family, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    struct auth_sink auth = {.sink = {.set = set_auth, .fail = auth_failed}, .socket = socket};
    int on = 1, v6only = !both;

    if (!socket)
        return NULL;
    usrsctp_set_non_blocking(socket, 1);
    if (family == AF_INET6)
        usrsctp_setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    socket_set_buffers(socket, o);
    set_timers(socket, o);
    set_init(socket, o);
    set_paths(socket, family, o);
    set_packets(socket, o);
    set_events(socket, o);
    params_auth(&auth.sink, o);
    /* Several associations from one port, as TCP has several connections. */
    socket_set(socket, SCTP_REUSE_PORT, &on, sizeof on, "shared ports");
    return socket;
}

void socket_drop(struct socket *socket)
{
    int error = errno;

    usrsctp_close(socket);
    errno = error;
}

struct socket *socket_at(const struct addresses *list, const struct options *o)
{
    struct socket *socket = socket_for(list, o);

    if (!socket) {
        errno = ENOBUFS;
        return NULL;
    }
    if (socket_bind(socket, list))
        return socket;
    socket_drop(socket);
    return NULL;
}

void socket_reset_on_close(struct socket *socket)
{
    struct linger linger = {1, 0};

    usrsctp_setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
