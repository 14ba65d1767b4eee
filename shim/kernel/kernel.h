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
#include <stdbool.h>
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

int kernel_socket(int domain, int type, int protocol);
int kernel_bind(int fd, const struct sockaddr *addr, socklen_t len);
int kernel_listen(int fd, int backlog);
int kernel_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int kernel_connect(int fd, const struct sockaddr *addr, socklen_t len);
int kernel_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int kernel_shutdown(int fd, int how);

ssize_t kernel_write(int fd, const void *buf, size_t len);
ssize_t kernel_writev(int fd, const struct iovec *iov, int count);
ssize_t kernel_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t kernel_send(int fd, const void *buf, size_t len, int flags);
ssize_t kernel_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
                      socklen_t addrlen);
ssize_t kernel_sendmsg(int fd, const struct msghdr *msg, int flags);
int kernel_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags);
ssize_t kernel_sendfile(int fd, int in_fd, off_t *offset, size_t count);

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

/* Is one of these a failed connect, on which the kernel would wait for ever? Then do not wait. */
bool kernel_poll_failed(const struct pollfd *fds, nfds_t count);
/* Gives failed connects the bits that TCP shows; returns the corrected number of ready fds. */
int kernel_poll_fixup(struct pollfd *fds, nfds_t count, int ready);


/* The same for select(), which overwrites its sets: what was asked of failed connects is kept. */
struct failed_fds {
    int count;
    fd_set reads, writes;
};

bool kernel_select_failed(int count, const fd_set *reads, const fd_set *writes,
                          struct failed_fds *failed);
int kernel_select_fixup(const struct failed_fds *failed, fd_set *reads, fd_set *writes, int ready);

#endif
