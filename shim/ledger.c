/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger's records: verdicts, counts and connections, each record with a checksum. */
#include "ledger.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

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

/* ---- The layout ---- */

/* What changes it changes LEDGER_SIZE too, by which other versions' are told from this one's. */
enum { WAYS = 4, BUCKETS = 1024, NOTES = 2048 };

/* Times are seconds of CLOCK_REALTIME. */
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

/* Whole words, of which each is read and written at once. */
union record {
    struct verdict verdict;
    struct note note;
    uint64_t words[sizeof(struct note) / 8];
};

enum {
    VERDICTS_AT = 4096,
    NOTES_AT = VERDICTS_AT + BUCKETS * WAYS * (int)sizeof(struct verdict),
    END = NOTES_AT + NOTES * (int)sizeof(struct note),
};

_Static_assert(sizeof(struct ledger_head) <= VERDICTS_AT && (int)REASONS <= (int)LEDGER_COUNTS,
               "the counts have room");
_Static_assert((int)END == (int)LEDGER_SIZE, "ledger.h says how large it is");
_Static_assert(sizeof(struct verdict) % 8 == 0 && sizeof(struct note) % 8 == 0, "whole words");

/* FNV-1a; what a record was torn into, or something else that was written there, disagrees. */
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

uint32_t ledger_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint32_t)time.tv_sec;
}

/* Other threads and processes write meanwhile: a record that is torn has a wrong checksum. */
static void get(const struct ledger *ledger, long at, union record *record, size_t size)
{
    _Atomic uint64_t *from = (_Atomic uint64_t *)(ledger->at + at);

    for (size_t i = 0; i < size / 8; i++)
        record->words[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

static void put(const struct ledger *ledger, long at, const union record *record, size_t size)
{
    _Atomic uint64_t *to = (_Atomic uint64_t *)(ledger->at + at);

    for (size_t i = 0; i < size / 8; i++)
        atomic_store_explicit(&to[i], record->words[i], memory_order_relaxed);
}

/* ---- Verdicts ---- */

static long bucket_at(const struct sockaddr_in6 *to)
{
    uint32_t hash = digest(&to->sin6_addr, sizeof to->sin6_addr) ^
                    (uint32_t)to->sin6_port * 2654435761u;

    return VERDICTS_AT +
           (long)((hash ^ hash >> 16) % BUCKETS) * WAYS * (long)sizeof(struct verdict);
}

static void get_bucket(const struct ledger *ledger, long at, struct verdict *bucket)
{
    for (int i = 0; i < WAYS; i++) {
        union record record;

        get(ledger, at + i * (long)sizeof *bucket, &record, sizeof *bucket);
        bucket[i] = record.verdict;
    }
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
    uint32_t left = 0;

    get_bucket(ledger, bucket_at(to), bucket);
    for (int i = 0; i < WAYS && !left; i++)
        if (is_about(&bucket[i], to)) {
            left = left_of(&bucket[i], ledger_now());
            *reason = bucket[i].reason;
        }
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
    uint32_t time = ledger_now();
    union record record = {
        .verdict = {
            .address = to->sin6_addr,
            .scope = to->sin6_scope_id,
            .port = to->sin6_port,
            .reason = (uint8_t)reason,
            .until = time + seconds,
        },
    };

    record.verdict.check = verdict_check(&record.verdict);
    get_bucket(ledger, bucket_at(to), bucket);
    put(ledger, bucket_at(to) + place_in(bucket, to, time) * (long)sizeof *bucket, &record,
        sizeof *bucket);
}

/* ---- Counts ---- */

static _Atomic uint64_t *counts_of(const struct ledger *ledger)
{
    return ((struct ledger_head *)ledger->at)->counts;
}

void ledger_count(const struct ledger *ledger, enum reason reason)
{
    atomic_fetch_add_explicit(&counts_of(ledger)[reason], 1, memory_order_relaxed);
}

void ledger_counts(const struct ledger *ledger, uint64_t counts[REASONS])
{
    for (int reason = 0; reason < REASONS; reason++)
        counts[reason] = counts_of(ledger)[reason];
}

/* ---- Connections ---- */

static long note_at(uint64_t inode)
{
    return NOTES_AT + (long)(inode % NOTES) * (long)sizeof(struct note);
}

void ledger_note(const struct ledger *ledger, const struct ledger_connection *connection)
{
    union record record = {
        .note = {
            .inode = connection->inode,
            .address = connection->peer.sin6_addr,
            .port = connection->peer.sin6_port,
            .pid = connection->pid,
            .reason = connection->reason,
            .accepted = connection->accepted,
        },
    };

    record.note.check = note_check(&record.note);
    put(ledger, note_at(connection->inode), &record, sizeof record.note);
}

bool ledger_find(const struct ledger *ledger, uint64_t inode, struct ledger_connection *into)
{
    union record record;
    const struct note *note = &record.note;

    get(ledger, note_at(inode), &record, sizeof record.note);
    if (note->inode != inode || note->check != note_check(note) || note->reason >= REASONS)
        return false;
    *into = (struct ledger_connection){
        .inode = inode,
        .pid = note->pid,
        .reason = note->reason,
        .accepted = note->accepted,
        .peer = {.sin6_family = AF_INET6, .sin6_port = note->port, .sin6_addr = note->address},
    };
    return true;
}
