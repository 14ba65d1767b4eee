/* SPDX-License-Identifier: BSD-3-Clause */
/* The event loop: epoll, alarms, and memory that outlives the turn. */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 4096 }; /* so that the sockets of all packets are among them */

static int epoll = -1;
static int64_t now;
static bool stopped;
static void **buried;
static size_t burials, graves;

int64_t loop_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

bool loop_start(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
    now = loop_clock();
    return epoll >= 0;
}

int64_t loop_now(void)
{
    return now;
}

void loop_watch(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (source->events == events || source->fd < 0)
        return;
    epoll_ctl(epoll, !source->events ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD,
              source->fd, &event);
    source->events = events;
}

void loop_close(struct source *source)
{
    if (source->fd < 0)
        return;
    loop_watch(source, 0);
    close(source->fd);
    source->fd = -1;
}

void loop_free(void *memory)
{
    if (burials == graves) {
        size_t more = graves ? graves * 2 : 64;
        void **larger = realloc(buried, more * sizeof *buried);

        if (!larger)
            return; /* lost rather than used after it is gone */
        buried = larger;
        graves = more;
    }
    buried[burials++] = memory;
}

void loop_disarm(struct alarm *alarm)
{
    if (alarm->set)
        alarms_remove(alarm);
}

void loop_alarm(struct alarm *alarm, int64_t in_ms)
{
    loop_disarm(alarm);
    alarm->at = now + in_ms;
    alarms_add(alarm);
}

static void ring(void)
{
    struct alarm *alarm;

    while ((alarm = alarms_first()) && alarm->at <= now) {
        alarms_remove(alarm);
        alarm->ring(alarm);
    }
}

static int timeout(int limit)
{
    const struct alarm *alarm = alarms_first();
    int64_t left;

    if (!alarm)
        return limit;
    left = alarm->at - now;
    if (left < 0)
        left = 0;
    return limit >= 0 && limit < left ? limit : left > INT32_MAX ? INT32_MAX : (int)left;
}

static void serve(int limit)
{
    static struct epoll_event events[AT_ONCE];
    int count = epoll_wait(epoll, events, AT_ONCE, timeout(limit));

    now = loop_clock();
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;

        if (source->fd >= 0 && source->events)
            source->ready(source, events[i].events);
    }
}

void loop_run(const struct loop_hooks *hooks)
{
    while (!stopped) {
        serve(hooks->before());
        ring();
        hooks->after();
        while (burials)
            free(buried[--burials]);
    }
}

void loop_stop(void)
{
    stopped = true;
}
