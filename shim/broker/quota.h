/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of the broker one process, or one user, may have. */
#ifndef SCTPSHIM_BROKER_QUOTA_H
#define SCTPSHIM_BROKER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

enum quota_kind {
    QUOTA_VISITS,       /* of a process, by its pid: connections to the control socket */
    QUOTA_PROCESS_LEGS, /* by its pid */
    QUOTA_USER_LEGS,    /* by his uid */
};

/* One more, of at most `most`; false: there is no more for this one. */
bool quota_take(enum quota_kind kind, uint32_t id, unsigned most);
/* Gives back what was taken. */
void quota_give(enum quota_kind kind, uint32_t id);

#endif
