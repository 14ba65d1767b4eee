/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a leg's fd is, and what its names really are. The kernel knows the leg's ends, the broker
 * knows whose association belongs to them; the fd's memory saves asking again.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../kernel/internal.h"
#include "../kernel/kernel.h"
#include "../libc.h"
#include "../log.h"
#include "internal.h"
#include "userspace.h"

static bool kernel_has_sctp(void)
{
    static _Atomic signed char known; /* 1 yes, -1 no */
    int fd, saved = errno;

    if (!known) {
        fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
        if (fd >= 0)
            libc.close(fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return true; /* it could not be seen, for another reason */
        known = fd >= 0 ? 1 : -1;
        errno = saved;
    }
    return known > 0;
}

/* Which stack its legs lead to; 0: the programs' sockets are the kernel's SCTP, or TCP. */
static uint32_t choose_network(void)
{
    if (options.stack == STACK_USERSPACE)
        return LEG_NET;
    if (options.stack == STACK_KERNEL || kernel_has_sctp())
        return options.leg == LEG_TCP ? LEG_NET_KERNEL : 0;
    return options.leg != LEG_DIRECT && broker_exists(LEG_NET) ? LEG_NET : 0;
}

bool userspace_wanted(void)
{
    uint32_t network = choose_network();

    if (network)
        leg_network = network;
    return network;
}

int userspace_socket(int domain, int type, int protocol)
{
    int fd = libc.socket(domain, type, protocol);

    if (fd >= 0) {
        fd_adopt(fd, FD_LEG);
        fd_info(fd)->rule = rule_birth.rule;
    }
    return fd;
}

bool leg_name(int fd, union address *name)
{
    socklen_t len = sizeof *name;

    memset(name, 0, sizeof *name);
    return libc.getsockname(fd, &name->any, &len) == 0;
}

bool leg_peer(int fd, union address *name)
{
    socklen_t len = sizeof *name;

    memset(name, 0, sizeof *name);
    return libc.getpeername(fd, &name->any, &len) == 0;
}

/* Does one of these ends lie in the network of legs? */
static bool is_leg_pair(const union address *name, const union address *peer)
{
    return address_is_leg(name) || address_is_leg(peer);
}

/*
 * By its addresses, of which one lies in the network of legs; or it has none yet, and will get one
 * when the program binds or connects it; or it listens for both kinds. Sockets that are in use
 * under other addresses are plain TCP.
 */
bool userspace_is_leg(int fd)
{
    union address name, peer;

    if (int_option(fd, SOL_SOCKET, SO_PROTOCOL, -1) != IPPROTO_TCP || !userspace_wanted() ||
        !kernel_wanted() || !leg_name(fd, &name))
        return false;
    if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6)
        return false;
    if (address_port(&name) == 0 && address_is_any(&name))
        return true;
    (void)leg_peer(fd, &peer);
    return is_leg_pair(&name, &peer) || both_may_be(fd, &name);
}

bool leg_left_to_tcp(int fd, const struct rule_use *use)
{
    fd_info(fd)->rule = (uint8_t)rules_find(use);
    if (options_of(fd)->action != ACTION_TCP)
        return false;
    log_info("rule %s: fd %d is left to TCP", rule_called(fd_info(fd)->rule), fd);
    congestion_of_tcp(fd);
    fd_set_kind(fd, FD_FOREIGN);
    return true;
}

void names_keep(int fd, const union address *local, const union address *remote)
{
    struct fd_info *info = fd_info(fd);

    memcpy(&info->own, local, sizeof info->own);
    memcpy(&info->peer, remote, sizeof info->peer);
    info->cookie = fd_cookie(fd);
}

/* Are the names in the fd's memory those of the socket that it is now? */
static bool names_kept(int fd, union address *local, union address *remote)
{
    const struct fd_info *info = fd_info(fd);

    if (!info->cookie || info->cookie != fd_cookie(fd))
        return false;
    memcpy(local, &info->own, sizeof *local);
    memcpy(remote, &info->peer, sizeof *remote);
    return local->any.sa_family != AF_UNSPEC;
}

/* Names are shown in the socket's own family. */
void name_answer(int fd, const union address *name, struct sockaddr *addr, socklen_t *len)
{
    union address shown = *name;
    socklen_t size;

    address_fit(&shown, fd_family(fd));
    size = address_len(&shown);
    memcpy(addr, &shown, *len < size ? *len : size);
    *len = size;
}

static bool ask_names(int fd, union address *local, union address *remote)
{
    struct request request;
    struct answer answer;

    if (fd_sealed())
        return false;
    request_begin(&request, REQUEST_NAMES);
    (void)leg_peer(fd, &request.other);
    if (!leg_name(fd, &request.leg) || !is_leg_pair(&request.leg, &request.other))
        return false;
    if (!broker_ask(fd, &request, &answer, false) || answer.error == ENOENT)
        return false;
    *local = answer.local;
    *remote = answer.remote;
    names_keep(fd, local, remote);
    return true;
}

static bool find_names(int fd, union address *local, union address *remote)
{
    return names_kept(fd, local, remote) || ask_names(fd, local, remote);
}

/* The kernel's struct tcp_info begins so; libc's ends where it ended in Linux 3.14. */
struct tcp_facts {
    struct tcp_info info;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked;
};

static bool get_tcp_facts(int fd, struct tcp_facts *facts)
{
    socklen_t len = sizeof *facts;

    memset(facts, 0, sizeof *facts);
    return libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, facts, &len) == 0;
}

int leg_tcp_state(int fd)
{
    struct tcp_facts facts;

    return get_tcp_facts(fd, &facts) ? facts.info.tcpi_state : 0;
}

/*
 * It connects, or was connected and is reset: then the name is the association's. When a connect
 * fails nobody has acknowledged even its SYN.
 */
static bool connects_or_was_reset(int fd)
{
    struct tcp_facts facts;

    if (!get_tcp_facts(fd, &facts))
        return false;
    return facts.info.tcpi_state == TCP_SYN_SENT || facts.info.tcpi_state == TCP_SYN_RECV ||
           (facts.info.tcpi_state == TCP_CLOSE && facts.bytes_acked);
}

/* The name of a socket that is not connected: what it was bound to, or will connect from. */
static void unconnected_name(int fd, const union address *leg, union address *name)
{
    union address plain = *leg, kept, peer;
    uint32_t low;

    memset(name, 0, sizeof *name);
    name->any.sa_family = (sa_family_t)fd_family(fd);
    address_unmap(&plain);
    low = address_leg_host(&plain);
    if (!address_is_leg(leg)) {
        *name = *leg; /* the program has said so, under prefer-sctp; or it is not bound */
        return;
    }
    if (connects_or_was_reset(fd) && find_names(fd, &kept, &peer)) {
        *name = kept;
        return;
    }
    if (address_is_leg_out(leg)) { /* it tried to connect: the program's wish was no address */
        address_set_port(name, address_port(names_kept(fd, &kept, &peer) ? &kept : leg));
        return;
    }
    /* What is kept of a connection that failed is not what the program had bound. */
    if (low >= LEG_BOUND && ((names_kept(fd, &kept, &peer) && peer.any.sa_family == AF_UNSPEC) ||
                             ask_names(fd, &kept, &peer)))
        *name = kept;
    address_set_port(name, address_port(leg));
}

int userspace_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    union address leg, peer, local, remote;
    int saved = errno;

    if (!leg_name(fd, &leg) || !addr || !len || (int)*len < 0)
        return libc.getsockname(fd, addr, len); /* which has the right error */
    if (!leg_peer(fd, &peer))
        unconnected_name(fd, &leg, &local);
    else if (!find_names(fd, &local, &remote))
        local = leg; /* the broker is gone, and the leg's end is near */
    errno = saved;
    name_answer(fd, &local, addr, len);
    return 0;
}

int userspace_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    union address peer, local, remote;
    int saved = errno;

    if (!addr || !len || (int)*len < 0 || !leg_peer(fd, &peer))
        return libc.getpeername(fd, addr, len);
    if (!find_names(fd, &local, &remote))
        remote = peer;
    errno = saved;
    name_answer(fd, &remote, addr, len);
    return 0;
}

int connect_error(int fd, int error)
{
    struct request request;
    struct answer answer;

    /* The broker can only reset; why, it has kept under the name that the leg connects from. */
    if (error != ECONNRESET || fd_sealed())
        return error;
    request_begin(&request, REQUEST_NAMES);
    if (!leg_name(fd, &request.leg) || !address_port(&request.leg))
        return error;
    both_leg(&request.leg, INADDR_LOOPBACK, &request.leg);
    if (!broker_ask(fd, &request, &answer, false) || answer.error == ENOENT || !answer.error)
        return error;
    return answer.error;
}

int userspace_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int result, saved, number;

    if (level == IPPROTO_TCP && (name == TCP_CONGESTION || name == TCP_CC_INFO))
        return congestion_get(fd, name, value, len);
    result = libc.getsockopt(fd, level, name, value, len);
    saved = errno;
    if (result < 0 || *len < sizeof number)
        return result;
    if (level == SOL_SOCKET && name == SO_ERROR) {
        memcpy(&number, value, sizeof number);
        number = connect_error(fd, number);
        memcpy(value, &number, sizeof number);
    } else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && fd_info(fd)->v6only) {
        number = 1;
        memcpy(value, &number, sizeof number);
    }
    errno = saved;
    return 0;
}
