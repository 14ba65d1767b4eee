/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's memory: some ten blocks for each packet, nearly all of two sizes, the larger of
 * which libc keeps no quick list of, and one of 64 KB for each message or run of packets. Blocks
 * that come back are kept by size. The Makefile makes these the malloc(), calloc() and free() of
 * libusrsctp, and of nothing else.
 */
#include "pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRAIN = 64,
    CLASSES = 64,            /* blocks of up to 4 KB are kept, */
    LARGE = CLASSES + 1,     /* and those of about 64 KB, */
    LARGE_SIZE = 66 << 10,
    MOST_KEPT = 8 << 20,     /* so many bytes */
};

/* In front of each block; in a kept one `next` overlays what was the user's. */
struct block {
    uint32_t size_class; /* 0: one that is not kept */
    uint32_t unused[3];  /* the user's part is aligned as malloc() would */
    struct block *next;
};

enum { HEAD = offsetof(struct block, next) };
_Static_assert(HEAD % 16 == 0, "aligned for every type");

#ifdef __SANITIZE_ADDRESS__
enum { KEEPS = 0 }; /* else it would not see who uses what is gone */
#else
enum { KEEPS = 1 };
#endif

static struct block *kept[LARGE + 1];
static size_t kept_bytes, large_used;

size_t pool_large_used(void)
{
    return large_used;
}

static size_t class_of(size_t size)
{
    if (!KEEPS || size > LARGE_SIZE)
        return 0;
    if (size <= CLASSES * GRAIN)
        return (size + GRAIN - 1) / GRAIN;
    return size > LARGE_SIZE / 2 ? LARGE : 0;
}

static size_t size_of(size_t size_class)
{
    return size_class == LARGE ? LARGE_SIZE : size_class * GRAIN;
}

void *pool_malloc(size_t size)
{
    size_t size_class = class_of(size);
    struct block *block = kept[size_class];

    if (size > SIZE_MAX - HEAD)
        return NULL;
    if (size_class && block) {
        large_used += size_class == LARGE;
        kept[size_class] = block->next;
        kept_bytes -= size_of(size_class);
        return &block->next;
    }
    block = malloc(HEAD + (size_class                   ? size_of(size_class)
                           : size < sizeof block->next ? sizeof block->next
                                                       : size));
    if (!block)
        return NULL;
    block->size_class = (uint32_t)size_class;
    large_used += size_class == LARGE;
    return &block->next;
}

void *pool_calloc(size_t count, size_t size)
{
    size_t all;
    void *memory;

    if (__builtin_mul_overflow(count, size, &all))
        return NULL;
    memory = pool_malloc(all);
    return memory ? memset(memory, 0, all) : NULL;
}

void pool_free(void *memory)
{
    struct block *block;
    size_t size_class;

    if (!memory)
        return;
    block = (struct block *)(void *)((char *)memory - HEAD);
    size_class = block->size_class;
    large_used -= size_class == LARGE;
    if (!size_class || kept_bytes >= MOST_KEPT) {
        free(block);
        return;
    }
    block->next = kept[size_class];
    kept[size_class] = block;
    kept_bytes += size_of(size_class);
}
