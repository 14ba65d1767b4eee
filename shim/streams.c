/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffered streams over our sockets: fdopen(), and stdin, stdout and stderr.
 *
 * What a program can see of a stream is as in libc's own: the number fileno() tells, buffers of
 * the size that libc gives a socket, counts, end of file, errors.
 *
 * stdin, stdout and stderr are pointers, and libc itself goes by them; so where descriptor 0, 1 or
 * 2 is a socket of ours they are made to point at streams of ours, and back when it is none any
 * more. libc's three streams stay for those who hold their addresses.
 */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "hooks.h"
#include "kernel/kernel.h"
#include "process.h"

struct stream {
    int fd; /* -1: closed, but still in the hands of those who never notice */
    size_t size;
    FILE *donor; /* a stream of libc's that is only there for this one; NULL: none */
    char buffer[];
};

/* Ends a stream of libc's that has nothing to write, and not its descriptor. */
static void discard(FILE *file)
{
    file->_fileno = -1;
    libc.fclose(file);
}

static ssize_t stream_read(void *cookie, char *to, size_t len)
{
    return hook_read(((struct stream *)cookie)->fd, to, len);
}

/* All of it, or as much as goes before an error: stdio takes a short count for one. */
static ssize_t stream_write(void *cookie, const char *from, size_t len)
{
    const struct stream *stream = cookie;
    size_t done = 0;

    while (done < len) {
        ssize_t n = hook_write(stream->fd, from + done, len - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The descriptor may be a file by now; a socket has the right error for it. */
static int stream_seek(void *cookie, off64_t *offset, int whence)
{
    off64_t at = lseek64(((struct stream *)cookie)->fd, *offset, whence);

    if (at < 0)
        return -1;
    *offset = at;
    return 0;
}

static int stream_close(void *cookie)
{
    struct stream *stream = cookie;
    int result = hook_close(stream->fd);
    int error = errno;

    if (stream->donor)
        discard(stream->donor);
    free(stream);
    errno = error;
    return result;
}

/* What libc chooses for that descriptor. */
static size_t buffer_size(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 && file.st_blksize > 0 && file.st_blksize < BUFSIZ
               ? (size_t)file.st_blksize
               : BUFSIZ;
}

/*
 * A stream of mode r, r+, w, w+, a or a+, or NULL with errno.
 *
 * libc gives streams with callbacks no room for wide characters, and freopen(), which makes them
 * files on the spot, falls over that. This one gets the room of another one, and the choice of
 * what its characters are: should they be wide ones, libc makes a file of it, see close_wide().
 */
static FILE *stream_new(int fd, const char *mode, FILE *donor, struct stream **cookie)
{
    static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek,
                                                    stream_close};
    size_t size = buffer_size(fd);
    struct stream *stream = malloc(sizeof *stream + size);
    FILE *file = stream ? fopencookie(stream, mode, functions) : NULL;

    if (!file) {
        free(stream);
        errno = ENOMEM;
        return NULL;
    }
    *stream = (struct stream){.fd = fd, .size = size};
    file->_fileno = fd;
    file->_wide_data = donor->_wide_data;
    file->_mode = 0;
    setvbuf(file, stream->buffer, _IOFBF, size);
    *cookie = stream;
    return file;
}

/* fdopen() looks for a plus among the first five letters of the mode, fopencookie() among three. */
static bool has_plus(const char *mode)
{
    const char *plus = strchr(mode, '+');

    return plus && plus - mode < 5;
}

FILE *streams_open(int fd, const char *mode)
{
    FILE *donor = libc.fdopen(fd, mode); /* which knows what modes there are, and what they set */
    struct stream *stream;
    FILE *file;

    if (!donor)
        return NULL;
    file = stream_new(fd, (char[]){mode[0], has_plus(mode) ? '+' : '\0', '\0'}, donor, &stream);
    if (file)
        stream->donor = donor;
    else
        discard(donor);
    return file;
}

/* stdin, stdout and stderr: libc's stream while ours takes its place, and ours once it is made. */
static struct standard {
    FILE **const variable;
    const char *const mode;
    FILE *theirs;
    FILE *ours;
    struct stream *stream;
} standards[] = {
    {.variable = &stdin, .mode = "r"},
    {.variable = &stdout, .mode = "w"},
    {.variable = &stderr, .mode = "w"},
};

static struct standard *standard_of(const FILE *stream)
{
    for (size_t i = 0; i < sizeof standards / sizeof standards[0]; i++)
        if (stream && standards[i].ours == stream)
            return &standards[i];
    return NULL;
}

/*
 * Is there anything about the stream that another one could not take over? What it has read, or
 * seen of the end, belongs to what the descriptor was before.
 */
static bool in_use(const FILE *stream)
{
    return stream->_IO_read_ptr < stream->_IO_read_end || feof_unlocked((FILE *)stream) ||
           ferror_unlocked((FILE *)stream) || stream->_mode > 0;
}

/*
 * Makes the name mean another stream. What was printed and not yet written stays to be written,
 * wherever the descriptor leads then. A thread that is in the middle of it goes on with what it
 * has: nobody waits here.
 */
static void change(struct standard *standard, FILE *from, FILE *to)
{
    if (in_use(from) || ftrylockfile(to))
        return;
    if (__fpending(from)) {
        fwrite_unlocked(from->_IO_write_base, 1, __fpending(from), to);
        __fpurge(from);
    }
    *standard->variable = to;
    funlockfile(to);
}

/* The buffering that the program, or libc, chose for the stream that ours replaces. */
static void copy_buffering(FILE *theirs, FILE *ours, struct stream *stream)
{
    bool unbuffered = stream->fd == STDERR_FILENO ? __fbufsize(theirs) <= 1
                                                  : __fbufsize(theirs) == 1;

    if (unbuffered)
        setvbuf(ours, NULL, _IONBF, 0);
    else
        setvbuf(ours, stream->buffer, __flbf(theirs) ? _IOLBF : _IOFBF, stream->size);
}

/* Ours takes the place of libc's, where that is still the stream of the name. */
static void step_in(struct standard *standard, int fd)
{
    FILE *theirs = *standard->variable;

    if (!theirs || fileno_unlocked(theirs) != fd)
        return;
    if (standard->theirs && standard->theirs != theirs)
        return;
    if (!standard->ours)
        standard->ours = stream_new(fd, standard->mode, theirs, &standard->stream);
    if (!standard->ours || ftrylockfile(theirs))
        return;
    standard->theirs = theirs;
    standard->stream->fd = fd;
    standard->ours->_fileno = fd;
    copy_buffering(theirs, standard->ours, standard->stream);
    change(standard, theirs, standard->ours);
    funlockfile(theirs);
}

static void step_back(struct standard *standard)
{
    if (ftrylockfile(standard->ours))
        return;
    change(standard, standard->ours, standard->theirs);
    funlockfile(standard->ours);
}

void streams_follow(int fd)
{
    struct standard *standard;
    bool inside;
    int saved = errno;

    if (__builtin_expect((unsigned)fd >= sizeof standards / sizeof standards[0], 1))
        return;
    standard = &standards[fd];
    inside = standard->ours && *standard->variable == standard->ours;
    /* A vfork child redirects its descriptors for the program to come, not its parent's. */
    if (fd_is_ours(fd) != inside && !process_borrowed()) {
        if (inside)
            step_back(standard);
        else
            step_in(standard, fd);
    }
    errno = saved;
}

void streams_start(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat file;

        /* Where this is forbidden, so is starting a program; asking a socket may well be. */
        if (fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode))
            streams_follow(fd);
    }
}

/* fclose() of a stream of libc's, but for its descriptor, which hook_close() is to close. */
static int close_file(FILE *file)
{
    if (file->_fileno < 0)
        return EOF;
    file->_fileno = libc.fcntl(file->_fileno, F_DUPFD_CLOEXEC, NULL);
    return libc.fclose(file);
}

/*
 * libc's standard streams can be used after fclose(), and fail; programs do it, daemons for
 * example. So the memory of ours stays as well.
 */
static int close_standard(struct standard *standard)
{
    int result = fflush(standard->ours);
    int error = errno;

    if (*standard->variable == standard->ours)
        *standard->variable = standard->theirs;
    close_file(standard->theirs);
    errno = error;
    if (hook_close(standard->stream->fd) < 0)
        result = EOF;
    standard->stream->fd = -1;
    standard->ours->_fileno = -1;
    return result;
}

/* A stream that took wide characters is libc's own since then. */
static int close_wide(FILE *stream)
{
    int fd = stream->_fileno;
    int result = close_file(stream);

    return hook_close(fd) < 0 ? EOF : result;
}

/* Streams without a descriptor, in memory for example, have nothing to say about it. */
static bool is_on_ours(FILE *stream)
{
    int saved = errno;
    int fd = fileno_unlocked(stream);

    errno = saved;
    return fd >= 0 && fd_is_ours(fd);
}

int streams_close(FILE *stream)
{
    struct standard *standard = standard_of(stream);

    if (standard)
        return close_standard(standard);
    if (stream->_mode > 0 && is_on_ours(stream))
        return close_wide(stream);
    return libc.fclose(stream);
}

/* The place of the new file is where the old one was; of a standard stream it is libc's. */
FILE *streams_reopen(const char *path, const char *mode, FILE *stream)
{
    struct standard *standard = standard_of(stream);

    if (is_on_ours(stream)) {
        fflush(stream);
        /* libc closes, and opens another file under the number, where no hook sees it. */
        kernel_closing(stream->_fileno);
        fd_forget(stream->_fileno);
    }
    if (!standard)
        return libc.freopen(path, mode, stream);
    fflush(stream);
    __fpurge(stream);
    if (*standard->variable == stream)
        *standard->variable = standard->theirs;
    return libc.freopen(path, mode, standard->theirs);
}
