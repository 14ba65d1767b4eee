/* SPDX-License-Identifier: BSD-3-Clause */
/* How snapshots are shown, and how associations are named. */
#ifndef SCTPSHIM_STATUS_STATUS_H
#define SCTPSHIM_STATUS_STATUS_H

#include "snapshot.h"

/* "10.1.0.1:40000", "[2001:db8::1]:80". */
struct endpoint_text {
    char text[INET6_ADDRSTRLEN + 9];
};
struct endpoint_text endpoint_format(const char *address, unsigned port);
/* Where the association began at this end; "?" when the kernel does not say. */
const char *entry_local(const struct entry *entry);
const char *entry_peer(const struct entry *entry);

/*
 * The association that goes by that name: its number, "PID:FD" or "LOCAL:PORT-PEER:PORT". NULL, and
 * said why, when it is not exactly one.
 */
struct entry *entry_find(const struct snapshot *in, const char *name);

/* For people: a block of lines each. */
void text_entry(const struct entry *entry);
void text_snapshot(const struct snapshot *snapshot);

/* For programs: one document in one line (sctpshim(1)). */
void json_snapshot(const struct snapshot *snapshot);

#endif
