/* SPDX-License-Identifier: BSD-3-Clause */
/* malloc(3), calloc(3) and free(3) for libusrsctp. */
#ifndef SCTPSHIM_BROKER_POOL_H
#define SCTPSHIM_BROKER_POOL_H

#include <stddef.h>

void *pool_malloc(size_t size);
void *pool_calloc(size_t count, size_t size);
void pool_free(void *memory);

/* Blocks of about 64 KB that are in use. */
size_t pool_large_used(void);

#endif
