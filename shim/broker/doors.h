/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a broker is asked, and that there is only one. */
#ifndef SCTPSHIM_BROKER_DOORS_H
#define SCTPSHIM_BROKER_DOORS_H

#include <stdbool.h>

/* What became of the wish to be the broker. */
enum doors { DOORS_OPEN, DOORS_TAKEN /* there is one already */, DOORS_FAILED /* said why */ };

/*
 * Takes the sockets that a service manager has passed, if any (sd_listen_fds(3): LISTEN_PID,
 * LISTEN_FDS), and opens this user's own, unless somebody else listens there. They are connected to from
 * then on; control_open() gets them with doors_serve().
 */
enum doors doors_open(void);
void doors_serve(void);
/* Were sockets passed? Who passed them keeps us in the foreground. */
bool doors_passed(void);
/*
 * Nobody may come between the decision to end and the end: under the lock, which this process takes
 * with it, the socket's name goes first. Who was in its queue even so starts another broker. False:
 * somebody has just come.
 */
bool doors_close(void);
/* For messages. */
const char *doors_name(void);
/* The file beside it for registry.h. */
const char *doors_registry(void);

/* Asks the broker that runs here what it does, and prints it; false: there is none. */
bool doors_show(void);
/* And then its legs, one a line. */
bool doors_list(void);

#endif
