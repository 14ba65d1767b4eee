/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Legs: the TCP connections over loopback between programs and the broker, each with an
 * association. calls.c and services.c make them, legs.c knows them by their ends, relay.c moves
 * their bytes.
 */
#ifndef SCTPSHIM_BROKER_LEG_H
#define SCTPSHIM_BROKER_LEG_H

#include <stdbool.h>
#include <stddef.h>

#include "../userspace/protocol.h"
#include "loop.h"
#include "stack.h"

enum leg_state {
    LEG_CALLING, /* the association is being made, the program's SYN is held */
    LEG_DIALING, /* the association is there, the leg is being connected */
    LEG_OPEN,
    LEG_FAILED, /* kept for a while, so that the program can ask what it was */
};

/* The program that asked, when it did. */
struct caller {
    uid_t uid;
    pid_t pid;
};

/* Bytes that one side has given and the other has not taken, in a block of the stack's. */
struct backlog {
    char *block;
    size_t at, len;
};

struct leg {
    struct source source; /* of the TCP socket */
    struct alarm alarm;
    struct leg *next;     /* of the same hash */
    struct leg *next_due;
    struct leg *next_caller; /* of a LEG_CALLING or LEG_DIALING; see calls.h */
    enum leg_state state;
    struct caller who; /* whose it is */
    bool counted;      /* against his quotas */
    struct association *association;
    union address program, broker; /* the leg's ends */
    union address local, remote;   /* the association's */
    int error;                     /* of a LEG_FAILED */
    int dials;
    struct backlog to_peer, to_program;
    bool seen; /* of a LEG_CALLING: the program's socket connects */
    bool told; /* of a LEG_FAILED: the program's socket has been reset */
    bool asked; /* the program knows that it has it */
    bool readable; /* of a LEG_OPEN: something may be there to be read */
    bool failed; /* of a LEG_OPEN: the program has reset its socket, or closed it unread */
    bool reset; /* of one that has failed: not after its end, and the socket tells it no more */
    bool inbound, due, program_ended, finish_due, peer_ended;
};

bool legs_start(void);
/* The end of the broker is a reset for the peers too. */
void legs_stop(void);

/*
 * The names of the leg between these ends; without an end of ours, those of what `program` has
 * bound or connects from. 0, the errno of a connect that failed, or ENOENT. `master`: our own user
 * asks, and will know from now on that it has the leg.
 */
int legs_names(const union address *program, const union address *broker, bool master,
               union address *local, union address *remote);

/* The leg at a position or after it, and the next one's position; NULL: there is no more. */
const struct leg *legs_at(uint32_t *position);
const char *leg_state(const struct leg *leg);

unsigned legs_count(void);
/* No more legs at a time than this. */
void legs_limit(unsigned most);

/* Since the start: associations that programs have made, and those that have come in. */
extern struct legs_counts {
    uint64_t made, came;
} legs_counts;

/* The leg and its association are gone: a reset for the program, unless all was said and done. */
void leg_end(struct leg *leg, bool reset);

/*
 * For calls.c and services.c. A leg without ends that is known to nobody yet; NULL: no more, for
 * him or for all. leg_discard() is its end if it is never entered.
 */
struct leg *leg_make(const struct caller *who);
void leg_discard(struct leg *leg);
void leg_enter(struct leg *leg);
/* Without an end of ours it is the last one that was made. */
struct leg *leg_find_outbound(const union address *program, const union address *broker);
/*
 * The leg's socket has been answered, or will not be: is the program there? If so it is opened, and
 * bytes may go.
 */
bool leg_opened(struct leg *leg);
/*
 * The program has reset its socket. What it sent before is there to be read; behind it is the reset,
 * or an end of file where `error`, which the socket has told, was that.
 */
void leg_failed(struct leg *leg, int error);
/*
 * The program has ended its direction, perhaps for it has closed its socket. The kernel forgets one
 * that is closed when the peer has not ended its direction after a while (tcp_fin_timeout, tcp(7));
 * so do we then, or a peer that is no more would be waited for without end.
 */
void leg_waits_for_peer(struct leg *leg);
/* It is over, and counts no more, but who it was and `error` stay known, until forgotten later. */
void leg_bury(struct leg *leg, int error);
void leg_forget_later(struct leg *leg);
void leg_say(const struct leg *leg, const char *what, const char *why);

static inline struct leg *leg_of_alarm(struct alarm *alarm)
{
    return (struct leg *)(void *)((char *)alarm - offsetof(struct leg, alarm));
}

static inline struct leg *leg_of_source(struct source *source)
{
    return (struct leg *)(void *)((char *)source - offsetof(struct leg, source));
}

/* Moves what can be moved; when the leg is due, or its association has been woken. */
void relay_run(struct leg *leg);
void relay_drop(struct leg *leg);
/* Something may have to be moved: in this turn, after the packets that have arrived. */
void relay_due(struct leg *leg);
void relay_forget_due(struct leg *leg);
/* Runs those that are due, for a millisecond or two; relay_waiting(): some are left. */
void relay_turn(void);
bool relay_waiting(void);

#endif
