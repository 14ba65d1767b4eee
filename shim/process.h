/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process this is: one with memory of its own, or a guest in its parent's. */
#ifndef SCTPSHIM_PROCESS_H
#define SCTPSHIM_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Called once, before there are threads. */
void process_start(void);

/* Its number; of a child made by vfork(), which is about to be another program, its parent's. */
pid_t process_id(void);

/*
 * Is this a child made by vfork(), between which and its exec the parent's variables are changed
 * by what it does? (Also true of children made by clone() behind libc's back.)
 */
bool process_borrowed(void);

#endif
