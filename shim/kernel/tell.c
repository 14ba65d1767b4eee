/* SPDX-License-Identifier: BSD-3-Clause */
/* LOG=info: associations that come up, paths that change, ends; failovers are counted. */
#include "tell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../process.h"
#include "address.h"
#include "internal.h"

enum { MOST_PATHS = 16, LOOK_EVERY_MS = 100, SOCKETS_A_LOOK = 16, LINES_A_SECOND = 200 };

/* ---- Not too many lines ---- */

/* When a network fails, thousands of connections have something to say. */
static bool may_speak(void)
{
    static _Atomic uint32_t second, said, unsaid;
    uint32_t now = (uint32_t)(now_ms() / 1000) + 1;

    if (atomic_exchange(&second, now) != now) {
        uint32_t missing = atomic_exchange(&unsaid, 0);

        atomic_store(&said, 0);
        if (missing)
            log_info("%u lines about connections left out", missing);
    }
    if (atomic_fetch_add(&said, 1) < LINES_A_SECOND)
        return true;
    atomic_fetch_add(&unsaid, 1);
    return false;
}

/* ---- Names ---- */

struct text {
    char text[INET6_ADDRSTRLEN + 9];
};

static struct text address_text(const union address *address, bool port)
{
    struct text into = {"?"};
    bool six = address->any.sa_family == AF_INET6;
    char *end = into.text;

    if (port && six)
        *end++ = '[';
    if (!inet_ntop(address->any.sa_family,
                   six ? (const void *)&address->in6.sin6_addr : &address->in.sin_addr, end,
                   INET6_ADDRSTRLEN))
        return (struct text){"?"};
    end += strlen(end);
    if (port)
        snprintf(end, sizeof into.text - (size_t)(end - into.text), six ? "]:%u" : ":%u",
                 ntohs(address->in.sin_port)); /* at the same place in both */
    return into;
}

/* "10.1.0.1:40000 to 10.1.0.2:80": where the association began, for as long as anyone knows. */
struct name {
    struct text local, peer;
};

static struct name name_of(int fd)
{
    union address local = {.any.sa_family = AF_UNSPEC}, peer = local;
    const struct fd_info *info = fd_info(fd);
    socklen_t len = sizeof local;

    (void)getsockname(fd, &local.any, &len);
    len = sizeof peer;
    if (libc.getpeername(fd, &peer.any, &len) < 0)
        memcpy(&peer, &info->peer, sizeof info->peer);
    return (struct name){address_text(&local, true), address_text(&peer, true)};
}

#define say(fd, format, ...)                                                                       \
    do {                                                                                           \
        if (may_speak()) {                                                                         \
            struct name say_name = name_of(fd);                                                    \
            log_info("fd %d, %s to %s: " format, fd, say_name.local.text, say_name.peer.text,      \
                     __VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

/* ---- Looking ---- */

struct paths {
    struct sctp_status status;
    struct addresses peer;
    unsigned state[MOST_PATHS]; /* enum sctp_spinfo_state: two bits */
    size_t primary;
};

/* One side's addresses; none when there are more than a look has room for. */
static void none_of_many(struct addresses *list)
{
    if (list->count > MOST_PATHS)
        list->count = 0;
}

static bool is_primary(const union address *path, const struct sctp_status *status)
{
    union address primary;
    struct in6_addr bare = address_bare(path), other;

    memcpy(&primary, &status->sstat_primary.spinfo_address, sizeof primary);
    other = address_bare(&primary);
    return IN6_ARE_ADDR_EQUAL(&bare, &other);
}

static bool look(int fd, struct paths *into)
{
    struct sctp_status *status = &into->status;

    memset(status, 0, sizeof *status);
    if (sctp_get(fd, SCTP_STATUS, status, sizeof *status) < 0)
        return false;
    paths_peer(fd, &into->peer);
    none_of_many(&into->peer);
    into->primary = 0;
    for (size_t i = 0; i < into->peer.count; i++) {
        struct sctp_paddrinfo path = {0};

        memcpy((char *)&path + offsetof(struct sctp_paddrinfo, spinfo_address), &into->peer.at[i],
               sizeof into->peer.at[i]);
        if (sctp_get(fd, SCTP_GET_PEER_ADDR_INFO, &path, sizeof path) < 0)
            return false;
        into->state[i] = (unsigned)path.spinfo_state & 3;
        if (is_primary(&into->peer.at[i], status))
            into->primary = i;
    }
    return into->peer.count > 0;
}

/*
 * What was seen last, in fd_info.paths: two bits of state for each path, their number, the primary
 * one, and that the association has been told of. 0: it has not, or its end has been.
 */
enum { COUNT_AT = 32, PRIMARY_AT = 40 };
#define TOLD (UINT64_C(1) << 63)

static uint64_t pack(const struct paths *paths)
{
    uint64_t packed = TOLD | (uint64_t)paths->peer.count << COUNT_AT |
                      (uint64_t)paths->primary << PRIMARY_AT;

    for (unsigned i = 0; i < paths->peer.count; i++)
        packed |= (uint64_t)paths->state[i] << 2 * i;
    return packed;
}

static unsigned count_of(uint64_t packed)
{
    return packed >> COUNT_AT & 0xff;
}

static unsigned primary_of(uint64_t packed)
{
    return packed >> PRIMARY_AT & 0xff;
}

static unsigned state_of(uint64_t packed, unsigned path)
{
    return packed >> 2 * path & 3;
}

/* ---- Counting ---- */

/* A path that carried data does so no more, or another is to. */
static unsigned failovers(uint64_t before, uint64_t now)
{
    unsigned count = primary_of(before) != primary_of(now);

    if (count_of(before) != count_of(now))
        return 0; /* the peer has changed its addresses */
    for (unsigned i = 0; i < count_of(now); i++)
        count += state_of(before, i) == SCTP_ACTIVE &&
                 (state_of(now, i) == SCTP_PF || state_of(now, i) == SCTP_INACTIVE);
    return count;
}

/*
 * The count lies with the association, in the kernel, for `sctpshim status`. Beside it a digest of
 * what was counted last: of several processes that hold the socket only the first one counts. What
 * was before 0 is the first look of this process, which has nothing to compare with.
 */
static void count(int fd, uint64_t before, uint64_t now)
{
    struct sctp_assoc_value context = {0};
    uint32_t digest = (uint32_t)((now * UINT64_C(0x9e3779b97f4a7c15)) >> 56), failed = 0;

    if (sctp_get(fd, SCTP_CONTEXT, &context, sizeof context) < 0)
        return;
    if ((context.assoc_value & CONTEXT_PREFIX_MASK) == CONTEXT_PREFIX) {
        if (!before || (context.assoc_value & CONTEXT_DIGEST_MASK) == digest)
            return;
        failed = context.assoc_value >> CONTEXT_COUNT_AT & CONTEXT_COUNT_MASK;
    }
    failed += before ? failovers(before, now) : 0;
    failed = failed < CONTEXT_COUNT_MASK ? failed : CONTEXT_COUNT_MASK;
    context.assoc_value = CONTEXT_PREFIX | failed << CONTEXT_COUNT_AT | digest;
    sctp_set(fd, SCTP_CONTEXT, &context, sizeof context);
}

/* ---- Telling ---- */

static const char *became(unsigned before, unsigned now)
{
    switch (now) {
    case SCTP_ACTIVE:
        return before == SCTP_UNCONFIRMED ? "up: the peer has confirmed it"
                                          : "up: the peer answers again";
    case SCTP_PF:
        return "failing: the peer has not answered in time (PF)";
    case SCTP_INACTIVE:
        return "down: too many packets in a row without an answer";
    default:
        return "not confirmed yet";
    }
}

static void tell_changes(int fd, const struct paths *paths, uint64_t before, uint64_t now)
{
    if (count_of(before) != count_of(now)) {
        say(fd, "the peer has %u addresses now, and had %u", count_of(now), count_of(before));
        return;
    }
    for (unsigned i = 0; i < paths->peer.count; i++)
        if (state_of(before, i) != state_of(now, i))
            say(fd, "path %s is %s", address_text(&paths->peer.at[i], false).text,
                became(state_of(before, i), state_of(now, i)));
    if (primary_of(before) != primary_of(now))
        say(fd, "the primary path is %s now",
            address_text(&paths->peer.at[paths->primary], false).text);
}

static void look_at(int fd)
{
    struct fd_info *info = fd_info(fd);
    uint64_t before = info->paths, now;
    struct paths paths;

    if (!look(fd, &paths))
        return;
    now = pack(&paths);
    /* Of several threads one tells. */
    if (before == now || !atomic_compare_exchange_strong(&info->paths, &before, now))
        return;
    count(fd, before, now);
    if (before)
        tell_changes(fd, &paths, before, now);
}

/* Goes on with the number after the last one that was looked at. */
static void look_around(void)
{
    static atomic_int next;
    int end = atomic_load_explicit(&fd_highest, memory_order_relaxed) + 1, looks = 0;

    for (int i = 0; i < end && looks < SOCKETS_A_LOOK; i++) {
        int fd = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);

        if (fd >= end) {
            atomic_store_explicit(&next, 0, memory_order_relaxed);
            continue;
        }
        if (fd >= FD_TABLE ||
            atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed) != FD_OPEN)
            continue;
        look_at(fd);
        looks++;
    }
}

void tell_paths_now(void)
{
    static _Atomic int64_t due;
    int saved = errno;
    int64_t now = now_ms(), then = atomic_load_explicit(&due, memory_order_relaxed);

    if (now >= then && atomic_compare_exchange_strong(&due, &then, now + LOOK_EVERY_MS) &&
        !process_borrowed())
        look_around();
    errno = saved;
}

/* "10.1.0.1,10.2.0.1"; what has no room is left out. */
static void list(char *into, size_t size, const struct addresses *addresses)
{
    size_t used = 0;

    into[0] = '\0';
    for (size_t i = 0; i < addresses->count && used < size; i++)
        used += (size_t)snprintf(into + used, size - used, "%s%s", i ? "," : "",
                                 address_text(&addresses->at[i], false).text);
}

void tell_up_now(int fd, const char *how)
{
    int saved = errno;
    struct addresses own;
    char local[150], peer[150];
    struct paths paths;

    if (!fd_info(fd)->paths && look(fd, &paths)) {
        const struct sctp_status *status = &paths.status;
        uint64_t now = pack(&paths);

        fd_info(fd)->paths = now;
        count(fd, 0, now);
        paths_own(fd, &own);
        none_of_many(&own);
        list(local, sizeof local, &own);
        list(peer, sizeof peer, &paths.peer);
        say(fd, "%s; from %s to %s; %u streams out, %u in; the peer is %s%s%s", how, local, peer,
            status->sstat_outstrms, status->sstat_instrms,
            state_get(fd) & STATE_PEER_IS_SHIM ? "a shim" : "native SCTP",
            rules_exist() ? "; rule " : "",
            rules_exist() ? rule_called(fd_info(fd)->rule) : "");
    }
    errno = saved;
}

static const char *loss(int error)
{
    switch (error) {
    case ECONNRESET:
        return "the peer has reset it";
    case ETIMEDOUT:
        return "no path answers any more";
    default:
        return "it was aborted";
    }
}

void tell_lost_now(int fd)
{
    int saved = errno;

    if (is_reset(saved) && atomic_exchange(&fd_info(fd)->paths, 0))
        say(fd, "lost: %s (%s)", loss(saved), strerrorname_np(saved));
    errno = saved;
}

void tell_closing_now(int fd)
{
    int saved = errno;
    struct fd_info *info = fd_info(fd);

    if (!info->paths) {
        errno = saved;
        return;
    }
    if (!fd_is_unshared(fd)) {
        say(fd, "%s", "closed here; another descriptor may still hold it");
        errno = saved;
        return;
    }
    info->paths = 0;
    if (info->flags & FDF_RESET)
        say(fd, "%s", "lost: it was reset");
    else
        say(fd, "%s", reading_ended(fd) ? "ended: closed after the peer's end of the stream"
                                        : "ended: closed by this program");
    errno = saved;
}
