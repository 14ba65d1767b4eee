/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack over the kernel's SCTP, between its files: an association is a one-to-one socket. */
#ifndef SCTPSHIM_BROKER_KERNEL_SOCKET_H
#define SCTPSHIM_BROKER_KERNEL_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "convention.h"
#include "loop.h"
#include "stack.h"
#include "wakes.h"

struct association {
    struct source source; /* its socket, edge by edge: the relay goes on until it has to wait */
    struct wake wake;     /* and its owner */
    union address local, remote;
    struct convention convention;
    uint32_t chunk; /* the largest message, bytes */
    bool up, pathmtu_is_set, paths_differ;
};

/*
 * kernel_messages.c: takes what there is to be known, without a byte of data being lost. 0, or the
 * error that the socket has, or had: it says so once.
 */
int messages_take_notes(struct association *a);

#endif
