/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of a run that are given to the library as one. */
#ifndef SCTPSHIM_BROKER_USRSCTP_JOINS_H
#define SCTPSHIM_BROKER_USRSCTP_JOINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of an association: the TSN that comes next while nothing is missing. */
struct joins {
    uint32_t next;
    bool in_order;
};

/*
 * `bytes` is a run of packets of *len bytes each, `all` altogether. Joins the packets that begin it
 * to one, as far as they are in order and nothing but data: true, and *len is the length of that
 * one, whose checksum means nothing.
 */
bool join(struct joins *joins, unsigned char *bytes, size_t all, size_t *len);

/* We acknowledge so: the first bytes of a SACK chunk. */
enum { SACK_SIZE = 16 };
void join_acknowledged(struct joins *joins, const unsigned char *sack);

#endif
