/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's one thread: file descriptors that become ready, and alarms that ring. */
#ifndef SCTPSHIM_BROKER_LOOP_H
#define SCTPSHIM_BROKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "alarms.h"

/* Embedded in what owns the descriptor. Memory of a removed source is freed by loop_free(). */
struct source {
    int fd; /* -1: none */
    uint32_t events; /* as epoll has them; 0: not watched */
    void (*ready)(struct source *source, uint32_t events);
};

bool loop_start(void);
/* Milliseconds on CLOCK_MONOTONIC, as of this turn of the loop. */
int64_t loop_now(void);
/* And as of now. */
int64_t loop_clock(void);

/* Watches a descriptor for these EPOLL bits; 0 leaves it alone, errors included. */
void loop_watch(struct source *source, uint32_t events);
/* Stops watching and closes. */
void loop_close(struct source *source);
/* free() at the end of the turn: events that are already known may still name it. */
void loop_free(void *memory);

/* It rings then, and only then if it was set for another time. */
void loop_alarm(struct alarm *alarm, int64_t in_ms);
/* It may be set or not. */
void loop_disarm(struct alarm *alarm);

/*
 * What is done in each turn, in this order: before() returns the longest time to wait in ms, -1
 * for ever; then the sources that are ready; then after().
 */
struct loop_hooks {
    int (*before)(void);
    void (*after)(void);
};
/* Runs until loop_stop(). */
void loop_run(const struct loop_hooks *hooks);
void loop_stop(void);

#endif
