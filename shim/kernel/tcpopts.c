/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPPROTO_TCP options on an SCTP socket. What a value means, which values are good and what the
 * defaults are is asked of a TCP socket made for the question; what has a counterpart in SCTP is
 * applied; the rest is remembered.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "internal.h"

/* Of kernels newer than the headers. */
enum {
#ifndef TCP_TX_DELAY
    TCP_TX_DELAY = 37,
#endif
#ifndef TCP_AO_ADD_KEY
    TCP_AO_ADD_KEY = 38,
    TCP_AO_DEL_KEY,
    TCP_AO_INFO,
    TCP_AO_GET_KEYS,
    TCP_AO_REPAIR,
#endif
#ifndef TCP_RTO_MAX_MS
    TCP_RTO_MAX_MS = 44,
    TCP_RTO_MIN_US,
    TCP_DELACK_MAX_US,
#endif
};

enum slot {
#define TCPOPT(name, kind, allowed, apply) SLOT_##name,
#define TCPREFUSE(name, error, get)
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
    const struct options *o = options_of(fd);
    struct sctp_sack_info sack = {
        .sack_delay = value ? 0 : o->sack_delay,
        .sack_freq = value || !o->sack_delay ? 1 : o->sack_freq,
    };

    sctp_set(fd, SCTP_DELAYED_SACK, &sack, sizeof sack);
}

static void apply_liveness(int fd, int value)
{
    (void)value;
    liveness_apply(fd);
}

static void apply_cork(int fd, int value)
{
    cork_set(fd, value);
}

/* Setting it sends what is held, corked or not. */
static void apply_nodelay(int fd, int value)
{
    if (!options_of(fd)->nodelay)
        sctp_set(fd, SCTP_NODELAY, &value, sizeof value);
    if (value)
        cork_push(fd);
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
#define TCPREFUSE(name, error, get)
#include "tcpopts.def"
};

static const struct {
    int name, error, get;
} refused[] = {
#define TCPOPT(name, kind, allowed, apply)
#define TCPREFUSE(name, error, get) {name, error, get},
#include "tcpopts.def"
};

/* The errno that setting a refused option gives, 0 for the others. */
static int refusal(int name)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i].name == name)
            return refused[i].error;
    return 0;
}

/* The errno that reading a refused option gives where TCP would answer; 0: TCP may. */
static int get_refusal(int name)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i].name == name)
            return refused[i].get;
    return 0;
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
    int domain = fd_family(fd);

    return libc.socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

int tcp_answer(int fd, int level, int name, void *value, socklen_t *len)
{
    int tcp = oracle(fd);
    int result;

    if (tcp < 0)
        return -1;
    result = libc.getsockopt(tcp, level, name, value, len);
    socket_dismiss(tcp);
    return result;
}

static int ask(int fd, int name, void *value, socklen_t *len)
{
    return tcp_answer(fd, IPPROTO_TCP, name, value, len);
}

int tcpopts_info_size(int fd)
{
    static atomic_int known;
    char info[1024];
    socklen_t len = sizeof info;
    int size = atomic_load_explicit(&known, memory_order_relaxed);

    if (!size && ask(fd, TCP_INFO, info, &len) == 0) {
        size = (int)len;
        atomic_store_explicit(&known, size, memory_order_relaxed);
    }
    return size;
}

void tcpopts_values(int fd, const int *names, int *values, size_t count)
{
    const struct fd_info *info = fd_info(fd);
    int tcp = -1;

    for (size_t i = 0; i < count; i++) {
        int slot = slot_of(names[i]);

        if (slot >= 0 && info->tcpopts_set & 1u << slot) {
            values[i] = info->tcpopts[slot];
            continue;
        }
        if (tcp < 0)
            tcp = oracle(fd);
        values[i] = int_option(tcp, IPPROTO_TCP, names[i], 0);
    }
    if (tcp >= 0)
        socket_dismiss(tcp);
}

static int current(int fd, int name)
{
    int value;

    tcpopts_values(fd, &name, &value, 1);
    return value;
}

int tcpopts_remembered(int fd, int name, int otherwise)
{
    const struct fd_info *info = fd_info(fd);
    int slot = slot_of(name);

    return slot >= 0 && info->tcpopts_set & 1u << slot ? info->tcpopts[slot] : otherwise;
}

bool tcpopts_nodelay(int fd)
{
    return tcpopts_remembered(fd, TCP_NODELAY, 0);
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
    socket_dismiss(tcp);
    return result;
}

/* A connect without its address is SCTP's business from the start. */
bool tcpopts_can_wait(int name)
{
    return (slot_of(name) >= 0 && name != TCP_FASTOPEN_CONNECT) || name == TCP_CONGESTION;
}

void tcpopts_note(int fd, int name)
{
    struct fd_info *info = fd_info(fd);
    socklen_t size = sizeof info->congestion;
    int slot = slot_of(name);

    if (name == TCP_CONGESTION)
        libc.getsockopt(fd, IPPROTO_TCP, name, info->congestion, &size);
    if (slot < 0)
        return;
    info->tcpopts[slot] = int_option(fd, IPPROTO_TCP, name, 0);
    info->tcpopts_set |= 1u << slot;
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
        /* What TCP itself refuses, it refuses for its own reason, of which one is the state. */
        if (try(fd, name, value, len, made, &made_len) == 0 ||
            (name == TCP_QUEUE_SEQ && errno == EINVAL && len >= sizeof(int) && !closed(fd, 0)))
            errno = refusal(name);
        return -1;
    }
    if (name == TCP_CONGESTION)
        return set_congestion(fd, value, len);
    if (slot >= 0)
        return remember(fd, slot, value, len);
    return try(fd, name, value, len, made, &made_len);
}

void tcpopts_repeat(int fd)
{
    const struct fd_info *info = fd_info(fd);

    for (int slot = 0; slot < SLOTS; slot++)
        if (info->tcpopts_set & 1u << slot)
            kept[slot].apply(fd, info->tcpopts[slot]);
    if (int_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0))
        liveness_apply(fd);
}

void tcpopts_give(int fd, int tcp)
{
    const struct fd_info *info = fd_info(fd);

    for (int slot = 0; slot < SLOTS; slot++)
        if (info->tcpopts_set & 1u << slot)
            set_int_option(tcp, IPPROTO_TCP, kept[slot].name, info->tcpopts[slot]);
    if (info->congestion[0])
        libc.setsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, info->congestion,
                        (socklen_t)strnlen(info->congestion, sizeof info->congestion));
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

    if (refusal(name)) {
        int result = ask(fd, name, value, len);

        if (result == 0 && get_refusal(name)) {
            errno = get_refusal(name);
            return -1;
        }
        return result;
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
