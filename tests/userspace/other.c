/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into a broker with ld's --wrap: what its self-test would meet in a library whose insides are
 * others than it was written for.
 */
#include <stdbool.h>

bool __wrap_mbufs_are_known(void);

bool __wrap_mbufs_are_known(void)
{
    __builtin_trap();
}
