/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections at a rate that does not ask how the others are doing: each is told how many bytes it
 * wants, gets them and checks every one. pour is the server, storm the client.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    MOST = 10000,     /* connections at the same time */
    PERIOD = 65521,   /* bytes until the pattern repeats, a prime */
    PIECE = 64 << 10, /* of a read or write */
    PATIENCE = 120,   /* seconds until the last one must have ended */
};

/* The number says where in the pattern a connection's bytes begin: another one's are wrong. */
struct wish {
    uint32_t number, bytes;
};

static char pattern[PERIOD + PIECE];

static void make_pattern(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i % PERIOD * 2654435761u >> 13);
}

static const char *expected(const struct wish *wish, uint32_t at)
{
    return pattern + ((size_t)wish->number * 101 + at) % PERIOD;
}

static void await(int epoll, int fd, uint32_t events, void *who)
{
    struct epoll_event event = {.events = events, .data.ptr = who};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 &&
        (errno != EEXIST || epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0))
        fail("epoll_ctl");
}

/* ---- The server ---- */

struct guest {
    int fd;
    uint32_t heard, said; /* bytes: of the wish, of the answer */
    struct wish wish;
};

static void greet(int epoll, int listener)
{
    int fd;

    while ((fd = accept_next(listener)) >= 0) {
        struct guest *guest = memory(sizeof *guest);

        guest->fd = fd;
        set_nonblocking(fd);
        await(epoll, fd, EPOLLIN, guest);
    }
}

/* False when it is over, in whatever way. */
static bool hear(struct guest *guest)
{
    char *to = (char *)&guest->wish + guest->heard, end;
    size_t missing = sizeof guest->wish - guest->heard;
    ssize_t n = read(guest->fd, missing ? to : &end, missing ? missing : 1);

    if (n > 0 && missing)
        guest->heard += (uint32_t)n;
    return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The same. */
static bool say(struct guest *guest)
{
    while (guest->said < guest->wish.bytes) {
        uint32_t left = guest->wish.bytes - guest->said;
        ssize_t n = send(guest->fd, expected(&guest->wish, guest->said),
                         left < PIECE ? left : PIECE, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN;
        guest->said += (uint32_t)n;
    }
    return shutdown(guest->fd, SHUT_WR) == 0;
}

static void serve_guest(int epoll, struct guest *guest)
{
    bool more = guest->heard < sizeof guest->wish || guest->said == guest->wish.bytes ? hear(guest)
                                                                                     : true;

    if (more && guest->heard == sizeof guest->wish && guest->said < guest->wish.bytes) {
        more = say(guest);
        await(epoll, guest->fd, guest->said < guest->wish.bytes ? EPOLLOUT : EPOLLIN, guest);
    }
    if (more)
        return;
    close(guest->fd);
    free(guest);
}

int pour(int argc, char **argv)
{
    int listener = listen_at(argv[0], argv[1]), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    (void)argc;
    if (epoll < 0)
        fail("epoll_create1");
    raise_limit(MOST);
    make_pattern();
    set_nonblocking(listener);
    await(epoll, listener, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == NULL)
                greet(epoll, listener);
            else
                serve_guest(epoll, events[i].data.ptr);
    }
}

/* ---- The client ---- */

struct one {
    int fd;
    bool asked;
    uint32_t got;
    int64_t begun;
    struct wish wish;
    struct one *next_idle;
};

/* What has become of all. */
static struct {
    long begun, skipped, done, wrong, in_flight;
    int error;        /* the first one, */
    long failed;      /* and how many had one */
    uint64_t *bytes;  /* that came, by second */
    size_t seconds;
    int64_t *samples; /* how long each took that came to its end */
} all;

static struct one *idle;

static void end_one(struct one *one, int error)
{
    if (error && !all.failed++)
        all.error = error;
    if (one->fd >= 0)
        close(one->fd);
    one->next_idle = idle;
    idle = one;
    all.in_flight--;
}

static void begin_one(int epoll, const char *address, const char *port, uint32_t bytes)
{
    struct one *one = idle;

    idle = one->next_idle;
    *one = (struct one){.begun = now_ns(), .wish = {(uint32_t)all.begun, bytes}};
    all.begun++;
    all.in_flight++;
    one->fd = begin_connect_at(address, port);
    if (one->fd < 0)
        end_one(one, errno);
    else
        await(epoll, one->fd, EPOLLOUT, one);
}

static void note(size_t bytes, int64_t start)
{
    size_t second = (size_t)((now_ns() - start) / 1000000000);

    if (second < all.seconds)
        all.bytes[second] += bytes;
}

/* It is connected, or is not. */
static void ask(int epoll, struct one *one)
{
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (!error && send(one->fd, &one->wish, sizeof one->wish, MSG_NOSIGNAL) != sizeof one->wish)
        error = errno;
    if (error) {
        end_one(one, error);
        return;
    }
    one->asked = true;
    await(epoll, one->fd, EPOLLIN, one);
}

static void take(struct one *one, int64_t start)
{
    static char bytes[PIECE];
    ssize_t n = read(one->fd, bytes, sizeof bytes);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && (one->got + (size_t)n > one->wish.bytes ||
                  memcmp(bytes, expected(&one->wish, one->got), (size_t)n) != 0)) {
        all.wrong++;
        end_one(one, 0);
    } else if (n > 0) {
        one->got += (uint32_t)n;
        note((size_t)n, start);
    } else if (n < 0 || one->got < one->wish.bytes) {
        end_one(one, n < 0 ? errno : EPIPE);
    } else {
        all.samples[all.done++] = now_ns() - one->begun;
        end_one(one, 0);
    }
}

static void report(int64_t start, int64_t ended)
{
    printf("{\"begun\": %ld, \"skipped\": %ld, \"done\": %ld, \"failed\": %ld, \"error\": \"%s\", "
           "\"wrong\": %ld, \"unended\": %ld, \"drain_ms\": %.0f, \"bytes\": [",
           all.begun, all.skipped, all.done, all.failed, all.error ? strerror(all.error) : "",
           all.wrong, all.in_flight, (double)(now_ns() - ended) / 1e6);
    for (size_t i = 0; i < all.seconds; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)all.bytes[i]);
    printf("], \"per_second\": %.1f", (double)all.done * 1e9 / (double)(now_ns() - start));
    if (all.done) {
        printf(", ");
        print_times(all.samples, (size_t)all.done);
    }
    printf("}\n");
}

/* Those that are due by now; one for which there is no room is skipped for good. */
static void begin_due(int epoll, char **argv, long due, uint32_t bytes)
{
    while (all.begun + all.skipped < due) {
        if (idle)
            begin_one(epoll, argv[0], argv[1], bytes);
        else
            all.skipped++;
    }
}

static void prepare(long rate, long seconds, long most)
{
    struct one *ones = memory((size_t)most * sizeof *ones);

    raise_limit(most);
    make_pattern();
    all.seconds = (size_t)seconds;
    all.bytes = memory((size_t)seconds * sizeof *all.bytes);
    all.samples = memory((size_t)(rate * seconds) * sizeof *all.samples);
    for (long i = 0; i < most; i++) {
        ones[i].next_idle = idle;
        idle = &ones[i];
    }
}

int storm(int argc, char **argv)
{
    long rate = number(argv[2], 1, 100000), seconds = number(argv[4], 1, 3600);
    uint32_t bytes = (uint32_t)number(argv[3], 1, 1 << 30);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    int64_t start, end;

    (void)argc;
    if (epoll < 0)
        fail("epoll_create1");
    prepare(rate, seconds, number(argv[5], 1, MOST));
    start = now_ns();
    end = start + seconds * 1000000000;
    while (now_ns() < end || (all.in_flight && now_ns() < end + PATIENCE * 1000000000LL)) {
        int64_t passed = (now_ns() < end ? now_ns() : end) - start;
        int count;

        begin_due(epoll, argv, (long)((double)passed * (double)rate / 1e9), bytes);
        count = epoll_wait(epoll, events, EVENTS, 1);
        for (int i = 0; i < count; i++) {
            struct one *one = events[i].data.ptr;

            if (one->asked)
                take(one, start);
            else
                ask(epoll, one);
        }
    }
    report(start, end);
    return 0;
}
