/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the kernel plane share among themselves. */
#ifndef SCTPSHIM_KERNEL_INTERNAL_H
#define SCTPSHIM_KERNEL_INTERNAL_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../fd.h"
#include "../ledger.h"
#include "../libc.h"
#include "../params.h"
#include "../rules.h"
#include "../socket_options.h"
#include "../wire.h"
#include "adaptation.h"

/*
 * params.c: the SCTP parameters of a socket. A new one has its mark only, since it may become TCP's
 * with the next call: it is due the others until it is bound, connected or listening, or the
 * program sets something itself, which goes above them. All keep errno.
 */
void params_apply_mark(int fd);
bool params_due(int fd);
void params_settle(int fd);
/* Those of these options; losses are logged, not fatal. */
void params_apply(int fd, const struct options *o);
/* SO_SNDBUF as the program or the configuration wants it, less what the FIN message may need. */
int params_sndbuf(int fd, uint32_t wanted, const struct options *o);
/* SO_SNDBUFFORCE or SO_RCVBUFFORCE; false when this process may not. */
bool params_force(int fd, int name, int size);
/* What a socket gets when it is about to connect or listen. */
void params_apply_bound(int fd);
/* A socket without connection: none are sent, and those to come have this interval, ms. */
void params_apply_heartbeats(int fd, uint32_t interval);
/* Loopback's path MTU is too large for SCTP. Once the chunk size is known. */
void params_limit_mtu(int fd, const struct sctp_paddrinfo *path);
/* connect() has failed: may it be because of what is configured? */
void params_not_connected(int fd, int error);
/* What can only be decided per association: loopback's path MTU, the chunk size. */
void params_tune(int fd, const struct sctp_status *status);

/* state.c: enum state's bits, and those of the ends, kept with the socket. */
/* Does this SCTP socket carry our mark (params_apply_mark)? */
bool state_is_marked(int fd);
/* A socket of ours is new: it only announces itself. Or it was accepted by another one. */
void state_begin(int fd);
void state_inherit(int fd, int listener);
unsigned state_get(int fd);
void state_add(int fd, enum state bits);
void state_drop(int fd, enum state bits);
/* Those of the bits that were there, and are no more. */
unsigned state_take(int fd, enum state bits);
/* An error that a call of ours took from the kernel, for who asks next in whichever process. */
void error_owe(int fd, int error);
/* That error, once; 0 when there is none. Who reads is not told of EPIPE. */
int error_due(int fd, bool reading);
/* Bits of FDF_ENDS that this process has found out, for all that hold the socket. */
void ends_note(int fd, unsigned flags);
/* The flags of fd_info with what other processes have found out. */
unsigned ends_recall(int fd);

/* note.c: what is kept in the same way of what was decided. All keep errno. */
/* As it is, or 0 without any (adaptation.h). */
uint32_t note_get(int fd);
void note_set(int fd, uint32_t note);
/* The rule that was found for this use; the socket has no name yet. */
void note_rule(int fd, unsigned roles, unsigned rule);
/* The program knows the association by the own address at this place of the kernel's list. */
void note_name(int fd, size_t place);
static inline unsigned note_roles(uint32_t note)
{
    return note >> NOTE_USE_AT & NOTE_USE_MASK;
}
static inline size_t note_place(uint32_t note) /* + 1; 0: none is noted */
{
    return note >> NOTE_NAME_AT & NOTE_NAME_MASK;
}
static inline uint32_t note_nameless(uint32_t note)
{
    return note & ~((uint32_t)NOTE_NAME_MASK << NOTE_NAME_AT);
}

/* events.c */
/* Which notifications a socket reports: while it connects or listens, and when it is up. */
void events_connecting(int fd);
void events_listening(int fd);
void events_connected(int fd); /* which is up, as the kernel has just said */
void events_accepted(int fd);  /* the same */
/* Only a notification tells when the other direction of a native peer's connection ends. */
void events_for_end(int fd);
/* There was a connection that nobody saw while it lasted: from now on not events_unsettled(). */
void events_came_up(int fd);
/* The attempt is over: it is no connecting socket any more. */
void events_failed(int fd);
/* Does the kernel say with each message whether another one follows (SCTP_RECVNXTINFO)? */
bool events_follow(int fd);
/* What this recvmsg() has told of the message behind the one that it read, which was not a peek. */
enum follower {
    FOLLOWER_UNKNOWN, /* whether any, or whether it is the FIN message */
    FOLLOWER_NONE,
    FOLLOWER_EVENT,
    FOLLOWER_DATA,
};
enum follower event_follower(int fd, struct msghdr *msg);
/* Do they say that a connect was begun, and that no process has seen its end yet? */
bool events_unsettled(int fd);
/*
 * A read got bytes of a notification: reads what is missing of it and acts on it. Returns the
 * errno that the program must see now, or 0: then the stream goes on, perhaps with its end.
 */
int event_finish(int fd, union sctp_notification *event, size_t got, int flags);
/* Was what this recvmsg() returned the FIN message of a peer that is a shim? */
bool is_fin(int fd, struct msghdr *msg);
/* The peer's direction is at its end, and everything before it has been read: tell the kernel. */
void fin_seen(int fd);
/* Takes what is not data from the head of the queue. Errors go to pending. */
void head_settle(int fd);

/* Room for the receive information of one message (SCTP_RECVRCVINFO), and a socket's timestamps. */
union rcvinfo_control {
    struct cmsghdr align;
    char space[256];
};

/* errno values that say the association is gone. */
static inline bool is_reset(int error)
{
    return error == ECONNRESET || error == ETIMEDOUT || error == ECONNABORTED;
}

/* connect.c */
enum link { LINK_NONE, LINK_PENDING, LINK_UP, LINK_FAILED };
/*
 * Where a connect that this process has not seen the end of stands. Settles the fd's kind:
 * LINK_UP makes it FD_OPEN, LINK_FAILED sets errno and makes it FD_FAILED.
 */
enum link link_settle(int fd);
/* The same for who only looks: an error stays for who asks. */
enum link link_look(int fd);
/* Settles a connect that succeeded; one that failed is left as it is, for the kernel to show. */
void link_look_up(int fd);
/* Waits for the end of a connect as TCP would: 0, or -1 with errno (EINTR, EINPROGRESS, error). */
int link_wait(int fd);

/* Would a call that a signal interrupted be restarted? */
bool signals_restart(void);

union address;
struct addresses;

/* local.c: bind() with what LOCAL_ADDRS wants of it. */
int local_bind(int fd, const union address *to, socklen_t len);
/*
 * The same for a socket that is about to listen, or to connect towards an address, and that the
 * kernel would bind to every address of the host. 0 also when nothing was to be done.
 */
int local_bind_unbound(int fd, const union address *towards);
/* What the program bound, as the kernel's getsockname() if that is known to it. */
int local_bound(int fd, union address *name, socklen_t *len);
/* From now on this name is getsockname()'s, whichever path is in use, and in every process. */
void local_keep_name(int fd);
/* The name that another process has kept. */
void local_recall_name(int fd);
/*
 * The connection was not made, or is over, and the socket as good as new: TCP's keeps the port in
 * its name, and no address but the program's. What that name is; that it is getsockname()'s; that
 * the kernel's is again.
 */
void local_leave(int fd, union address *name);
void local_left(int fd, const union address *name);
void local_begin(int fd);
/* The kernel's socket stays bound to what a connect that failed chose; then it gets another one. */
int local_free(int fd);
/* peers.c: the address that was asked for, then the others that PEER_ADDRS knows of its host. */
void peers_of(int fd, const union address *asked, struct addresses *list);

/* socket.c: does this errno of socket() speak of SCTP, and not of the program's limits? Says so. */
bool sctp_missing(int error);

/*
 * sockopt.c: can this option of a TCP socket be given to an SCTP socket that takes its place? And
 * the program has just set it on one.
 */
bool option_can_wait(int level, int name);
void option_note(int fd, int level, int name);
/* tcpopts.c: the same of those of IPPROTO_TCP. */
bool tcpopts_can_wait(int name);
void tcpopts_note(int fd, int name);
/* replace.c: of those that need no more than to be set; a bit for each, 0 for others. */
uint64_t replace_bit(int level, int name);

/* replace.c */
/*
 * A fresh socket, of IPPROTO_SCTP or IPPROTO_TCP, in place of this one, which no connection may
 * depend on any more: under all its numbers, with everything that the program did to it, from
 * options and bind() to the epolls that watch it. 0, or -1 with errno and nothing changed. What
 * cannot be taken along is logged (docs/semantics.md).
 */
int socket_become(int fd, int protocol);
/* The same with a TCP socket that connects to there, without waiting for it. */
int socket_become_connecting(int fd, const union address *to);
/* The same for what stays SCTP. */
static inline int socket_replace(int fd)
{
    return socket_become(fd, IPPROTO_SCTP);
}
/* A socket with the options that the program gave this one, and no more; -1 with errno. */
int socket_like(int fd, int protocol);
/* What belongs to the file, not to the socket: flags, and who is sent which signal. */
void file_state_copy(int from, int to);

/* listen.c: accept() of the SCTP listener alone. */
int accept_sctp(int fd, struct sockaddr *addr, socklen_t *len, int flags);

/*
 * Closes one that was made to ask something. Keeps errno, and is no cancellation point, as libc's
 * close() is and most calls that ask are not.
 */
void socket_dismiss(int fd);

/* fallback.c: prefer-sctp, and why a socket is TCP's. */
enum fallback {
    FALLBACK_NONE,
    FALLBACK_KNOWN, /* SCTP is tried, and known to work there */
    FALLBACK_TRIED, /* SCTP is tried for the first time */
    FALLBACK_TAKEN, /* TCP is about to take the socket */
};
/*
 * A connect to there begins: what decides for TCP at once, and the ledger may be open then; or
 * REASON_NONE: SCTP is to be tried.
 */
enum reason fallback_decide(int fd, const union address *asked, struct ledger *ledger);
/* SCTP is about to be tried there, at so many addresses. */
void fallback_arm(int fd, const union address *asked, size_t addresses);
/* connect() is about to fail with errno: is TCP to try the same? */
enum reason fallback_reason(int fd, int error);
/*
 * The socket, which does not connect, becomes TCP's; what is known of the peer is remembered. Closes
 * the ledger.
 */
int fallback_leave(int fd, const union address *asked, enum reason reason, struct ledger *ledger);
/*
 * A connect that had the options `o` goes on over TCP: said, counted, and remembered. Closes the
 * ledger, which need not be open.
 */
void fallback_took_tcp(int fd, const struct options *o, const union address *asked,
                       enum reason reason, struct ledger *ledger);
/* A connect has failed: false when another thread is about to take TCP for it. */
bool fallback_claim(int fd);
/*
 * A connect that the program does not wait for has failed: it goes on over TCP, and the fd is ours
 * no more. False when it has really failed.
 */
bool fallback_go_on(int fd, int error);
/* A connect has come up. */
void fallback_up(int fd);
/* Is a failure of the connect that is under way none yet? */
static inline bool fallback_is_open(int fd)
{
    const struct fd_info *info = fd_info(fd);

    return info->fallback != FALLBACK_NONE && info->flags & FDF_CONNECT_DUE;
}
/*
 * This socket is TCP's, for that reason, at this end or towards that one: said, counted and noted
 * for `sctpshim status`.
 */
void left_to_tcp(int fd, unsigned roles, const struct sockaddr_in6 *end, enum reason reason);
/* The same before anything is known of its use. */
void left_unused(int fd, enum reason reason);
/* A listener for both kinds has taken this one, of a client that came over TCP. */
void accepted_over_tcp(int fd);

/* A TCP socket that this process has not made: has it a reason yet? */
void left_elsewhere(int fd);

/* endpoints.c: does anybody listen to SCTP at this port, in this network namespace? */
bool endpoints_listen(unsigned port);

/* decide.c: what the rules say of a socket when it is used. */
/* "192.0.2.1:80", "[2001:db8::1]:80", for the log; returns text. */
enum { END_TEXT = 64 };
const char *end_in_words(const struct sockaddr_in6 *end, char *text);
/* bind() in its stead: also where the socket may yet become TCP's. */
int decide_bind(int fd, const union address *at, socklen_t len);
/* 0: it stays ours; 1: it is TCP's now; -1 with errno: it cannot be what it has to be. */
int decide_listen(int fd);
int decide_connect(int fd, const struct sockaddr *to);
/* The rule of a socket that another process has made. */
void decide_recalled(int fd);

/* sockopt helpers; values in host order as the kernel takes them. */
static inline int sctp_set(int fd, int name, const void *value, size_t len)
{
    return libc.setsockopt(fd, IPPROTO_SCTP, name, value, (socklen_t)len);
}

static inline int sctp_get(int fd, int name, void *value, size_t len)
{
    socklen_t actual = (socklen_t)len;

    return libc.getsockopt(fd, IPPROTO_SCTP, name, value, &actual);
}

static inline int int_option(int fd, int level, int name, int otherwise)
{
    int value = 0;
    socklen_t len = sizeof value;

    return libc.getsockopt(fd, level, name, &value, &len) == 0 ? value : otherwise;
}

static inline int set_int_option(int fd, int level, int name, int value)
{
    return libc.setsockopt(fd, level, name, &value, sizeof value);
}

/*
 * May the program's pointer be used? As the kernel sees it: 0, or -1 with EFAULT. The kernel is
 * made to read or write an int there by a socket option that means nothing to SCTP.
 */
static inline int check_readable(int fd, const void *from, socklen_t len)
{
    return libc.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, from, len);
}

static inline int check_writable(int fd, void *to)
{
    socklen_t len = sizeof(int);

    return libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, to, &len);
}

/* epoll.c */
struct epoll_event;
/* Notes what the kernel's epoll keeps of a registration with that number. */
void epoll_note(int epoll, int op, int fd, const struct epoll_event *kept);

/* wait.c */
/* Milliseconds on CLOCK_MONOTONIC. */
int64_t now_ms(void);
/* SO_RCVTIMEO or SO_SNDTIMEO in ms, -1 for none. */
int64_t timeout_option(int fd, int name);
/* When a wait that began then is over by that option, on now_ms()'s clock; -1 never. */
int64_t deadline_from(int fd, int name, int64_t start);
bool is_nonblocking(int fd);
/* What poll() shows of these, and of POLLERR and POLLHUP, without waiting. */
short ready_now(int fd, short events);
/* What poll() shows in TCP (poll.c). */
short ready_as_tcp(int fd, short events);
/* Does the kernel show the peer's direction as over, or shut down by us? */
static inline bool reading_ended(int fd)
{
    return ready_now(fd, POLLRDHUP) & POLLRDHUP;
}
/* poll() for events until deadline (ms on now_ms()'s clock, -1 none): 1, 0 timeout, -1 EINTR. */
int wait_for(int fd, short events, int64_t deadline);
/*
 * In the middle of a call that has begun: false when it does not wait, or not any longer. The
 * deadline, of the whole of these waits, is DEADLINE_UNKNOWN before the first.
 */
#define DEADLINE_UNKNOWN INT64_MIN
bool wait_more(int fd, short events, int flags, int64_t *deadline);

/* close.c */
/* The last close of the socket resets the peer. */
void reset_on_close(int fd);
/*
 * A reset was met: from now on the kernel shows end of file and EPIPE, as TCP's does. The errno to
 * tell: this one; EPIPE after the peer's end, of which a reader is not told; 0 after both.
 */
int reset_told(int fd, int error);
/* The same where the error stays for who asks. True when the stream had ended before. */
bool hang_up(int fd);
/* The error with which the connection ended, if nobody has been told of it yet; or 0. */
int untold_error(int fd);
/* The stream is over in both directions, in good order. */
void both_ended(int fd);
/* POLLERR was seen: is it a reset? Then it hangs up. No, where the program collects ICMP errors. */
bool hang_up_on_error(int fd);
/* The peer's direction is seen to be over: with the own one the connection is, true if now. */
bool end_met(int fd);
/* Is the connection over in TCP's eyes, by what its holders have seen and what lies there? */
bool is_closed(int fd);
/* What was shut down before there was a connection: FDF_READ_SHUT, FDF_WRITE_SHUT. */
unsigned shut_early(int fd);
/* All data was acknowledged: the FIN message that waited for that leaves. */
void fin_due(int fd);

/* Takes an errno left behind by a probe of ours; 0 when there is none. */
static inline int take_pending(int fd)
{
    struct fd_info *info = fd_info(fd);
    int error = info->pending;

    info->pending = 0;
    return error;
}

/* send.c */
ssize_t stream_send(int fd, const struct iovec *iov, size_t count, int flags);

/* messages.c */
/* Room for the control data of a message: where it goes, and whether it has to arrive. */
union sndinfo_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(struct sctp_sndinfo)) + CMSG_SPACE(sizeof(struct sctp_prinfo))];
};
void sndinfo_put(struct msghdr *msg, union sndinfo_control *control,
                 const struct sctp_sndinfo *send, const struct sctp_prinfo *reliability);
/* One message, as it is; -1 with the kernel's errno. */
ssize_t message_send(int fd, const struct iovec *iov, size_t count, int flags);
/* Is there no place for a FIN message? Then the end of a direction is SCTP's own. */
bool messages_end_as_one(int fd);
/* Does the FIN message have to wait? Then fin_due() is called when it need not any more. */
bool messages_hold_fin(int fd);
/* It waits until everything is acknowledged; false where nobody would hear of that. */
bool fin_hold(int fd);
/* Has the peer taken all that was sent? */
bool is_acknowledged(int fd);

/* cork.c */
/* Before a write of len bytes on a connection where writes are, or were, to wait for more. */
void cork_write(int fd, struct fd_info *info, size_t len, bool more);
/* What is held leaves now. */
void cork_push(int fd);
void cork_set(int fd, bool on);
void cork_recall(int fd, struct fd_info *info);

/* memory.c: may this library read the program's array? 0, or -1 with EFAULT. */
int array_readable(int fd, const void *array, size_t bytes);

/* control.c: what the kernel says before it looks at the socket, and TCP after; 0 or -1, errno */
int control_copyable(int fd, const struct msghdr *msg);
int control_check(int fd, const struct msghdr *msg);

/* tcpopts.c */
/* What a TCP socket, fresh and of the same family, answers. */
int tcp_answer(int fd, int level, int name, void *value, socklen_t *len);
/* TCP_NODELAY as the program set it. */
bool tcpopts_nodelay(int fd);
int tcpopts_get(int fd, int name, void *value, socklen_t *len);
/* How long this kernel's struct tcp_info is; 0 when TCP cannot be asked. */
int tcpopts_info_size(int fd);
int tcpopts_set(int fd, int name, const void *value, socklen_t len);
/* The values in force, as getsockopt shows them: the program's, or TCP's defaults. */
void tcpopts_values(int fd, const int *names, int *values, size_t count);
/* What the program set, if it did. */
int tcpopts_remembered(int fd, int name, int otherwise);
/* What the program has set, once more: on this socket, or on a TCP socket. */
void tcpopts_repeat(int fd);
void tcpopts_give(int fd, int tcp);

/* sockopt.c: the buffers that the program has set, once more. */
void buffers_repeat(int fd);
/* getsockopt's way of handing an answer over: truncated to *len, *len set. 0, or -1 with EINVAL
 * or EFAULT. */
int answer(int fd, const void *from, size_t size, void *value, socklen_t *len);

/* liveness.c */
/* Does the program want dead peers noticed? */
bool liveness_is_asked(int fd);
/* What the program and the configuration want is changed, or the connection is new. */
void liveness_apply(int fd);

/* How an association is to live, as liveness.c works it out. */
struct liveness {
    unsigned retransmissions; /* in a row, before it is given up */
    bool by_time;             /* the number stands for a time, and is that of one path */
    uint32_t heartbeat;       /* ms, as SO_KEEPALIVE wants them; 0: it does not */
};

/* paths.c */
/* The connection has come up, and who the peer is is known. Idempotent. */
void paths_up(int fd);
/* The peer's addresses, the one that the connection was set up on first; none without. */
void paths_peer(int fd, struct addresses *peer);
/* The own ones, in the order in which the association got them. */
void paths_own(int fd, struct addresses *own);
/* False when there is no association. */
bool paths_apply(int fd, struct liveness *live);

/* tcpinfo.c: struct tcp_info as getsockopt(TCP_INFO) fills it, truncated to *len. */
int tcpinfo_get(int fd, void *value, socklen_t *len);

#endif
