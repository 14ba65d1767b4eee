/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOCAL_ADDRS: the own addresses of a socket. SCTP binds a list of them, and tells the peer of all
 * that are in scope; a socket that is bound to none tells of every address that the host has.
 *
 * Whatever is bound in truth, getsockname() says what the program asked for, in every process that
 * holds the socket. For a single address the kernel itself does, when that is bound last. A
 * wildcard cannot be bound beside a list: that the list stands for one is noted with the socket, in
 * its receive context (RFC 6458, 8.1.25), which means nothing to a byte stream.
 */
#include <errno.h>
#include <string.h>

#include "../addrs.h"
#include "../log.h"
#include "address.h"
#include "host.h"
#include "internal.h"
#include "kernel.h"

/* "SCTW" */
enum { STANDS_FOR_ANY = 0x53435457 };

static bool is_any(const union address *at)
{
    return at->any.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&at->in6.sin6_addr)
                                         : at->in.sin_addr.s_addr == INADDR_ANY;
}

static bool is_loopback(const union address *at)
{
    return at->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&at->in6.sin6_addr)
                                         : ntohl(at->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool takes(int fd, const struct in6_addr *bare)
{
    if (fd_family(fd) == AF_INET)
        return addrs_is_v4(bare);
    return !addrs_is_v4(bare) || !int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

static in_port_t own_port(int fd)
{
    union address name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof name;

    return libc.getsockname(fd, &name.any, &len) == 0 ? name.in.sin_port : 0; /* as sin6_port */
}

static void list_ranked(int fd, const struct host *host, int rank, in_port_t port,
                        struct addresses *list)
{
    for (size_t i = 0; i < host->count; i++) {
        union address at = address_of(&host->at[i].address, port);

        if (host->at[i].rank == rank && takes(fd, &host->at[i].address) &&
            (rank >= 0 || is_loopback(&at)))
            addresses_add(list, &at);
    }
}

/*
 * What the configuration names, in its order, as far as this socket can have it. For a wildcard
 * also loopback, unless it is excepted: it is of use to associations over loopback only, and not
 * told to others.
 */
static void list_named(int fd, const char *wanted, in_port_t port, bool for_any,
                       struct addresses *list)
{
    struct host *host = host_open();

    list->count = 0;
    if (!host)
        return;
    host_rank(host, fd, "LOCAL_ADDRS", wanted, true);
    for (int rank = 0; rank < HOST_MAX; rank++)
        list_ranked(fd, host, rank, port, list);
    if (for_any && list->count)
        list_ranked(fd, host, RANK_NONE, port, list);
    host_close(host);
}

static int bind_packed(int fd, int operation, const struct addresses *list)
{
    char packed[PACKED_MAX];

    return sctp_set(fd, operation, packed, addresses_pack(list, packed));
}

/*
 * Could the wildcard be bound? Then so can every list, and the port is as free, or as forbidden,
 * as it would be to TCP.
 */
static int try_any(int fd, const union address *any, socklen_t len)
{
    static const int names[] = {SO_REUSEADDR, SO_REUSEPORT};
    int probe = libc.socket(any->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
    int result;

    if (probe < 0)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        set_int_option(probe, SOL_SOCKET, names[i], int_option(fd, SOL_SOCKET, names[i], 0));
    if (any->any.sa_family == AF_INET6)
        set_int_option(probe, IPPROTO_IPV6, IPV6_V6ONLY,
                       int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    result = libc.bind(probe, &any->any, len);
    socket_dismiss(probe);
    return result;
}

static bool has_family(const struct addresses *list, sa_family_t family)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].any.sa_family == family && !is_loopback(&list->at[i]))
            return true;
    return false;
}

/* The list instead of the wildcard. */
static int bind_for_any(int fd, const union address *any, socklen_t len, const char *wanted,
                        sa_family_t family)
{
    struct sctp_assoc_value mark = {.assoc_value = STANDS_FOR_ANY};
    struct addresses list;

    list_named(fd, wanted, any->in.sin_port, true, &list); /* as sin6_port */
    if (family == AF_UNSPEC ? !list.count : !has_family(&list, family)) {
        log_warn_once("LOCAL_ADDRS=%s means no address of this host that could be used here: all "
                      "are", wanted);
        return libc.bind(fd, &any->any, len);
    }
    if (any->in.sin_port && try_any(fd, any, len) < 0)
        return -1;
    if (bind_packed(fd, SCTP_SOCKOPT_BINDX_ADD, &list) < 0)
        return -1;
    sctp_set(fd, SCTP_CONTEXT, &mark, sizeof mark);
    return 0;
}

/* The list beside the program's own address. What cannot be had does not stop the program. */
static void bind_beside(int fd, const union address *own, const char *wanted)
{
    struct addresses list, one = {.count = 1, .at = {*own}};
    in_port_t port = own_port(fd);
    struct in6_addr bare = address_bare(own);
    bool added = false;
    int saved = errno;

    list_named(fd, wanted, port, false, &list);
    one.at[0] = address_of(&bare, port);
    for (size_t i = 0; i < list.count; i++) {
        struct addresses next = {.count = 1, .at = {list.at[i]}};
        struct in6_addr other = address_bare(&list.at[i]);

        if (IN6_ARE_ADDR_EQUAL(&bare, &other))
            continue;
        if (bind_packed(fd, SCTP_SOCKOPT_BINDX_ADD, &next) == 0)
            added = true;
        else
            log_warn_once("LOCAL_ADDRS: an address cannot be added to port %u: %s", ntohs(port),
                          strerrorname_np(errno));
    }
    /* Bound last it is the socket's name. */
    if (added && bind_packed(fd, SCTP_SOCKOPT_BINDX_REM, &one) == 0)
        bind_packed(fd, SCTP_SOCKOPT_BINDX_ADD, &one);
    errno = saved;
}

/* Is it all that SCTP would use anyway? */
static bool restricts(const char *wanted)
{
    struct addrs_entry entry;
    bool all = false;

    while (addrs_next(&wanted, &entry)) {
        if (entry.except)
            return true;
        all |= entry.all;
    }
    return !all;
}

int local_bind(int fd, const union address *to, socklen_t len)
{
    const char *wanted = options_of(fd)->local_addrs;
    int result;

    if (wanted[0] && is_any(to) && restricts(wanted))
        return bind_for_any(fd, to, len, wanted, AF_UNSPEC);
    result = libc.bind(fd, &to->any, len);
    /* Who binds loopback wants to be reached from this host only. */
    if (result == 0 && wanted[0] && !is_any(to) && !is_loopback(to))
        bind_beside(fd, to, wanted);
    return result;
}

int local_bind_unbound(int fd, const union address *towards)
{
    const char *wanted = options_of(fd)->local_addrs;
    int domain = fd_family(fd);
    union address any = {.any = {.sa_family = (sa_family_t)domain}};

    if (!wanted[0] || !restricts(wanted) || (towards && is_loopback(towards)) || own_port(fd))
        return 0;
    return bind_for_any(fd, &any, address_len(&any), wanted,
                        towards ? towards->any.sa_family : AF_UNSPEC);
}

static bool stands_for_any(int fd)
{
    struct sctp_assoc_value mark = {0};

    return sctp_get(fd, SCTP_CONTEXT, &mark, sizeof mark) == 0 &&
           mark.assoc_value == STANDS_FOR_ANY;
}

static void make_any(union address *name)
{
    if (name->any.sa_family == AF_INET6)
        name->in6.sin6_addr = in6addr_any;
    else
        name->in.sin_addr.s_addr = INADDR_ANY;
}

int local_bound(int fd, union address *name, socklen_t *len)
{
    int result = libc.getsockname(fd, &name->any, len);

    if (result == 0 && stands_for_any(fd))
        make_any(name);
    return result;
}

/* Which of the association's own addresses it is; beyond them all where it is none. */
static size_t place_of(int fd, const union address *name)
{
    struct in6_addr bare = address_bare(name);
    struct addresses own;
    size_t place = 0;

    paths_own(fd, &own);
    for (; place < own.count; place++) {
        struct in6_addr other = address_bare(&own.at[place]);

        if (IN6_ARE_ADDR_EQUAL(&bare, &other))
            return place;
    }
    return SIZE_MAX;
}

void local_keep_name(int fd)
{
    struct fd_info *info = fd_info(fd);
    socklen_t size = sizeof info->own;

    if (info->own.any.sa_family != AF_UNSPEC || libc.getsockname(fd, &info->own.any, &size) < 0)
        return;
    note_name(fd, place_of(fd, (const union address *)&info->own));
}

void local_recall_name(int fd)
{
    struct fd_info *info = fd_info(fd);
    size_t place = note_place(note_get(fd)), size = sizeof info->own;
    union address name;
    struct addresses own;

    if (!place)
        return;
    paths_own(fd, &own);
    if (place > own.count || libc.getsockname(fd, &name.any, &(socklen_t){sizeof name}) < 0)
        return;
    /* IPv6 sockets show IPv4 addresses as IPv4-mapped. */
    if (name.any.sa_family == AF_INET6)
        name.in6.sin6_addr = address_bare(&own.at[place - 1]);
    else
        name.in.sin_addr = own.at[place - 1].in.sin_addr;
    memcpy(&info->own, &name, size);
}

void local_leave(int fd, union address *name)
{
    socklen_t len = sizeof *name;

    if (fd_info(fd)->flags & FDF_BOUND || libc.getsockname(fd, &name->any, &len) < 0)
        name->any.sa_family = AF_UNSPEC;
    else
        make_any(name);
}

void local_left(int fd, const union address *name)
{
    memcpy(&fd_info(fd)->own, name, sizeof fd_info(fd)->own);
}

void local_begin(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (info->own.any.sa_family != AF_UNSPEC) /* else another thread may look at it meanwhile */
        info->own.any.sa_family = AF_UNSPEC;
}

int local_free(int fd)
{
    const struct fd_info *info = fd_info(fd);

    if (fd_kind(fd) != FD_IDLE || info->flags & FDF_BOUND ||
        info->own.any.sa_family == AF_UNSPEC || !own_port(fd))
        return 0;
    return socket_replace(fd);
}

/* What the kernel does not know as the program does; false when it does. */
static bool own_name(int fd, union address *name)
{
    const struct fd_info *info = fd_info(fd);
    enum fd_kind kind = fd_kind(fd);
    socklen_t len = sizeof *name;

    memset(name, 0, sizeof *name);
    if (kind == FD_CONNECTING)
        return false;
    if (info->own.any.sa_family != AF_UNSPEC) {
        memcpy(name, &info->own, sizeof info->own);
        return true;
    }
    return kind != FD_OPEN && stands_for_any(fd) && local_bound(fd, name, &len) == 0;
}

int kernel_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    union address name;
    socklen_t size;

    if (!own_name(fd, &name))
        return libc.getsockname(fd, addr, len);
    if (check_readable(fd, len, sizeof *len) < 0)
        return -1;
    size = *len;
    *len = size < address_len(&name) ? size : address_len(&name);
    if (answer(fd, &name, *len, addr, len) < 0) {
        *len = size;
        return -1;
    }
    *len = address_len(&name);
    return 0;
}
