/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An SCTP stack, as the relay sees it: associations that carry two directions of bytes, and
 * listeners. The wire convention (docs/wire.md) is behind this interface, the sockets are before it.
 * Everything happens in the loop's thread; errors are errno values of TCP's.
 */
#ifndef SCTPSHIM_BROKER_STACK_H
#define SCTPSHIM_BROKER_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "../userspace/protocol.h"

struct association;
struct listener;

/* Who uses the stack; set once. None of these is called from within a function of this interface. */
struct stack_user {
    /* Something about the association may have changed: it is up, failed, has data, has room. */
    void (*woken)(void *owner);
    /* An association has come in; who takes it calls stack_adopt(), else stack_abort(). */
    void (*arrived)(void *listener_owner, struct association *association);
    /* Somebody asks for this listener. Is it still there? If not, it is closed and he is refused. */
    bool (*present)(void *listener_owner);
};

/* Before all else: is the library in this program the one that it was written for? False: said why. */
bool stack_fits(void);
void stack_start(const struct stack_user *user);
/* What it is, for `sctpshim status`; and what it counts. */
const char *stack_version(void);
void stack_describe(char *text, size_t size);
/* Where this stack's legs are: LEG_NET or LEG_NET_KERNEL. */
extern const uint32_t stack_leg_network;
/* Before stack_start(): what packets come and go by. False: said why. */
bool stack_open(void);
/* Do peers find who listens with these parameters? */
bool stack_reachable(const struct parameters *parameters);
/* Takes the packets that have arrived: before anything else in a turn. And sends what is left. */
void stack_take(void);
void stack_flush(void);
/* Associations that are alive, those whose owner has gone and that say good-bye included. */
unsigned stack_count(void);
/* Calls woken() where it is due, lets time pass, sends what is to be sent. Every turn. */
void stack_turn(void);
/* How long the stack may be left alone, ms. */
int stack_patience(void);

enum link_state { LINK_CONNECTING, LINK_UP, LINK_FAILED };

/*
 * Begins an association. `local` may have an address, a port, both or neither. NULL with errno:
 * EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, ENOBUFS.
 */
struct association *stack_connect(const union address *local, const union address *remote,
                                  const struct parameters *parameters, void *owner);
void stack_adopt(struct association *association, void *owner);
/* LINK_FAILED sets *error. */
enum link_state stack_link(struct association *association, int *error);
void stack_names(struct association *association, union address *local, union address *remote);

/* Memory for what is to be sent; NULL: there is none. */
void *stack_block(size_t size);
void stack_block_free(void *block);
/*
 * Sends the block's first bytes, at most stack_chunk(), and the block is the stack's; or sends
 * nothing, and it stays the caller's: false with errno EAGAIN (woken() tells when to try again),
 * ECONNRESET, ETIMEDOUT or EPIPE (the peer has closed).
 */
bool stack_send(struct association *association, void *block, size_t len);
size_t stack_chunk(const struct association *association);

/* Bytes that have come, where the stack has them. */
enum { PIECES = 256 };
struct pieces {
    struct iovec at[PIECES];
    size_t count;
    size_t bytes; /* of all */
    void *memory; /* the stack's */
};
/*
 * Some messages, `most` bytes if there are as many, and the rest of the last one: how many bytes.
 * 0 is the end of the peer's direction; -1 with errno EAGAIN, ECONNRESET, ETIMEDOUT. What is in
 * `pieces` before does not matter; in any case pieces_release() comes before the next call.
 */
ssize_t stack_receive(struct association *association, struct pieces *pieces, size_t most);
void pieces_release(struct pieces *pieces);
/* After the end of the peer's direction: has it not been reset since? */
bool stack_alive(struct association *association);
/* Our direction is at its end: as a half-close where the peer knows one. False with errno EAGAIN. */
bool stack_finish(struct association *association);
/* Both directions are over, or given up in good order; what was sent still arrives. */
void stack_release(struct association *association);
/* The peer sees a reset. */
void stack_abort(struct association *association);

/* Listens at an address, or at all that this host has, IPv4's too unless v6only. NULL with errno. */
struct listener *stack_listen(const union address *local, bool v6only,
                              const struct parameters *parameters, void *owner);
void stack_unlisten(struct listener *listener);

#endif
