/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who in this process holds a socket. A socket that was made here, has one number and was given to
 * one epoll at most has been watched from the start; for others /proc tells: which numbers lead to
 * the same inode, and what each epoll watches (`tfd:` lines of proc(5)'s fdinfo).
 */
#include "holders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define FD_DIRECTORY "/proc/thread-self/fd"
#define FDINFO_DIRECTORY "/proc/thread-self/fdinfo"

/* None of the library's own hooks, no cancellation point, no heap. */
static int open_raw(const char *path, int flags)
{
    flags |= O_RDONLY | O_CLOEXEC;
    return (int)raw_syscall(SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);
}

static void close_raw(int fd)
{
    raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void add_number(struct holders *holders, int number)
{
    if (holders->numbers_count == HOLDERS_MAX)
        holders->all = false;
    else
        holders->numbers[holders->numbers_count++] = number;
}

static void add_registration(struct holders *holders, const struct registration *registration)
{
    if (holders->registrations_count == HOLDERS_MAX)
        holders->all = false;
    else
        holders->registrations[holders->registrations_count++] = *registration;
}

/* "tfd:        8 events:       19 data:                8  pos:0 ino:861 sdev:8", in hexadecimal. */
static void take_line(struct holders *holders, int epoll, const struct stat *socket,
                      const char *line)
{
    struct registration registration = {.epoll = epoll};
    unsigned events;
    unsigned long long data, inode;

    if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*u ino:%llx", &registration.number,
               &events, &data, &inode) != 4 ||
        inode != socket->st_ino)
        return;
    registration.event.events = events;
    registration.event.data.u64 = data;
    add_registration(holders, &registration);
}

static void read_epoll(struct holders *holders, int epoll, const struct stat *socket)
{
    char path[64], buffer[1024];
    size_t used = 0;
    long got;
    int file;

    snprintf(path, sizeof path, FDINFO_DIRECTORY "/%d", epoll);
    file = open_raw(path, 0);
    if (file < 0) {
        holders->all = false;
        return;
    }
    while ((got = raw_syscall(SYS_read, file, (long)(buffer + used),
                              (long)(sizeof buffer - 1 - used), 0, 0, 0)) > 0) {
        char *line = buffer, *end;

        buffer[used + (size_t)got] = '\0';
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            take_line(holders, epoll, socket, line);
        }
        used = strlen(line);
        memmove(buffer, line, used + 1);
        if (used == sizeof buffer - 1)
            used = 0; /* no line is that long */
    }
    close_raw(file);
}

static void look_at(struct holders *holders, int directory, const char *name,
                    const struct stat *socket)
{
    static const char epoll[] = "anon_inode:[eventpoll]";
    char link[64], own[64];
    long length = raw_syscall(SYS_readlinkat, directory, (long)name, (long)link, sizeof link - 1,
                              0, 0);
    int number;

    if (length <= 0 || sscanf(name, "%d", &number) != 1)
        return;
    link[length] = '\0';
    snprintf(own, sizeof own, "socket:[%llu]", (unsigned long long)socket->st_ino);
    if (strcmp(link, own) == 0)
        add_number(holders, number);
    else if (strcmp(link, epoll) == 0)
        read_epoll(holders, number, socket);
}

/* getdents64(2) */
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

static void ask_kernel(int fd, struct holders *holders)
{
    int directory = open_raw(FD_DIRECTORY, O_DIRECTORY);
    union {
        struct entry align;
        char bytes[2048];
    } buffer;
    struct stat socket;
    long got;

    if (directory < 0 || fstat(fd, &socket) < 0) {
        holders->all = false;
        add_number(holders, fd);
        return;
    }
    while ((got = raw_syscall(SYS_getdents64, directory, (long)&buffer, sizeof buffer, 0, 0, 0)) >
           0)
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(buffer.bytes + at);

            look_at(holders, directory, entry->name, &socket);
            at += entry->length;
        }
    close_raw(directory);
}

void holders_find(int fd, struct holders *holders)
{
    const struct fd_info *info = fd_info(fd);
    struct registration seen = {
        .epoll = info->epoll_fd,
        .number = fd,
        .event = {.events = info->epoll_events, .data.u64 = info->epoll_data},
    };

    holders->numbers_count = holders->registrations_count = 0;
    holders->all = true;
    if (!(info->flags & FDF_OWN) || info->epolls > 1 || info->epoll_events & EPOLLONESHOT ||
        fd_kind_now(fd) >= FD_LISTENING) {
        int saved = errno;

        ask_kernel(fd, holders);
        errno = saved;
        return;
    }
    add_number(holders, fd);
    if (info->epolls)
        add_registration(holders, &seen);
}

void holders_withdraw(struct holders *holders)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < holders->registrations_count; i++) {
        const struct registration *r = &holders->registrations[i];

        if (libc.epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->number, NULL) == 0)
            holders->registrations[kept++] = *r;
    }
    holders->registrations_count = kept;
}

void holders_register(const struct holders *holders)
{
    for (unsigned i = 0; i < holders->registrations_count; i++) {
        struct registration r = holders->registrations[i];
        enum fd_kind kind = fd_kind(r.number);

        if (kind > FD_FOREIGN && kind < FD_LISTENING)
            epoll_note(r.epoll, EPOLL_CTL_ADD, r.number, &r.event);
        libc.epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.number, &r.event);
    }
}
