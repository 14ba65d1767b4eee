/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prefer-sctp for connects through the broker: what SCTP cannot make goes on over TCP. Nothing
 * watches legs in the program's poll, so a connect that the program does not wait for waits here,
 * for the broker's answer, FALLBACK_TIMEOUT at most.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../kernel/internal.h"
#include "../libc.h"
#include "../log.h"
#include "internal.h"

/* What a leg has of its own and socket_become() does not look for in a TCP socket. */
static const struct {
    int level, name;
} native[] = {
    {SOL_SOCKET, SO_SNDBUF},       {SOL_SOCKET, SO_RCVBUF},        {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_MAXSEG},     {IPPROTO_TCP, TCP_CORK},        {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},  {IPPROTO_TCP, TCP_KEEPCNT},     {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_LINGER2},    {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_USER_TIMEOUT}, {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
};

enum { NATIVE = sizeof native / sizeof native[0] };

static void read_native(int fd, int *values)
{
    for (size_t i = 0; i < NATIVE; i++) {
        values[i] = int_option(fd, native[i].level, native[i].name, -1);
        if (native[i].level == SOL_SOCKET)
            values[i] /= 2; /* the kernel reports buffers doubled */
    }
}

/* Those that the program has changed, by what a fresh one has. */
static void write_native(int fd, const int *values)
{
    int fresh[NATIVE];

    read_native(fd, fresh);
    for (size_t i = 0; i < NATIVE; i++)
        if (values[i] != fresh[i])
            set_int_option(fd, native[i].level, native[i].name, values[i]);
}

/* One that has its own address already, and only has to forget where it was going. */
static int stay(int fd, const union address *to, enum reason reason, struct ledger *ledger)
{
    static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    libc.connect(fd, &nowhere, sizeof nowhere);
    congestion_of_tcp(fd);
    fallback_took_tcp(fd, options_of(fd), to, reason, ledger);
    fd_set_kind(fd, FD_FOREIGN);
    return 0;
}

/* Its numbers, flags and registrations stay; a leg's options and epolls are the kernel's to tell. */
static int leave(int fd, const union address *to, enum reason reason, struct ledger *ledger)
{
    struct congestion congestion;
    int values[NATIVE];

    congestion_save(fd, &congestion);
    read_native(fd, values);
    fd_info(fd)->flags &= (uint16_t)~FDF_OWN;
    if (fallback_leave(fd, to, reason, ledger) < 0)
        return -1;
    write_native(fd, values);
    congestion_restore(fd, &congestion);
    return 0;
}

void fallback_shorten(int fd, struct parameters *parameters)
{
    uint32_t wait = options_of(fd)->fallback_timeout / 2;

    if (fd_info(fd)->fallback == FALLBACK_NONE || !wait)
        return;
    parameters->init_attempts = 1;
    parameters->init_timeout = parameters->rto_initial = wait < 10 ? 10 : wait;
    if (parameters->rto_min > wait)
        parameters->rto_min = parameters->rto_initial;
    if (parameters->rto_max < parameters->rto_initial)
        parameters->rto_max = parameters->rto_initial;
}

/* The end of a connect that has begun, as an errno; EINPROGRESS when there is none yet. */
static int end_of(int fd)
{
    enum { SLACK = 200 }; /* the broker's timers are coarse */
    uint32_t patience = options_of(fd)->fallback_timeout + SLACK;
    int error;

    if (wait_for(fd, POLLOUT, now_ms() + patience) <= 0)
        return ETIMEDOUT;
    error = int_option(fd, SOL_SOCKET, SO_ERROR, 0);
    return error ? connect_error(fd, error) : EINPROGRESS;
}

/* What keeps the connect from being SCTP's; REASON_NONE, with connect()'s result, when nothing does. */
static enum reason try_leg(int fd, const union address *to, int *result)
{
    enum reason reason;

    *result = leg_start(fd, to);
    if (*result < 0 && errno == EINPROGRESS && is_nonblocking(fd))
        errno = end_of(fd);
    if (*result == 0 || errno == EINPROGRESS) {
        memcpy(&fd_info(fd)->asked, to, sizeof fd_info(fd)->asked);
        if (*result == 0 || is_nonblocking(fd)) /* else SO_SNDTIMEO has run out */
            fallback_up(fd);
        return REASON_NONE;
    }
    reason = reason_of_error(errno);
    return errno == ENETDOWN ? REASON_LOCAL : reason; /* no broker */
}

int leg_connect(int fd, const union address *to, socklen_t len)
{
    union address own;
    struct ledger ledger;
    bool bound = leg_name(fd, &own) && address_port(&own);
    enum reason reason;
    int result = -1;

    /* Who has bound a leg has chosen SCTP's port, not TCP's. */
    if (options_of(fd)->action != ACTION_PREFER || (bound && address_is_leg(&own)))
        return leg_start(fd, to);
    reason = fallback_decide(fd, to, &ledger);
    if (reason == REASON_NONE && bound && !both_callable(fd, &own))
        reason = REASON_IPV6_ONLY;
    if (reason == REASON_NONE)
        reason = try_leg(fd, to, &result);
    if (reason == REASON_NONE || (bound ? stay : leave)(fd, to, reason, &ledger) < 0)
        return result;
    return libc.connect(fd, &to->any, len);
}
