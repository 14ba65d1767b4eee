/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's mbufs: one block for each message and packet, whatever its size, where the library
 * would make a chain of 2 KB ones, which each of a message's chunks walks along.
 */
#include <stddef.h>

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

bool mbufs_are_known(void)
{
    struct mbuf *m = m_gethdr(MBUF_NOWAIT, MBUF_DATA);
    bool known;

    if (!m)
        return false;
    known = m->m_flags == MBUF_HEADER && m->m_type == MBUF_DATA &&
            m->m_data == (char *)m + 256 - MBUF_ROOM_HEADER;
    m_clget(m, MBUF_NOWAIT);
    known = known && m->m_flags == (MBUF_HEADER | MBUF_SHARED) && m->shared.block == m->m_data &&
            m->shared.size == MBUF_CLUSTER && m->shared.references && *m->shared.references == 1 &&
            m->shared.kind == MBUF_FREED;
    m_freem(m);
    return known;
}
