/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a leg, both ways. Who does not take is not given more: what one side has not taken
 * waits here, at most one buffer, and the other side's window closes behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "leg.h"

enum {
    BUFFER = 64 << 10, /* more would not stay in the cache between its two copies */
    LEAST = 8 << 10,
    ALL = 256 << 20, /* what may wait here for all legs together, each way */
    TURN = 1 << 20,  /* bytes of one direction before others have their turn */
};

/* The most that is taken at a time, for it may have to wait here: many legs have smaller pieces. */
static size_t piece(void)
{
    size_t share = ALL / (legs_count() + 1);

    return share > BUFFER ? BUFFER : share < LEAST ? LEAST : share;
}

static struct leg *due, **due_end = &due;

void relay_due(struct leg *leg)
{
    if (leg->due)
        return;
    leg->due = true;
    leg->next_due = NULL;
    *due_end = leg;
    due_end = &leg->next_due;
}

void relay_forget_due(struct leg *leg)
{
    struct leg **at = &due;

    if (!leg->due)
        return;
    while (*at != leg)
        at = &(*at)->next_due;
    *at = leg->next_due;
    if (due_end == &leg->next_due)
        due_end = at;
    leg->due = false;
}

bool relay_waiting(void)
{
    return due != NULL;
}

void relay_turn(void)
{
    int64_t end = loop_clock() + 1; /* packets, requests and alarms must not wait for long */
    /* Those that become due again meanwhile come after, in the next turn. */
    const struct leg *last =
        due ? (void *)((char *)due_end - offsetof(struct leg, next_due)) : NULL;

    while (due && last && loop_clock() <= end) {
        struct leg *leg = due;

        relay_forget_due(leg);
        if (leg == last)
            last = NULL;
        relay_run(leg);
    }
}

static bool keep(struct backlog *backlog, const char *bytes, size_t len)
{
    backlog->bytes = malloc(len);
    if (!backlog->bytes)
        return false;
    memcpy(backlog->bytes, bytes, len);
    backlog->at = 0;
    backlog->len = len;
    return true;
}

static void drop(struct backlog *backlog)
{
    free(backlog->bytes);
    memset(backlog, 0, sizeof *backlog);
}

void relay_drop(struct leg *leg)
{
    drop(&leg->to_peer);
    drop(&leg->to_program);
}

/* What a pump has come to. */
enum flow { FLOW_MORE, FLOW_WAITS, FLOW_BROKEN };

/* ---- From the program to the peer ---- */

static enum flow give_peer(struct leg *leg, const char *bytes, size_t len)
{
    if (stack_send(leg->association, bytes, len))
        return FLOW_MORE;
    return errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
}

static enum flow finish(struct leg *leg)
{
    leg->finish_due = !stack_finish(leg->association);
    /* Nothing more is read, but what comes to a program that has closed its socket is refused. */
    return leg->failed && !leg->finish_due ? FLOW_BROKEN : FLOW_WAITS;
}

static enum flow pump_out(struct leg *leg)
{
    static char buffer[BUFFER];
    size_t chunk = stack_chunk(leg->association), most = piece(), done = 0;

    if (leg->to_peer.bytes) {
        enum flow flow = give_peer(leg, leg->to_peer.bytes, leg->to_peer.len);

        if (flow != FLOW_MORE)
            return flow;
        drop(&leg->to_peer);
    }
    if (leg->program_ended)
        return finish(leg);
    while (done < TURN) {
        size_t size = chunk < most ? chunk : most;
        enum flow flow;
        ssize_t n;

        if (!leg->readable)
            return FLOW_WAITS;
        n = recv(leg->source.fd, buffer, size, MSG_DONTWAIT);
        leg->readable = n == (ssize_t)size; /* else that was all, and epoll tells of more */
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? FLOW_WAITS : FLOW_BROKEN;
        if (n == 0 && leg->reset)
            return FLOW_BROKEN;
        if (n == 0) {
            leg->program_ended = true;
            leg_waits_for_peer(leg);
            return finish(leg);
        }
        flow = give_peer(leg, buffer, (size_t)n);
        if (flow == FLOW_WAITS)
            return keep(&leg->to_peer, buffer, (size_t)n) ? FLOW_WAITS : FLOW_BROKEN;
        if (flow == FLOW_BROKEN)
            return flow;
        done += (size_t)n;
    }
    return FLOW_MORE;
}

/* ---- From the peer to the program ---- */

/* How many bytes the program's socket takes, or -1. */
static ssize_t give_program(struct leg *leg, const char *bytes, size_t len)
{
    ssize_t n = send(leg->source.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return n;
}

/* The program takes nothing more, but what it had sent before that is still to be read. */
static enum flow refused(struct leg *leg)
{
    drop(&leg->to_program);
    leg_failed(leg, errno);
    return FLOW_WAITS;
}

static enum flow give_rest(struct leg *leg)
{
    struct backlog *rest = &leg->to_program;
    ssize_t n;

    if (!rest->bytes)
        return FLOW_MORE;
    n = give_program(leg, rest->bytes + rest->at, rest->len - rest->at);
    if (n < 0)
        return refused(leg);
    rest->at += (size_t)n;
    if (rest->at < rest->len)
        return FLOW_WAITS;
    drop(rest);
    return FLOW_MORE;
}

static enum flow pump_in(struct leg *leg)
{
    static char buffer[BUFFER];
    enum flow flow = give_rest(leg);
    size_t most = piece(), done = 0;

    if (flow != FLOW_MORE || leg->failed)
        return FLOW_WAITS;
    while (!leg->peer_ended && done < TURN) {
        ssize_t n = stack_receive(leg->association, buffer, most), taken;

        if (n < 0)
            return errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
        if (n == 0) {
            leg->peer_ended = true;
            shutdown(leg->source.fd, SHUT_WR);
            break;
        }
        taken = give_program(leg, buffer, (size_t)n);
        if (taken < 0)
            return refused(leg);
        if (taken < n)
            return keep(&leg->to_program, buffer + taken, (size_t)(n - taken)) ? FLOW_WAITS
                                                                               : FLOW_BROKEN;
        done += (size_t)n;
    }
    if (!leg->peer_ended)
        return FLOW_MORE;
    /* Nothing more can come but the end of the association, or a reset. */
    return stack_alive(leg->association) ? FLOW_WAITS : FLOW_BROKEN;
}

/* ---- Both ---- */

/* Both directions have ended, and have been passed on: a reset after that tells nobody anything. */
static bool all_said(const struct leg *leg)
{
    return leg->program_ended && leg->peer_ended && !leg->finish_due && !leg->to_peer.bytes &&
           !leg->to_program.bytes;
}

void relay_run(struct leg *leg)
{
    enum flow in = pump_in(leg), out = in == FLOW_BROKEN ? FLOW_BROKEN : pump_out(leg);
    uint32_t events = leg->failed ? 0 : EPOLLERR; /* seen once; the rest is read when there is room */

    if (all_said(leg)) {
        leg_end(leg, false);
        return;
    }
    if (in == FLOW_BROKEN || out == FLOW_BROKEN) {
        leg_end(leg, true);
        return;
    }
    if (leg->to_program.bytes && !leg->failed)
        events |= EPOLLOUT;
    if (!leg->to_peer.bytes && !leg->program_ended)
        events |= EPOLLIN;
    loop_watch(&leg->source, events);
    if (in == FLOW_MORE)
        relay_due(leg);
}
