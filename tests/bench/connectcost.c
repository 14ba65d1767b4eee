/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a TCP connection costs its program to begin: socket(), connect() and close(), COUNT times, to
 * a port of 127.0.0.1. Prints the median, in microseconds, of each of the three.
 *
 *   connectcost PORT COUNT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 3 };

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void once(const struct sockaddr_in *to, double *took[STEPS], long at)
{
    double times[STEPS + 1];
    int fd;

    times[0] = now_us();
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    times[1] = now_us();
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) {
        perror("connectcost");
        exit(1);
    }
    times[2] = now_us();
    close(fd);
    times[3] = now_us();
    for (int i = 0; i < STEPS; i++)
        took[i][at] = times[i + 1] - times[i];
}

int main(int argc, char **argv)
{
    static const char *const names[STEPS] = {"socket", "connect", "close"};
    long count = argc == 3 ? atol(argv[2]) : 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    double *took[STEPS];

    if (count < 1) {
        fputs("usage: connectcost PORT COUNT\n", stderr);
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    for (int i = 0; i < STEPS; i++)
        took[i] = calloc((size_t)count, sizeof **took);
    for (long at = 0; at < count; at++)
        once(&to, took, at);
    for (int i = 0; i < STEPS; i++) {
        qsort(took[i], (size_t)count, sizeof **took, ascending);
        printf("%s\"%s_us\": %.2f", i ? ", " : "{", names[i], took[i][count / 2]);
        free(took[i]);
    }
    puts("}");
    return 0;
}
