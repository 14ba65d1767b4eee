/* SPDX-License-Identifier: BSD-3-Clause */
/* mbufs around blocks of pool_malloc(). */
#ifndef SCTPSHIM_BROKER_USRSCTP_MBUFS_H
#define SCTPSHIM_BROKER_USRSCTP_MBUFS_H

#include <stdbool.h>
#include <stddef.h>

struct mbuf;

/* All of the block is data, and freed with the last mbuf that shares it; NULL: it is not taken. */
struct mbuf *mbuf_of_block(void *block, size_t size);
/* For the self-test: are the library's what usrsctp_internal.h says? */
bool mbufs_are_known(void);

#endif
