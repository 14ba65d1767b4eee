/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of verdicts and connections: pread(2) and pwrite(2) of records with checksums. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "userspace/rendezvous.h"

const struct reason_row reason_table[REASONS] = {
    [REASON_NONE] = {.word = "sctp", .text = "the peer has SCTP", .seconds = UINT32_MAX},
#define REASON(NAME, word, seconds, text) [REASON_##NAME] = {word, text, seconds},
#include "reasons.def"
};

enum reason reason_of_error(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
        return REASON_REFUSED;
    case ENOPROTOOPT:
    case EPROTO:
    case EPROTONOSUPPORT:
        return REASON_PROTOCOL;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EACCES:
    case EPERM:
        return REASON_UNREACHABLE;
    case ETIMEDOUT:
        return REASON_TIMEOUT;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EINVAL:
    case ENOMEM:
    case ENOBUFS:
        return REASON_LOCAL;
    default:
        return REASON_NONE;
    }
}

/* ---- The file's layout ---- */

/* The layout's version is part of the file's name. */
#define FILE_NAME "ledger2-"
enum { COUNTS_MAX = 20, WAYS = 4, BUCKETS = 1024, NOTES = 2048 };

/* Times are seconds of CLOCK_REALTIME: a file may survive a restart of the machine. */
struct verdict {
    struct in6_addr address;
    uint32_t scope;
    in_port_t port;
    uint8_t reason, unused;
    uint32_t until;
    uint32_t check;
};

/*
 * The last connection whose number led here, and how many have, by their reasons: a count has a
 * place of its own so that no lock is needed; all together are what the user's programs did.
 */
struct note {
    uint64_t inode;
    struct in6_addr address;
    uint32_t pid;
    in_port_t port;
    uint8_t reason, accepted;
    uint32_t counts[COUNTS_MAX];
    uint32_t unused;
    uint32_t check;
};

enum { NOTES_AT = BUCKETS * WAYS * (int)sizeof(struct verdict) };

_Static_assert((int)REASONS <= (int)COUNTS_MAX, "the counts have room");
_Static_assert(sizeof(struct verdict) == 32, "a bucket lies in one page");

/* FNV-1a; what a record was torn into, or a file of something else, does not agree with it. */
static uint32_t digest(const void *bytes, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 16777619u;
    return hash;
}

static uint32_t verdict_check(const struct verdict *verdict)
{
    return digest(verdict, offsetof(struct verdict, check));
}

static uint32_t note_check(const struct note *note)
{
    return digest(note, offsetof(struct note, check));
}

static uint32_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint32_t)time.tv_sec;
}

/* ---- Opening ---- */

static char runtime_variable[sizeof "XDG_RUNTIME_DIR=" + sizeof((struct rendezvous *)0)->directory];

void ledger_start(void)
{
    static const char name[] = "XDG_RUNTIME_DIR=";

    for (char **at = environ; at && *at; at++)
        if (strncmp(*at, name, sizeof name - 1) == 0 && strlen(*at) < sizeof runtime_variable)
            strcpy(runtime_variable, *at);
}

/* None of the library's own hooks, and no cancellation point. */
static int open_file(const char *path, bool make)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (make ? O_CREAT : 0);

    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* A regular file of this user's that nobody else may write. */
static bool is_own(int fd, uid_t owner)
{
    struct stat file;

    return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == owner &&
           !(file.st_mode & 022);
}

/*
 * The ledger that was found good last. It is looked at once a second, not for each connection, since
 * that costs as much as all the rest: who cannot enter the directory cannot change what is in it.
 */
struct place {
    uint64_t network;
    uid_t owner;
    char path[sizeof((struct rendezvous *)0)->directory + 32];
};

enum { UNKNOWN, BEING_WRITTEN, KNOWN };
static struct {
    atomic_int state;
    _Atomic uint32_t second;
    struct place place;
} good;

static bool is_known(void)
{
    return atomic_load_explicit(&good.state, memory_order_acquire) == KNOWN;
}

/* The first one, mostly the only one: it is not written again, for there may be readers. */
static void remember(const struct place *place, uint32_t second)
{
    int none = UNKNOWN;

    if (atomic_compare_exchange_strong(&good.state, &none, BEING_WRITTEN)) {
        good.place = *place;
        atomic_store_explicit(&good.state, KNOWN, memory_order_release);
    }
    if (is_known() && place->owner == good.place.owner && place->network == good.place.network &&
        strcmp(place->path, good.place.path) == 0)
        good.second = second;
}

static bool find(struct place *place, uint64_t network, bool make)
{
    char *const environment[] = {runtime_variable, NULL};
    struct rendezvous where;

    if (!rendezvous_directory(&where, environment) ||
        !(rendezvous_enter(&where, false) || (make && rendezvous_enter(&where, true))))
        return false;
    place->network = network;
    place->owner = where.owner;
    snprintf(place->path, sizeof place->path, "%s/" FILE_NAME "%" PRIu64, where.directory, network);
    return true;
}

static int open_good(const struct place *place, bool make)
{
    int fd = open_file(place->path, make);

    if (fd < 0 || is_own(fd, place->owner))
        return fd;
    syscall(SYS_close, fd);
    return -1;
}

bool ledger_open(struct ledger *ledger, uint64_t network, bool make)
{
    uint32_t second = now();
    int saved = errno;
    struct place place;

    ledger->fd = -1;
    if (is_known() && good.second == second && good.place.network == network &&
        good.place.owner == geteuid()) {
        ledger->fd = open_file(good.place.path, make);
    } else if (find(&place, network, make)) {
        ledger->fd = open_good(&place, make);
        if (ledger->fd >= 0)
            remember(&place, second);
    }
    errno = saved;
    return ledger->fd >= 0;
}

void ledger_close(struct ledger *ledger)
{
    int saved = errno;

    if (ledger->fd >= 0)
        syscall(SYS_close, ledger->fd);
    ledger->fd = -1;
    errno = saved;
}

/* What lies beyond the file's end is zero, and so no record. */
static bool get(const struct ledger *ledger, long at, void *into, size_t size)
{
    memset(into, 0, size);
    return ledger->fd >= 0 && syscall(SYS_pread64, ledger->fd, into, size, at) > 0;
}

static void put(const struct ledger *ledger, long at, const void *from, size_t size)
{
    if (ledger->fd >= 0)
        (void)syscall(SYS_pwrite64, ledger->fd, from, size, at);
}

/* ---- Verdicts ---- */

static long bucket_at(const struct sockaddr_in6 *to)
{
    uint32_t hash = digest(&to->sin6_addr, sizeof to->sin6_addr) ^
                    (uint32_t)to->sin6_port * 2654435761u;

    return (long)((hash ^ hash >> 16) % BUCKETS) * WAYS * (long)sizeof(struct verdict);
}

static bool is_about(const struct verdict *verdict, const struct sockaddr_in6 *to)
{
    return IN6_ARE_ADDR_EQUAL(&verdict->address, &to->sin6_addr) &&
           verdict->port == to->sin6_port && verdict->scope == to->sin6_scope_id;
}

/* Seconds that it is good for; none has been given for more than a day. */
static uint32_t left_of(const struct verdict *verdict, uint32_t time)
{
    enum { MOST = 86400 };

    if (verdict->check != verdict_check(verdict) || verdict->until <= time ||
        verdict->reason >= REASONS || !reason_table[verdict->reason].seconds)
        return 0;
    return verdict->until - time <= MOST ? verdict->until - time : 0;
}

uint32_t ledger_verdict(const struct ledger *ledger, const struct sockaddr_in6 *to,
                        enum reason *reason)
{
    struct verdict bucket[WAYS];
    int saved = errno;
    uint32_t left = 0;

    if (get(ledger, bucket_at(to), bucket, sizeof bucket))
        for (int i = 0; i < WAYS && !left; i++)
            if (is_about(&bucket[i], to)) {
                left = left_of(&bucket[i], now());
                *reason = bucket[i].reason;
            }
    errno = saved;
    return left;
}

/* Its own place, or a free one, or that of the one that ends first. */
static int place_in(const struct verdict *bucket, const struct sockaddr_in6 *to, uint32_t time)
{
    int first = 0;

    for (int i = 0; i < WAYS; i++) {
        if (is_about(&bucket[i], to))
            return i;
        if (left_of(&bucket[i], time) < left_of(&bucket[first], time))
            first = i;
    }
    return first;
}

void ledger_judge(const struct ledger *ledger, const struct sockaddr_in6 *to, enum reason reason,
                  uint32_t seconds)
{
    struct verdict bucket[WAYS];
    struct verdict verdict = {
        .address = to->sin6_addr,
        .scope = to->sin6_scope_id,
        .port = to->sin6_port,
        .reason = (uint8_t)reason,
        .until = now() + seconds,
    };
    int saved = errno;

    verdict.check = verdict_check(&verdict);
    (void)get(ledger, bucket_at(to), bucket, sizeof bucket);
    put(ledger, bucket_at(to) + place_in(bucket, to, now()) * (long)sizeof verdict, &verdict,
        sizeof verdict);
    errno = saved;
}

/* ---- Connections ---- */

static long note_at(uint64_t inode)
{
    return NOTES_AT + (long)(inode % NOTES) * (long)sizeof(struct note);
}

static bool is_note(const struct note *note)
{
    return note->check == note_check(note) && note->reason < REASONS;
}

void ledger_note(const struct ledger *ledger, const struct ledger_connection *connection)
{
    long at = note_at(connection->inode);
    int saved = errno;
    struct note note;

    if (!get(ledger, at, &note, sizeof note) || !is_note(&note))
        memset(&note, 0, sizeof note);
    note.inode = connection->inode;
    note.address = connection->peer.sin6_addr;
    note.port = connection->peer.sin6_port;
    note.pid = connection->pid;
    note.reason = connection->reason;
    note.accepted = connection->accepted;
    note.counts[connection->reason]++;
    note.check = note_check(&note);
    put(ledger, at, &note, sizeof note);
    errno = saved;
}

void ledger_counts(const struct ledger *ledger, uint64_t counts[REASONS])
{
    struct note note;
    int saved = errno;

    memset(counts, 0, REASONS * sizeof *counts);
    for (uint64_t slot = 0; slot < NOTES && get(ledger, note_at(slot), &note, sizeof note); slot++)
        for (int reason = 0; is_note(&note) && reason < REASONS; reason++)
            counts[reason] += note.counts[reason];
    errno = saved;
}

bool ledger_find(const struct ledger *ledger, uint64_t inode, struct ledger_connection *into)
{
    struct note note;
    int saved = errno;
    bool found = get(ledger, note_at(inode), &note, sizeof note) && note.inode == inode &&
                 is_note(&note);

    errno = saved;
    if (!found)
        return false;
    *into = (struct ledger_connection){
        .inode = inode,
        .pid = note.pid,
        .reason = note.reason,
        .accepted = note.accepted,
        .peer = {.sin6_family = AF_INET6, .sin6_port = note.port, .sin6_addr = note.address},
    };
    return true;
}
