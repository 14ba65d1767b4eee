/* SPDX-License-Identifier: BSD-3-Clause */
/* mbufs around blocks of pool_malloc(). */
#ifndef SCTPSHIM_BROKER_USRSCTP_MBUFS_H
#define SCTPSHIM_BROKER_USRSCTP_MBUFS_H

#include <stdbool.h>
#include <stddef.h>

struct mbuf;

/* All of the block is data, and freed with the last mbuf that shares it; NULL: it is not taken. */
struct mbuf *mbuf_of_block(void *block, size_t size);
/*
 * The same for a message, whose block shall outlive the library's not taking it. Afterwards
 * block_settle() says how it went; `references` is between the two.
 */
struct mbuf *mbuf_of_message(void *block, size_t size, unsigned **references);
void block_settle(void *block, unsigned *references, bool taken);
/* A chain as one mbuf; NULL, and the chain is as it was: there is no memory. */
struct mbuf *mbuf_gather(struct mbuf *chain);
/* The chain's first bytes, as many as there are. */
void mbuf_copy_out(const struct mbuf *chain, void *to, size_t size);
/* For the self-test: are the library's what usrsctp_internal.h says? */
bool mbufs_are_known(void);

#endif
