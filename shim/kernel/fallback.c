/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * action = prefer-sctp: a connect that SCTP cannot make goes on over TCP, under the same fd.
 *
 * Nobody waits for that decision beside the program: the kernel's own timer gives the attempt up
 * after FALLBACK_TIMEOUT, and its end, of whatever kind, wakes the program's poll as any failed
 * connect does. There, before the program is told, TCP takes the socket (docs/fallback.md).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "../log.h"
#include "../process.h"
#include "../userspace/userspace.h"
#include "address.h"
#include "internal.h"
#include "kernel.h"

/* ---- Reasons ---- */

static uint64_t inode_of(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 ? file.st_ino : 0;
}

/* Its network namespace need not be the process's. In a sandbox files are not to be opened. */
static bool open_ledger(struct ledger *ledger, int fd, bool make)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    ledger->at = NULL;
    if (fd_sealed())
        return false;
    if (libc.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
        cookie = 0;
    return ledger_open(ledger, cookie, make);
}

static void enter(const struct ledger *ledger, int fd, unsigned roles,
                  const struct sockaddr_in6 *end, enum reason reason)
{
    struct ledger_connection connection = {
        .inode = inode_of(fd),
        .pid = (uint32_t)process_id(),
        .reason = (uint8_t)reason,
        .accepted = roles == ROLE_LISTEN,
        .peer = *end,
    };

    ledger_count(ledger, reason);
    ledger_note(ledger, &connection);
}

static void say(int fd, unsigned roles, const struct sockaddr_in6 *end, enum reason reason)
{
    char text[END_TEXT];

    if (roles && reason != REASON_RULE) /* whoever obeys a rule says which */
        log_info("fd %d %s %s: over TCP: %s: %s", fd,
                 roles == ROLE_CONNECT ? "connects to" : reason == REASON_PEER ? "accepted from"
                                                                               : "listens at",
                 end_in_words(end, text), reason_table[reason].word, reason_table[reason].text);
}

void left_to_tcp(int fd, unsigned roles, const struct sockaddr_in6 *end, enum reason reason)
{
    struct ledger ledger;

    say(fd, roles, end, reason);
    if (open_ledger(&ledger, fd, true)) {
        enter(&ledger, fd, roles, end, reason);
        ledger_close(&ledger);
    }
}

void left_unused(int fd, enum reason reason)
{
    static const struct sockaddr_in6 nowhere = {.sin6_family = AF_INET6};

    left_to_tcp(fd, 0, &nowhere, reason);
}

void accepted_over_tcp(int fd)
{
    union address peer;
    socklen_t len = sizeof peer;
    struct sockaddr_in6 end;

    fd_received(fd);
    fd_set_kind(fd, FD_FOREIGN);
    if (libc.getpeername(fd, &peer.any, &len) == 0 && rule_name(&end, &peer.any))
        left_to_tcp(fd, ROLE_LISTEN, &end, REASON_PEER);
}

void left_elsewhere(int fd)
{
    struct ledger_connection connection;
    struct ledger ledger;
    bool noted = false;

    if (!kernel_wanted() || userspace_wanted())
        return;
    if (open_ledger(&ledger, fd, false)) {
        noted = ledger_find(&ledger, inode_of(fd), &connection);
        ledger_close(&ledger);
    }
    if (noted)
        return;
    log_info("fd %d stays with TCP: %s: %s", fd, reason_table[REASON_BORN].word,
             reason_table[REASON_BORN].text);
    left_unused(fd, REASON_BORN);
}

/* ---- Before ---- */

enum reason fallback_decide(int fd, const union address *asked, struct ledger *ledger)
{
    const struct options *o = options_of(fd);
    struct fd_info *info = fd_info(fd);
    enum reason reason = REASON_NONE;
    struct sockaddr_in6 to;
    uint32_t left = 0;

    ledger->at = NULL;
    info->fallback = FALLBACK_NONE;
    if (o->action != ACTION_PREFER || !rule_name(&to, &asked->any))
        return REASON_NONE;
    if (o->fallback_lifetime && open_ledger(ledger, fd, false))
        left = ledger_verdict(ledger, &to, &reason);
    if (left && reason != REASON_NONE)
        return REASON_CACHED;
    if (!left && !o->fallback_timeout)
        return REASON_NOT_KNOWN;
    ledger_close(ledger);
    info->fallback = left ? FALLBACK_KNOWN : FALLBACK_TRIED;
    return REASON_NONE;
}

/*
 * The kernel sends the first packet so often, to each address in turn, with the same time between.
 * A peer that is known for its SCTP gets thrice the time: a few lost packets are no reason.
 */
void fallback_arm(int fd, const union address *asked, size_t addresses)
{
    enum { MANY = 3, SHORTEST = 10 };
    struct fd_info *info = fd_info(fd);
    uint32_t tries = 2 * (uint32_t)addresses;
    uint32_t wait = options_of(fd)->fallback_timeout / tries;
    struct sctp_initmsg init = {0};
    struct sctp_rtoinfo rto = {0};

    memcpy(&info->asked, asked, address_len(asked));
    if (!wait || info->fallback == FALLBACK_NONE)
        return; /* it is known, and nothing is said of how long it may take */
    tries *= info->fallback == FALLBACK_KNOWN ? MANY : 1;
    wait = wait < SHORTEST ? SHORTEST : wait;
    init.sinit_max_attempts = (uint16_t)(tries - 1);
    init.sinit_max_init_timeo = (uint16_t)(wait < UINT16_MAX ? wait : UINT16_MAX);
    rto.srto_initial = wait;
    sctp_set(fd, SCTP_INITMSG, &init, sizeof init);
    sctp_set(fd, SCTP_RTOINFO, &rto, sizeof rto);
}

/* ---- After ---- */

enum reason fallback_reason(int fd, int error)
{
    char text[END_TEXT];
    struct sockaddr_in6 to;
    enum reason reason = reason_of_error(error);
    const struct fd_info *info = fd_info(fd);

    if (info->fallback != FALLBACK_NONE)
        return reason;
    if (reason != REASON_NONE && reason != REASON_LOCAL && rule_name(&to, &info->asked.any))
        log_info("fd %d connects to %s: %s, and action = sctp never takes TCP instead", fd,
                 end_in_words(&to, text), reason_table[reason].word);
    return REASON_NONE;
}

/* How long what was learnt may decide, in seconds. */
static uint32_t lifetime(const struct options *o, enum reason reason)
{
    return o->fallback_lifetime < reason_table[reason].seconds ? o->fallback_lifetime
                                                               : reason_table[reason].seconds;
}

static void learn(const struct ledger *ledger, const struct options *o,
                  const struct sockaddr_in6 *to, enum reason reason)
{
    if (lifetime(o, reason))
        ledger_judge(ledger, to, reason, lifetime(o, reason));
}

void fallback_took_tcp(int fd, const struct options *o, const union address *asked,
                       enum reason reason, struct ledger *ledger)
{
    struct sockaddr_in6 to;
    int saved = errno;

    if (rule_name(&to, &asked->any)) {
        say(fd, ROLE_CONNECT, &to, reason);
        if (ledger->at || open_ledger(ledger, fd, true)) {
            learn(ledger, o, &to, reason);
            enter(ledger, fd, ROLE_CONNECT, &to, reason);
        }
    }
    ledger_close(ledger);
    errno = saved;
}

int fallback_leave(int fd, const union address *asked, enum reason reason, struct ledger *ledger)
{
    const struct options *o = options_of(fd);

    if (socket_become(fd, IPPROTO_TCP) < 0) {
        ledger_close(ledger);
        return -1;
    }
    fallback_took_tcp(fd, o, asked, reason, ledger);
    return 0;
}

bool fallback_claim(int fd)
{
    struct fd_info *info = fd_info(fd);
    uint8_t seen = info->fallback;

    return seen == FALLBACK_NONE || !(info->flags & FDF_CONNECT_DUE) ||
           (seen != FALLBACK_TAKEN &&
            atomic_compare_exchange_strong(&info->fallback, &seen, FALLBACK_TAKEN));
}

static union address asked_of(int fd)
{
    union address asked = {.any = {.sa_family = AF_UNSPEC}};

    memcpy(&asked, &fd_info(fd)->asked, sizeof fd_info(fd)->asked);
    return asked;
}

bool fallback_go_on(int fd, int error)
{
    const struct options *o = options_of(fd);
    union address asked = asked_of(fd);
    struct ledger ledger = {.at = NULL};
    enum reason reason;

    if (!(fd_info(fd)->flags & FDF_CONNECT_DUE))
        return false; /* whoever waits for it decides */
    reason = fallback_reason(fd, error);
    if (reason != REASON_NONE && socket_become_connecting(fd, &asked) == 0) {
        fallback_took_tcp(fd, o, &asked, reason, &ledger);
        return true;
    }
    fd_info(fd)->fallback = FALLBACK_NONE;
    return false;
}

void fallback_up(int fd)
{
    struct fd_info *info = fd_info(fd);
    union address asked = asked_of(fd);
    struct sockaddr_in6 to;
    struct ledger ledger;

    if (info->fallback == FALLBACK_TRIED && rule_name(&to, &asked.any) &&
        open_ledger(&ledger, fd, true)) {
        learn(&ledger, options_of(fd), &to, REASON_NONE);
        ledger_close(&ledger);
    }
    info->fallback = FALLBACK_NONE;
}
