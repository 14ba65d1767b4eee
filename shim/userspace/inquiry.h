/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions to the broker that runs here, by who is not the library in a program. */
#ifndef SCTPSHIM_USERSPACE_INQUIRY_H
#define SCTPSHIM_USERSPACE_INQUIRY_H

#include "protocol.h"
#include "rendezvous.h"

/*
 * One question, at the socket in its directory. False when nobody answers, with errno: EAGAIN where
 * somebody may do later than in five seconds.
 */
bool inquire(const struct rendezvous *where, const struct request *request, struct answer *answer);

#endif
