/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that connect. */
#ifndef SCTPSHIM_BROKER_CALLS_H
#define SCTPSHIM_BROKER_CALLS_H

#include "leg.h"

/*
 * A connect begins: 0, and where the program's SYN is to go, and the association's own end; or its
 * errno.
 */
int legs_connect(const struct request *request, const struct caller *who, union address *hold,
                 union address *own);

/* The association is up: the program's connect is to end well. */
void call_answered(struct leg *leg);
/* It did not come to one: the program's connect is to fail. */
void call_failed(struct leg *leg, int error);

/*
 * Does a program here call with these names, and is not about to be told that it is connected?
 * call_over(): now it is, or never will be.
 */
bool call_pending(const union address *local, const union address *remote);
void call_over(struct leg *leg);

#endif
