/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The userspace plane: the program keeps its TCP socket and is connected with it, over loopback, to
 * the broker, which carries the bytes. Nearly every call on such a leg is libc's own; here are
 * those that name things, or make the connection. docs/userspace.md says how.
 *
 * Each takes the arguments of the libc function it is named after, for an fd that is FD_LEG.
 */
#ifndef SCTPSHIM_USERSPACE_H
#define SCTPSHIM_USERSPACE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Is it this plane that TCP requests go to: by configuration, or because the kernel has no SCTP? */
bool userspace_wanted(void);

int userspace_socket(int domain, int type, int protocol);
/* Is this TCP socket, which we know nothing of, a leg, or may it become one? */
bool userspace_is_leg(int fd);

int userspace_bind(int fd, const struct sockaddr *addr, socklen_t len);
int userspace_listen(int fd, int backlog);
int userspace_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int userspace_connect(int fd, const struct sockaddr *addr, socklen_t len);
int userspace_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int userspace_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int userspace_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int userspace_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
/* Only with MSG_FASTOPEN they differ from libc's. */
ssize_t userspace_sendto(int fd, const void *buf, size_t len, int flags,
                         const struct sockaddr *addr, socklen_t addrlen);
ssize_t userspace_sendmsg(int fd, const struct msghdr *msg, int flags);

#endif
