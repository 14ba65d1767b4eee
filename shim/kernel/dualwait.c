/* SPDX-License-Identifier: BSD-3-Clause */
/* poll() and select() of listeners that have a companion (dual.h): it is waited for too. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../log.h"
#include "dual.h"
#include "internal.h"
#include "kernel.h"

enum { WANTED = POLLIN | POLLRDNORM, ON_STACK = 128 };

static int companion_of(const struct pollfd *at)
{
    return at->events & WANTED ? dual_companion(at->fd) : -1;
}

static nfds_t companions_in(const struct pollfd *fds, nfds_t count)
{
    nfds_t found = 0;

    for (nfds_t i = 0; i < count; i++)
        found += companion_of(&fds[i]) >= 0;
    return found;
}

bool dual_in(const struct pollfd *fds, nfds_t count)
{
    return __builtin_expect(atomic_load_explicit(&dual_any, memory_order_relaxed), 0) && fds &&
           companions_in(fds, count);
}

/* Readiness goes to those that the program knows; how many are ready. */
static int gather(struct pollfd *fds, nfds_t count, const struct pollfd *all, nfds_t total)
{
    nfds_t next = count;
    int ready = 0;

    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = all[i].revents;
        if (next < total && companion_of(&fds[i]) == all[next].fd) {
            /* Of a number that nobody has any more accept() finds out. */
            if (all[next++].revents)
                fds[i].revents |= fds[i].events & WANTED;
        }
        ready += fds[i].revents != 0;
    }
    return ready;
}

static int wait_with(struct pollfd *fds, nfds_t count, struct pollfd *all, nfds_t most,
                     const struct timespec *timeout, const sigset_t *mask)
{
    nfds_t total = count;
    int ready;

    memcpy(all, fds, count * sizeof *fds);
    for (nfds_t i = 0; i < count && total < most; i++) {
        int companion = companion_of(&fds[i]);

        if (companion >= 0)
            all[total++] = (struct pollfd){.fd = companion, .events = WANTED};
    }
    ready = plain_ppoll(all, total, timeout, mask);
    return ready < 0 ? ready : gather(fds, count, all, total);
}

int dual_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
               const sigset_t *mask)
{
    struct pollfd stack[ON_STACK], *all = stack;
    nfds_t most = count + companions_in(fds, count);
    size_t size = most * sizeof *all;
    int ready, error;

    if (size > sizeof stack) {
        all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED)
            return -1; /* ENOMEM */
    }
    ready = wait_with(fds, count, all, most, timeout, mask);
    error = errno;
    if (all != stack)
        munmap(all, size);
    errno = error;
    return ready;
}

bool dual_in_set(int count, const fd_set *reads)
{
    if (__builtin_expect(!atomic_load_explicit(&dual_any, memory_order_relaxed), 1) || !reads ||
        count > FD_SETSIZE)
        return false;
    for (int fd = 0; fd < count; fd++)
        if (FD_ISSET(fd, reads) && dual_companion(fd) >= 0 && dual_companion(fd) < FD_SETSIZE)
            return true;
    return false;
}

int dual_select(int count, fd_set *reads, fd_set *writes, fd_set *errors, struct timeval *timeout)
{
    fd_set all_reads, all_writes, all_errors, asked;
    int most = count, ready;

    keep_set(count, reads, &all_reads);
    keep_set(count, writes, &all_writes);
    keep_set(count, errors, &all_errors);
    asked = all_reads;
    for (int fd = 0; fd < count; fd++) {
        int companion = FD_ISSET(fd, &asked) ? dual_companion(fd) : -1;

        if (companion >= 0 && companion < FD_SETSIZE) {
            FD_SET(companion, &all_reads);
            most = companion >= most ? companion + 1 : most;
        }
    }
    ready = plain_select(most, &all_reads, writes ? &all_writes : NULL,
                          errors ? &all_errors : NULL, timeout);
    if (ready < 0)
        return ready;
    for (int fd = 0; fd < count; fd++) {
        int companion = FD_ISSET(fd, &asked) ? dual_companion(fd) : -1;

        if (companion < 0 || companion >= FD_SETSIZE || !FD_ISSET(companion, &all_reads))
            continue;
        FD_CLR(companion, &all_reads);
        ready -= FD_ISSET(fd, &all_reads); /* counted twice */
        FD_SET(fd, &all_reads);
    }
    restore_set(count, &all_reads, reads);
    restore_set(count, &all_writes, writes);
    restore_set(count, &all_errors, errors);
    return ready;
}
