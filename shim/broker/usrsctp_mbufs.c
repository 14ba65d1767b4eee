/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's mbufs: one block for each message and packet, whatever its size, where the library
 * would make a chain of 2 KB ones, which each of a message's chunks walks along.
 */
#include <stddef.h>
#include <string.h>

#include "pool.h"
#include "usrsctp_internal.h"
#include "usrsctp_mbufs.h"

_Static_assert(offsetof(struct mbuf, header) == 40 && offsetof(struct mbuf, shared) == 80, "");

/* The block is the mbuf's from now on; false: there is no memory. */
static bool give_block(struct mbuf *m, void *block, size_t size)
{
    unsigned *references = pool_malloc(sizeof *references);

    if (!references)
        return false;
    *references = 1;
    m->shared.block = m->m_data = block;
    m->shared.unused[0] = m->shared.unused[1] = NULL;
    m->shared.size = (unsigned)size;
    m->shared.references = references;
    m->shared.kind = MBUF_FREED;
    m->m_flags |= MBUF_SHARED;
    return true;
}

struct mbuf *mbuf_of_block(void *block, size_t size)
{
    struct mbuf *m = m_gethdr(MBUF_NOWAIT, MBUF_DATA);

    if (!m)
        return NULL;
    if (!give_block(m, block, size)) {
        m_freem(m);
        return NULL;
    }
    m->m_len = (int)size;
    return m;
}

struct mbuf *mbuf_of_message(void *block, size_t size, unsigned **references)
{
    struct mbuf *m = mbuf_of_block(block, size);

    if (!m)
        return NULL;
    m->header.len = (int)size;
    *references = m->shared.references;
    ++**references;
    return m;
}

void block_settle(void *block, unsigned *references, bool taken)
{
    if (--*references)
        return;
    pool_free(references);
    if (taken)
        pool_free(block);
}

void mbuf_copy_out(const struct mbuf *chain, void *to, size_t size)
{
    char *at = to;

    for (; chain && size; chain = chain->m_next) {
        size_t len = (size_t)chain->m_len < size ? (size_t)chain->m_len : size;

        memcpy(at, chain->m_data, len);
        at += len;
        size -= len;
    }
}

static struct mbuf *mbuf_with_room(size_t size)
{
    void *block = pool_malloc(size);
    struct mbuf *m = block ? mbuf_of_block(block, size) : NULL;

    if (!m)
        pool_free(block);
    else
        m->m_len = 0;
    return m;
}

struct mbuf *mbuf_gather(struct mbuf *chain)
{
    size_t size = 0;
    struct mbuf *whole;

    for (const struct mbuf *m = chain; m; m = m->m_next)
        size += (size_t)m->m_len;
    whole = mbuf_with_room(size);
    if (!whole)
        return NULL;
    mbuf_copy_out(chain, whole->m_data, size);
    whole->m_len = (int)size;
    m_freem(chain);
    return whole;
}

/* The library's, for all that it needs room for: at the end of a chain if there is one. */
struct mbuf *m_getm2(struct mbuf *chain, int len, int how, short type, int flags, int all_in_one)
{
    int header = chain ? 0 : flags & MBUF_HEADER;
    struct mbuf *m, *last;

    (void)all_in_one;
    if (len > (header ? MBUF_ROOM_HEADER : MBUF_ROOM))
        m = mbuf_with_room((size_t)len);
    else
        m = header ? m_gethdr(how, type) : m_get(how, type);
    if (!m)
        return NULL;
    m->m_flags |= flags & MBUF_END;
    if (!chain)
        return m;
    for (last = chain; last->m_next; last = last->m_next)
        ;
    last->m_next = m;
    last->m_flags &= ~MBUF_END;
    return chain;
}

/* A copy says how long it is. */
static bool header_is_known(struct mbuf *m)
{
    enum { SOME = 8 };
    struct mbuf *copy;
    bool known;

    m->m_len = SOME;
    copy = m_copym(m, 0, SOME, MBUF_NOWAIT);
    known = copy && copy->header.len == SOME;
    if (copy)
        m_freem(copy);
    m->m_len = 0;
    return known;
}

bool mbufs_are_known(void)
{
    struct mbuf *m = m_gethdr(MBUF_NOWAIT, MBUF_DATA);
    bool known;

    if (!m)
        return false;
    known = m->m_flags == MBUF_HEADER && m->m_type == MBUF_DATA &&
            m->m_data == (char *)m + 256 - MBUF_ROOM_HEADER && header_is_known(m);
    m_clget(m, MBUF_NOWAIT);
    known = known && m->m_flags == (MBUF_HEADER | MBUF_SHARED) && m->shared.block == m->m_data &&
            m->shared.size == MBUF_CLUSTER && m->shared.references && *m->shared.references == 1 &&
            m->shared.kind == MBUF_FREED;
    m_freem(m);
    return known;
}
