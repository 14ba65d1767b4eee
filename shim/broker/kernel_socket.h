/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack over the kernel's SCTP, between its files: an association is a one-to-one socket. */
#ifndef SCTPSHIM_BROKER_KERNEL_SOCKET_H
#define SCTPSHIM_BROKER_KERNEL_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "stack.h"
#include "wakes.h"

struct association {
    struct source source; /* its socket, edge by edge: the relay goes on until it has to wait */
    struct wake wake;     /* and its owner */
    union address local, remote;
    uint32_t ppid, chunk;
    uint16_t stream;
    bool up, peer_is_shim, peer_ended, finished, reset, gone;
    int error;
};

/*
 * kernel_messages.c: takes what there is to be known, without a byte of data being lost. 0, or the
 * error that the socket has, or had: it says so once.
 */
int messages_take_notes(struct association *a);
/* The association is lost. */
void messages_lost(struct association *a, int error);

#endif
