/* SPDX-License-Identifier: BSD-3-Clause */
/* The server: one connection at a time in blocking calls, or a crowd of them in epoll. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ = 128 << 10, EVENTS = 256 };

/* A connection of a crowd. */
struct guest {
    int fd;
    uint32_t missing; /* of the request */
    struct header header;
};

static char buffer[LARGEST];

static void sink(int fd)
{
    while (read(fd, buffer, READ) > 0)
        ;
}

static void reply(int fd, const struct header *header)
{
    while (receive_all(fd, buffer, header->request) && send_some(fd, buffer, header->reply))
        ;
}

static void watch(int epoll, int fd, void *who)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

/* A client that goes away before it says what it wants was a failed one. */
static void welcome(int epoll, int listener)
{
    int fd = accept_next(listener);
    struct header header;

    if (fd < 0)
        return;
    if (!receive_all(fd, &header, sizeof header)) {
        close(fd);
        return;
    }
    if (header.kind == KIND_CROWD) {
        struct guest *guest = memory(sizeof *guest);

        *guest = (struct guest){fd, header.request, header};
        set_nonblocking(fd);
        watch(epoll, fd, guest);
        return;
    }
    if (header.kind == KIND_SINK)
        sink(fd);
    else
        reply(fd, &header);
    close(fd);
}

/* False when the client has gone, as it may in the middle of everything. */
static bool attend(struct guest *guest)
{
    ssize_t n = read(guest->fd, buffer, guest->missing);

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    guest->missing -= (uint32_t)n;
    if (guest->missing)
        return true;
    guest->missing = guest->header.request;
    return send_some(guest->fd, buffer, guest->header.reply);
}

static void dismiss(struct guest *guest)
{
    close(guest->fd);
    free(guest);
}

int serve(int argc, char **argv)
{
    int listener = listen_at(argv[0], argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    (void)argc;
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, listener, NULL);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == NULL)
                welcome(epoll, listener);
            else if (!attend(events[i].data.ptr))
                dismiss(events[i].data.ptr);
    }
}
