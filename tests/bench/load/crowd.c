/* SPDX-License-Identifier: BSD-3-Clause */
/* The client of many connections: what they cost by being there, and how they share. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SIZE = 64, EVENTS = 256, MOST_SAMPLES = 1 << 20 };

struct one {
    int fd;
    int64_t asked;
};

void raise_limit(long connections)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("RLIMIT_NOFILE");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || (long)limit.rlim_max < connections + 16)
        fail("RLIMIT_NOFILE");
}

/* Slab and page tables of the machine, in bytes: where a kernel keeps its sockets. */
static long kernel_memory(void)
{
    FILE *info = fopen("/proc/meminfo", "re");
    char line[128];
    long slab = 0;

    if (info == NULL)
        fail("/proc/meminfo");
    while (fgets(line, sizeof line, info))
        sscanf(line, "Slab: %ld", &slab);
    fclose(info);
    return slab * 1024;
}

/* What this process itself has of memory, bytes. */
static long own_memory(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages;

    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        fail("/proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void ask(struct one *one)
{
    char data[SIZE] = {0};

    one->asked = now_ns();
    send_all(one->fd, data, sizeof data);
}

static void take(struct one *one)
{
    char data[SIZE];

    if (!receive_all(one->fd, data, sizeof data))
        fail("the server's end");
}

static int watch_all(struct one *all, long count)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0)
        fail("epoll_create1");
    for (long i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) < 0)
            fail("epoll_ctl");
    }
    return epoll;
}

/* Each asks again as soon as it is answered; one answer at least is waited for. */
static size_t exchange(struct one *all, long count, int64_t limit, int64_t *samples)
{
    int epoll = watch_all(all, count);
    struct epoll_event events[EVENTS];
    int64_t end = now_ns() + limit;
    size_t done = 0;

    for (long i = 0; i < count; i++)
        ask(&all[i]);
    while ((now_ns() < end || !done) && done < MOST_SAMPLES - EVENTS) {
        int ready = epoll_wait(epoll, events, EVENTS, 1000);

        for (int i = 0; i < ready; i++) {
            struct one *one = events[i].data.ptr;

            take(one);
            samples[done++] = now_ns() - one->asked;
            ask(one);
        }
    }
    close(epoll);
    return done;
}

int crowd(int argc, char **argv)
{
    long count = number(argv[2], 1, 100000);
    int64_t limit = number(argv[3], 0, 600000) * 1000000;
    struct one *all = memory((size_t)count * sizeof *all);
    int64_t *samples = memory(MOST_SAMPLES * sizeof *samples), start;
    long kernel, own;
    size_t done = 1;

    (void)argc;
    raise_limit(count);
    kernel = kernel_memory();
    own = own_memory();
    start = now_ns();
    for (long i = 0; i < count; i++) {
        all[i].fd = open_for(argv[0], argv[1], (struct header){KIND_CROWD, SIZE, SIZE});
        ask(&all[i]);
        take(&all[i]);
    }
    samples[0] = (now_ns() - start) / count;
    printf("{\"connections\": %ld, \"set_up_us\": %.2f, \"kernel_bytes\": %.0f, "
           "\"client_bytes\": %.0f, ",
           count, (double)samples[0] / 1e3, (double)(kernel_memory() - kernel) / (double)count,
           (double)(own_memory() - own) / (double)count);
    start = now_ns();
    if (limit)
        done = exchange(all, count, limit, samples);
    printf("\"per_second\": %.1f, ", (double)done * 1e9 / (double)(now_ns() - start));
    print_times(samples, done);
    printf("}\n");
    return 0;
}
