/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that listen. */
#ifndef SCTPSHIM_BROKER_SERVICES_H
#define SCTPSHIM_BROKER_SERVICES_H

#include "leg.h"

/* 0, or the errno of listen(). */
int legs_listen(const struct request *request, const struct caller *who);
/* How many still listen, by the kernel's word. */
unsigned legs_listening(void);

/* Of the names that this host can have, the one that is bound under that leg's. */
bool service_bound(const union address *leg, union address *local);
/* Those that listened when the broker before was killed are listened for again. */
void services_recall(const char *registry);

/* For the stack: an association comes in, and whether the program is still there. */
void service_called(void *owner, struct association *association);
bool service_present(void *owner);

/* Who had to wait until now is let in. */
void services_turn(void);

#endif
