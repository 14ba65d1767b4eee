/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many system calls a connection takes, and reading and writing it: a tracer counts them. Prints
 * a line "what calls" for each step, the second time it is done. x86-64 only: it looks into
 * registers.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static char data[256 << 10];
static struct sockaddr_in at = {.sin_family = AF_INET};
static int listener, client, server, other_client, other_server;

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void mark(void)
{
    syscall(SYS_getppid);
}

static void write_bytes(size_t size)
{
    if (write(client, data, size) != (ssize_t)size)
        fail("write");
}

/* Into more room than there are bytes: whoever reads so does not know how many have come. */
static void read_bytes(size_t size)
{
    for (ssize_t n; size; size -= (size_t)n)
        if ((n = read(server, data, sizeof data)) <= 0)
            fail("read");
}

static void make_socket(size_t unused)
{
    (void)unused;
    if ((other_client = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        fail("socket");
}

static void make_connection(size_t unused)
{
    (void)unused;
    if (connect(other_client, (struct sockaddr *)&at, sizeof at))
        fail("connect");
}

static void accept_it(size_t unused)
{
    (void)unused;
    if ((other_server = accept(listener, NULL, NULL)) < 0)
        fail("accept");
}

static void close_server(size_t unused)
{
    (void)unused;
    close(other_server);
}

static void read_end(size_t unused)
{
    (void)unused;
    if (read(other_client, data, sizeof data) != 0)
        fail("read");
}

static void close_client(size_t unused)
{
    (void)unused;
    close(other_client);
}

static const struct {
    const char *what;
    void (*step)(size_t size);
    size_t size;
} steps[] = {
    {"write 64 bytes", write_bytes, 64},
    {"read 64 bytes", read_bytes, 64},
    {"write 128 KB", write_bytes, 128 << 10},
    {"read 128 KB", read_bytes, 128 << 10},
    {"socket", make_socket, 0},
    {"connect", make_connection, 0},
    {"accept", accept_it, 0},
    {"close", close_server, 0},
    {"read the end", read_end, 0},
    {"close after the end", close_client, 0},
};

enum { STEPS = sizeof steps / sizeof *steps };

static void connect_both(void)
{
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &len) ||
        connect(client, (struct sockaddr *)&at, sizeof at) ||
        (server = accept(listener, NULL, NULL)) < 0)
        fail("connection");
}

static _Noreturn void traced(void)
{
    connect_both();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        fail("PTRACE_TRACEME");
    raise(SIGSTOP);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < STEPS; i++) {
            mark();
            steps[i].step(steps[i].size);
            usleep(20000); /* what was sent has arrived, and been acknowledged */
        }
    mark();
    _exit(0);
}

/* The number of the system call at which the child has stopped, -1 at its end. */
static long next_call(pid_t child)
{
    static bool inside;
    int status;

    do {
        if (ptrace(PTRACE_SYSCALL, child, NULL, NULL) < 0 || waitpid(child, &status, 0) < 0)
            fail("ptrace");
        if (!WIFSTOPPED(status))
            return -1;
        inside = !inside;
    } while (!inside);
#ifdef __x86_64__
    return ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, regs.orig_rax), NULL);
#else
    return -1;
#endif
}

int main(void)
{
    int calls[2 * STEPS + 2] = {0}, part = 0;
    pid_t child = fork();
    long call;

    if (child == 0)
        traced();
    if (child < 0 || waitpid(child, NULL, 0) < 0)
        fail("fork");
    while ((call = next_call(child)) >= 0)
        if (call == SYS_getppid)
            part++;
        else if (call != SYS_clock_nanosleep)
            calls[part]++;
    for (int i = 0; i < STEPS; i++)
        printf("%s %d\n", steps[i].what, calls[STEPS + 1 + i]);
    return part == 2 * STEPS + 1 ? 0 : 1;
}
