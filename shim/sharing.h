/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * May another process hold our sockets too? The kernel does not tell, so every call that could make
 * it so is counted; a socket that is older than the last of them is taken for shared.
 */
#ifndef SCTPSHIM_SHARING_H
#define SCTPSHIM_SHARING_H

#include <stdint.h>

/* Calls so far that gave all fds to another process. */
extern uint32_t sharing_count;

/* A call that the table of hooks does not name has done the same. */
static inline void sharing_happened(void)
{
    __atomic_fetch_add(&sharing_count, 1, __ATOMIC_RELAXED);
}

/* libc's functions of the COUNTED rows, resolved by libc_resolve(). */
#define COUNTED(name) extern __attribute__((visibility("hidden"))) void (*counted_##name)(void);
#include "hooks.def"

#endif
