/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the ledger lies: in a System V shared memory segment of the user's. Nothing can be cut off of
 * one while it is read, as it can of a file that is mapped; it needs no descriptor, which a program
 * would meet; and to a process that has it attached it costs nothing. What is removed stays with who
 * has it, who looks once a second whether there is another one. Who gives up being the user gives it
 * up too: what such a process is made to do later is not to reach the user's other programs.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "userspace/rendezvous.h"

/* Keys are 0x5c7 and 20 bits of the identity, or the next ones where another user has that. */
enum { PREFIX = 0x5c700000, VARIABLE = 0xfffff, PROBES = 4 };

/* ---- Which one it is ---- */

/* Whose it is: a user has one for each network and each runtime directory. */
struct owner {
    uint64_t network;
    uid_t uid;
};

struct name {
    uint64_t identity;
    struct rendezvous where;
};

/* FNV-1a, of 64 bits. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return hash;
}

static bool find_name(struct name *name, const struct owner *owner)
{
    char *const environment[] = {rendezvous_runtime, NULL};
    uint64_t identity = 14695981039346656037u;
    const char *directory = name->where.directory;

    if (!rendezvous_directory(&name->where, environment) || name->where.owner != owner->uid)
        return false;
    identity = mix(identity, directory, strlen(directory));
    identity = mix(identity, &owner->network, sizeof owner->network);
    name->identity = mix(identity, &owner->uid, sizeof owner->uid) | 1;
    return true;
}

static key_t key_of(uint64_t identity, unsigned probe)
{
    return (key_t)(PREFIX | (((identity >> 40 ^ identity >> 20 ^ identity) + probe) & VARIABLE));
}

/* ---- Attaching ---- */

/* Made by this user, for this user alone. */
static bool is_own(int id, uid_t uid)
{
    struct shmid_ds segment;

    return shmctl(id, IPC_STAT, &segment) == 0 && segment.shm_perm.uid == uid &&
           segment.shm_perm.cuid == uid && (segment.shm_perm.mode & 0777) == 0600 &&
           segment.shm_segsz == LEDGER_SIZE;
}

/* What nobody has used for longer than a verdict may last goes when another one is made. */
static void collect_garbage(uid_t uid)
{
    enum { DAY = 86400 };
    time_t now = time(NULL);
    struct shmid_ds segment;
    int end = shmctl(0, SHM_INFO, &segment);

    for (int at = 0; at <= end; at++) {
        int id = shmctl(at, SHM_STAT, &segment);

        if (id >= 0 && ((unsigned)segment.shm_perm.__key & ~(unsigned)VARIABLE) == PREFIX &&
            segment.shm_perm.cuid == uid && !segment.shm_nattch &&
            now - segment.shm_ctime > DAY && now - segment.shm_dtime > DAY)
            shmctl(id, IPC_RMID, NULL);
    }
}

static int get(key_t key, uid_t uid, bool make)
{
    int id = shmget(key, 0, 0);

    if (id >= 0 || errno != ENOENT || !make)
        return id;
    collect_garbage(uid);
    id = shmget(key, LEDGER_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    return id >= 0 || errno != EEXIST ? id : shmget(key, 0, 0);
}

/* Another one of this user's may have the key. */
static bool is_this(struct ledger_head *head, const struct name *name)
{
    uint64_t none = 0;

    if (!atomic_compare_exchange_strong(&head->identity, &none, name->identity))
        return none == name->identity;
    strncpy(head->directory, name->where.directory, sizeof head->directory - 1);
    return true;
}

static void *attach(const struct name *name, uid_t uid, bool make, int *id)
{
    for (unsigned probe = 0; probe < PROBES; probe++) {
        void *at;

        *id = get(key_of(name->identity, probe), uid, make);
        if (*id < 0 || !is_own(*id, uid) || (at = shmat(*id, NULL, 0)) == (void *)-1)
            continue;
        if (is_this(at, name))
            return at;
        shmdt(at);
    }
    return NULL;
}

/* ---- Keeping ---- */

/* The one that this process keeps: the first, mostly the only one. */
enum { NONE, BEING_WRITTEN, KEPT };
enum { LEAVING = INT_MIN / 2 };
static struct {
    atomic_int state;
    atomic_int users;        /* that have it open now; below 0 while it is given up */
    atomic_bool given_up;    /* by who closes it last */
    atomic_int id;
    _Atomic uint32_t second; /* when it was looked at last, on ledger_now()'s clock */
    struct owner owner;
    uint64_t identity;
    void *at;
} kept;

/* From here on it stays, up to the return. */
static bool use(void)
{
    if (atomic_fetch_add(&kept.users, 1) >= 0)
        return true;
    atomic_fetch_sub(&kept.users, 1);
    return false;
}

static void give_up(void)
{
    int none = 0;

    if (!atomic_compare_exchange_strong(&kept.users, &none, LEAVING))
        return; /* whoever has it open gives it up */
    kept.given_up = false;
    if (atomic_exchange(&kept.state, NONE) == KEPT)
        shmdt(kept.at);
    atomic_fetch_sub(&kept.users, LEAVING);
}

static void leave_to_others(void)
{
    if (atomic_fetch_sub(&kept.users, 1) == 1 && kept.given_up)
        give_up();
}

void ledger_leave(void)
{
    int saved = errno;

    if (kept.state == KEPT) {
        kept.given_up = true;
        give_up();
    }
    errno = saved;
}

static bool is_kept(const struct owner *owner)
{
    return atomic_load_explicit(&kept.state, memory_order_acquire) == KEPT &&
           kept.owner.network == owner->network && kept.owner.uid == owner->uid;
}

static bool keep_first(const struct owner *owner, uint64_t identity, int id, void *at)
{
    int none = NONE;

    if (!atomic_compare_exchange_strong(&kept.state, &none, BEING_WRITTEN))
        return false;
    kept.owner = *owner;
    kept.identity = identity;
    kept.id = id;
    kept.at = at;
    atomic_store_explicit(&kept.state, KEPT, memory_order_release);
    return true;
}

/* The place is in use by other threads: what takes it is there from one moment to the next. */
static bool keep_again(const struct owner *owner, uint64_t identity, int id)
{
    if (!is_kept(owner) || kept.identity != identity)
        return false;
    if (kept.id != id && shmat(id, kept.at, SHM_REMAP) == (void *)-1)
        return false;
    kept.id = id;
    return true;
}

/* False where it is kept already, by another thread or for another user. */
static bool keep(const struct owner *owner, const struct name *name, int id, struct ledger *ledger)
{
    if (keep_first(owner, name->identity, id, ledger->at))
        return true;
    if (!keep_again(owner, name->identity, id))
        return false;
    shmdt(ledger->at);
    ledger->at = kept.at;
    return true;
}

static void look(struct ledger *ledger, const struct owner *owner, uint32_t second, bool make)
{
    struct name name;
    int id;

    ledger->at = find_name(&name, owner) ? attach(&name, owner->uid, make, &id) : NULL;
    if (!ledger->at || !use())
        return;
    ledger->kept = keep(owner, &name, id, ledger);
    if (ledger->kept)
        kept.second = second;
    else
        leave_to_others();
}

/* The one that is kept, if it is this and has been looked at. */
static bool recall(struct ledger *ledger, const struct owner *owner, uint32_t second)
{
    if (!use())
        return false;
    if (is_kept(owner) && kept.second == second) {
        *ledger = (struct ledger){.at = kept.at, .kept = true};
        return true;
    }
    leave_to_others();
    return false;
}

bool ledger_open(struct ledger *ledger, uint64_t network, bool make)
{
    struct owner owner = {.network = network, .uid = geteuid()};
    uint32_t second = ledger_now();
    int saved = errno;

    *ledger = (struct ledger){.at = NULL};
    if (!recall(ledger, &owner, second))
        look(ledger, &owner, second, make);
    errno = saved;
    return ledger->at != NULL;
}

void ledger_close(struct ledger *ledger)
{
    int saved = errno;

    if (ledger->at && ledger->kept)
        leave_to_others();
    else if (ledger->at)
        shmdt(ledger->at);
    ledger->at = NULL;
    errno = saved;
}

/* Other threads, which may have had it open, are not there. */
static void forked(void)
{
    kept.users = 0;
}

void ledger_start(void)
{
    pthread_atfork(NULL, NULL, forked);
}
