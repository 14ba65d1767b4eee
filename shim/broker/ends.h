/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's ends of legs: their sockets, and the places where programs' SYNs are held. */
#ifndef SCTPSHIM_BROKER_ENDS_H
#define SCTPSHIM_BROKER_ENDS_H

#include <stdbool.h>
#include <stddef.h>

#include "../userspace/protocol.h"

/* A socket that resets what it is connected to when it is closed; -1 with errno. */
int end_socket(void);
/* Does closing it reset, or say good-bye? */
void end_linger(int fd, bool reset);
void end_set(int fd, int level, int name, int value);
/* SO_ERROR. */
int end_error(int fd);
/* Of one that connects: is there an answer? Over loopback there is one, mostly, when connect() returns. */
bool end_answered(int fd);

enum { HOLDS = 16 };
bool holds_open(void);
const union address *hold_name(size_t number);

/* A SYN from where the program's own went to: the socket that sent it, or -1. */
int hold_dial(const union address *hold, const union address *program);
/* Both halves of making the program's connect fail. */
void hold_refuse_begin(const union address *hold, const union address *program);
void hold_refuse_end(const union address *hold, const union address *program);

#endif
