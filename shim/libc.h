/* SPDX-License-Identifier: BSD-3-Clause */
/* Pointers to the real libc functions behind our hooks, usable from the very first instruction. */
#ifndef SCTPSHIM_LIBC_H
#define SCTPSHIM_LIBC_H

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#define HOOK(ret, name, proto, args, op, raw) ret(*name) proto;
#define SPECIAL(ret, name, proto, args, raw) ret(*name) proto;
#define TWIN(ret, name, proto, call, raw) ret(*name) proto;
struct libc {
#include "hooks.def"
};

/*
 * Before libc_resolve() each pointer is a raw system call (no cancellation point, otherwise the
 * same); afterwards it is what dlsym(RTLD_NEXT) found, so other preloaded libraries stack.
 */
extern struct libc libc;

/* Looks the real functions up. Idempotent; keeps the raw stand-in of a function not found. */
void libc_resolve(void);

/* The system call itself, by number, with errno set as libc does. */
long raw_syscall(long number, long a, long b, long c, long d, long e, long f);

#endif
