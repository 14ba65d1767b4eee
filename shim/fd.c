/* SPDX-License-Identifier: BSD-3-Clause */
/* The fd cache: one byte a number on the hot path, the rest touched only for our sockets. */
#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/kernel.h"
#include "options.h"

enum { CHUNK = 1024 };

_Atomic uint8_t fd_kinds[FD_TABLE];
static _Atomic(struct fd_info *) chunks[FD_TABLE / CHUNK];

/* mmap, not malloc: a hook may run inside the program's allocator or a signal handler. */
static struct fd_info *map_chunk(_Atomic(struct fd_info *) *slot)
{
    size_t bytes = CHUNK * sizeof(struct fd_info);
    struct fd_info *none = NULL;
    struct fd_info *chunk =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (chunk == MAP_FAILED)
        return NULL;
    if (!atomic_compare_exchange_strong(slot, &none, chunk)) {
        munmap(chunk, bytes);
        chunk = none;
    }
    return chunk;
}

struct fd_info *fd_info(int fd)
{
    static struct fd_info nowhere;
    struct fd_info *chunk = NULL;

    if ((unsigned)fd < FD_TABLE) {
        _Atomic(struct fd_info *) *slot = &chunks[fd / CHUNK];

        chunk = atomic_load_explicit(slot, memory_order_acquire);
        if (!chunk)
            chunk = map_chunk(slot);
    }
    if (!chunk) {
        memset(&nowhere, 0, sizeof nowhere);
        return &nowhere;
    }
    return &chunk[fd % CHUNK];
}

atomic_bool fd_any_failed;

void fd_set_kind(int fd, enum fd_kind kind)
{
    if (kind == FD_FAILED)
        atomic_store_explicit(&fd_any_failed, true, memory_order_relaxed);
    if ((unsigned)fd < FD_TABLE)
        atomic_store_explicit(&fd_kinds[fd], kind, memory_order_relaxed);
}

void fd_adopt(int fd, enum fd_kind kind)
{
    memset(fd_info(fd), 0, sizeof(struct fd_info));
    fd_set_kind(fd, kind);
}

void fd_forget(int fd)
{
    if ((unsigned)fd >= FD_TABLE)
        return;
    uint8_t kind = atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed);

    if (kind > FD_FOREIGN)
        fd_info(fd)->last_kind = kind;
    fd_set_kind(fd, FD_UNKNOWN);
}

void fd_received(int fd)
{
    fd_set_kind(fd, FD_UNKNOWN);
    fd_info(fd)->last_kind = FD_UNKNOWN;
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
    if (from == to || (unsigned)to >= FD_TABLE)
        return;
    fd_forget(to);
    if ((unsigned)from < FD_TABLE && fd_kind(from) > FD_FOREIGN) {
        struct fd_info *info = fd_info(to);

        *info = *fd_info(from);
        info->last_kind = (uint8_t)fd_kind(from);
    }
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
        (void)fd_kind(fd);
    options.log = LOG_LEVEL_OFF; /* a log line opens, asks and writes */
    atomic_store(&sealed, true);
}

enum fd_kind fd_classify(int fd)
{
    if (fd_sealed())
        return FD_FOREIGN;

    int saved = errno;
    enum fd_kind kind = kernel_classify(fd);

    if (kind > FD_FOREIGN) {
        struct fd_info *info = fd_info(fd);

        if (info->last_kind <= FD_FOREIGN)
            memset(info, 0, sizeof *info);
        else if (kind == FD_IDLE)
            kind = info->last_kind; /* connecting and failed: states the kernel does not tell */
    }
    fd_set_kind(fd, kind);
    errno = saved;
    return kind == FD_UNKNOWN ? FD_FOREIGN : kind;
}

bool fd_was_stale(int fd)
{
    if (errno != ENOTSOCK && errno != EBADF)
        return false;
    fd_forget(fd);
    return true;
}
