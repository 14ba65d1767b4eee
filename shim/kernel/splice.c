/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * splice() between a socket and a pipe. SCTP's own knows messages, one page each: it shows what is
 * not data, and sends pages as messages that may wait for company. Here the bytes take the way
 * of read() and write(). They are copied, but none is ever between the two ends when a call fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "kernel.h"

enum { BUFFER = 64 << 10 }; /* what a new pipe holds, and a message */

/*
 * Mapping and first touching a buffer takes longer than all else here: a used one is kept, for
 * whoever comes first. Who finds none maps one, so that nobody waits.
 */
static _Atomic(char *) kept_buffer;

/* What a call holds, and a thread that is cancelled in the middle of it gives back. */
struct work {
    char *buffer;
    int copy[2];  /* a pipe; -1: none */
    size_t stale; /* bytes in it that have been dealt with */
};

static bool take_buffer(struct work *work)
{
    char *buffer = atomic_exchange(&kept_buffer, NULL);

    if (!buffer)
        buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) {
        errno = ENOMEM;
        return false;
    }
    work->buffer = buffer;
    return true;
}

static void release(void *of)
{
    struct work *work = of;
    int saved = errno;
    char *buffer = work->buffer ? atomic_exchange(&kept_buffer, work->buffer) : NULL;

    if (buffer)
        munmap(buffer, BUFFER);
    for (int i = 0; i < 2; i++)
        if (work->copy[i] >= 0)
            libc.close(work->copy[i]);
    errno = saved;
}

/*
 * How many bytes a pipe takes without waiting, whatever they are: each byte in it may occupy a
 * slot of its own, which is a page of the size that it tells. It has room for one slot at least.
 */
static size_t pipe_room(int fd)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t slots = (size_t)libc.fcntl(fd, F_GETPIPE_SZ, NULL) / page;
    int queued = 0;

    libc.ioctl(fd, FIONREAD, &queued);
    return (slots > (size_t)queued ? slots - (size_t)queued : 1) * page;
}

/*
 * Until the pipe has a slot: 0, or -1 with errno, and SIGPIPE when nobody reads it. poll() would
 * know, but after a signal it is not restarted as splice() is. What waits as splice() does is the
 * kernel's copying from a pipe that has come to its end, which copies nothing.
 */
static ssize_t wait_for_slot(int fd, unsigned flags, struct work *work)
{
    if (ready_now(fd, POLLOUT) == POLLOUT)
        return 0;
    if (pipe2(work->copy, O_CLOEXEC) < 0) {
        bool wait = !(flags & SPLICE_F_NONBLOCK) && !is_nonblocking(fd);

        errno = EAGAIN;
        return wait_for(fd, POLLOUT, wait ? -1 : now_ms()) > 0 ? 0 : -1;
    }
    libc.close(work->copy[1]);
    work->copy[1] = -1;
    return tee(work->copy[0], fd, 1, flags & SPLICE_F_NONBLOCK);
}

/* Another writer may have taken the room: then waiting is what is left, for they are read. */
static void push(int pipe, const char *from, size_t len)
{
    while (len) {
        ssize_t n = libc.write(pipe, from, len);

        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            wait_for(pipe, POLLOUT, -1);
        } else if (errno != EINTR) {
            return; /* the pipe's last reader has gone, and with it what it holds */
        }
    }
}

static ssize_t socket_to_pipe(int fd, int pipe, size_t len, struct work *work)
{
    size_t room = pipe_room(pipe);
    ssize_t got;

    if (!take_buffer(work))
        return -1;
    if (len > room)
        len = room;
    got = kernel_read(fd, work->buffer, len < BUFFER ? len : BUFFER);
    if (got > 0)
        push(pipe, work->buffer, (size_t)got);
    return got;
}

/* Reads bytes out of a pipe that are known to be in it. */
static void drop(int pipe, char *buffer, size_t len)
{
    while (len) {
        ssize_t n = libc.read(pipe, buffer, len < BUFFER ? len : BUFFER);

        if (n > 0)
            len -= (size_t)n;
        else if (n == 0 || errno != EINTR)
            return;
    }
}

/* Takes bytes out of the pipe without looking at them: into the other one, with which they go. */
static void move_away(int pipe, struct work *work, size_t len)
{
    ssize_t n = libc.splice(pipe, NULL, work->copy[1], NULL, len, SPLICE_F_NONBLOCK);

    if (n > 0)
        work->stale += (size_t)n;
    if (n < (ssize_t)len)
        drop(pipe, work->buffer, len - (size_t)(n > 0 ? n : 0));
}

/*
 * Up to len bytes. A pipe cannot be peeked into, but be duplicated into another: what the socket
 * takes of that one, and no more, is taken out of the first.
 */
static ssize_t send_once(int pipe, int fd, struct work *work, size_t len, unsigned flags)
{
    ssize_t n;

    drop(work->copy[0], work->buffer, work->stale);
    work->stale = 0;
    n = tee(pipe, work->copy[1], len, flags & SPLICE_F_NONBLOCK);

    if (n <= 0)
        return n;
    n = libc.read(work->copy[0], work->buffer, (size_t)n);
    n = kernel_write(fd, work->buffer, (size_t)n);
    if (n > 0)
        move_away(pipe, work, (size_t)n);
    return n;
}

/* The first bytes are waited for; then it is what the pipe holds. */
static ssize_t pipe_to_socket(int pipe, int fd, size_t len, unsigned flags, struct work *work)
{
    size_t done = 0;

    /* Without descriptors SCTP's own, which at least takes a message or leaves it. */
    if (pipe2(work->copy, O_CLOEXEC) < 0)
        return libc.splice(pipe, NULL, fd, NULL, len, flags & ~(unsigned)SPLICE_F_MORE);
    if (!take_buffer(work))
        return -1;
    while (done < len) {
        size_t part = len - done < BUFFER ? len - done : BUFFER;
        ssize_t n = send_once(pipe, fd, work, part, flags);

        if (n < 0 && !done)
            return -1;
        if (n <= 0)
            break;
        done += (size_t)n;
        flags |= SPLICE_F_NONBLOCK;
    }
    return (ssize_t)done;
}

/* A pipe's end for that access? Only pipes tell a pipe's size. */
static bool is_pipe(int fd, int access)
{
    return libc.fcntl(fd, F_GETPIPE_SZ, NULL) > 0 &&
           (libc.fcntl(fd, F_GETFL, NULL) & O_ACCMODE) != access;
}

ssize_t kernel_splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t len,
                      unsigned flags)
{
    const unsigned known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
    bool from = fd_is_ours(in);
    struct work work = {NULL, {-1, -1}, 0};
    ssize_t result = -1;

    /* What cannot be done moves nothing, and the kernel has the right error for it. */
    if (fd_sealed() || in_at || out_at || !len || flags & ~known || (from && fd_is_ours(out)) ||
        !is_pipe(from ? out : in, from ? O_RDONLY : O_WRONLY))
        return libc.splice(in, in_at, out, out_at, len, flags);
    pthread_cleanup_push(release, &work);
    if (!from)
        result = pipe_to_socket(in, out, len, flags, &work);
    else if (wait_for_slot(out, flags, &work) == 0)
        result = socket_to_pipe(in, out, len, &work);
    pthread_cleanup_pop(1);
    return result;
}
