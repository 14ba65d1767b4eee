/* SPDX-License-Identifier: BSD-3-Clause */
/* What the network interfaces do to SCTP inside of UDP. */
#ifndef SCTPSHIM_OFFLOAD_H
#define SCTPSHIM_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>

/* Are there interfaces on which UDP encapsulation crawls? Their names, with blanks between. */
bool offload_spoils(char *interfaces, size_t size);

#endif
