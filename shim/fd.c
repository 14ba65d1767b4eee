/* SPDX-License-Identifier: BSD-3-Clause */
/* The fd cache: one byte a number on the hot path, the rest touched only for our sockets. */
#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/kernel.h"
#include "kernel/undecided.h"
#include "libc.h"
#include "options.h"
#include "process.h"
#include "sharing.h"
#include "userspace/userspace.h"

enum { SLOTS = 1024, RECORDS = 64 };

/* How many numbers share it is counted, so that a number's new life cannot spoil another's. */
struct record {
    struct fd_info info;
    _Atomic uint32_t numbers;
    uint32_t pool;
};

struct pool {
    _Atomic uint64_t idle; /* bit n: records[n] belongs to no number */
    struct record records[RECORDS];
};

struct slots {
    _Atomic(struct record *) of[SLOTS];
};

_Atomic uint8_t fd_kinds[FD_TABLE];
static _Atomic(struct slots *) tables[FD_TABLE / SLOTS];
static _Atomic(struct pool *) pools[FD_TABLE / RECORDS];
static _Atomic unsigned first_idle; /* no pool before this one has an idle record, or nearly so */

/* mmap, not malloc: a hook may run inside the program's allocator or a signal handler. */
static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static struct pool *pool_at(unsigned index)
{
    struct pool *pool = atomic_load_explicit(&pools[index], memory_order_acquire);
    struct pool *none = NULL;

    if (pool)
        return pool;
    pool = map(sizeof *pool);
    if (!pool)
        return NULL;
    atomic_store(&pool->idle, UINT64_MAX);
    for (int i = 0; i < RECORDS; i++)
        pool->records[i].pool = index;
    if (!atomic_compare_exchange_strong(&pools[index], &none, pool)) {
        munmap(pool, sizeof *pool);
        pool = none;
    }
    return pool;
}

static struct record *take_from(struct pool *pool)
{
    uint64_t idle = atomic_load(&pool->idle);

    while (idle) {
        int bit = __builtin_ctzll(idle);

        if (atomic_compare_exchange_weak(&pool->idle, &idle, idle & ~(UINT64_C(1) << bit)))
            return &pool->records[bit];
    }
    return NULL;
}

/* What every record begins with; its age is kept. */
static void wipe(struct fd_info *info)
{
    uint32_t life = info->life;

    memset(info, 0, sizeof *info);
    info->life = life + 1;
}

/* An empty record for one number, or NULL. */
static struct record *take_record(void)
{
    for (unsigned i = atomic_load(&first_idle); i < FD_TABLE / RECORDS; i++) {
        struct pool *pool = pool_at(i);
        struct record *record;

        if (!pool)
            return NULL;
        record = take_from(pool);
        if (record) {
            atomic_store(&first_idle, i);
            wipe(&record->info);
            atomic_store(&record->numbers, 1);
            return record;
        }
    }
    return NULL;
}

/* One number less has it. */
static void drop_record(struct record *record)
{
    struct pool *pool;

    if (!record || atomic_fetch_sub(&record->numbers, 1) != 1)
        return;
    pool = atomic_load(&pools[record->pool]);
    atomic_fetch_or(&pool->idle, UINT64_C(1) << (record - pool->records));
    if (atomic_load(&first_idle) > record->pool)
        atomic_store(&first_idle, record->pool);
}

/* Where the number's record is noted; NULL beyond the table and without memory. */
static _Atomic(struct record *) *slot_of(int fd, bool make)
{
    _Atomic(struct slots *) *table;
    struct slots *slots, *none = NULL;

    if ((unsigned)fd >= FD_TABLE)
        return NULL;
    table = &tables[fd / SLOTS];
    slots = atomic_load_explicit(table, memory_order_acquire);
    if (!slots && make) {
        slots = map(sizeof *slots);
        if (slots && !atomic_compare_exchange_strong(table, &none, slots)) {
            munmap(slots, sizeof *slots);
            slots = none;
        }
    }
    return slots ? &slots->of[fd % SLOTS] : NULL;
}

static struct record *record_of(int fd)
{
    _Atomic(struct record *) *slot = slot_of(fd, false);

    return slot ? atomic_load_explicit(slot, memory_order_acquire) : NULL;
}

static void give(_Atomic(struct record *) *slot, struct record *record)
{
    drop_record(atomic_exchange(slot, record));
}

struct fd_info *fd_info(int fd)
{
    static struct fd_info nowhere;
    struct record *record = record_of(fd);
    _Atomic(struct record *) *slot;

    if (__builtin_expect(record != NULL, 1))
        return &record->info;
    slot = slot_of(fd, true);
    if (slot)
        record = take_record();
    if (record) {
        struct record *none = NULL;

        if (!atomic_compare_exchange_strong(slot, &none, record)) {
            drop_record(record);
            record = none;
        }
        return &record->info;
    }
    memset(&nowhere, 0, sizeof nowhere);
    return &nowhere;
}

/* The number's memory is empty, and no other number's. */
static struct fd_info *fresh_info(int fd)
{
    struct record *record = record_of(fd);

    if (record && atomic_load(&record->numbers) == 1) {
        wipe(&record->info);
        return &record->info;
    }
    if (record)
        give(slot_of(fd, true), take_record());
    return fd_info(fd);
}

struct fd_info *fd_separate(int fd)
{
    struct record *record = record_of(fd);

    if (record && atomic_load(&record->numbers) > 1) {
        struct fd_info old = record->info, *info = fresh_info(fd);

        old.life = info->life;
        *info = old;
    }
    return fd_info(fd);
}

uint64_t fd_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    return libc.getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

_Atomic uint8_t fd_unsettled = FD_NOT_MET;

atomic_int fd_highest = -1;

/* What a socket has become it is under all its numbers that are believed to be ours. */
static void set_duplicates(int fd, enum fd_kind kind)
{
    struct record *record = record_of(fd);

    if (!record || atomic_load_explicit(&record->numbers, memory_order_relaxed) < 2)
        return;
    record->info.last_kind = (uint8_t)kind; /* for numbers that nobody has used yet */
    for (int other = 0; other <= fd_highest && other < FD_TABLE; other++)
        if (atomic_load_explicit(&fd_kinds[other], memory_order_relaxed) > FD_FOREIGN &&
            record_of(other) == record)
            atomic_store_explicit(&fd_kinds[other], kind, memory_order_release);
}

bool fd_has_duplicate(int fd)
{
    const struct record *record = record_of(fd);

    if (!record || atomic_load(&record->numbers) < 2)
        return false;
    for (int other = 0; other <= fd_highest && other < FD_TABLE; other++)
        if (other != fd && atomic_load(&fd_kinds[other]) > FD_FOREIGN && record_of(other) == record)
            return true;
    return false;
}

void fd_set_kind(int fd, enum fd_kind kind)
{
    if (kind > FD_FOREIGN || kind == FD_UNDECIDED) {
        set_duplicates(fd, kind);
        if (fd > atomic_load_explicit(&fd_highest, memory_order_relaxed))
            atomic_store_explicit(&fd_highest, fd, memory_order_relaxed);
    }
    if (kind == FD_IDLE || kind == FD_FAILED || kind == FD_CONNECTING)
        atomic_store_explicit(&fd_unsettled, FD_SOME_UNSETTLED, memory_order_relaxed);
    if ((unsigned)fd < FD_TABLE)
        atomic_store_explicit(&fd_kinds[fd], kind, memory_order_release);
}

void fd_adopt(int fd, enum fd_kind kind)
{
    /* Who had the number before has done with its memory: what fd_forget() stored says so. */
    if ((unsigned)fd < FD_TABLE)
        (void)atomic_load_explicit(&fd_kinds[fd], memory_order_acquire);

    struct fd_info *info = fresh_info(fd);

    info->flags = FDF_OWN;
    info->sharings = __atomic_load_n(&sharing_count, __ATOMIC_RELAXED);
    fd_set_kind(fd, kind);
}

void fd_gone_early(int fd)
{
    fd_info(fd)->flags |= FDF_GONE_EARLY;
    atomic_store_explicit(&fd_unsettled, FD_SOME_UNSETTLED, memory_order_relaxed);
}

bool fd_is_unshared(int fd)
{
#ifdef __x86_64__
    const struct fd_info *info = fd_info(fd);

    return info->flags & FDF_OWN &&
           info->sharings == __atomic_load_n(&sharing_count, __ATOMIC_RELAXED);
#else
    (void)fd;
    return false; /* what shares is not counted */
#endif
}

bool fd_is_untouched(int fd)
{
    return fd_is_unshared(fd) && !fd_info(fd)->touched;
}

void fd_touch(int fd)
{
    struct record *record = record_of(fd);

    if (record)
        record->info.touched = true;
}

int fd_family(int fd)
{
    struct fd_info *info = fd_info(fd);
    int family = info->family;
    socklen_t len = sizeof family;

    if (family)
        return family;
    if (libc.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
        return AF_INET;
    info->family = (uint8_t)family;
    return family;
}

void fd_forget(int fd)
{
    if ((unsigned)fd >= FD_TABLE)
        return;
    uint8_t kind = atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed);
    struct record *record = record_of(fd);

    if (record)
        record->info.family = 0; /* a leg's too, whose record stays when another is dup'ed over it */
    if (kind > FD_FOREIGN)
        fd_info(fd)->last_kind = kind;
    fd_set_kind(fd, FD_UNKNOWN);
}

/* Numbers that this program has not closed yet, of those that it is likely to be started with. */
enum { LOW = 64 };
static _Atomic uint64_t never_closed = UINT64_MAX;

/* Asked once a number. */
static bool is_first_close(int fd)
{
    uint64_t bit = UINT64_C(1) << fd % LOW;

    return fd < LOW && atomic_load_explicit(&never_closed, memory_order_relaxed) & bit &&
           atomic_fetch_and_explicit(&never_closed, ~bit, memory_order_relaxed) & bit;
}

unsigned fd_were_ours_below(void)
{
    int highest = atomic_load_explicit(&fd_highest, memory_order_relaxed);

    if (highest < LOW && atomic_load_explicit(&never_closed, memory_order_relaxed))
        return LOW;
    return (unsigned)highest + 1;
}

bool fd_meet_inherited(void)
{
    uint8_t now = FD_NOT_MET;

    if (atomic_compare_exchange_strong(&fd_unsettled, &now, FD_ALL_SETTLED))
        for (int fd = 0; fd < LOW; fd++)
            if (!fd_is_undecided(fd))
                (void)fd_kind(fd);
    return atomic_load_explicit(&fd_unsettled, memory_order_relaxed) == FD_SOME_UNSETTLED;
}

bool fd_was_ours(int fd)
{
    if ((unsigned)fd >= FD_TABLE)
        return false;

    uint8_t kind = atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed);
    const struct record *record = record_of(fd);

    if (kind == FD_UNKNOWN &&
        (is_first_close(fd) || (record && record->info.last_kind > FD_FOREIGN)))
        return fd_is_ours(fd);
    return kind > FD_FOREIGN;
}

void fd_received(int fd)
{
    _Atomic(struct record *) *slot = slot_of(fd, false);

    fd_set_kind(fd, FD_UNKNOWN);
    if (slot)
        give(slot, NULL);
}

void fd_forget_range(unsigned first, unsigned last)
{
    if (last >= FD_TABLE)
        last = FD_TABLE - 1;
    for (unsigned fd = first; fd <= last; fd++)
        /* Reading first keeps untouched pages of the table untouched. */
        if (atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed) != FD_UNKNOWN)
            fd_forget((int)fd);
}

void fd_duplicated(int from, int to)
{
    _Atomic(struct record *) *slot;
    struct record *record;
    int saved = errno;

    if (from == to || (unsigned)to >= FD_TABLE)
        return;
    fd_forget(to);
    if ((unsigned)from >= FD_TABLE || fd_kind(from) <= FD_FOREIGN || process_borrowed())
        return;
    (void)fd_info(from);
    record = record_of(from);
    slot = slot_of(to, true);
    if (!record || !slot)
        return;
    record->info.last_kind = (uint8_t)fd_kind(from);
    record->info.flags &= (uint16_t)~FDF_OWN;
    /* A child in its parent's memory may have done this where `to` is another socket. */
    if (!record->info.cookie)
        record->info.cookie = fd_cookie(from);
    if (atomic_load(slot) != record) {
        atomic_fetch_add(&record->numbers, 1);
        give(slot, record);
    }
    errno = saved;
}

static atomic_bool sealed;

bool fd_sealed(void)
{
    return atomic_load_explicit(&sealed, memory_order_relaxed);
}

void fd_seal(void)
{
    enum { MOST = 1024 };

    for (int fd = 0; fd < MOST; fd++)
        if (fd_is_ours(fd))
            kernel_quiet(fd);
    options.log = LOG_LEVEL_OFF; /* a log line opens, asks and writes */
    atomic_store(&sealed, true);
}

/* Is this record about the socket that the number means now? */
static bool is_memory_of(int fd, const struct fd_info *info)
{
    return info->last_kind > FD_FOREIGN && (!info->cookie || info->cookie == fd_cookie(fd));
}

enum fd_kind fd_classify(int fd)
{
    if (fd_sealed())
        return FD_FOREIGN;
    if (fd_is_undecided(fd))
        return undecided_end(fd);

    int saved = errno;
    enum fd_kind kind = kernel_classify(fd);

    if (kind == FD_FOREIGN && userspace_is_leg(fd))
        kind = FD_LEG;
    if (kind > FD_FOREIGN) {
        struct fd_info *info = fd_info(fd);

        if (!is_memory_of(fd, info))
            kernel_recall(fd, fresh_info(fd));
        else if (kind == FD_CONNECTING && info->last_kind == FD_IDLE)
            kernel_recall(fd, info); /* begun by another process since */
        else if (kind == FD_IDLE || info->last_kind == FD_CONNECTING)
            kind = info->last_kind; /* states the kernel does not tell, and ends nobody has seen */
    }
    fd_set_kind(fd, kind);
    errno = saved;
    return kind == FD_UNKNOWN ? FD_FOREIGN : kind;
}

bool fd_was_stale(int fd)
{
    if (errno != ENOTSOCK && errno != EBADF)
        return false;
    if (fd_kind(fd) == FD_FOREIGN) /* it has just been made that */
        return true;
    fd_forget(fd);
    return true;
}

bool fd_is_still(int fd, const struct fd_info *info, uint32_t life)
{
    bool still;
    int saved;

    if ((unsigned)fd >= FD_TABLE)
        return true; /* nothing is known of such numbers, ever */
    saved = errno;
    still = fd_is_ours(fd) && fd_info(fd) == info && info->life == life;
    errno = saved;
    return still;
}
