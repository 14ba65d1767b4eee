/* SPDX-License-Identifier: BSD-3-Clause */
/* The clients of one connection at a time: bulk, request, churn. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The server has read everything. One-to-one SCTP may have forgotten the connection by then. */
static void await_end(int fd)
{
    char byte;
    ssize_t n = read(fd, &byte, 1);

    if (n > 0 || (n < 0 && errno != ENOTCONN))
        fail("the server's end");
}

/* From the first byte sent to the end of the stream that answers ours: all of it was read. */
int bulk(int argc, char **argv)
{
    size_t size = (size_t)number(argv[2], 1, LARGEST);
    int64_t limit = number(argv[3], 1, 600000) * 1000000;
    int fd = open_for(argv[0], argv[1], (struct header){KIND_SINK, 0, 0});
    int64_t cpu = machine_cpu_ns(), start = now_ns();
    char *data = memory(size);
    uint64_t bytes = 0;

    (void)argc;
    memset(data, 'x', size);
    do {
        send_all(fd, data, size);
        bytes += size;
    } while (now_ns() - start < limit);
    if (shutdown(fd, SHUT_WR) < 0)
        fail("shutdown");
    await_end(fd);
    printf("{\"bytes\": %llu, \"ns\": %lld, \"cpu_ns\": %lld}\n", (unsigned long long)bytes,
           (long long)(now_ns() - start), (long long)(machine_cpu_ns() - cpu));
    close(fd);
    free(data);
    return 0;
}

int request(int argc, char **argv)
{
    struct header header = {KIND_REPLY, (uint32_t)number(argv[2], 1, LARGEST),
                            (uint32_t)number(argv[3], 1, LARGEST)};
    long count = number(argv[4], 1, 10000000);
    int64_t *samples = memory((size_t)count * sizeof *samples);
    int fd = open_for(argv[0], argv[1], header);
    char *data = memory(LARGEST);

    (void)argc;
    /* The first tenth warms caches and congestion control up and is not counted. */
    for (long i = -(count / 10) - 1; i < count; i++) {
        int64_t start = now_ns();

        send_all(fd, data, header.request);
        if (!receive_all(fd, data, header.reply))
            fail("the server's end");
        if (i >= 0)
            samples[i] = now_ns() - start;
    }
    printf("{");
    print_times(samples, (size_t)count);
    printf("}\n");
    close(fd);
    free(samples);
    free(data);
    return 0;
}

/* Connections that come and go: each asks once and is closed when it has the answer. */
int churn(int argc, char **argv)
{
    long count = number(argv[2], 1, 1000000);
    int64_t *samples = memory((size_t)count * sizeof *samples);
    int64_t start = now_ns();
    char answer[64];

    (void)argc;
    for (long i = 0; i < count; i++) {
        int64_t begin = now_ns();
        int fd = open_for(argv[0], argv[1], (struct header){KIND_REPLY, 64, 64});

        send_all(fd, answer, sizeof answer);
        if (!receive_all(fd, answer, sizeof answer))
            fail("the server's end");
        close(fd);
        samples[i] = now_ns() - begin;
    }
    printf("{\"per_second\": %.1f, ", (double)count * 1e9 / (double)(now_ns() - start));
    print_times(samples, (size_t)count);
    printf("}\n");
    free(samples);
    return 0;
}
