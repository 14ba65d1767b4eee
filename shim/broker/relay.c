/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a leg, both ways. Who does not take is not given more: what one side has not taken
 * waits here, at most one buffer, and the other side's window closes behind it.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "leg.h"

enum {
    MESSAGES = 64 << 10, /* bytes; more would not stay in the cache between two copies */
    LEAST = 8 << 10,
    ALL = 256 << 20, /* what may wait here for all legs together, each way */
    TURN = 1 << 20,  /* bytes of one direction before others have their turn */
};

/* The most that is taken at a time, for it may have to wait here: many legs have smaller pieces. */
static size_t piece(void)
{
    size_t share = ALL / (legs_count() + 1);

    return share > MESSAGES ? MESSAGES : share < LEAST ? LEAST : share;
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

static void drop(struct backlog *backlog)
{
    stack_block_free(backlog->block);
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

/* What the stack does not take waits, in memory of its size where that is much less. */
static enum flow wait_for_peer(struct leg *leg, void *block, size_t size, size_t len)
{
    void *less = len < size / 2 ? stack_block(len) : NULL;

    if (less) {
        memcpy(less, block, len);
        stack_block_free(block);
    }
    leg->to_peer = (struct backlog){.block = less ? less : block, .len = len};
    return FLOW_WAITS;
}

/* The block is the stack's, or waits, or is not needed any more. */
static enum flow give_peer(struct leg *leg, void *block, size_t size, size_t len)
{
    if (stack_send(leg->association, block, len))
        return FLOW_MORE;
    if (errno == EAGAIN)
        return wait_for_peer(leg, block, size, len);
    stack_block_free(block);
    return FLOW_BROKEN;
}

/* That which waits. */
static enum flow give_peer_rest(struct leg *leg)
{
    struct backlog rest = leg->to_peer;

    if (!rest.block)
        return FLOW_MORE;
    leg->to_peer.block = NULL;
    return give_peer(leg, rest.block, rest.len, rest.len);
}

static enum flow finish(struct leg *leg)
{
    leg->finish_due = !stack_finish(leg->association);
    /* Nothing more is read, but what comes to a program that has closed its socket is refused. */
    return leg->failed && !leg->finish_due ? FLOW_BROKEN : FLOW_WAITS;
}

/* Nothing came, or nothing more will, or the end has. */
static enum flow nothing_read(struct leg *leg, ssize_t n)
{
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? FLOW_WAITS : FLOW_BROKEN;
    if (leg->reset)
        return FLOW_BROKEN;
    leg->program_ended = true;
    leg_waits_for_peer(leg);
    return finish(leg);
}

static enum flow pump_message(struct leg *leg, size_t size, size_t *done)
{
    void *block = stack_block(size);
    ssize_t n;

    if (!block)
        return FLOW_BROKEN;
    n = recv(leg->source.fd, block, size, MSG_DONTWAIT);
    leg->readable = n == (ssize_t)size; /* else that was all, and epoll tells of more */
    if (n <= 0) {
        enum flow flow = nothing_read(leg, n);

        stack_block_free(block);
        return flow;
    }
    *done += (size_t)n;
    return give_peer(leg, block, size, (size_t)n);
}

static enum flow pump_out(struct leg *leg)
{
    size_t chunk = stack_chunk(leg->association), most = piece(), done = 0;
    enum flow flow = give_peer_rest(leg);

    if (flow == FLOW_MORE && leg->program_ended)
        return finish(leg);
    while (flow == FLOW_MORE && done < TURN) {
        if (!leg->readable)
            return FLOW_WAITS;
        flow = pump_message(leg, chunk < most ? chunk : most, &done);
    }
    return flow;
}

/* ---- From the peer to the program ---- */

/* How many bytes the program's socket takes, or -1. */
static ssize_t give_program(struct leg *leg, const struct iovec *from, size_t count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)from, .msg_iovlen = count};
    ssize_t n = sendmsg(leg->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

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

static enum flow give_program_rest(struct leg *leg)
{
    struct backlog *rest = &leg->to_program;
    ssize_t n;

    if (!rest->block)
        return FLOW_MORE;
    n = give_program(leg, &(struct iovec){rest->block + rest->at, rest->len - rest->at}, 1);
    if (n < 0)
        return refused(leg);
    rest->at += (size_t)n;
    if (rest->at < rest->len)
        return FLOW_WAITS;
    drop(rest);
    return FLOW_MORE;
}

/* Those behind the first `taken` bytes wait. */
static enum flow wait_for_program(struct leg *leg, const struct pieces *pieces, size_t taken)
{
    struct backlog *rest = &leg->to_program;
    char *to = stack_block(pieces->bytes - taken);

    if (!to)
        return FLOW_BROKEN;
    *rest = (struct backlog){.block = to, .len = pieces->bytes - taken};
    for (size_t i = 0; i < pieces->count; i++) {
        const struct iovec *piece = &pieces->at[i];
        size_t skip = taken < piece->iov_len ? taken : piece->iov_len;

        memcpy(to, (char *)piece->iov_base + skip, piece->iov_len - skip);
        to += piece->iov_len - skip;
        taken -= skip;
    }
    return FLOW_WAITS;
}

static enum flow give_pieces(struct leg *leg, const struct pieces *pieces)
{
    ssize_t taken = give_program(leg, pieces->at, pieces->count);

    if (taken < 0)
        return refused(leg);
    return (size_t)taken < pieces->bytes ? wait_for_program(leg, pieces, (size_t)taken) : FLOW_MORE;
}

/* Nothing more can come but the end of the association, or a reset. */
static enum flow peer_over(const struct leg *leg)
{
    return stack_alive(leg->association) ? FLOW_WAITS : FLOW_BROKEN;
}

static enum flow pump_in(struct leg *leg)
{
    enum flow flow = give_program_rest(leg);
    size_t most = piece(), done = 0;

    if (flow != FLOW_MORE || leg->failed)
        return FLOW_WAITS;
    while (flow == FLOW_MORE && !leg->peer_ended && done < TURN) {
        static struct pieces pieces;
        ssize_t n = stack_receive(leg->association, &pieces, most);

        if (n > 0) {
            flow = give_pieces(leg, &pieces);
            done += (size_t)n;
        } else if (n == 0) {
            leg->peer_ended = true;
            shutdown(leg->source.fd, SHUT_WR);
        } else {
            flow = errno == EAGAIN ? FLOW_WAITS : FLOW_BROKEN;
        }
        pieces_release(&pieces);
    }
    return leg->peer_ended ? peer_over(leg) : flow;
}

/* ---- Both ---- */

/* Both directions have ended, and have been passed on: a reset after that tells nobody anything. */
static bool all_said(const struct leg *leg)
{
    return leg->program_ended && leg->peer_ended && !leg->finish_due && !leg->to_peer.block &&
           !leg->to_program.block;
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
    if (leg->to_program.block && !leg->failed)
        events |= EPOLLOUT;
    if (!leg->to_peer.block && !leg->program_ended)
        events |= EPOLLIN;
    loop_watch(&leg->source, events);
    if (in == FLOW_MORE)
        relay_due(leg);
}
