/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: who comes, what is asked (userspace/protocol.h), and when all have gone. */
#ifndef SCTPSHIM_BROKER_CONTROL_H
#define SCTPSHIM_BROKER_CONTROL_H

#include <stdbool.h>

/* Takes over a listening control socket; false: there are too many. */
bool control_open(int listener);
/* All users of this machine may have connections made, not only ours. */
void control_share(void);
bool control_shared(void);
/* No more visitors at a time than this. */
void control_limit(unsigned most);
/* Programs whose requests are not finished. */
unsigned control_visitors(void);
/* Lets in who stands at the door; is there anybody now? */
bool control_knock(void);

#endif
