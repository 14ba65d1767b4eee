/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sendfile(): SCTP's own makes a message of every page. Ours sends from a mapping of the file, or,
 * where the input cannot be mapped, through a small buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "kernel.h"

enum { WINDOW = 1 << 20, BUFFER = 4096 };

static ssize_t send_bytes(int fd, const void *from, size_t len)
{
    struct iovec iov = {(void *)from, len};

    return stream_send(fd, &iov, 1, 0);
}

/* Up to *len bytes at offset, which it cuts to what it tries; -2: cannot be mapped. */
static ssize_t send_mapped(int fd, int in_fd, off_t offset, size_t *len)
{
    off_t page = sysconf(_SC_PAGESIZE);
    off_t start = offset / page * page;
    size_t before = (size_t)(offset - start);
    char *map;
    ssize_t sent;
    int error;

    if (*len > WINDOW - before)
        *len = WINDOW - before;
    map = mmap(NULL, before + *len, PROT_READ, MAP_SHARED, in_fd, start);
    if (map == MAP_FAILED)
        return -2;
    sent = send_bytes(fd, map + before, *len);
    error = errno;
    munmap(map, before + *len);
    errno = error;
    return sent;
}

/* The same through a buffer, for files of the kernel's that have no pages. */
static ssize_t send_copied(int fd, int in_fd, off_t offset, size_t *len)
{
    char buffer[BUFFER];
    ssize_t n = pread(in_fd, buffer, *len < sizeof buffer ? *len : sizeof buffer, offset);

    if (n <= 0)
        return n;
    *len = (size_t)n;
    return send_bytes(fd, buffer, (size_t)n);
}

static ssize_t send_range(int fd, int in_fd, off_t offset, size_t count)
{
    struct stat file;
    bool mappable = fstat(in_fd, &file) == 0 && file.st_size > 0;
    size_t done = 0;

    while (done < count) {
        off_t at = offset + (off_t)done;
        size_t len = count - done;
        ssize_t n = -2;

        if (mappable) {
            if (at >= file.st_size)
                break;
            if ((off_t)len > file.st_size - at)
                len = (size_t)(file.st_size - at);
            n = send_mapped(fd, in_fd, at, &len);
        }
        if (n == -2)
            n = send_copied(fd, in_fd, at, &len);
        if (n < 0 && !done)
            return -1;
        if (n <= 0)
            break;
        done += (size_t)n;
        if ((size_t)n < len) { /* no room, or a signal: what is sent is what counts */
            if (fd_info(fd)->flags & FDF_PEER_GONE)
                (void)send_bytes(fd, "", 0); /* TCP goes on until it hears that nobody listens */
            break;
        }
    }
    return (ssize_t)done;
}

ssize_t kernel_sendfile(int fd, int in_fd, off_t *offset, size_t count)
{
    struct stat file;
    off_t from;
    ssize_t sent;
    int cancelling;

    /* Nothing at all first: the kernel checks the arguments, and knows the right errors. */
    if (libc.sendfile(fd, in_fd, offset, 0) < 0)
        return -1;
    if (!count || fstat(in_fd, &file) < 0 || !S_ISREG(file.st_mode))
        return libc.sendfile(fd, in_fd, offset, count);
    from = offset ? *offset : lseek(in_fd, 0, SEEK_CUR);
    /* What it calls are cancellation points, it is none: a mapping would stay, and bytes be lost. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    sent = send_range(fd, in_fd, from, count < INT32_MAX ? count : INT32_MAX & ~4095);
    pthread_setcancelstate(cancelling, NULL);
    if (sent > 0 && offset)
        *offset = from + sent;
    else if (sent > 0)
        lseek(in_fd, from + sent, SEEK_SET);
    return sent;
}
