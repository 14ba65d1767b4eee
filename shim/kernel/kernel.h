/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel plane: TCP's socket calls over a kernel SCTP one-to-one socket.
 *
 * Each operation takes the arguments of the libc function it is named after, for an fd that is
 * ours, and returns what TCP would: value, errno, short counts. An errno of ENOTSOCK or EBADF means
 * that the fd was not ours after all. What each hides, and the measurements behind it, is in
 * docs/semantics.md.
 */
#ifndef SCTPSHIM_KERNEL_H
#define SCTPSHIM_KERNEL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "../fd.h"

/* Does the configuration want TCP requests to become SCTP? */
bool kernel_wanted(void);

/* FD_UNKNOWN for a bad fd, FD_FOREIGN, or the state of a socket of ours as the kernel tells it. */
enum fd_kind kernel_classify(int fd);
/* What the kernel remembers for us of a socket that this process has not known before. */
void kernel_recall(int fd, struct fd_info *info);

int kernel_socket(int domain, int type, int protocol);
int kernel_bind(int fd, const struct sockaddr *addr, socklen_t len);
int kernel_listen(int fd, int backlog);
int kernel_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int kernel_connect(int fd, const struct sockaddr *addr, socklen_t len);
int kernel_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int kernel_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int kernel_shutdown(int fd, int how);
/* The number is about to be closed; nothing happens when it is none of ours. Keeps errno. */
void kernel_closing(int fd);
void kernel_closing_range(unsigned first, unsigned last);
/*
 * Whoever reads it from now on may do so by plain read(2), to which a notification is data. (The
 * price: a restarted association is not noticed.)
 */
void kernel_quiet(int fd);

ssize_t kernel_write(int fd, const void *buf, size_t len);
ssize_t kernel_writev(int fd, const struct iovec *iov, int count);
ssize_t kernel_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t kernel_send(int fd, const void *buf, size_t len, int flags);
ssize_t kernel_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                      socklen_t addrlen);
ssize_t kernel_sendmsg(int fd, const struct msghdr *msg, int flags);
int kernel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags);
ssize_t kernel_sendfile(int fd, int in_fd, off_t *offset, size_t count);
/* One end at least is ours. */
ssize_t kernel_splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
                      unsigned flags);

ssize_t kernel_read(int fd, void *buf, size_t len);
ssize_t kernel_readv(int fd, const struct iovec *iov, int count);
ssize_t kernel_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t kernel_recv(int fd, void *buf, size_t len, int flags);
ssize_t kernel_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
                        socklen_t *addrlen);
ssize_t kernel_recvmsg(int fd, struct msghdr *msg, int flags);
int kernel_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                    struct timespec *timeout);

int kernel_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int kernel_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int kernel_ioctl(int fd, unsigned long request, void *arg);

/* These take any fds; those that are not ours pass through. */
int kernel_poll(struct pollfd *fds, nfds_t count, int timeout);
int kernel_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *mask);
int kernel_select(int count, fd_set *reads, fd_set *writes, fd_set *errors,
                  struct timeval *timeout);

/* epoll_ctl() is about to be called for a socket of ours that neither is connected nor listens. */
void kernel_epoll_ctl(int epoll, int op, int fd, const struct epoll_event *event);
/* When a wait of so many ms that begins now ends; what is not positive stays as it is. */
int64_t kernel_epoll_deadline(int64_t timeout);
/* Has it to tell of a socket without a connection, of which the kernel's tells nothing? */
bool kernel_epoll_owes(int epoll);
/*
 * An epoll_wait() has returned that many events, while some sockets are not connected: those that
 * are TCP's, or those of a wait that goes on until the deadline.
 */
int kernel_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t deadline,
                      const sigset_t *mask, int count);

#endif
