/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program's arrays that this library reads and the kernel does not: TCP says EFAULT to a bad
 * one, so it is the kernel that is made to look first. Pages that it has seen once are not asked
 * about again: what is unmapped between two calls is not noticed, and ends the program.
 */
#include <errno.h>
#include <stdatomic.h>

#include "internal.h"

enum { GRAIN = 4096, PAGES = 1024 };

static _Atomic uintptr_t seen[PAGES];

int array_readable(int fd, const void *array, size_t bytes)
{
    uintptr_t at = (uintptr_t)array, page = at / GRAIN, last;

    if (!bytes || fd_sealed())
        return 0;
    if (__builtin_add_overflow(at, bytes - 1, &last)) {
        errno = EFAULT;
        return -1;
    }
    for (last /= GRAIN; page <= last; page++) {
        _Atomic uintptr_t *known = &seen[page % PAGES];

        if (__builtin_expect(atomic_load_explicit(known, memory_order_relaxed) == page + 1, 1))
            continue;
        if (check_readable(fd, (const void *)(page * GRAIN), sizeof(int)) < 0)
            return -1;
        atomic_store_explicit(known, page + 1, memory_order_relaxed);
    }
    return 0;
}
