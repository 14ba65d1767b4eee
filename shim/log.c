/* SPDX-License-Identifier: BSD-3-Clause */
/* Formats log lines on the stack and writes each with one system call, where that is safe. */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A line and its end; pipes and O_APPEND files keep lines of this size in one piece. */
enum { LINE_SIZE = 512 };

static const char *const level_words[] = {"off", "error", "warn", "info", "debug"};

/* The file behind the journal's stream socket; ino 0 while there is none. */
static struct {
    uint64_t dev;
    uint64_t ino;
} journal;

void log_start(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char *end;
    int saved = errno;

    if (stream) {
        uint64_t dev = strtoull(stream, &end, 10);
        if (*end == ':') {
            journal.dev = dev;
            journal.ino = strtoull(end + 1, NULL, 10);
        }
    }
    errno = saved;
}

/*
 * syscall() and not write() and open(): these are not cancellation points, so that a logging
 * hook does not become one, and they do not come back to the library's own hooks.
 */
static void put(int fd, const char *line, size_t length)
{
    while (syscall(SYS_write, fd, line, length) < 0 && errno == EINTR)
        ;
}

/* A pipe whose reader is gone would kill the program with SIGPIPE for a line it did not write. */
static bool reader_gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    struct timespec now = {0, 0};

    return syscall(SYS_ppoll, &p, 1, &now, NULL, 0) > 0 && (p.revents & POLLERR);
}

/* A socket as stderr is an inetd server's peer, who must not read our lines, or the journal. */
static bool stderr_usable(void)
{
    struct stat s;

    if (fstat(STDERR_FILENO, &s) != 0)
        return false;
    if (S_ISSOCK(s.st_mode))
        return journal.ino != 0 && s.st_ino == journal.ino && s.st_dev == journal.dev;
    return !S_ISFIFO(s.st_mode) || !reader_gone(STDERR_FILENO);
}

static void put_stderr(const char *line, size_t length)
{
    if (stderr_usable())
        put(STDERR_FILENO, line, length);
}

/* What a value from outside brings along must not look like a second line. */
static void clean(char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
}

static size_t format_line(char *line, unsigned level, const char *format, va_list arguments)
{
    const char *word = level < sizeof(level_words) / sizeof(level_words[0]) ? level_words[level]
                                                                            : "log";
    int n = snprintf(line, LINE_SIZE, "sctpshim[%ld] %s: %s: ", (long)getpid(),
                     program_invocation_short_name, word);
    size_t used = n < 0 ? 0 : (size_t)n;

    if (used < LINE_SIZE - 1) {
        n = vsnprintf(line + used, LINE_SIZE - used, format, arguments);
        used += n < 0 ? 0 : (size_t)n;
    }
    if (used > LINE_SIZE - 1)
        used = LINE_SIZE - 1;
    clean(line, used);
    line[used] = '\n';
    return used + 1;
}

/* Formats our own words into the shape of a log line. */
static size_t __attribute__((format(printf, 3, 4)))
format_own(char *line, unsigned level, const char *format, ...)
{
    va_list arguments;
    size_t length;

    va_start(arguments, format);
    length = format_line(line, level, format, arguments);
    va_end(arguments);
    return length;
}

/* Says once that the log file does not work, and lets the line that met this out on stderr. */
static void fall_back(const char *line, size_t length, int error)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const char *name = strerrorname_np(error);
    char own[LINE_SIZE];

    if (atomic_flag_test_and_set(&said))
        return;
    put_stderr(own, format_own(own, LOG_LEVEL_ERROR,
                               "LOG_FILE: cannot open '%s' (%s), lines are lost until I can",
                               options.log_file, name ? name : "unknown error"));
    put_stderr(line, length);
}

static void put_file(const char *line, size_t length)
{
    /* O_NONBLOCK for a FIFO that nobody reads. */
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    long fd = syscall(SYS_openat, AT_FDCWD, options.log_file, flags, 0640);

    if (fd < 0) {
        fall_back(line, length, errno);
        return;
    }
    put((int)fd, line, length);
    syscall(SYS_close, (int)fd);
}

void log_line(unsigned level, const char *format, ...)
{
    int saved = errno;
    char line[LINE_SIZE];
    size_t length;
    va_list arguments;

    va_start(arguments, format);
    length = format_line(line, level, format, arguments);
    va_end(arguments);
    if (options.log_file[0])
        put_file(line, length);
    else
        put_stderr(line, length);
    errno = saved;
}
