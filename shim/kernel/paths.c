/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The paths of an association: one to each address of the peer. Heartbeats find out which of them
 * work, and only those that one was answered on are ever used, so that without heartbeats a
 * connection has the one path that it was set up on, as TCP's. They are switched on path by path:
 * an address that this host has too (bridges for containers have the same one everywhere) leads to
 * this host, which knows no such association and aborts it.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../log.h"
#include "address.h"
#include "host.h"
#include "internal.h"

/* What an association has, and this host. */
struct paths {
    struct addresses peer;
    bool grows; /* the peer may say more of them (ASCONF, RFC 5061) */
    bool usable[ADDRESSES_MAX];
    size_t usable_count;
    union address primary;
    struct host *host;
};

/* SCTP_GET_PEER_ADDRS or SCTP_GET_LOCAL_ADDRS: of the association, not of its endpoint. */
static void read_addresses(int fd, int name, struct addresses *list)
{
    union {
        struct sctp_getaddrs head;
        char room[sizeof(struct sctp_getaddrs) + PACKED_MAX];
    } answer = {.head = {.assoc_id = SCTP_CURRENT_ASSOC}};

    list->count = 0;
    if (sctp_get(fd, name, &answer, sizeof answer) == 0)
        addresses_unpack(list, (const char *)answer.head.addrs, answer.head.addr_num);
}

void paths_peer(int fd, struct addresses *peer)
{
    read_addresses(fd, SCTP_GET_PEER_ADDRS, peer);
}

void paths_own(int fd, struct addresses *own)
{
    read_addresses(fd, SCTP_GET_LOCAL_ADDRS, own);
}

/* A connection within this host leads here on all its paths, and rightly so. */
static void judge(struct paths *paths)
{
    struct in6_addr primary = address_bare(&paths->primary);
    bool at_home = host_find(paths->host, &primary) != NULL;

    paths->usable_count = 0;
    for (size_t i = 0; i < paths->peer.count; i++) {
        struct in6_addr bare = address_bare(&paths->peer.at[i]);

        paths->usable[i] = at_home || !host_find(paths->host, &bare);
        paths->usable_count += paths->usable[i];
    }
}

static bool read_primary(int fd, struct paths *paths)
{
    struct sctp_status status;

    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) < 0)
        return false;
    memcpy(&paths->primary, &status.sstat_primary.spinfo_address, sizeof paths->primary);
    return true;
}

static void read_others(int fd, struct paths *paths)
{
    struct sctp_assoc_value asconf = {.assoc_id = SCTP_CURRENT_ASSOC};

    paths_peer(fd, &paths->peer);
    paths->grows = sctp_get(fd, SCTP_ASCONF_SUPPORTED, &asconf, sizeof asconf) == 0 &&
                   asconf.assoc_value;
    if (paths->peer.count < 2 && !paths->grows)
        return;
    paths->host = host_open();
    if (paths->host)
        judge(paths);
}

static void set_path(int fd, const union address *at, struct sctp_paddrparams *path)
{
    memcpy(&path->spp_address, at, sizeof *at);
    if (sctp_set(fd, SCTP_PEER_ADDR_PARAMS, path, sizeof *path) < 0)
        log_debug("a path's parameters cannot be set: %s", strerrorname_np(errno));
}

static void watch(int fd, const union address *at, uint32_t interval, uint16_t retransmissions,
                  uint32_t flags)
{
    struct sctp_paddrparams path = {
        .spp_hbinterval = interval,
        .spp_pathmaxrxt = retransmissions,
        .spp_flags = SPP_HB_ENABLE | flags,
    };

    set_path(fd, at, &path);
}

/* The kernel wants no more for the association than its paths have together: lend it some. */
static void set_retransmissions(int fd, const union address *primary, unsigned count)
{
    struct sctp_assocparams assoc = {.sasoc_asocmaxrxt = (uint16_t)count};
    struct sctp_paddrparams path = {0};
    uint16_t own;

    if (sctp_set(fd, SCTP_ASSOCINFO, &assoc, sizeof assoc) == 0)
        return;
    memcpy(&path.spp_address, primary, sizeof *primary);
    if (sctp_get(fd, SCTP_PEER_ADDR_PARAMS, &path, sizeof path) < 0)
        return;
    own = path.spp_pathmaxrxt;
    path = (struct sctp_paddrparams){.spp_pathmaxrxt = (uint16_t)count};
    set_path(fd, primary, &path);
    sctp_set(fd, SCTP_ASSOCINFO, &assoc, sizeof assoc);
    path.spp_pathmaxrxt = own;
    set_path(fd, primary, &path);
}

/* The own address that packets to that one leave from, by the routes; AF_UNSPEC without any. */
static union address source_towards(const union address *to)
{
    union address from = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof from;
    int probe = libc.socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);

    if (probe < 0)
        return from;
    if (libc.connect(probe, &to->any, address_len(to)) < 0 ||
        libc.getsockname(probe, &from.any, &len) < 0)
        from.any.sa_family = AF_UNSPEC;
    socket_dismiss(probe);
    return from;
}

/*
 * Each path by two names: the peer's address, and the own one, with its interface. host is room
 * for them, even ones the peer's.
 */
static void name_paths(const struct paths *paths, struct host *host)
{
    for (size_t i = 0; i < paths->peer.count; i++) {
        union address from = source_towards(&paths->peer.at[i]);
        struct host_address *own = &host->at[2 * i + 1];
        const struct host_address *known;

        host->at[2 * i] = (struct host_address){.address = address_bare(&paths->peer.at[i])};
        *own = (struct host_address){.interface = 0};
        if (from.any.sa_family == AF_UNSPEC)
            continue;
        own->address = address_bare(&from);
        known = host_find(paths->host, &own->address);
        own->interface = known ? known->interface : 0;
    }
    host->count = 2 * paths->peer.count;
}

_Static_assert(2 * ADDRESSES_MAX <= HOST_MAX, "a path has two names");

/* The lowest rank, where neither name is excepted. */
static int rank_of_path(const struct host *host, size_t path)
{
    int peer = host->at[2 * path].rank, own = host->at[2 * path + 1].rank;

    if (peer == RANK_EXCEPTED || own == RANK_EXCEPTED)
        return RANK_EXCEPTED;
    return peer >= 0 && (own < 0 || peer < own) ? peer : own;
}

static void choose_primary(int fd, const char *wanted, const struct paths *paths)
{
    struct host *names = host_empty();
    struct sctp_prim primary = {0};
    size_t best = paths->peer.count;

    if (!names)
        return;
    name_paths(paths, names);
    host_rank(names, fd, "PRIMARY", wanted, false);
    for (size_t i = 0; i < paths->peer.count; i++)
        if (paths->usable[i] && rank_of_path(names, i) >= 0 &&
            (best == paths->peer.count || rank_of_path(names, i) < rank_of_path(names, best)))
            best = i;
    host_close(names);
    if (best == paths->peer.count) {
        log_info_once("PRIMARY=%s: a connection has no such path", wanted);
        return;
    }
    memcpy(&primary.ssp_addr, &paths->peer.at[best], sizeof paths->peer.at[best]);
    if (sctp_set(fd, SCTP_PRIMARY_ADDR, &primary, sizeof primary) < 0)
        log_warn_once("PRIMARY=%s cannot be set: %s", wanted, strerrorname_np(errno));
}

/* The peer is asked by ASCONF (RFC 5061, 4.2.4). */
static void request_primary(int fd, const char *wanted, struct host *host)
{
    struct sctp_setpeerprim request = {0};
    struct addresses own;
    int rank, best = -1;

    paths_own(fd, &own);
    host_rank(host, fd, "PEER_PRIMARY", wanted, true);
    for (size_t i = 0; i < own.count; i++) {
        struct in6_addr bare = address_bare(&own.at[i]);
        const struct host_address *known = host_find(host, &bare);

        rank = known ? known->rank : RANK_NONE;
        if (rank >= 0 && (best < 0 || rank < best)) {
            best = rank;
            memcpy(&request.sspp_addr, &own.at[i], sizeof own.at[i]);
        }
    }
    if (best < 0)
        log_info_once("PEER_PRIMARY=%s: a connection has no such address", wanted);
    else if (sctp_set(fd, SCTP_SET_PEER_PRIMARY_ADDR, &request, sizeof request) < 0)
        log_warn_once("PEER_PRIMARY=%s cannot be asked for: %s%s", wanted, strerrorname_np(errno),
                      errno == EPERM ? " (ASCONF is not on at both ends)" : "");
}

static void limit_mtu(int fd, const union address *at)
{
    struct sctp_paddrinfo info = {0};

    memcpy(&info.spinfo_address, at, sizeof *at);
    if (sctp_get(fd, SCTP_GET_PEER_ADDR_INFO, &info, sizeof info) == 0)
        params_limit_mtu(fd, &info);
}

/*
 * Addresses that the peer gets later begin with the association's own settings, which are set for
 * all that it has at that moment too. (Each is sent one heartbeat by the kernel itself, whatever
 * these say.) Not beside one that must never be asked.
 */
static void watch_later_ones(int fd, uint32_t interval, const struct options *o,
                             const struct paths *paths)
{
    static const union address all = {.any = {.sa_family = AF_UNSPEC}};

    if (paths->grows && paths->usable_count == paths->peer.count)
        watch(fd, &all, interval, (uint16_t)o->path_max_retrans, 0);
}

/* Several paths are to be used, or will be. */
static void use_all(int fd, const struct options *o, struct liveness *live, struct paths *paths)
{
    uint32_t interval = paths_heartbeat(o);
    uint64_t count = live->retransmissions;

    local_keep_name(fd);
    if (live->heartbeat && live->heartbeat < interval)
        interval = live->heartbeat;
    watch_later_ones(fd, interval, o, paths);
    for (size_t i = 0; i < paths->peer.count; i++)
        if (paths->usable[i]) {
            /* The first one at once: a path is used only when it has been answered. */
            watch(fd, &paths->peer.at[i], interval, (uint16_t)o->path_max_retrans, SPP_HB_DEMAND);
            limit_mtu(fd, &paths->peer.at[i]);
        }
    /* Each path's heartbeats count, and the data's retransmissions. */
    if (live->by_time)
        count *= paths->usable_count + 1;
    set_retransmissions(fd, &paths->primary, count < UINT16_MAX ? (unsigned)count : UINT16_MAX);
    if (o->primary[0])
        choose_primary(fd, o->primary, paths);
    log_debug("socket %d: %zu of the peer's %zu addresses are watched every %u ms", fd,
              paths->usable_count, paths->peer.count, interval);
}

/* The one that the connection was set up on, for SO_KEEPALIVE. */
static void use_one(int fd, const struct liveness *live, const struct paths *paths)
{
    struct sctp_paddrparams silent = {.spp_flags = SPP_HB_DISABLE};

    set_retransmissions(fd, &paths->primary, live->retransmissions);
    sctp_set(fd, SCTP_PEER_ADDR_PARAMS, &silent, sizeof silent);
    /* A path that counts as down is asked less often. */
    if (live->heartbeat)
        watch(fd, &paths->primary, live->heartbeat, (uint16_t)live->retransmissions, 0);
}

bool paths_apply(int fd, struct liveness *live)
{
    const struct options *o = options_of(fd);
    struct paths paths = {.host = NULL};

    if (!read_primary(fd, &paths))
        return false;
    if (paths_are_wanted(o))
        read_others(fd, &paths);
    if (paths.usable_count > 1 || (paths.usable_count && paths.grows))
        use_all(fd, o, live, &paths);
    else
        use_one(fd, live, &paths);
    host_close(paths.host);
    return true;
}

/*
 * The kernel's own acknowledgements come up to 200 ms late, and a shorter timeout would send
 * nearly everything twice; a shim's do not.
 */
static void lower_rto(int fd, const struct options *o)
{
    struct sctp_rtoinfo rto = {.srto_min = o->rto_min};
    bool configured = o->rto_min != options_default.rto_min;

    if (o->rto_min >= params_rto_floor(o))
        return;
    if (!(state_get(fd) & STATE_PEER_IS_SHIM)) {
        if (configured)
            log_info_once("RTO_MIN=%u is %u ms towards a peer that is no shim (RTO_MIN_NATIVE)",
                          o->rto_min, params_rto_floor(o));
        return;
    }
    if (sctp_set(fd, SCTP_RTOINFO, &rto, sizeof rto) == 0 && configured)
        log_info_once("RTO_MIN is %u ms: the peer is a shim", o->rto_min);
}

void paths_up(int fd)
{
    const struct options *o = options_of(fd);
    int saved = errno;

    lower_rto(fd, o);
    if (paths_are_wanted(o) || o->outage || liveness_is_asked(fd))
        liveness_apply(fd);
    if (o->peer_primary[0]) {
        struct host *host = host_open();

        if (host)
            request_primary(fd, o->peer_primary, host);
        host_close(host);
    }
    errno = saved;
}
