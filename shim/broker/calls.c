/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that connect: the program's SYN goes to a listener whose queue is full and is dropped
 * there; once the association is up a socket of the same name connects back, which completes the
 * program's connect (simultaneous open, RFC 9293, 3.5).
 */
#include "calls.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "diag.h"
#include "ends.h"
#include "services.h"

enum {
    CALLERS = 1024, /* hash */
    LOOK_AGAIN = 300, /* ms between two looks whether a program still connects */
    MOST_LOOKS = 2,   /* before it has begun to */
    MOST_DIALS = 200, /* the program has said that it will connect, and then does not */
};

/* ---- Those that are not connected yet ---- */

static struct leg *callers[CALLERS]; /* by their ports, which do not change */

static struct leg **caller_bucket(const union address *local, const union address *remote)
{
    return &callers[address_ports_hash(address_port(local), address_port(remote)) % CALLERS];
}

static void begins(struct leg *leg)
{
    struct leg **bucket = caller_bucket(&leg->local, &leg->remote);

    leg->next_caller = *bucket;
    *bucket = leg;
}

void call_over(struct leg *leg)
{
    struct leg **at = caller_bucket(&leg->local, &leg->remote);

    while (*at && *at != leg)
        at = &(*at)->next_caller;
    if (*at)
        *at = leg->next_caller;
}

bool call_pending(const union address *local, const union address *remote)
{
    const struct leg *leg;

    for (leg = *caller_bucket(local, remote); leg; leg = leg->next_caller)
        if (address_equal(&leg->local, local) && address_equal(&leg->remote, remote))
            return true;
    return false;
}

/* ---- How they end ---- */

/* The program may be a little later with its SYN than with its request, or have given up. */
static void tell_failed(struct alarm *alarm)
{
    struct leg *leg = leg_of_alarm(alarm);
    int state = diag_state(&leg->program, &leg->broker), again = leg->dials < 10 ? 1 : 10;

    if (leg->dials++ == MOST_DIALS || (state == 0 && leg->told)) {
        leg_forget_later(leg);
        return;
    }
    if (state != 0) {
        if (state != TCP_SYN_RECV)
            hold_refuse_begin(&leg->broker, &leg->program);
        hold_refuse_end(&leg->broker, &leg->program);
        leg->told = true;
        again = leg->dials > 1 ? 20 : 1;
    }
    loop_alarm(alarm, again);
}

/* It did not come to a connection; the reason stays for who asks. */
void call_failed(struct leg *leg, int error)
{
    if (leg->association)
        stack_abort(leg->association);
    leg->association = NULL;
    leg_say(leg, "failed", strerrorname_np(error));
    leg_bury(leg, error);
    leg->dials = 0;
    leg->alarm.ring = tell_failed;
    tell_failed(&leg->alarm);
}

static void dial(struct leg *leg);

static void dial_again(struct alarm *alarm)
{
    dial(leg_of_alarm(alarm));
}

/* The program is not there yet: its SYN comes a little later than its request. Or never. */
static void not_answered(struct leg *leg)
{
    loop_close(&leg->source);
    if (leg->dials++ == MOST_DIALS || !leg->association) {
        leg_end(leg, true);
        return;
    }
    leg->alarm.ring = dial_again;
    loop_alarm(&leg->alarm, leg->dials < 10 ? 1 : 10);
}

static void dialed(struct source *source, uint32_t events)
{
    struct leg *leg = leg_of_source(source);

    (void)events;
    if (!leg_opened(leg))
        not_answered(leg);
}

/* Others than our user could name somebody else's socket: nobody is called in their name. */
static bool may_dial(const struct leg *leg)
{
    return leg->who.uid == geteuid() || leg->who.uid == 0 ||
           diag_owned(&leg->program, &leg->broker, leg->who.uid);
}

/*
 * Where the other end has the same broker it is in its program's queue before this program is told
 * that it is connected; and accept(), which asks us, returns after that. So it is over TCP.
 */
static void dial(struct leg *leg)
{
    loop_disarm(&leg->alarm);
    leg->state = LEG_DIALING;
    if (diag_state(&leg->program, &leg->broker) == 0) {
        not_answered(leg);
        return;
    }
    call_over(leg);
    services_turn();
    leg->source.fd = may_dial(leg) ? hold_dial(&leg->broker, &leg->program) : -1;
    leg->source.ready = dialed;
    if (leg->source.fd < 0)
        not_answered(leg);
    else if (end_answered(leg->source.fd))
        dialed(&leg->source, EPOLLOUT);
    else
        loop_watch(&leg->source, EPOLLOUT);
}

void call_answered(struct leg *leg)
{
    legs_counts.made++;
    stack_names(leg->association, &leg->local, &leg->remote);
    leg->dials = 0;
    dial(leg);
}

/* ---- How they begin ---- */

/* A program that closes its socket, or ends, gives up: then nobody shall be called in its name. */
static void look_after(struct alarm *alarm)
{
    struct leg *leg = leg_of_alarm(alarm);
    int state = diag_state(&leg->program, &leg->broker);

    leg->seen |= state != 0;
    if (state == 0 && (leg->seen || leg->dials++ == MOST_LOOKS))
        leg_end(leg, true);
    else
        loop_alarm(alarm, LOOK_AGAIN);
}

/*
 * A hold for the connection from this name of the program's. Where the name has been used before
 * its socket is gone, unless it is one of several with the same name.
 */
static int choose_hold(const union address *program, const union address *remote,
                       const struct caller *who, const union address **hold)
{
    for (size_t i = 0; i < HOLDS; i++) {
        struct leg *old = leg_find_outbound(program, hold_name(i));

        if (old && diag_state(program, hold_name(i)) > 0) {
            if (address_equal(&old->remote, remote))
                return EADDRNOTAVAIL;
            continue;
        }
        if (old && old->who.uid != who->uid && old->state != LEG_FAILED)
            continue; /* he may be about to connect */
        if (old)
            leg_end(old, true);
        *hold = hold_name(i);
        return 0;
    }
    return EADDRNOTAVAIL;
}

/* What the program has bound, in the family that it connects to. */
static int choose_local(const struct request *request, union address *local)
{
    *local = request->local;
    if (local->any.sa_family == AF_UNSPEC && !service_bound(&request->leg, local))
        return EADDRNOTAVAIL;
    address_unmap(local);
    return 0;
}

int legs_connect(const struct request *request, const struct caller *who, union address *hold,
                 union address *own)
{
    struct leg *leg;
    union address local, remote = request->remote, program = request->leg;
    const union address *chosen;
    int error;

    address_unmap(&program);
    address_unmap(&remote);
    error = address_port(&remote) ? choose_hold(&program, &remote, who, &chosen) : ECONNREFUSED;
    if (!error)
        error = choose_local(request, &local);
    if (error)
        return error;
    leg = leg_make(who);
    if (!leg)
        return ENOBUFS;
    leg->program = program;
    leg->broker = *chosen;
    leg->remote = remote;
    leg->association = stack_connect(&local, &remote, &request->parameters, leg);
    if (!leg->association) {
        error = errno;
        leg_discard(leg);
        return error;
    }
    stack_names(leg->association, &leg->local, &leg->remote);
    leg_say(leg, "calls", "");
    leg_enter(leg);
    begins(leg);
    leg->alarm.ring = look_after;
    loop_alarm(&leg->alarm, LOOK_AGAIN);
    *hold = *chosen;
    *own = leg->local;
    return 0;
}
