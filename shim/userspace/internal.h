/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the userspace plane's library side share. */
#ifndef SCTPSHIM_USERSPACE_INTERNAL_H
#define SCTPSHIM_USERSPACE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../fd.h"
#include "../rules.h"
#include "../socket_options.h"
#include "protocol.h"

/* A system call without libc: not one of our own hooks, and no cancellation point. */
#define raw(number, a, b, c, d, e, f)                                                         \
    raw_syscall((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* client.c */
/*
 * Asks the broker about this leg of the program's; one that is not there is started if `start` is
 * set. False, with errno, when there is no answer. No cancellation point, no heap memory, no
 * descriptor stays open.
 */
bool broker_ask(int fd, const struct request *request, struct answer *answer, bool start);
/*
 * The same with the options that the socket falls under, for a leg that begins: 0 or the errno for
 * the program; without a broker the log has `consequence`.
 */
int broker_arrange(int fd, struct request *request, struct answer *answer,
                   const char *consequence);

/* start.c */
/* Is there a broker to be started for this network of legs, where this library was installed? */
bool broker_exists(uint32_t network);
/* Starts it; false when that cannot be done. It may be another one that serves in the end. */
bool broker_start(uint32_t network);

/* names.c */
/* The leg's names as the kernel has them; false when it has none. */
bool leg_name(int fd, union address *name);
bool leg_peer(int fd, union address *name);
/* The association's names go into the fd's memory. */
void names_keep(int fd, const union address *local, const union address *remote);
/* A connect failed with `error`: with what TCP's would have. */
int connect_error(int fd, int error);
/* getsockname()'s way of handing a name over to the program. */
void name_answer(int fd, const union address *name, struct sockaddr *addr, socklen_t *len);
/* TCP_SYN_SENT and so on (tcp(7)), or 0: it is no TCP socket. */
int leg_tcp_state(int fd);
/* Does the rule for this use leave the socket to TCP? It then is none of ours any more. */
bool leg_left_to_tcp(int fd, const struct rule_use *use);

/* listen.c */
/* Binds the program's socket within the network of legs; errno as of bind(). */
int leg_bind(int fd, const union address *leg);

/* both.c: of a socket under prefer-sctp, by the name that it has or is to get */
/* Can the broker, whose ends are IPv4, connect to it? */
bool both_callable(int fd, const union address *name);
/* Does a rule say that this TCP socket, which nobody has connected, is such a one? */
bool both_may_be(int fd, const union address *name);
/* Its end of a leg to the broker; at the IPv4 host `unbound`, in host order, when at none. */
void both_leg(const union address *name, uint32_t unbound, union address *leg);
/* It listens to TCP alone, for the broker said `error`. */
void both_left_to_tcp(int fd, const union address *name, int error);

/* congestion.c */
/* A name as getsockopt(TCP_CONGESTION) gives it: TCP_CA_NAME_MAX of Linux's include/net/tcp.h. */
struct congestion {
    char name[16];
};

/* The socket is a leg from now on; or it is TCP's again, and has what the system gives. */
void congestion_of_leg(int fd);
void congestion_of_tcp(int fd);
/* What the program knows of goes along to the socket that takes a leg's place. */
void congestion_save(int fd, struct congestion *congestion);
void congestion_restore(int fd, const struct congestion *congestion);
/* getsockopt() with TCP_CONGESTION or TCP_CC_INFO: the program is shown the default's. */
int congestion_get(int fd, int name, void *value, socklen_t *len);

/* connect.c: the leg connects, to the broker that makes the association; errno as of connect(). */
int leg_start(int fd, const union address *to);

/* fallback.c: the same, or TCP, where the rule is prefer-sctp. */
int leg_connect(int fd, const union address *to, socklen_t len);
/* A connect that may yet go another way is not tried for long. */
void fallback_shorten(int fd, struct parameters *parameters);

#endif
