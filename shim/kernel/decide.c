/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the rules say of a socket when its use is known. Until then it is SCTP, as long as that is
 * one of the things that it may become; what it shall not be it is replaced by.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../log.h"
#include "address.h"
#include "internal.h"

const char *end_in_words(const struct sockaddr_in6 *end, char *text)
{
    char address[INET6_ADDRSTRLEN];
    bool four = IN6_IS_ADDR_V4MAPPED(&end->sin6_addr);

    if (four)
        inet_ntop(AF_INET, &end->sin6_addr.s6_addr[12], address, sizeof address);
    else
        inet_ntop(AF_INET6, &end->sin6_addr, address, sizeof address);
    snprintf(text, END_TEXT, four ? "%s:%u" : "[%s]:%u", address, ntohs(end->sin6_port));
    return text;
}

static void log_decision(unsigned level, int fd, const struct rule_use *use, unsigned rule)
{
    static const char *const words[] = {"sctp", "tcp", "prefer-sctp"};
    bool connects = use->roles == ROLE_CONNECT;
    char text[END_TEXT];

    log_at(level, "fd %d %s %s: rule %s: %s", fd, connects ? "connects to" : "listens at",
           end_in_words(connects ? &use->remote : &use->local, text), rule_called(rule),
           words[rule_options[rule]->action]);
}

static uint16_t port_of(const union address *at)
{
    return at->in.sin_port; /* where IPv6 has it too */
}

/* Was it bound as the one options want, and is to be as the others do? */
static bool moves(int fd, const struct options *from, const struct options *to)
{
    return fd_info(fd)->flags & FDF_BOUND && strcmp(from->local_addrs, to->local_addrs) != 0;
}

/*
 * The options of another rule from now on, below what the program has set itself. -1 with errno
 * when the addresses that it wants cannot be bound.
 */
static int take_rule(int fd, unsigned rule)
{
    struct fd_info *info = fd_info(fd);
    const struct options *before = options_of(fd), *now;
    union address name;

    if (info->rule == rule)
        return 0;
    info->rule = (uint8_t)rule;
    if (params_due(fd))
        return 0;
    now = options_of(fd);
    if (moves(fd, before, now) || params_stick(before, now)) {
        if (socket_replace(fd) == 0)
            return 0;
        if (info->flags & FDF_BOUND && local_bound(fd, &name, &(socklen_t){sizeof name}) == 0 &&
            !port_of(&name))
            return -1;
    }
    params_apply(fd, now);
    buffers_repeat(fd);
    tcpopts_repeat(fd);
    return 0;
}

static int obey(int fd, const struct rule_use *use)
{
    unsigned rule = rules_find(use);

    if (rule_options[rule]->action != ACTION_TCP) {
        log_decision(use->roles == ROLE_LISTEN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, fd, use, rule);
        if (fd_is_undecided(fd)) {
            fd_info(fd)->rule = (uint8_t)rule; /* all that it has of it yet */
            return 0;
        }
        if (take_rule(fd, rule) < 0)
            return -1;
        params_settle(fd);
        note_rule(fd, use->roles, rule);
        return 0;
    }
    log_decision(LOG_LEVEL_INFO, fd, use, rule);
    if (socket_become(fd, IPPROTO_TCP) == 0) {
        left_to_tcp(fd, use->roles, use->roles == ROLE_CONNECT ? &use->remote : &use->local,
                    REASON_RULE);
        return 1;
    }
    log_warn("rule %s: cannot make fd %d a TCP socket: %s", rule_called(rule), fd,
             strerrorname_np(errno));
    return -1;
}

/* The socket's own end, or that of the other. */
static bool take_name(int fd, struct sockaddr_in6 *end,
                      int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage is;
    socklen_t len = sizeof is;

    return name(fd, (struct sockaddr *)&is, &len) == 0 && rule_name(end, (struct sockaddr *)&is);
}

/* Not by getsockname(), the hook: that asks what the fd is, which is being found out. */
static int bound_name(int fd, struct sockaddr *name, socklen_t *len)
{
    return local_bound(fd, (union address *)name, len);
}

int decide_connect(int fd, const struct sockaddr *to)
{
    struct rule_use use = {.roles = ROLE_CONNECT};

    return rule_birth.open && rule_name(&use.remote, to) ? obey(fd, &use) : 0;
}

int decide_listen(int fd)
{
    struct rule_use use = {.roles = ROLE_LISTEN};

    if (!rule_birth.open || fd_kind(fd) != FD_IDLE || !take_name(fd, &use.local, bound_name))
        return 0;
    return obey(fd, &use);
}

/*
 * Whether a connection was accepted or not is noted where the rules were asked; else it is the
 * first rule that fits either. The parameters it has already; this is for what the library does
 * itself.
 */
void decide_recalled(int fd)
{
    struct rule_use use = {0};
    int (*own_name)(int, struct sockaddr *, socklen_t *) = libc.getsockname;

    fd_info(fd)->rule = rule_birth.rule;
    if (!rule_birth.open)
        return;
    if (take_name(fd, &use.remote, libc.getpeername)) {
        use.roles = note_roles(note_get(fd));
        use.roles = use.roles ? use.roles : ROLE_CONNECT | ROLE_LISTEN;
    } else if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0)) {
        use.roles = ROLE_LISTEN;
        own_name = bound_name;
    }
    if (use.roles && take_name(fd, &use.local, own_name))
        fd_info(fd)->rule = (uint8_t)rules_find(&use);
}

/* What bind() makes of the address on a TCP socket with these options; the port that it found. */
static int bind_tcp(int fd, union address *at, socklen_t len)
{
    int tcp = socket_like(fd, IPPROTO_TCP), result;

    if (tcp < 0)
        return 0; /* nothing is known then */
    result = libc.bind(tcp, &at->any, len);
    if (result == 0)
        libc.getsockname(tcp, &at->any, &len);
    socket_dismiss(tcp);
    return result;
}

static int bind_as_tcp(int fd, const union address *at, socklen_t len, unsigned action)
{
    struct sockaddr_in6 end;

    if (socket_become(fd, IPPROTO_TCP) < 0 || libc.bind(fd, &at->any, len) < 0)
        return -1;
    if (rule_name(&end, &at->any))
        left_to_tcp(fd, ROLE_LISTEN, &end,
                    action == ACTION_TCP ? REASON_RULE : REASON_PORT_TAKEN);
    return 0;
}

/*
 * A port that is free in both protocols, since the use will decide between them. Where only TCP has
 * it, and that is what a listener there is to be, there is nothing left to decide. One that may be
 * TCP's is, if another listener has SCTP's port; old associations keep it from being bound, as old
 * connections of TCP's do.
 */
static int bind_both(int fd, const union address *wanted, socklen_t len, unsigned action)
{
    enum { TRIES = 16 };

    for (int tries = 1;; tries++) {
        union address at = *wanted;
        int result;

        if (bind_tcp(fd, &at, len) < 0)
            return -1;
        result = local_bind(fd, &at, len);
        if (result == 0 || errno != EADDRINUSE)
            return result;
        if (port_of(wanted) && (action == ACTION_TCP || (action == ACTION_PREFER &&
                                                         endpoints_listen(ntohs(port_of(wanted))))))
            return bind_as_tcp(fd, wanted, len, action);
        if (port_of(wanted) || tries == TRIES)
            return -1;
    }
}

int decide_bind(int fd, const union address *at, socklen_t len)
{
    struct rule_use use = {.roles = ROLE_LISTEN};
    unsigned rule;

    bool both = rule_birth.may_be[ACTION_PREFER] ||
                (rule_birth.open && rule_birth.may_be[ACTION_TCP]);

    if ((!rule_birth.open && !both) || !rule_name(&use.local, &at->any))
        return local_bind(fd, at, len);
    rule = rules_find(&use);
    /* Who asks for a port is going to listen, most of the time. */
    if (port_of(at) && rule_options[rule]->action != ACTION_TCP && take_rule(fd, rule) < 0)
        return -1;
    return both ? bind_both(fd, at, len, rule_options[rule]->action) : local_bind(fd, at, len);
}
