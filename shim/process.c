/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process this is: one with memory of its own, or a guest in its parent's. */
#include "process.h"

#include <pthread.h>
#include <unistd.h>

/* Whose memory this is. fork() makes it the child's, vfork() does not. */
static pid_t owner;

static void forked(void)
{
    owner = getpid();
}

void process_start(void)
{
    forked();
    pthread_atfork(NULL, NULL, forked);
}

pid_t process_id(void)
{
    return owner ? owner : getpid();
}

bool process_borrowed(void)
{
    return owner && getpid() != owner;
}
