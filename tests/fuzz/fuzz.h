/* SPDX-License-Identifier: BSD-3-Clause */
/* What the player of socket scripts (player.c) and the processes that it directs (party.c) share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

enum {
    ROLES = 4,              /* A and B; C and D are forked by them */
    ENDS = 20,              /* c0..c9 and s0..s9 below, listeners l0.. after them */
    CONNECTIONS = 8,        /* ends of connections: cN is N, sN is CONNECTIONS + N */
    COPIES = 4,             /* c0, c0.1, c0.2, c0.3: descriptors of one end */
    SLOTS = ENDS * COPIES,
    BYTES_MAX = 8 << 20,    /* longest single call */
    WAIT_MS = 30000,        /* a party waits no longer for readiness that the script promises */
    /* Descriptors that every process has, whatever it forks and executes. */
    FD_ANSWERS = 200,
    FD_PATTERN = 201,
    FD_COMMANDS = 210,      /* + role: where it reads its commands */
    FD_INBOX_OUT = 220,     /* + role: where others put descriptors for it ... */
    FD_INBOX_IN = 230,      /* + role: ... and where it takes them */
};

/* One step for one process. The coordinator fills in what the script cannot know. */
struct command {
    char line[120];
    uint64_t at;            /* position in the stream that is sent or received */
    uint64_t expect;        /* bytes that were sent and not received yet */
    uint32_t stream;        /* number of that stream: the end that sends it */
    uint16_t port;
};

struct answer {
    char text[200];         /* the observation */
    int32_t role;
    int32_t pid;            /* of a new process */
    int64_t moved;          /* bytes sent, or received for good */
    uint16_t port;          /* of a name, for the coordinator to call by what it knows */
};

/* c0.1 -> a number below SLOTS, or -1; its end is slot / COPIES. */
int slot_number(const char *name);
void slot_name(int slot, char name[8]);

/* Fills the file FD_PATTERN with the bytes that all streams are cut from. */
void pattern_make(void);
/* Maps it. */
void pattern_map(void);

/* Carries out commands until there are no more. Returns only in a process that is done. */
void party_serve(int role);

/* Goes on after exec: slots are given as number:descriptor. */
void party_resume(int role, int count, char **slots);

#endif
