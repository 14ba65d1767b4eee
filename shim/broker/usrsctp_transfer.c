/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through an association: messages as bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "pool.h"
#include "usrsctp_internal.h"
#include "usrsctp_mbufs.h"
#include "usrsctp_socket.h"

/* ---- Receiving ---- */

/* Where it stays until pieces_release(). */
static void add_pieces(struct pieces *pieces, struct mbuf *chain)
{
    chain->m_nextpkt = pieces->memory;
    pieces->memory = chain;
    for (const struct mbuf *m = chain; m; m = m->m_next) {
        if (m->m_len)
            pieces->at[pieces->count++] = (struct iovec){m->m_data, (size_t)m->m_len};
        pieces->bytes += (size_t)m->m_len;
    }
}

void pieces_release(struct pieces *pieces)
{
    struct mbuf *chain = pieces->memory, *next;

    for (; chain; chain = next) {
        next = chain->m_nextpkt;
        m_freem(chain);
    }
    pieces->memory = NULL;
}

/* Into as many pieces as are left, of which there is one at least. */
static struct mbuf *fit_pieces(const struct pieces *pieces, struct mbuf *chain)
{
    size_t count = 0;

    for (const struct mbuf *m = chain; m; m = m->m_next)
        count++;
    return count <= PIECES - pieces->count ? chain : mbuf_gather(chain);
}

static enum received took(struct association *a, struct pieces *pieces, struct mbuf *chain,
                          uint32_t ppid)
{
    struct mbuf *fitting;

    if (convention_is_end(&a->convention, ntohl(ppid))) {
        m_freem(chain);
        a->convention.peer_ended = true;
        return RECEIVED_OTHER;
    }
    fitting = fit_pieces(pieces, chain);
    if (!fitting) { /* what it had must not be missing in silence */
        m_freem(chain);
        association_fail(a, ECONNRESET);
        errno = ENOBUFS;
        return RECEIVED_NOTHING;
    }
    add_pieces(pieces, fitting);
    return RECEIVED_DATA;
}

enum received association_receive(struct association *a, struct pieces *pieces)
{
    union {
        union sctp_notification event;
        char room[512];
    } small = {0};
    struct sctp_sndrcvinfo info = {0};
    struct uio all = {.left = SSIZE_MAX};
    struct mbuf *chain = NULL;
    int flags = 0, error = sctp_sorecvmsg(a->socket, &all, &chain, NULL, 0, &flags, &info, 1);

    if (error) {
        errno = error;
        return RECEIVED_NOTHING;
    }
    if (!chain) {
        a->convention.peer_ended = a->convention.gone = true;
        return RECEIVED_OTHER;
    }
    if (!(flags & MSG_NOTIFICATION))
        return took(a, pieces, chain, info.sinfo_ppid);
    mbuf_copy_out(chain, &small, sizeof small);
    m_freem(chain);
    association_notified(a, &small.event);
    return RECEIVED_OTHER;
}

/* ---- Sending ---- */

void *stack_block(size_t size)
{
    return pool_malloc(size);
}

void stack_block_free(void *block)
{
    pool_free(block);
}

/* 0, and the block is the library's; or the errno. */
static int send_in_place(struct socket *socket, void *block, size_t len,
                         struct sctp_sndrcvinfo *info)
{
    unsigned *references;
    struct mbuf *message = mbuf_of_message(block, len, &references);
    int error;

    if (!message)
        return ENOBUFS;
    error = sctp_lower_sosend(socket, NULL, NULL, message, NULL, 0, info);
    block_settle(block, references, error == 0);
    return error;
}

bool stack_send(struct association *a, void *block, size_t len)
{
    enum { WORTH = 16 << 10 }; /* the whole block stays until the peer has what is in it */

    if (len >= WORTH) {
        struct sctp_sndrcvinfo info = {.sinfo_stream = a->convention.stream,
                                       .sinfo_ppid = a->convention.ppid};
        int error = send_in_place(a->socket, block, len, &info);

        return !error || association_not_sent(error);
    }
    if (!association_send(a, block, len, a->convention.ppid, false))
        return false;
    pool_free(block);
    return true;
}

bool messages_are_known(struct socket *socket)
{
    enum { SOME = 16 };
    struct sctp_sndrcvinfo info = {0};
    struct uio all = {.left = SSIZE_MAX};
    struct mbuf *chain = NULL;
    void *block = pool_calloc(1, SOME);
    int flags = 0;

    if (!block)
        return false;
    if (send_in_place(socket, block, SOME, &info) != 0) {
        pool_free(block);
        return false;
    }
    return sctp_sorecvmsg(socket, &all, &chain, NULL, 0, &flags, &info, 1) == EWOULDBLOCK &&
           !chain && all.left == SSIZE_MAX;
}
