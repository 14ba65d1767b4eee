/* SPDX-License-Identifier: BSD-3-Clause */
/* Start-up: the constructor, or the first socket() if that comes earlier. */
#include "init.h"

#include <errno.h>
#include <stdatomic.h>

#include "config.h"
#include "libc.h"

enum { COLD, WARMING, READY };

bool shim_ready(void)
{
    static atomic_int state;
    int seen = atomic_load_explicit(&state, memory_order_acquire);

    if (seen == READY)
        return true;
    /* A socket() made by dlsym or by reading the configuration itself must not come back here. */
    if (seen != COLD || !atomic_compare_exchange_strong(&state, &seen, WARMING))
        return false;

    int saved = errno;

    libc_resolve();
    config_load();
    errno = saved;
    atomic_store_explicit(&state, READY, memory_order_release);
    return true;
}

__attribute__((constructor(101))) static void start(void)
{
    (void)shim_ready();
}
