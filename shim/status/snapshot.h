/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel knows of all SCTP sockets of this network namespace at one moment: from /proc,
 * to anyone (tables.c); from sock_diag, to anyone, where the kernel has sctp_diag (diag.c); from
 * the sockets themselves, to who may look into the processes that hold them (holders.c, inside.c).
 * What this user's brokers carry (brokers.c), and what is TCP's only for want of SCTP (left.c).
 */
#ifndef SCTPSHIM_STATUS_SNAPSHOT_H
#define SCTPSHIM_STATUS_SNAPSHOT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../ledger.h"

/* An entry's state. */
enum { ESTABLISHED = 3 };

/* What a number is when it could not be learnt, and what a yes or no is then. */
enum { UNKNOWN = -1 };

/* An address as inet_ntop(3) writes it. */
struct address_text {
    char text[INET6_ADDRSTRLEN];
};

struct path {
    struct address_text address;
    bool primary;
    int state; /* enum sctp_spinfo_state of linux/sctp.h, or UNKNOWN */
    int64_t cwnd, mtu; /* bytes */
    int64_t srtt, rto; /* milliseconds */
};

/* A process that holds the socket. */
struct holder {
    pid_t pid;
    char program[64];
    int library; /* is the library mapped there? */
    int *fds;
    size_t fd_count;
};

/* An association, a listening socket, or a socket of TCP's that might have been one. */
struct entry {
    enum reason reason; /* why it is TCP's; REASON_NONE: it is SCTP's */
    bool accepted;      /* of TCP's: not by connect() */
    int tcp_state;      /* as in /proc/net/tcp */
    char leg[16];       /* of a broker's: how far the connection has come; else "" */
    bool listening;
    bool one_to_many; /* style of the socket */
    bool waiting;     /* for accept(): what is known of the socket is the listening one's */
    uint32_t id;      /* the kernel's sctp_assoc_t; 0 before the handshake, and listening */
    int state;        /* the kernel's enum sctp_state: SCTP_CLOSED of linux/sctp.h and so on less one */
    unsigned long inode;
    unsigned uid;
    uint16_t local_port, peer_port;
    struct address_text *locals;
    size_t local_count;
    struct path *paths; /* the first one is where the association began */
    size_t path_count;
    int64_t streams_in, streams_out;
    int64_t send_queue, receive_queue; /* bytes, with the kernel's overhead */
    int64_t retransmitted;             /* DATA chunks */
    int64_t failovers;
    int shim;      /* is the socket one of the library's? */
    int peer_shim; /* has the peer announced itself as one? */
    uint32_t note; /* of its rule (kernel/adaptation.h); 0: none */
    char *rule;    /* its name, "" where no rule matched; NULL when that is not known */
    struct holder *holders;
    size_t holder_count;
};

/* A broker of this user's. */
struct broker {
    pid_t pid;
    char text[512]; /* what it says of itself */
};

struct snapshot {
    struct entry *entries;
    size_t count;
    struct broker *brokers;
    size_t broker_count;
    uint64_t reasons[REASONS]; /* how often this user's programs were left to TCP, and why */
    /* In a sentence each: what is left out, why, and what would help. */
    char **missing;
    size_t missing_count;
};

/* Everything that can be learnt. An exit status of the tool: TOOL_OK, or it has said why not. */
int snapshot_take(struct snapshot *into);
void snapshot_free(struct snapshot *snapshot);
void snapshot_miss(struct snapshot *snapshot, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The steps of snapshot_take(). */
bool tables_read(struct snapshot *into);
void diag_read(struct snapshot *into);
void brokers_read(struct snapshot *into);
void left_read(struct snapshot *into);
void holders_find(struct snapshot *into);
void inside_look(struct snapshot *into);
void rules_name(struct snapshot *into);

/* What a process is called, "?" where that cannot be learnt. */
void holder_name(struct holder *holder);

/* What a socket's adaptation indication tells (docs/wire.md, shim/kernel/state.c). */
void entry_judge(struct entry *entry, uint32_t indication);
struct path *entry_path(const struct entry *entry, const char *address);

/* Room for one more element, zeroed: the array grows as it has to. Ends the process without. */
void *more(void *array, size_t count, size_t size);

/* "ESTABLISHED", "LISTEN"; "ACTIVE". */
const char *entry_state(const struct entry *entry);
const char *left_state(const struct entry *entry); /* of TCP's */
const char *path_state(const struct path *path);

/* The kernel's ticks in milliseconds. */
int64_t ticks_to_ms(int64_t ticks);

/*
 * A duplicate of a holder's descriptor, to be closed soon: while it is open the socket outlives
 * the holder's close(). -1 with errno: EPERM, ENOSYS, or ESRCH when no holder is known.
 */
int entry_borrow(const struct entry *entry);

/* The address as snapshots spell it; false when the text is none. */
bool address_read(const char *text, struct address_text *into);
/* The address with that port as the kernel takes it; AF_UNSPEC when the text is none. */
struct sockaddr_storage address_pack(const char *text, uint16_t port);

#endif
