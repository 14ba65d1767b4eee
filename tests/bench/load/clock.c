/* SPDX-License-Identifier: BSD-3-Clause */
/* Time, CPU time, and what many measured times come to. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* User, nice, system, interrupts of both kinds: of a protocol's work much is in nobody's name. */
int64_t machine_cpu_ns(void)
{
    FILE *stat = fopen("/proc/stat", "re");
    long long user, nice, system, idle, wait, irq, softirq;

    if (stat == NULL)
        fail("/proc/stat");
    if (fscanf(stat, "cpu %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle, &wait,
               &irq, &softirq) != 7)
        fail("/proc/stat");
    fclose(stat);
    return (user + nice + system + irq + softirq) * (1000000000 / sysconf(_SC_CLK_TCK));
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

void print_times(int64_t *samples, size_t count)
{
    double sum = 0;

    qsort(samples, count, sizeof *samples, ascending);
    for (size_t i = 0; i < count; i++)
        sum += (double)samples[i];
    printf("\"count\": %zu, \"min_us\": %.2f, \"median_us\": %.2f, \"p99_us\": %.2f, "
           "\"max_us\": %.2f, \"mean_us\": %.2f",
           count, (double)samples[0] / 1e3, (double)samples[count / 2] / 1e3,
           (double)samples[count - 1 - count / 100] / 1e3, (double)samples[count - 1] / 1e3,
           sum / 1e3 / (double)count);
}
