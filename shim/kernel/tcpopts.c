/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPPROTO_TCP options on an SCTP socket. What a value means, which values are good and what the
 * defaults are is asked of a TCP socket made for the question; what has a counterpart in SCTP is
 * applied; the rest is remembered.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "../options.h"
#include "internal.h"

#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif

enum slot {
#define TCPOPT(name, kind, allowed, apply) SLOT_##name,
#define TCPREFUSE(name, error)
#include "tcpopts.def"
    SLOTS
};

_Static_assert((int)SLOTS <= (int)FD_TCPOPTS, "struct fd_info needs more slots");

enum kind { BOOL, ASK };

typedef void apply_function(int fd, int value);
typedef bool allowed_function(int fd, int value);

/* In which states TCP takes a value; EINVAL in the others. */
static bool always(int fd, int value)
{
    (void)fd;
    (void)value;
    return true;
}

static bool closed(int fd, int value)
{
    (void)value;
    return fd_kind(fd) == FD_IDLE;
}

static bool passive(int fd, int value)
{
    return closed(fd, value) || fd_kind(fd) == FD_LISTENING;
}

static bool nonzero_or_closed(int fd, int value)
{
    return value || closed(fd, value);
}

/* The value in force, as getsockopt shows it: the program's, or TCP's default. */
static int current(int fd, int name);

static void apply_maxseg(int fd, int value)
{
    struct sctp_assoc_value max = {.assoc_value = (uint32_t)value};

    sctp_set(fd, SCTP_MAXSEG, &max, sizeof max);
}

static void apply_syncnt(int fd, int value)
{
    struct sctp_initmsg init = {.sinit_max_attempts = (uint16_t)value};

    sctp_set(fd, SCTP_INITMSG, &init, sizeof init); /* zero fields stay as they are */
}

static void apply_quickack(int fd, int value)
{
    struct sctp_sack_info sack = {
        .sack_delay = value ? 0 : options.sack_delay,
        .sack_freq = value || !options.sack_delay ? 1 : options.sack_freq,
    };

    sctp_set(fd, SCTP_DELAYED_SACK, &sack, sizeof sack);
}

/* How many doublings of the RTO, from RTO_MIN up to RTO_MAX, last for so many milliseconds. */
static uint16_t retransmissions_within(uint32_t ms)
{
    uint64_t rto = options.rto_min ? options.rto_min : 1, total = rto;
    uint16_t count = 0;

    while (total < ms && count < 255) {
        rto = rto * 2 < options.rto_max ? rto * 2 : options.rto_max;
        total += rto;
        count++;
    }
    return count ? count : 1;
}

static void apply_user_timeout(int fd, int value)
{
    struct sctp_assocparams assoc = {
        .sasoc_asocmaxrxt = value ? retransmissions_within((uint32_t)value)
                                  : (uint16_t)options.assoc_max_retrans,
    };

    sctp_set(fd, SCTP_ASSOCINFO, &assoc, sizeof assoc);
}

/*
 * Keep-alive becomes heartbeats, so spaced that a dead peer is noticed when TCP would notice it:
 * TCP waits KEEPIDLE, then KEEPCNT times KEEPINTVL; SCTP waits KEEPCNT + 1 times the interval.
 */
static void apply_keepalive(int fd, int value)
{
    struct sctp_paddrparams path = {.spp_flags = SPP_HB_DISABLE};

    (void)value;
    if (int_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0)) {
        int count = current(fd, TCP_KEEPCNT);
        int64_t seconds = current(fd, TCP_KEEPIDLE) + (int64_t)count * current(fd, TCP_KEEPINTVL);

        path.spp_flags = SPP_HB_ENABLE;
        path.spp_hbinterval = (uint32_t)(seconds * 1000 / (count + 1));
        path.spp_pathmaxrxt = (uint16_t)count;
    }
    sctp_set(fd, SCTP_PEER_ADDR_PARAMS, &path, sizeof path);
}

void tcpopts_keepalive(int fd)
{
    apply_keepalive(fd, 0);
}

static void none(int fd, int value)
{
    (void)fd;
    (void)value;
}

static const struct {
    int name;
    enum kind kind;
    allowed_function *allowed;
    apply_function *apply;
} kept[] = {
#define TCPOPT(name, kind, allowed, apply) {name, kind, allowed, apply},
#define TCPREFUSE(name, error)
#include "tcpopts.def"
};

/* The errno that a refused option gives, 0 for the others. */
static int refusal(int name)
{
    switch (name) {
#define TCPOPT(name, kind, allowed, apply)
#define TCPREFUSE(name, error)                                                                     \
    case name:                                                                                     \
        return error;
#include "tcpopts.def"
    default:
        return 0;
    }
}

static int slot_of(int name)
{
    for (int slot = 0; slot < SLOTS; slot++)
        if (kept[slot].name == name)
            return slot;
    return -1;
}

/* A TCP socket of the same family, to be closed again at once. */
static int oracle(int fd)
{
    int domain = int_option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET);

    return libc.socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static void dismiss(int tcp)
{
    int error = errno;

    libc.close(tcp);
    errno = error;
}

static int ask(int fd, int name, void *value, socklen_t *len)
{
    int tcp = oracle(fd);
    int result;

    if (tcp < 0)
        return -1;
    result = libc.getsockopt(tcp, IPPROTO_TCP, name, value, len);
    dismiss(tcp);
    return result;
}

static int current(int fd, int name)
{
    const struct fd_info *info = fd_info(fd);
    int slot = slot_of(name), value = 0;
    socklen_t len = sizeof value;

    if (slot >= 0 && info->tcpopts_set & 1u << slot)
        return info->tcpopts[slot];
    return ask(fd, name, &value, &len) == 0 ? value : 0;
}

/* Sets it on a TCP socket; *made is what that then reports. */
static int try(int fd, int name, const void *value, socklen_t len, void *made, socklen_t *made_len)
{
    int tcp = oracle(fd);
    int result;

    if (tcp < 0)
        return -1;
    result = libc.setsockopt(tcp, IPPROTO_TCP, name, value, len);
    if (result == 0 && libc.getsockopt(tcp, IPPROTO_TCP, name, made, made_len) < 0)
        *made_len = 0;
    dismiss(tcp);
    return result;
}

static int set_congestion(int fd, const void *value, socklen_t len)
{
    struct fd_info *info = fd_info(fd);
    char name[sizeof info->congestion];
    socklen_t size = sizeof name;

    if (try(fd, TCP_CONGESTION, value, len, name, &size) < 0)
        return -1;
    memcpy(info->congestion, name, size);
    return 0;
}

static int remember(int fd, int slot, const void *value, socklen_t len)
{
    struct fd_info *info = fd_info(fd);
    int made = 0;
    socklen_t size = sizeof made;

    if (kept[slot].kind == BOOL) {
        if (check_readable(fd, value, len) < 0)
            return -1;
        memcpy(&made, value, sizeof made);
        made = made != 0;
    } else if (try(fd, kept[slot].name, value, len, &made, &size) < 0) {
        return -1;
    }
    if (!kept[slot].allowed(fd, made)) {
        errno = EINVAL;
        return -1;
    }
    info->tcpopts[slot] = made;
    info->tcpopts_set |= 1u << slot;
    kept[slot].apply(fd, made);
    return 0;
}

int tcpopts_set(int fd, int name, const void *value, socklen_t len)
{
    char made[64];
    socklen_t made_len = sizeof made;
    int slot = slot_of(name);

    if (refusal(name)) {
        /* What TCP itself refuses, it refuses for its own reason. */
        if (try(fd, name, value, len, made, &made_len) == 0)
            errno = refusal(name);
        return -1;
    }
    if (name == TCP_CONGESTION)
        return set_congestion(fd, value, len);
    if (slot >= 0)
        return remember(fd, slot, value, len);
    return try(fd, name, value, len, made, &made_len);
}

int answer(int fd, const void *from, size_t size, void *value, socklen_t *len)
{
    if ((int)*len < 0) {
        errno = EINVAL;
        return -1;
    }
    if (size < *len)
        *len = (socklen_t)size;
    if (*len && check_writable(fd, value) < 0)
        return -1;
    memcpy(value, from, *len);
    return 0;
}

/* TCP's segment size is the largest piece of a message that travels in one packet. */
static int get_maxseg(int fd, void *value, socklen_t *len)
{
    struct sctp_status status;
    int size = current(fd, TCP_MAXSEG);

    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0)
        size = (int)status.sstat_fragmentation_point;
    return answer(fd, &size, sizeof size, value, len);
}

int tcpopts_get(int fd, int name, void *value, socklen_t *len)
{
    const struct fd_info *info = fd_info(fd);
    int slot = slot_of(name);

    if (refusal(name) && name != TCP_ULP) {
        errno = refusal(name);
        return -1;
    }
    if (name == TCP_INFO)
        return tcpinfo_get(fd, value, len);
    if (name == TCP_MAXSEG)
        return get_maxseg(fd, value, len);
    if (name == TCP_CONGESTION && info->congestion[0])
        return answer(fd, info->congestion, sizeof info->congestion, value, len);
    if (slot >= 0 && info->tcpopts_set & 1u << slot)
        return answer(fd, &info->tcpopts[slot], sizeof(int), value, len);
    return ask(fd, name, value, len);
}
