/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of verdicts, counts and connections: pread(2) and pwrite(2) of records with checksums. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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

/* "SCTL"; the layout's version is part of the file's name. */
enum { MAGIC = 0x5343544c, COUNTS_MAX = 60, WAYS = 4, BUCKETS = 1024, NOTES = 2048 };

struct head {
    uint32_t magic, unused;
    uint64_t counts[COUNTS_MAX];
};

/* Times are seconds of CLOCK_REALTIME: a file may survive a restart of the machine. */
struct verdict {
    struct in6_addr address;
    uint32_t scope;
    in_port_t port;
    uint8_t reason, unused;
    uint32_t until;
    uint32_t check;
};

struct note {
    uint64_t inode;
    struct in6_addr address;
    uint32_t pid;
    in_port_t port;
    uint8_t reason, accepted;
    uint32_t unused;
    uint32_t check;
};

enum {
    VERDICTS_AT = 4096,
    NOTES_AT = VERDICTS_AT + BUCKETS * WAYS * (int)sizeof(struct verdict),
};

_Static_assert(sizeof(struct head) <= VERDICTS_AT && (int)REASONS <= (int)COUNTS_MAX, "the counts have room");
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

static bool find(struct rendezvous *where, bool make)
{
    char *const environment[] = {runtime_variable, NULL};

    return rendezvous_directory(where, environment) &&
           (rendezvous_enter(where, false) || (make && rendezvous_enter(where, true)));
}

bool ledger_open(struct ledger *ledger, uint64_t network, bool make)
{
    struct rendezvous where;
    char path[sizeof where.directory + 32];
    int saved = errno;

    ledger->fd = -1;
    if (find(&where, make)) {
        snprintf(path, sizeof path, "%s/ledger1-%" PRIu64, where.directory, network);
        ledger->fd = open_file(path, make);
    }
    if (ledger->fd >= 0 && !is_own(ledger->fd, where.owner))
        ledger_close(ledger);
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

    return VERDICTS_AT + (long)((hash ^ hash >> 16) % BUCKETS) * WAYS * (long)sizeof(struct verdict);
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

/* ---- Counts ---- */

/* The lock is held for two calls: who does not get it in a few tries goes without. */
static bool lock(const struct ledger *ledger)
{
    enum { TRIES = 16 };

    for (int i = 0; i < TRIES; i++) {
        if (syscall(SYS_flock, ledger->fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        syscall(SYS_sched_yield);
    }
    return false;
}

void ledger_count(const struct ledger *ledger, enum reason reason)
{
    struct head head;
    int saved = errno;

    if (ledger->fd >= 0 && lock(ledger)) {
        if (!get(ledger, 0, &head, sizeof head) || head.magic != MAGIC)
            head = (struct head){.magic = MAGIC};
        head.counts[reason]++;
        put(ledger, 0, &head, sizeof head);
        (void)syscall(SYS_flock, ledger->fd, LOCK_UN);
    }
    errno = saved;
}

void ledger_counts(const struct ledger *ledger, uint64_t counts[REASONS])
{
    struct head head;

    if (!get(ledger, 0, &head, sizeof head) || head.magic != MAGIC)
        memset(&head, 0, sizeof head);
    memcpy(counts, head.counts, REASONS * sizeof *counts);
}

/* ---- Connections ---- */

static long note_at(uint64_t inode)
{
    return NOTES_AT + (long)(inode % NOTES) * (long)sizeof(struct note);
}

void ledger_note(const struct ledger *ledger, const struct ledger_connection *connection)
{
    struct note note = {
        .inode = connection->inode,
        .address = connection->peer.sin6_addr,
        .port = connection->peer.sin6_port,
        .pid = connection->pid,
        .reason = connection->reason,
        .accepted = connection->accepted,
    };
    int saved = errno;

    note.check = note_check(&note);
    put(ledger, note_at(note.inode), &note, sizeof note);
    errno = saved;
}

bool ledger_find(const struct ledger *ledger, uint64_t inode, struct ledger_connection *into)
{
    struct note note;
    int saved = errno;
    bool found = get(ledger, note_at(inode), &note, sizeof note) && note.inode == inode &&
                 note.check == note_check(&note) && note.reason < REASONS;

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
