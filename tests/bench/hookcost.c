/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What calls cost more because they pass through a preloaded library, on descriptors that it has
 * nothing to do with.
 *
 *   hookcost ROUNDS CALLS
 *
 * In one process, batches of CALLS calls of a name as the program sees it (the preloaded library's,
 * if there is one) and of libc's own function alternate, ROUNDS times; of each the fastest batch
 * counts, since everything else that happens on a machine only makes a batch slower. Run without a
 * preloaded library both names are one function: that is the measurement's own error.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int zero, null, pair[2], epoll;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "hookcost: %s: %s\n", what, why);
    exit(1);
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One batch: of a function that is called so, and returns that each time. */
#define BATCH(name, ret, proto, arguments, expected)                                          \
    static void batch_##name(const void *address, long calls)                                 \
    {                                                                                         \
        ret(*call) proto;                                                                     \
        memcpy(&call, &address, sizeof call); /* ISO C has no cast for it */                  \
        for (long i = 0; i < calls; i++)                                                      \
            if (call arguments != (expected))                                                 \
                fail(#name, "unexpected result");                                             \
    }

static char byte;
static struct iovec iov = {&byte, 1};
static struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
static struct pollfd polled;
static fd_set selected;
static struct timeval at_once;
static struct epoll_event event;
static int value;
static socklen_t length = sizeof value;

BATCH(read, ssize_t, (int, void *, size_t), (zero, &byte, 1), 1)
BATCH(write, ssize_t, (int, const void *, size_t), (null, &byte, 1), 1)
BATCH(readv, ssize_t, (int, const struct iovec *, int), (zero, &iov, 1), 1)
BATCH(writev, ssize_t, (int, const struct iovec *, int), (null, &iov, 1), 1)
BATCH(recv, ssize_t, (int, void *, size_t, int), (pair[0], &byte, 1, MSG_PEEK), 1)
BATCH(recvmsg, ssize_t, (int, struct msghdr *, int), (pair[0], &message, MSG_PEEK), 1)
BATCH(send, ssize_t, (int, const void *, size_t, int), (pair[0], &byte, 0, 0), 0)
BATCH(sendmsg, ssize_t, (int, const struct msghdr *, int), (null, &message, 0), -1)
BATCH(poll, int, (struct pollfd *, nfds_t, int), (&polled, 1, 0), 0)
BATCH(select, int, (int, fd_set *, fd_set *, fd_set *, struct timeval *),
      (0, &selected, NULL, NULL, &at_once), 0)
BATCH(epoll_wait, int, (int, struct epoll_event *, int, int), (epoll, &event, 1, 0), 0)
BATCH(fcntl, int, (int, int, ...), (null, F_GETFD), 0)
BATCH(ioctl, int, (int, unsigned long, ...), (pair[0], FIONREAD, &value), 0)
BATCH(getsockopt, int, (int, int, int, void *, socklen_t *),
      (pair[0], SOL_SOCKET, SO_TYPE, &value, &length), 0)
BATCH(close, int, (int), (-1), -1)

static const struct {
    const char *name;
    void (*batch)(const void *address, long calls);
} hooks[] = {
    {"read", batch_read},         {"write", batch_write},       {"readv", batch_readv},
    {"writev", batch_writev},     {"recv", batch_recv},         {"recvmsg", batch_recvmsg},
    {"send", batch_send},         {"sendmsg", batch_sendmsg},   {"poll", batch_poll},
    {"select", batch_select},     {"epoll_wait", batch_epoll_wait},
    {"fcntl", batch_fcntl},       {"ioctl", batch_ioctl},       {"getsockopt", batch_getsockopt},
    {"close", batch_close},
};

static const void *symbol(void *handle, const char *name)
{
    const void *address = dlsym(handle, name);

    if (address == NULL)
        fail(name, dlerror());
    return address;
}

static double time_of(size_t hook, const void *address, long calls)
{
    double start = now_ns();

    hooks[hook].batch(address, calls);
    return (now_ns() - start) / (double)calls;
}

static void least(double *best, double value_ns)
{
    *best = value_ns < *best ? value_ns : *best;
}

/* They take turns in going first, so that neither always profits from the other's warm-up. */
static void compare(size_t hook, void *libc, long rounds, long calls)
{
    const void *seen = symbol(RTLD_DEFAULT, hooks[hook].name);
    const void *direct = symbol(libc, hooks[hook].name);
    double seen_ns = 1e12, libc_ns = 1e12;

    for (long i = 0; i < rounds; i++) {
        if (i % 2 == 0)
            least(&seen_ns, time_of(hook, seen, calls));
        least(&libc_ns, time_of(hook, direct, calls));
        if (i % 2 == 1)
            least(&seen_ns, time_of(hook, seen, calls));
    }
    printf("%s\"%s\": {\"intercepted\": %s, \"seen_ns\": %.2f, \"libc_ns\": %.2f}",
           hook ? ", " : "", hooks[hook].name, seen == direct ? "false" : "true", seen_ns, libc_ns);
}

int main(int argc, char **argv)
{
    long rounds = argc == 3 ? atol(argv[1]) : 0, calls = argc == 3 ? atol(argv[2]) : 0;
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

    if (rounds < 1 || calls < 1)
        fail("usage", "hookcost ROUNDS CALLS");
    zero = open("/dev/zero", O_RDONLY);
    null = open("/dev/null", O_WRONLY);
    epoll = epoll_create1(0);
    if (zero < 0 || null < 0 || epoll < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
        write(pair[1], "x", 1) != 1)
        fail("descriptors", "cannot be opened");
    if (libc == NULL)
        fail("libc.so.6", dlerror());
    polled = (struct pollfd){.fd = pair[1], .events = POLLIN};
    printf("{");
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        compare(i, libc, rounds, calls);
    printf("}\n");
    return 0;
}
