/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round-trip time of small messages, as an ordinary TCP program measures it: one message to and
 * fro at a time over one connection.
 *
 *   pingpong serve PORT SIZE                echo one connection's messages, then exit
 *   pingpong measure PORT SIZE COUNT        print the median and other order statistics as JSON
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static long number(const char *text, long low, long high)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "pingpong: expected a number from %ld to %ld, got '%s'\n", low, high, text);
        exit(2);
    }
    return value;
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct sockaddr_in loopback(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Both ends switch Nagle's algorithm off, as programs that care about latency do. */
static void no_delay(int fd)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
        fail("TCP_NODELAY");
}

static int accept_one(long port)
{
    struct sockaddr_in address = loopback(port);
    int fd, listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0)
        fail("socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0)
        fail("SO_REUSEADDR");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0)
        fail("bind");
    if (listen(listener, 1) < 0)
        fail("listen");
    fd = accept(listener, NULL, NULL);
    if (fd < 0)
        fail("accept");
    close(listener);
    return fd;
}

static int connect_to(long port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    return fd;
}

/* Read exactly one message; 0 at end of file between messages. */
static int receive(int fd, char *message, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = read(fd, message + have, size - have);

        if (n < 0)
            fail("read");
        if (n == 0 && have == 0)
            return 0;
        if (n == 0) {
            fprintf(stderr, "pingpong: connection ended inside a message\n");
            exit(1);
        }
        have += (size_t)n;
    }
    return 1;
}

static void transmit(int fd, const char *message, size_t size)
{
    ssize_t n = write(fd, message, size);

    if (n < 0)
        fail("write");
    if ((size_t)n != size) {
        fprintf(stderr, "pingpong: short write: %zd of %zu\n", n, size);
        exit(1);
    }
}

static void serve(int fd, char *message, size_t size)
{
    no_delay(fd);
    while (receive(fd, message, size))
        transmit(fd, message, size);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void measure(int fd, char *message, size_t size, long count)
{
    int64_t *samples = calloc((size_t)count, sizeof *samples), sum = 0;
    char *answer = malloc(size);

    if (samples == NULL || answer == NULL)
        fail("memory");
    no_delay(fd);
    /* The first tenth warms caches and congestion control up and is not counted. */
    for (long i = -(count / 10) - 1; i < count; i++) {
        int64_t start = now_ns();

        memset(message, (int)(i & 0xff), size);
        transmit(fd, message, size);
        if (!receive(fd, answer, size) || memcmp(answer, message, size) != 0) {
            fprintf(stderr, "pingpong: wrong answer in round %ld\n", i);
            exit(1);
        }
        if (i >= 0)
            sum += samples[i] = now_ns() - start;
    }
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    printf("{\"count\": %ld, \"size\": %zu, \"min_us\": %.2f, \"median_us\": %.2f, "
           "\"p99_us\": %.2f, \"max_us\": %.2f, \"mean_us\": %.2f}\n",
           count, size, (double)samples[0] / 1e3, (double)samples[count / 2] / 1e3,
           (double)samples[count - 1 - count / 100] / 1e3, (double)samples[count - 1] / 1e3,
           (double)sum / 1e3 / (double)count);
    free(samples);
    free(answer);
}

int main(int argc, char **argv)
{
    int serving = argc == 4 && strcmp(argv[1], "serve") == 0;
    long port, size;
    char *message;
    int fd;

    if (!serving && (argc != 5 || strcmp(argv[1], "measure") != 0)) {
        fprintf(stderr, "usage: pingpong serve PORT SIZE | pingpong measure PORT SIZE COUNT\n");
        return 2;
    }
    port = number(argv[2], 1, 65535);
    size = number(argv[3], 1, 1 << 20);
    message = malloc((size_t)size);
    if (message == NULL)
        fail("memory");
    fd = serving ? accept_one(port) : connect_to(port);
    if (serving)
        serve(fd, message, (size_t)size);
    else
        measure(fd, message, (size_t)size, number(argv[4], 10, 10000000));
    close(fd);
    free(message);
    return 0;
}
