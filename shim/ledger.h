/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one user's processes of a network namespace have learnt about others' SCTP: verdicts on
 * destinations, counts of the reasons for TCP, and which connections those are. Records in memory
 * that only this user's processes can have (ledger_place.c), and that may be removed or spoilt at any
 * time.
 *
 * No function here waits, allocates or is a cancellation point; all keep errno. Where there is no
 * such memory, or it is not as it should be, nothing is known and nothing is remembered.
 */
#ifndef SCTPSHIM_LEDGER_H
#define SCTPSHIM_LEDGER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* REASON_RULE, ...: why it is TCP; REASON_NONE: it is SCTP. */
enum reason {
    REASON_NONE,
#define REASON(NAME, word, seconds, text) REASON_##NAME,
#include "reasons.def"
    REASONS
};

struct reason_row {
    const char *word, *text;
    uint32_t seconds; /* at most; 0: no verdict comes of it */
};

extern const struct reason_row reason_table[REASONS];

/* What errno of an SCTP connect says; REASON_NONE: nothing of SCTP. */
enum reason reason_of_error(int error);

/* A connection that is TCP's, by the kernel's number for its socket. */
struct ledger_connection {
    uint64_t inode;
    uint32_t pid;
    uint8_t reason;
    bool accepted;
    struct sockaddr_in6 peer; /* IPv4 is mapped */
};

enum {
    LEDGER_SIZE = 4096 + 4096 * 32 + 2048 * 40, /* bytes */
    LEDGER_COUNTS = 60,
};

/* What it begins with. */
struct ledger_head {
    _Atomic uint64_t identity; /* of the directory, the network and the user; 0: it is new */
    char directory[120];       /* for who wonders which this is */
    _Atomic uint64_t counts[LEDGER_COUNTS];
};

/* An open ledger: its memory, for as long as it is open. */
struct ledger {
    unsigned char *at; /* NULL: there is none */
    bool kept;         /* by this process */
};

/* Seconds of CLOCK_REALTIME. */
uint32_t ledger_now(void);

/* At start-up of a program that may fork, once. */
void ledger_start(void);

/* What SO_NETNS_COOKIE says of a socket is its network: Linux 5.14; 0 before that. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
/* That of this network. False where there is none; made first, if `make` is set. */
bool ledger_open(struct ledger *ledger, uint64_t network, bool make);
void ledger_close(struct ledger *ledger);

/* The process has given up its user: what it has of that one's it has no more. */
void ledger_leave(void);

/*
 * The verdict on a destination: how many more seconds it holds, 0 for none. REASON_NONE: the peer
 * has SCTP there.
 */
uint32_t ledger_verdict(const struct ledger *ledger, const struct sockaddr_in6 *to,
                        enum reason *reason);
/* From now on, for that many seconds; 0 takes one back. */
void ledger_judge(const struct ledger *ledger, const struct sockaddr_in6 *to, enum reason reason,
                  uint32_t seconds);

/* One more. */
void ledger_count(const struct ledger *ledger, enum reason reason);
void ledger_counts(const struct ledger *ledger, uint64_t counts[REASONS]);

/* Notes a connection; among a thousand others it may be forgotten. */
void ledger_note(const struct ledger *ledger, const struct ledger_connection *connection);
/* False where that socket is not noted. */
bool ledger_find(const struct ledger *ledger, uint64_t inode, struct ledger_connection *into);

#endif
