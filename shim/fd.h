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
    FD_UNDECIDED,   /* a TCP socket that may become SCTP's, and does when its kind is asked */
    FD_DECIDING,    /* the same, in the hands of a thread (kernel/undecided.h) */
    FD_LEG,         /* a TCP socket of the userspace plane: nearly everything passes through */
    FD_COMPANION,   /* the library's own TCP listener beside an SCTP one (kernel/dual.h) */
    FD_FOREIGN,     /* not ours: everything passes through */
    /* From here on the kernel plane's: an SCTP socket made for a program that asked for TCP. */
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
    FDF_CONNECT_DUE = 1 << 0,   /* the connect under way is one that connect() did not wait for */
    FDF_BOUND = 1 << 1,         /* the program called bind() */
    FDF_RECVERR_OURS = 1 << 2,  /* IP_RECVERR was switched on by us, for connect only */
    FDF_INHERIT = 1 << 3,       /* the program set an option that accepted fds get by our hand */
    FDF_PEER_GONE = 1 << 4,     /* one write after the peer's close has been swallowed, as by TCP */
    FDF_RESET = 1 << 5,         /* a reset was seen */
    FDF_PEER_NAME = 1 << 6,     /* getpeername() says peer: connect() went to another address */
    FDF_NO_CHECK = 1 << 7,      /* the program set SO_NO_CHECK; the real one is check_readable()'s */
    FDF_WRITE_SHUT = 1 << 8,    /* the program ended this direction */
    FDF_HUNG_UP = 1 << 9,       /* both directions are over: by a reset or by two ends */
    FDF_ENDED = 1 << 10,        /* the peer's direction has ended, in good order */
    FDF_OWN = 1 << 11,          /* made by this process, and its only number here */
    FDF_READ_SHUT = 1 << 12,    /* the program ended that one */
    FDF_GONE_EARLY = 1 << 13,   /* it had ended before it was accepted: what hangs up says little */
    FDF_CORKED = 1 << 14,       /* TCP_CORK is on */
    FDF_MORE = 1 << 15,         /* the last write said that more would follow */
    /* The kernel keeps these too, for every process that holds the socket (kernel/state.c). */
    FDF_ENDS = FDF_PEER_GONE | FDF_RESET | FDF_WRITE_SHUT | FDF_HUNG_UP | FDF_ENDED |
               FDF_READ_SHUT | FDF_GONE_EARLY,
};

/* Does the kernel say with each message whether another one follows (SCTP_RECVNXTINFO)? */
enum followers { FOLLOWERS_UNKNOWN, FOLLOWERS_TOLD, FOLLOWERS_UNTOLD };

/* Has an SCTP socket its parameters (kernel/params.c)? */
enum params_state { PARAMS_UNKNOWN, PARAMS_DUE, PARAMS_SET };

/* May a blocking write wait for as long as it takes (SO_SNDTIMEO)? */
enum patience { PATIENCE_UNKNOWN, PATIENCE_ENDLESS, PATIENCE_LIMITED };

/*
 * Socket state that has no home in the kernel. Written by whoever owns the call at hand. One
 * record a socket: the numbers that dup() made of one another share it.
 */
struct fd_info {
    /* Threads share sockets: each field is atomic, and no order among them is relied on. */
    _Atomic uint8_t last_kind; /* enum fd_kind before it was forgotten or dup'ed */
    _Atomic uint8_t pending;   /* errno that a probe consumed and the next call must report */
    _Atomic uint16_t flags;
    _Atomic uint8_t rule;      /* whose options it has (rules.h); 0: those of no rule */
    _Atomic uint32_t life;     /* goes up when the record is given to another socket */
    _Atomic uint32_t readers;  /* threads in a read that may block */
    _Atomic uint32_t chunk;    /* longest message to send, bytes; 0: not decided */
    _Atomic uint64_t sent;     /* bytes, by this process and those it was forked from */
    _Atomic uint64_t received;
    _Atomic uint64_t waiting;  /* options set while it was undecided, of kernel/replace.c's rows */
    _Atomic uint64_t cookie;   /* the kernel's name of the socket, once it was asked; 0: not yet */
    _Atomic uint32_t sndbuf;   /* SO_SNDBUF the program believes in; 0: whatever the kernel says */
    _Atomic uint32_t rcvbuf;
    _Atomic uint32_t rcvlowat; /* SO_RCVLOWAT, when the program set it */
    _Atomic uint8_t followers;        /* enum followers */
    _Atomic uint8_t patience;         /* enum patience */
    _Atomic uint16_t ostreams;        /* outgoing streams that the peer granted; 0: not known */
    _Atomic uint32_t writes;          /* messages that were spread over them */
    _Atomic uint32_t small_writes;    /* in a row, with more to follow (cork.c) */
    _Atomic uint8_t mtu_discover[2];  /* the program's IP_ and IPV6_MTU_DISCOVER, plus 1; or 0 */
    _Atomic uint64_t epoll_data;      /* what the last epoll_ctl() before it was up asked for */
    _Atomic uint32_t epoll_events;
    _Atomic int epoll_fd;
    _Atomic uint8_t epoll_due;        /* it has not been shown what became of the socket */
    _Atomic uint8_t epolls;           /* that have it, as far as this process did it; 2: or more */
    _Atomic uint64_t paths;    /* what LOG=info has told of them (kernel/tell.c); 0: nothing */
    _Atomic uint32_t sharings; /* sharing_count when it was made */
    _Atomic uint32_t tcpopts_set;     /* bit n: tcpopts[n] was set by the program */
    _Atomic int tcpopts[FD_TCPOPTS];
    char congestion[16];
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer, /* what getpeername() says when the kernel cannot; AF_UNSPEC: nothing */
        own, /* and getsockname(): the kernel says what the path in use leaves from */
        asked; /* where connect() was to go to, if it may go there another way (fallback.c) */
    _Atomic uint8_t fallback; /* enum fallback */
    _Atomic uint8_t mute;     /* writing was shut down before there was a connection */
    _Atomic uint8_t touched;  /* the program has set an option or who hears of it, or shut it down
                                 unconnected */
    _Atomic uint8_t family;   /* SO_DOMAIN, once it was asked; or 0 */
    _Atomic uint32_t indication; /* kernel/state.c's, of a socket that is unshared; or 0 */
    _Atomic uint8_t turn;     /* of a listener: which of its two kinds is asked first */
    _Atomic int companion;    /* its number, plus 1 (kernel/dual.h); or 0 */
    _Atomic uint8_t kept_alive; /* SO_KEEPALIVE was on before this process knew the socket */
    _Atomic uint8_t params; /* enum params_state */
    _Atomic uint8_t v6only; /* of a leg: IPV6_V6ONLY as the program set it */
};

extern _Atomic uint8_t fd_kinds[FD_TABLE];

/* Asks the kernel and remembers. Keeps errno. */
enum fd_kind fd_classify(int fd);

/* What it is taken for. Asks and decides nothing: FD_UNKNOWN where the kernel has to tell. */
static inline enum fd_kind fd_kind_now(int fd)
{
    return (unsigned)fd < FD_TABLE
               ? (enum fd_kind)atomic_load_explicit(&fd_kinds[fd], memory_order_relaxed)
               : FD_UNKNOWN;
}

static inline enum fd_kind fd_kind(int fd)
{
    enum fd_kind kind = fd_kind_now(fd);

    return __builtin_expect(kind > FD_DECIDING, 1) ? kind : fd_classify(fd);
}

static inline bool fd_is_undecided(int fd)
{
    enum fd_kind kind = fd_kind_now(fd);

    return kind == FD_UNDECIDED || kind == FD_DECIDING;
}

/* Is it known to be of a kind from FD_LEG or FD_FOREIGN to FD_FOREIGN? Asks nobody. */
static inline bool fd_passes(int fd, enum fd_kind first)
{
    enum fd_kind kind = fd_kind_now(fd);

    return kind >= first && kind <= FD_FOREIGN;
}

static inline bool fd_is_ours(int fd)
{
    return fd_kind(fd) > FD_FOREIGN;
}

static inline bool fd_is_leg(int fd)
{
    return fd_kind(fd) == FD_LEG;
}

void fd_set_kind(int fd, enum fd_kind kind);

/* No number above it has been ours; -1 at first. */
extern atomic_int fd_highest;

/*
 * fd_is_ours() for close(): asks the kernel only about numbers that had been ours, and at the first
 * close of a low one, which this program may have been started with. Others are not below.
 */
bool fd_was_ours(int fd);
unsigned fd_were_ours_below(void);

/*
 * Has any fd of this process ever been FD_IDLE, FD_CONNECTING, FD_FAILED or gone early? Until then
 * poll(), select() and epoll_wait() need not look for them. What this program was started with is
 * met when that is first asked.
 */
enum { FD_NOT_MET, FD_ALL_SETTLED, FD_SOME_UNSETTLED };
extern _Atomic uint8_t fd_unsettled;
bool fd_meet_inherited(void);

static inline bool fd_any_unsettled(void)
{
    uint8_t now = atomic_load_explicit(&fd_unsettled, memory_order_relaxed);

    return __builtin_expect(now != FD_ALL_SETTLED, 0) &&
           (now == FD_SOME_UNSETTLED || fd_meet_inherited());
}

/* The connection had ended before it was accepted. */
void fd_gone_early(int fd);

/* The number starts a new life as a socket of ours of that kind, with nothing remembered. */
void fd_adopt(int fd, enum fd_kind kind);

/* Does surely nobody else hold the socket behind this number, here or in another process? */
bool fd_is_unshared(int fd);

/* And has nobody set an option of it, or who is to be sent signals? Then all is as it was made. */
bool fd_is_untouched(int fd);
/* The program does so now. Any fd. */
void fd_touch(int fd);

/* AF_INET or AF_INET6: SO_DOMAIN of a socket. */
int fd_family(int fd);

/* The kernel's name of a socket, never given twice; 0 when it has none. */
uint64_t fd_cookie(int fd);

/* Does another number of this process, as far as it knows, mean the same socket? */
bool fd_has_duplicate(int fd);

/* The number is about to mean another socket than its duplicates: a record of its own, a copy. */
struct fd_info *fd_separate(int fd);

/*
 * Is the number still the socket that it was when info was asked for, and its life was that? To be
 * asked after waiting, before a second kernel call for one of the program's: another thread may
 * have closed the number, and the next file may have it.
 */
bool fd_is_still(int fd, const struct fd_info *info, uint32_t life);

/*
 * The numbers may mean something else from now on. The memory behind them stays until another
 * socket takes the number: a vfork child that closes its fds does it in its parent's tables.
 */
void fd_forget(int fd);
void fd_forget_range(unsigned first, unsigned last);

/* A number that another process gave us: neither belief nor memory. */
void fd_received(int fd);

/*
 * dup'ed: both numbers share the memory, but not the belief: in a vfork child this table is the
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
 * The memory behind a number of ours: pages are mapped when first needed. Without memory, or
 * beyond the table, one record shared by all such numbers, always handed out empty: then options
 * are not remembered, but everything still works.
 */
struct fd_info *fd_info(int fd);

#endif
