/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a leg: it is known by its ends, opens when program and association are both there,
 * and is known for a while after it has failed. How it comes to be is calls.c's and services.c's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../log.h"
#include "calls.h"
#include "diag.h"
#include "ends.h"
#include "leg.h"
#include "quota.h"
#include "services.h"

enum {
    HASH = 4096,
    MOST_LEGS = 32768,
    MOST_OF_PROCESS = MOST_LEGS / 2,
    MOST_OF_OTHERS = MOST_LEGS / 4, /* of each user that is not ours */
    FAILED_FOR = 60000, /* ms that an outcome is known */
    MANY_FAILED = 4096, /* from which on that is shorter */
    LOOK_FOR_PROGRAM = 5000, /* ms from one look to the next */
    LAST_WORDS = 50, /* ms in which the peer has to make room for what was sent before a reset */
};

static struct leg *table[HASH];
static unsigned count, failed_count, most_legs = MOST_LEGS;

struct legs_counts legs_counts;

unsigned legs_count(void)
{
    return count - failed_count;
}

void legs_limit(unsigned most)
{
    if (most < most_legs)
        most_legs = most;
}

/* ---- By their ends ---- */

static struct leg **bucket_of(const union address *program)
{
    uint32_t hash = ntohl(program->in.sin_addr.s_addr) * 2654435761u ^ address_port(program) * 40503u;

    return &table[(hash ^ hash >> 13) % HASH];
}

/* The listening end is the same for all that come in: there the broker's end tells them apart. */
static const union address *key_of(const struct leg *leg)
{
    return leg->inbound ? &leg->broker : &leg->program;
}

void leg_enter(struct leg *leg)
{
    struct leg **bucket = bucket_of(key_of(leg));

    leg->next = *bucket;
    *bucket = leg;
    count++;
}

static void leave(struct leg *leg)
{
    struct leg **at = bucket_of(key_of(leg));

    while (*at && *at != leg)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = leg->next;
    count--;
    failed_count -= leg->state == LEG_FAILED;
}

struct leg *leg_find_outbound(const union address *program, const union address *broker)
{
    struct leg *leg;

    for (leg = *bucket_of(program); leg; leg = leg->next)
        if (!leg->inbound && address_equal(&leg->program, program) &&
            (broker->any.sa_family == AF_UNSPEC || address_equal(&leg->broker, broker)))
            return leg;
    return NULL;
}

static struct leg *find_inbound(const union address *program, const union address *broker)
{
    struct leg *leg;

    for (leg = *bucket_of(broker); leg; leg = leg->next)
        if (leg->inbound && address_equal(&leg->broker, broker) &&
            address_equal(&leg->program, program))
            return leg;
    return NULL;
}

/* ---- Life ---- */

static bool charge(const struct caller *who)
{
    unsigned most = who->uid == geteuid() || who->uid == 0 ? MOST_LEGS : MOST_OF_OTHERS;

    if (!quota_take(QUOTA_PROCESS_LEGS, (uint32_t)who->pid, MOST_OF_PROCESS))
        return false;
    if (quota_take(QUOTA_USER_LEGS, who->uid, most))
        return true;
    quota_give(QUOTA_PROCESS_LEGS, (uint32_t)who->pid);
    return false;
}

static void discharge(struct leg *leg)
{
    if (!leg->counted)
        return;
    leg->counted = false;
    quota_give(QUOTA_PROCESS_LEGS, (uint32_t)leg->who.pid);
    quota_give(QUOTA_USER_LEGS, leg->who.uid);
}

struct leg *leg_make(const struct caller *who)
{
    struct leg *leg;

    if (legs_count() >= most_legs || !charge(who)) {
        log_warn_once("no more connections for process %d of user %u", (int)who->pid,
                      (unsigned)who->uid);
        return NULL;
    }
    leg = calloc(1, sizeof *leg);
    if (!leg) {
        quota_give(QUOTA_PROCESS_LEGS, (uint32_t)who->pid);
        quota_give(QUOTA_USER_LEGS, who->uid);
        return NULL;
    }
    leg->source.fd = -1;
    leg->who = *who;
    leg->counted = true;
    return leg;
}

void leg_discard(struct leg *leg)
{
    discharge(leg);
    loop_close(&leg->source);
    free(leg);
}

static void destroy(struct leg *leg)
{
    leave(leg);
    call_over(leg);
    discharge(leg);
    relay_forget_due(leg);
    relay_drop(leg);
    loop_disarm(&leg->alarm);
    loop_close(&leg->source);
    loop_free(leg);
}

void leg_say(const struct leg *leg, const char *what, const char *why)
{
    char program[ADDRESS_TEXT], local[ADDRESS_TEXT], remote[ADDRESS_TEXT];

    log_debug("%s %s: %s - %s %s", address_format(&leg->program, program), what,
              address_format(&leg->local, local), address_format(&leg->remote, remote), why);
}

static void forget(struct alarm *alarm)
{
    destroy(leg_of_alarm(alarm));
}

void leg_forget_later(struct leg *leg)
{
    leg->alarm.ring = forget;
    loop_alarm(&leg->alarm, failed_count < MANY_FAILED ? FAILED_FOR : FAILED_FOR / 12);
}

void leg_bury(struct leg *leg, int error)
{
    discharge(leg);
    call_over(leg);
    relay_forget_due(leg);
    relay_drop(leg);
    loop_close(&leg->source);
    leg->state = LEG_FAILED;
    leg->error = error;
    failed_count++;
}

void leg_end(struct leg *leg, bool reset)
{
    leg_say(leg, reset ? "is reset" : "ends", "");
    if (leg->association) {
        if (reset)
            stack_abort(leg->association);
        else
            stack_release(leg->association);
        leg->association = NULL;
    }
    /* What is in the socket's buffer still goes to the program, unless it is a reset. */
    if (leg->source.fd >= 0)
        end_linger(leg->source.fd, reset);
    /* The program may still have to accept it, or ask what it was called. */
    if (leg->state == LEG_OPEN && (leg->inbound ? !leg->asked : reset)) {
        leg_bury(leg, 0);
        leg_forget_later(leg);
    } else {
        destroy(leg);
    }
}

static void leg_ready(struct source *source, uint32_t events)
{
    struct leg *leg = leg_of_source(source);

    if (events & EPOLLERR && !leg->failed)
        leg_failed(leg, 0);
    leg->readable |= (events & ~(uint32_t)EPOLLOUT) != 0;
    /* Due since a turn before this one: there are many, and each would be told in every turn. */
    if (leg->due)
        loop_watch(&leg->source, 0);
    relay_due(leg);
}

static void give_up(struct alarm *alarm)
{
    leg_end(leg_of_alarm(alarm), true);
}

/*
 * The kernel says EPIPE of a reset after an end of file. An error is told once; then there is an end
 * of file behind what was sent before, whatever it was.
 */
void leg_failed(struct leg *leg, int error)
{
    leg->failed = leg->readable = true;
    leg->reset |= error == ECONNRESET;
    leg->alarm.ring = give_up;
    loop_alarm(&leg->alarm, LAST_WORDS);
}

/* A socket that has been reset was connected before; one that was never is refused. */
bool leg_opened(struct leg *leg)
{
    int error = end_error(leg->source.fd);

    if (error && error != ECONNRESET && error != EPIPE)
        return false;
    leg_say(leg, leg->inbound ? "was called" : "is connected", "");
    leg->state = LEG_OPEN;
    leg->readable = true;
    leg->source.ready = leg_ready;
    if (error)
        leg_failed(leg, error);
    relay_due(leg);
    return true;
}

static void look_for_program(struct alarm *alarm)
{
    struct leg *leg = leg_of_alarm(alarm);

    if (diag_state(&leg->program, &leg->broker) == 0)
        leg_end(leg, true);
    else
        loop_alarm(alarm, LOOK_FOR_PROGRAM);
}

void leg_waits_for_peer(struct leg *leg)
{
    if (leg->failed)
        return;
    leg->alarm.ring = look_for_program;
    loop_alarm(&leg->alarm, LOOK_FOR_PROGRAM);
}

/* ---- Whom the stack wakes, and whom programs ask for ---- */

static void woken(void *owner)
{
    struct leg *leg = owner;
    int error;

    switch (leg->state) {
    case LEG_CALLING:
        switch (stack_link(leg->association, &error)) {
        case LINK_CONNECTING:
            return;
        case LINK_FAILED:
            call_failed(leg, error);
            return;
        case LINK_UP:
            call_answered(leg);
        }
        return;
    case LEG_OPEN:
        relay_due(leg);
        return;
    case LEG_DIALING: /* what has come waits until the program is there */
    case LEG_FAILED:
        return;
    }
}

int legs_names(const union address *program, const union address *broker, bool master,
               union address *local, union address *remote)
{
    union address ends[2] = {*program, *broker};
    bool known = broker->any.sa_family != AF_UNSPEC;
    struct leg *leg;

    address_unmap(&ends[0]);
    address_unmap(&ends[1]);
    leg = known ? find_inbound(&ends[0], &ends[1]) : NULL;
    if (!leg)
        leg = leg_find_outbound(&ends[0], &ends[1]);
    if (!leg)
        return !known && service_bound(&ends[0], local) ? 0 : ENOENT;
    *local = leg->local;
    *remote = leg->remote;
    leg->asked |= master;
    return leg->state == LEG_FAILED ? leg->error : 0;
}

/* A bucket, and a place in it: what comes and goes meanwhile moves others by little. */
const struct leg *legs_at(uint32_t *position)
{
    enum { PLACES = 1 << 16 };

    for (uint32_t bucket = *position / PLACES; bucket < HASH; bucket++) {
        uint32_t place = bucket == *position / PLACES ? *position % PLACES : 0, at = 0;

        for (const struct leg *leg = table[bucket]; leg && at < PLACES - 1; leg = leg->next, at++)
            if (at >= place && leg->state != LEG_FAILED) {
                *position = bucket * PLACES + at + 1;
                return leg;
            }
    }
    return NULL;
}

const char *leg_state(const struct leg *leg)
{
    return leg->state == LEG_OPEN      ? (leg->program_ended || leg->peer_ended ? "HALF-CLOSED"
                                                                                : "ESTABLISHED")
           : leg->state == LEG_CALLING ? "CONNECTING"
           : leg->state == LEG_DIALING ? (leg->inbound ? "IN QUEUE" : "CONNECTING")
                                       : "ENDED";
}

bool legs_start(void)
{
    static const struct stack_user user = {.woken = woken, .arrived = service_called,
                                           .present = service_present};

    if (!holds_open())
        return false;
    stack_start(&user);
    return true;
}

void legs_stop(void)
{
    for (size_t i = 0; i < HASH; i++)
        while (table[i]) {
            if (table[i]->association)
                stack_abort(table[i]->association);
            table[i]->association = NULL;
            destroy(table[i]);
        }
    stack_flush();
}
