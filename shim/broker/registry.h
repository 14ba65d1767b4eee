/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who listens, on file: a broker that is killed leaves to the next one which sockets it was calling,
 * and with which options. The kernel says which of them are still there.
 */
#ifndef SCTPSHIM_BROKER_REGISTRY_H
#define SCTPSHIM_BROKER_REGISTRY_H

#include "leg.h"

/*
 * Opens the file of that name, of this user's and nobody else's, and hands over what the broker
 * before has left there: the request, who made it, and the socket's cookie. Then it is empty.
 * Without the file everything else works.
 */
void registry_open(const char *path, void (*told)(const struct request *request,
                                                  const struct caller *who, uint64_t socket));

/* Where it was noted, for registry_clear(); -1: nowhere. */
int registry_note(const struct request *request, const struct caller *who, uint64_t socket);
void registry_clear(int place);

#endif
