/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets under prefer-sctp that are bound. They keep the address that the program has said, so that
 * TCP's clients find the listener, and the broker calls it there too: whose connection one is, its
 * other end tells, which is the broker's or is not.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../kernel/internal.h"
#include "../libc.h"
#include "internal.h"

bool both_callable(int fd, const union address *name)
{
    union address plain = *name;

    address_unmap(&plain);
    return plain.any.sa_family == AF_INET ||
           (address_is_any(&plain) && !int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
}

static bool is_unconnected(int fd)
{
    int state = leg_tcp_state(fd);

    return state == TCP_LISTEN || state == TCP_CLOSE;
}

bool both_may_be(int fd, const union address *name)
{
    struct rule_use use = {.roles = ROLE_LISTEN};
    unsigned rule = rule_birth.rule;

    if (!is_unconnected(fd))
        return false;
    if (rule_birth.open && rule_name(&use.local, &name->any))
        rule = rules_find(&use);
    return rule_options[rule]->action == ACTION_PREFER;
}

void both_leg(const union address *name, uint32_t unbound, union address *leg)
{
    *leg = *name;
    address_unmap(leg);
    if (!address_is_any(leg))
        return;
    memset(leg, 0, sizeof *leg);
    leg->in.sin_family = AF_INET;
    leg->in.sin_port = address_port(name);
    leg->in.sin_addr.s_addr = htonl(unbound);
}

void both_left_to_tcp(int fd, const union address *name, int error)
{
    enum reason reason = !both_callable(fd, name) ? REASON_IPV6_ONLY
                         : error == EADDRINUSE    ? REASON_PORT_TAKEN
                                                  : REASON_LOCAL;
    struct sockaddr_in6 end;

    fd_set_kind(fd, FD_FOREIGN);
    if (rule_name(&end, &name->any))
        left_to_tcp(fd, ROLE_LISTEN, &end, reason);
}
