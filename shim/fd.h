/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What we know about each fd number: a cache of what the kernel would answer, never more.
 *
 * Every call that gives a number a new meaning makes us forget it (hooks.def, "lives of fd
 * numbers"), and what we still believe wrongly (an fd closed inside libc, as fclose() does) the
 * kernel corrects: our operations are socket calls and fail with ENOTSOCK on anything else.
 */
#ifndef SCTPSHIM_FD_H
#define SCTPSHIM_FD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum fd_kind {
    FD_UNKNOWN = 0, /* ask the kernel */
    FD_FOREIGN,     /* not ours: everything passes through */
    /* From here on ours: an SCTP socket made for a program that asked for TCP. */
    FD_IDLE,       /* not connected as far as this process knows */
    FD_CONNECTING, /* a connect is under way, or its result has not been seen */
    FD_FAILED,     /* a non-blocking connect failed and the program has read the error */
    FD_STRANDED,   /* a connect was reported as failed while the kernel still tries */
    FD_LISTENING,
    FD_OPEN, /* connected and tuned; only this kind is on the fast path */
};

enum {
    FD_TABLE = 1 << 20, /* Linux's default limit of fs.nr_open; beyond it, ask at each call */
    FD_TCPOPTS = 24,  /* slots for remembered IPPROTO_TCP options (tcpopts.def) */
};

/* Bits of fd_info.flags. */
enum {
    FDF_CONNECT_DUE = 1 << 0,   /* connect() has not yet returned success to the program */
    FDF_BOUND = 1 << 1,         /* the program called bind() */
    FDF_RECVERR_OURS = 1 << 2,  /* IP_RECVERR was switched on by us, for connect only */
    FDF_INHERIT = 1 << 3,       /* the program set an option that accepted fds get by our hand */
    FDF_PEER_GONE = 1 << 4,     /* one write after the peer's close has been swallowed, as by TCP */
    FDF_RESET = 1 << 5,         /* a reset was seen */
    FDF_NO_CHECK = 1 << 7,      /* the program set SO_NO_CHECK; the real one is check_readable()'s */
    FDF_PEER_NAME = 1 << 6,     /* getpeername() says peer: connect() went to another address */
};

/* Socket state that has no home in the kernel. Written by whoever owns the call at hand. */
struct fd_info {
    uint8_t last_kind;    /* enum fd_kind before it was forgotten, or of what it was dup'ed from */
    uint8_t pending;      /* errno that a probe consumed and the next call must report */
    uint16_t flags;
    uint32_t chunk;       /* longest message to send, bytes; 0: not decided */
    uint32_t sndbuf;      /* SO_SNDBUF the program believes in; 0: whatever the kernel says */
    uint32_t rcvbuf;
    uint32_t tcpopts_set; /* bit n: tcpopts[n] was set by the program */
    int tcpopts[FD_TCPOPTS];
    char congestion[16];
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer; /* what getpeername() says when the kernel cannot; AF_UNSPEC: nothing */
};

extern _Atomic uint8_t fd_kinds[FD_TABLE];

/* Asks the kernel and remembers. Keeps errno. */
enum fd_kind fd_classify(int fd);

static inline enum fd_kind fd_kind(int fd)
{
    uint8_t kind = (unsigned)fd < FD_TABLE
                       ? atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed)
                       : FD_UNKNOWN;

    return __builtin_expect(kind != FD_UNKNOWN, 1) ? (enum fd_kind)kind : fd_classify(fd);
}

static inline bool fd_is_ours(int fd)
{
    return fd_kind(fd) > FD_FOREIGN;
}

void fd_set_kind(int fd, enum fd_kind kind);

/* Has any fd of this process ever been FD_FAILED? Until then poll() need not look at its fds. */
extern atomic_bool fd_any_failed;

/* The number starts a new life as a socket of ours of that kind, with nothing remembered. */
void fd_adopt(int fd, enum fd_kind kind);

/*
 * The numbers may mean something else from now on. The memory behind them stays until another
 * socket takes the number: a vfork child that closes its fds does it in its parent's tables.
 */
void fd_forget(int fd);
void fd_forget_range(unsigned first, unsigned last);

/* A number that another process gave us: neither belief nor memory. */
void fd_received(int fd);

/*
 * dup'ed: carries the memory over, but not the belief: in a vfork child this table is the
 * parent's, so what the new number is must be asked of the kernel, in each process.
 */
void fd_duplicated(int from, int to);

/* After an operation of ours failed with errno: was the belief stale, is fd something else? */
bool fd_was_stale(int fd);

/*
 * A seccomp filter is about to be installed by this process. The filter was written for what TCP
 * needs, often no more than read(2), write(2) and poll(2), and may kill for anything else: so what
 * every open fd is, is asked now, and from then on nothing is asked and nothing else is called.
 */
void fd_seal(void);
bool fd_sealed(void);

/*
 * The memory behind a number of ours: pages are mapped when first needed, 1024 numbers at a time.
 * Without memory, or beyond the table, one record shared by all such numbers, always handed out
 * empty: then options are not remembered, but everything still works.
 */
struct fd_info *fd_info(int fd);

#endif
