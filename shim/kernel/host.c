/* SPDX-License-Identifier: BSD-3-Clause */
/* The addresses that this host's interfaces have, and those of them that a list means. */
#include "host.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../addrs.h"
#include "../libc.h"
#include "../log.h"

/* What the kernel says at a time fits into 8 KB (rtnetlink's own buffers have a page). */
struct answer {
    struct host host;
    char part[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static void take_address(struct host *host, const struct ifaddrmsg *about,
                         const struct rtattr *attribute, size_t length)
{
    const struct rtattr *address = NULL;
    struct host_address *entry = &host->at[host->count];

    for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
        /* IFA_ADDRESS is the other end's on point-to-point links. */
        if (attribute->rta_type == IFA_LOCAL ||
            (attribute->rta_type == IFA_ADDRESS && !address))
            address = attribute;
    if (!address || about->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) ||
        (about->ifa_family != AF_INET && about->ifa_family != AF_INET6))
        return;
    if (host->count == HOST_MAX) {
        log_warn_once("this host has more than %d addresses: the others are not used", HOST_MAX);
        return;
    }
    *entry = (struct host_address){.interface = about->ifa_index, .rank = RANK_NONE};
    if (about->ifa_family == AF_INET) {
        entry->address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
        memcpy(&entry->address.s6_addr[12], RTA_DATA(address), sizeof(struct in_addr));
    } else {
        memcpy(&entry->address, RTA_DATA(address), sizeof entry->address);
    }
    if (!IN6_IS_ADDR_LINKLOCAL(&entry->address))
        host->count++;
}

/* One datagram of the answer; false when it was the last. */
static bool take_part(struct host *host, const char *data, size_t length)
{
    const struct nlmsghdr *message = (const void *)data;

    for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
        const struct ifaddrmsg *about = NLMSG_DATA(message);

        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
            return false;
        if (message->nlmsg_type == RTM_NEWADDR)
            take_address(host, about, IFA_RTA(about), IFA_PAYLOAD(message));
    }
    return true;
}

static void ask(struct answer *answer, int netlink)
{
    const struct {
        struct nlmsghdr header;
        struct ifaddrmsg about;
    } request = {
        .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETADDR,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .about = {.ifa_family = AF_UNSPEC},
    };
    char *part = answer->part;
    long got = raw_syscall(SYS_sendto, netlink, (long)&request, sizeof request, 0, 0, 0);

    while (got > 0) {
        do
            got = raw_syscall(SYS_recvfrom, netlink, (long)part, sizeof answer->part, 0, 0,
                              0);
        while (got < 0 && errno == EINTR);
        if (got <= 0 || !take_part(&answer->host, part, (size_t)got))
            return;
    }
}

/* Neither the heap, which may be the program's own, nor a thread's small stack. */
struct host *host_empty(void)
{
    struct answer *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return answer == MAP_FAILED ? NULL : &answer->host;
}

void host_close(struct host *host)
{
    if (host)
        munmap(host, sizeof(struct answer));
}

struct host *host_open(void)
{
    int saved = errno, netlink;
    struct host *host = host_empty();

    if (!host)
        return NULL;
    netlink = (int)raw_syscall(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE, 0, 0,
                               0);
    if (netlink >= 0) {
        ask((struct answer *)host, netlink);
        raw_syscall(SYS_close, netlink, 0, 0, 0, 0, 0);
    } else {
        log_warn_once("cannot ask for this host's addresses: %s", strerrorname_np(errno));
    }
    errno = saved;
    return host;
}

const struct host_address *host_find(const struct host *host, const struct in6_addr *address)
{
    for (size_t i = 0; i < host->count; i++)
        if (IN6_ARE_ADDR_EQUAL(&host->at[i].address, address))
            return &host->at[i];
    return NULL;
}

/* 0 for a name that no interface has. */
static unsigned interface_index(int fd, const char *name)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, name, sizeof request.ifr_name);
    return raw_syscall(SYS_ioctl, fd, SIOCGIFINDEX, (long)&request, 0, 0, 0) == 0 ? (unsigned)request.ifr_ifindex : 0;
}

static bool is_loopback(const struct in6_addr *address)
{
    return IN6_IS_ADDR_LOOPBACK(address) ||
           (addrs_is_v4(address) && address->s6_addr[12] == IN_LOOPBACKNET);
}

/* Whether the entry, the list's number-th, means any. */
static bool rank_entry(struct host *host, int fd, const struct addrs_entry *entry, int number)
{
    unsigned interface = entry->interface[0] ? interface_index(fd, entry->interface) : 0;
    bool any = false;

    for (size_t i = 0; i < host->count; i++) {
        struct host_address *at = &host->at[i];

        if (entry->interface[0] ? !interface || at->interface != interface
                                : !addrs_match(entry, &at->address) ||
                                      (entry->all && is_loopback(&at->address)))
            continue;
        any = true;
        if (entry->except)
            at->rank = RANK_EXCEPTED;
        else if (at->rank == RANK_NONE)
            at->rank = number;
    }
    return any;
}

void host_rank(struct host *host, int fd, const char *name, const char *list, bool complain)
{
    static const struct addrs_entry all = {.all = true};
    struct addrs_entry entry;
    const char *next = list;
    int number = 0, saved = errno;
    bool exceptions_only = true;

    for (size_t i = 0; i < host->count; i++)
        host->at[i].rank = RANK_NONE;
    for (const char *at = next; addrs_next(&next, &entry); at = next, number++) {
        exceptions_only &= entry.except;
        if (!rank_entry(host, fd, &entry, number) && complain && !entry.except) {
            at += strspn(at, ", \t");
            log_warn_once("%s: this host has no address that is meant by %.*s: left out", name,
                          (int)(next - at), at);
        }
    }
    if (exceptions_only)
        rank_entry(host, fd, &all, 0);
    errno = saved;
}
