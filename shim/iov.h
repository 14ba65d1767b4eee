/* SPDX-License-Identifier: BSD-3-Clause */
/* A position in a scatter/gather list, and windows of bounded length starting there. */
#ifndef SCTPSHIM_IOV_H
#define SCTPSHIM_IOV_H

#include <limits.h>
#include <stddef.h>
#include <sys/uio.h>

enum { IOV_WINDOW = 64 }; /* elements in a window: 1 KiB of stack */

struct iov_cursor {
    const struct iovec *iov;
    size_t count;
    size_t skip; /* bytes of iov[0] already behind us */
};

/* Sum of the lengths, or (size_t)-1 where the kernel would say EINVAL (more than SSIZE_MAX). */
static inline size_t iov_total(const struct iovec *iov, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - total)
            return (size_t)-1;
        total += iov[i].iov_len;
    }
    return total;
}

static inline void iov_advance(struct iov_cursor *at, size_t bytes)
{
    bytes += at->skip;
    while (at->count && bytes >= at->iov->iov_len) {
        bytes -= at->iov->iov_len;
        at->iov++;
        at->count--;
    }
    at->skip = bytes;
}

/*
 * Fills window, which has room for so many elements, with up to limit bytes from the cursor on;
 * returns the bytes, *count elements.
 */
static inline size_t iov_window(const struct iov_cursor *at, size_t limit, struct iovec *window,
                                size_t room, size_t *count)
{
    size_t bytes = 0, skip = at->skip, n = 0;

    for (size_t i = 0; i < at->count && n < room && bytes < limit; i++, skip = 0) {
        size_t len = at->iov[i].iov_len - skip;

        if (!len)
            continue;
        if (len > limit - bytes)
            len = limit - bytes;
        window[n].iov_base = (char *)at->iov[i].iov_base + skip;
        window[n++].iov_len = len;
        bytes += len;
    }
    *count = n;
    return bytes;
}

#endif
