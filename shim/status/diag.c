/* SPDX-License-Identifier: BSD-3-Clause */
/* sock_diag(7): which sockets are the library's, and how the primary path of each does. */
#define _GNU_SOURCE
#include "snapshot.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/sctp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one message says. */
struct report {
    const struct inet_diag_msg *about;
    const struct sctp_info *info; /* NULL when the message has none, or an older one */
    bool association;             /* or the socket itself, which comes first */
};

static int ask(int netlink, int family)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } ask = {
        .header = {.nlmsg_len = sizeof ask,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = (uint8_t)family,
                    .sdiag_protocol = IPPROTO_SCTP,
                    .idiag_ext = 1 << (INET_DIAG_INFO - 1),
                    .idiag_states = ~0u},
    };

    return send(netlink, &ask, sizeof ask, 0) < 0 ? -1 : 0;
}

static struct report parse(const struct nlmsghdr *message)
{
    struct report report = {.about = NLMSG_DATA(message)};
    const struct rtattr *attribute = (const struct rtattr *)(report.about + 1);
    int left = (int)(message->nlmsg_len - NLMSG_LENGTH(sizeof *report.about));

    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type == INET_DIAG_INFO && RTA_PAYLOAD(attribute) >= sizeof *report.info)
            report.info = RTA_DATA(attribute);
        if (attribute->rta_type == INET_DIAG_PEERS)
            report.association = true;
    }
    return report;
}

static void take_primary(struct entry *entry, const struct sctp_info *info)
{
    for (size_t i = 0; i < entry->path_count; i++) {
        struct path *path = &entry->paths[i];

        if (!path->primary)
            continue;
        path->state = info->sctpi_p_state;
        path->cwnd = info->sctpi_p_cwnd;
        path->srtt = ticks_to_ms(info->sctpi_p_srtt);
        path->rto = info->sctpi_p_rto;
    }
}

/* Is the entry, of that socket, the association in question? Some sockets have many. */
static bool is_about(const struct entry *entry, const struct sctp_info *info)
{
    const void *bytes = info->sctpi_p_address.ss_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)&info->sctpi_p_address)
                                  ->sin_addr
                            : &((const struct sockaddr_in6 *)&info->sctpi_p_address)->sin6_addr;
    char text[INET6_ADDRSTRLEN];
    const struct path *path;

    if (!inet_ntop(info->sctpi_p_address.ss_family, bytes, text, sizeof text))
        return false;
    path = entry_path(entry, text);
    return path && path->primary;
}

static void take(struct snapshot *into, const struct report *report)
{
    for (size_t i = 0; i < into->count; i++) {
        struct entry *entry = &into->entries[i];

        if (!report->info || entry->inode != report->about->idiag_inode)
            continue;
        if (!report->association)
            entry_judge(entry, report->info->sctpi_s_adaptation_ind);
        else if (!entry->listening && entry->peer_port == ntohs(report->about->id.idiag_dport) &&
                 is_about(entry, report->info))
            take_primary(entry, report->info);
    }
}

/* Takes the answers; 0, or the errno that the kernel answers with. */
static int take_all(int netlink, struct snapshot *into)
{
    union {
        struct nlmsghdr header;
        char bytes[65536];
    } buffer;

    for (;;) {
        ssize_t got = recv(netlink, &buffer, sizeof buffer, 0);
        int left = (int)got;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? errno : EPROTO;
        for (struct nlmsghdr *at = &buffer.header; NLMSG_OK(at, (unsigned)left);
             at = NLMSG_NEXT(at, left)) {
            struct report report;

            /* A dump that cannot be made is one that ends with an error. */
            if (at->nlmsg_type == NLMSG_DONE)
                return at->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? -*(int *)NLMSG_DATA(at) : 0;
            if (at->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(at))->error;
            report = parse(at);
            take(into, &report);
        }
    }
}

void diag_read(struct snapshot *into)
{
    static const int families[] = {AF_INET, AF_INET6};
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int error = netlink < 0 ? errno : 0;

    for (size_t i = 0; i < 2 && !error; i++)
        error = ask(netlink, families[i]) < 0 ? errno : take_all(netlink, into);
    if (netlink >= 0)
        close(netlink);
    if (error)
        snapshot_miss(into,
                      "whose sockets are the library's, and cwnd and srtt: no sock_diag for SCTP "
                      "(%s; as root: modprobe sctp_diag)",
                      strerrorname_np(error));
}
