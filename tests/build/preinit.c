/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Uses hooked functions from .preinit_array, which runs before the constructor of any library,
 * the shim's included. Prints what it saw; exits 0 when every call worked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *failed = "never ran";
static int early_socket = -1;

#define MUST(condition)                                                                       \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            failed = #condition;                                                              \
            return;                                                                           \
        }                                                                                     \
    } while (0)

static void early(int argc, char **argv, char **envp)
{
    int pair[2], pipes[2], copy;
    char buf[4] = "";
    struct pollfd poll_pipe;
    FILE *stream;

    (void)argc, (void)argv, (void)envp;
    MUST(pipe(pipes) == 0);
    MUST(write(pipes[1], "abc", 3) == 3);
    poll_pipe = (struct pollfd){.fd = pipes[0], .events = POLLIN};
    MUST(poll(&poll_pipe, 1, 1000) == 1);
    MUST(read(pipes[0], buf, 3) == 3 && memcmp(buf, "abc", 3) == 0);
    copy = dup(pipes[0]);
    MUST(copy >= 0 && close(copy) == 0);
    errno = 0;
    MUST(read(copy, buf, 1) == -1 && errno == EBADF);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    MUST(send(pair[0], "x", 1, 0) == 1 && recv(pair[1], buf, 4, 0) == 1);
    MUST(pipe(pipes) == 0);
    stream = fdopen(pipes[1], "w");
    MUST(stream && fputs("xyz", stream) != EOF && fclose(stream) == 0);
    MUST(read(pipes[0], buf, 4) == 3 && memcmp(buf, "xyz", 3) == 0);
    early_socket = socket(AF_INET, SOCK_STREAM, 0);
    MUST(early_socket >= 0);
    failed = NULL;
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(int, char **,
                                                                            char **) = early;

int main(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int protocol = 0;
    socklen_t len = sizeof protocol;

    if (failed) {
        printf("failed: %s (%s)\n", failed, strerror(errno));
        return 1;
    }
    getsockopt(early_socket, SOL_SOCKET, SO_PROTOCOL, &protocol, &len);
    if (bind(early_socket, (struct sockaddr *)&any, sizeof any) || listen(early_socket, 1))
        return 1;
    printf("protocol %d\n", protocol);
    fflush(stdout);
    return system("cat /proc/net/sctp/eps 2>/dev/null | wc -l") != 0;
}
