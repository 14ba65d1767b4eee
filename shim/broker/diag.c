/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks sock_diag about listening sockets: the truth about those whose programs may be gone. */
#include "diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

static int netlink_socket(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    return fd;
}

static bool ask(const struct question *question)
{
    return netlink_socket() >= 0 &&
           send(netlink_socket(), question, sizeof *question, 0) == sizeof *question;
}

/* One answer to a question about one socket; NULL, with errno, when there is none. */
static const struct inet_diag_msg *take_answer(char *buffer, size_t size)
{
    ssize_t len = recv(netlink_socket(), buffer, size, 0);
    const struct nlmsghdr *head = (const void *)buffer;

    if (len < (ssize_t)sizeof *head)
        return NULL;
    if (head->nlmsg_type == NLMSG_ERROR) {
        errno = -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
        return NULL;
    }
    return NLMSG_DATA(head);
}

/* The socket that a packet from `peer` to `name` would reach; NULL with errno. */
static const struct inet_diag_msg *find(const union address *name, const union address *peer)
{
    static _Alignas(struct nlmsghdr) char buffer[8192];
    struct question question = {
        .head = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = ~0u},
    };

    question.body.id.idiag_sport = name->in.sin_port;
    question.body.id.idiag_src[0] = name->in.sin_addr.s_addr;
    question.body.id.idiag_dport = peer->in.sin_port;
    question.body.id.idiag_dst[0] = peer->in.sin_addr.s_addr;
    question.body.id.idiag_cookie[0] = question.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return ask(&question) ? take_answer(buffer, sizeof buffer) : NULL;
}

uint64_t diag_listener(const union address *name, uid_t uid)
{
    static const union address nobody;
    const struct inet_diag_msg *found = find(name, &nobody);

    if (!found)
        return errno != ENOENT;
    if (found->idiag_state != TCP_LISTEN || found->idiag_uid != uid ||
        found->id.idiag_sport != name->in.sin_port)
        return 0;
    return found->id.idiag_cookie[0] | (uint64_t)found->id.idiag_cookie[1] << 32;
}

int diag_state(const union address *name, const union address *peer)
{
    const struct inet_diag_msg *found = find(name, peer);

    if (!found)
        return errno == ENOENT ? 0 : -1;
    return found->id.idiag_dport == peer->in.sin_port ? found->idiag_state : 0;
}

bool diag_owned(const union address *name, const union address *peer, uid_t uid)
{
    const struct inet_diag_msg *found = find(name, peer);

    return found && found->id.idiag_dport == peer->in.sin_port && found->idiag_uid == uid &&
           (found->idiag_state == TCP_SYN_SENT || found->idiag_state == TCP_SYN_RECV);
}
