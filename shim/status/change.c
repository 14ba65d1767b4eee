/* SPDX-License-Identifier: BSD-3-Clause */
/* sctpshim primary and probe: what can be changed about an association from outside. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/sctp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../tool.h"
#include "status.h"

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
    va_list arguments;

    fputs("sctpshim: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\n", stderr);
    return TOOL_BAD;
}

static int borrow(const struct entry *entry, const char *name)
{
    int fd = entry_borrow(entry);

    if (fd >= 0)
        return fd;
    if (errno == ESRCH)
        fail("%s: no process that holds it can be seen from here%s", name,
             geteuid() ? " (run as root)" : "");
    else
        fail("%s: its socket cannot be reached (pidfd_getfd: %s%s)", name, strerrorname_np(errno),
             errno == EPERM ? "; run as root, or see kernel.yama.ptrace_scope" : "");
    return -1;
}

/* ---- Addresses that are not the peer's alone ---- */

static bool is_own(const char *address)
{
    struct ifaddrs *all, *one;
    bool own = false;

    if (getifaddrs(&all) < 0)
        return false;
    for (one = all; one && !own; one = one->ifa_next) {
        const struct sockaddr *at = one->ifa_addr;
        char text[INET6_ADDRSTRLEN] = "";

        if (at && at->sa_family == AF_INET)
            inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, text, sizeof text);
        else if (at && at->sa_family == AF_INET6)
            inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)at)->sin6_addr, text, sizeof text);
        own = strcmp(text, address) == 0;
    }
    freeifaddrs(all);
    return own;
}

/* Is the association's other end in this network namespace too? */
static bool is_inside(const struct snapshot *in, const struct entry *entry)
{
    for (size_t i = 0; i < in->count; i++) {
        const struct entry *other = &in->entries[i];

        if (!other->listening && !other->reason && other->local_port == entry->peer_port &&
            other->peer_port == entry->local_port && entry->local_count &&
            entry_path(other, entry->locals[0].text))
            return true;
    }
    return false;
}

/*
 * A packet to such an address comes back to this very host, which knows no such association and
 * aborts it: both hosts have the address for themselves, as docker's 172.17.0.1.
 */
static bool is_trap(const struct snapshot *in, const struct entry *entry, const char *address)
{
    return is_own(address) && !is_inside(in, entry);
}

/* The path of that address; NULL, and said why, where it must not be used. */
static const struct path *usable_path(const struct snapshot *in, const struct entry *entry,
                                      const char *address)
{
    struct address_text text;
    const struct path *path;

    if (!address_read(address, &text)) {
        fail("%s: not an IP address", address);
        return NULL;
    }
    path = entry_path(entry, text.text);
    if (!path)
        fail("%s: not one of the peer's addresses", address);
    else if (is_trap(in, entry, text.text)) {
        fail("%s: also an address of this host: what is sent there never reaches the peer, and "
             "ends the association", address);
        return NULL;
    }
    return path;
}

/* ---- The commands ---- */

/* Looks anew and shows what the kernel says now. */
static int show_again(uint32_t id, const char *primary)
{
    struct snapshot now;
    int status = TOOL_BAD;

    if (snapshot_take(&now))
        return TOOL_NO_SCTP;
    for (size_t i = 0; i < now.count; i++) {
        const struct path *path;

        if (now.entries[i].listening || now.entries[i].id != id)
            continue;
        text_entry(&now.entries[i]);
        path = primary ? entry_path(&now.entries[i], primary) : NULL;
        status = !primary || (path && path->primary) ? TOOL_OK : TOOL_BAD;
        if (path && path->primary && path->state != SCTP_ACTIVE)
            fprintf(stderr, "sctpshim: %s is %s: other paths are used until it is active\n",
                    primary, path_state(path));
    }
    if (status)
        fail("the association is gone, or the kernel has not done it");
    snapshot_free(&now);
    return status;
}

static int set_primary(const struct snapshot *in, const struct entry *entry, int fd,
                       const char *address)
{
    const struct path *path = usable_path(in, entry, address);
    struct sctp_setprim wanted = {.ssp_assoc_id = (sctp_assoc_t)entry->id};

    if (!path)
        return TOOL_BAD;
    wanted.ssp_addr = address_pack(path->address.text, entry->peer_port);
    if (setsockopt(fd, IPPROTO_SCTP, SCTP_PRIMARY_ADDR, &wanted, sizeof wanted) < 0)
        return fail("%s: cannot be made primary: %s", address, strerror(errno));
    return show_again(entry->id, path->address.text);
}

/* Asks the peer to prefer one of our addresses (RFC 5061); nothing tells whether it will. */
static int ask_peer(const struct entry *entry, int fd, const char *address)
{
    struct sctp_setpeerprim wanted = {
        .sspp_assoc_id = (sctp_assoc_t)entry->id,
        .sspp_addr = address_pack(address, entry->local_port),
    };

    if (wanted.sspp_addr.ss_family == AF_UNSPEC)
        return fail("%s: not an IP address", address);
    if (setsockopt(fd, IPPROTO_SCTP, SCTP_SET_PEER_PRIMARY_ADDR, &wanted, sizeof wanted) == 0) {
        puts("the peer has been asked; its own status shows whether it agreed");
        return TOOL_OK;
    }
    switch (errno) {
    case EPERM:
        return fail("the peer cannot be asked: address changes (RFC 5061) were off at either end "
                    "when the association came up (net.sctp.addip_enable)");
    case EADDRNOTAVAIL:
        return fail("%s: not one of this end's addresses", address);
    default:
        return fail("the peer cannot be asked: %s", strerror(errno));
    }
}

int primary_command(int argc, char **argv)
{
    bool peer = argc == 4 && strcmp(argv[1], "--peer") == 0;
    struct snapshot now;
    struct entry *entry;
    int fd = -1, status;

    if (argc != 3 + peer) {
        fputs("usage: sctpshim primary [--peer] ASSOCIATION ADDRESS\n", stderr);
        return TOOL_USAGE;
    }
    if ((status = snapshot_take(&now)))
        return status;
    entry = entry_find(&now, argv[1 + peer]);
    if (entry)
        fd = borrow(entry, argv[1 + peer]);
    status = fd < 0 ? TOOL_BAD
             : peer ? ask_peer(entry, fd, argv[3])
                    : set_primary(&now, entry, fd, argv[2]);
    if (fd >= 0)
        close(fd);
    snapshot_free(&now);
    return status;
}

static int demand(const struct entry *entry, const struct path *path, int fd)
{
    struct sctp_paddrparams wanted = {
        .spp_assoc_id = (sctp_assoc_t)entry->id,
        .spp_address = address_pack(path->address.text, entry->peer_port),
        .spp_flags = SPP_HB_DEMAND,
    };

    if (setsockopt(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &wanted, sizeof wanted) == 0)
        return TOOL_OK;
    return fail("%s: no heartbeat can be sent: %s", path->address.text, strerror(errno));
}

/* An answer takes an RTO at most; then the kernel knows more than before. */
static void wait_for_answer(int64_t rto)
{
    enum { LONGEST = 5000 };
    int64_t ms = rto < LONGEST ? rto : LONGEST;
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        ;
}

/* A heartbeat on one path, or on all that lead to the peer. */
static int probe(const struct snapshot *in, const struct entry *entry, int fd, const char *address)
{
    int64_t rto = 0;

    for (size_t i = 0; i < entry->path_count; i++) {
        const struct path *path = address ? usable_path(in, entry, address) : &entry->paths[i];

        if (!path)
            return TOOL_BAD;
        if (!address && is_trap(in, entry, path->address.text)) {
            fprintf(stderr, "sctpshim: %s: left out: also an address of this host\n",
                    path->address.text);
            continue;
        }
        if (demand(entry, path, fd))
            return TOOL_BAD;
        rto = path->rto > rto ? path->rto : rto;
        if (address)
            break;
    }
    wait_for_answer(rto);
    return show_again(entry->id, NULL);
}

int probe_command(int argc, char **argv)
{
    struct snapshot now;
    struct entry *entry;
    int fd = -1, status;

    if (argc != 2 && argc != 3) {
        fputs("usage: sctpshim probe ASSOCIATION [ADDRESS]\n", stderr);
        return TOOL_USAGE;
    }
    if ((status = snapshot_take(&now)))
        return status;
    entry = entry_find(&now, argv[1]);
    if (entry)
        fd = borrow(entry, argv[1]);
    status = fd < 0 ? TOOL_BAD : probe(&now, entry, fd, argv[2]);
    if (fd >= 0)
        close(fd);
    snapshot_free(&now);
    return status;
}
