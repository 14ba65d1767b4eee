/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the stack over libusrsctp share: sockets, and associations on them. */
#ifndef SCTPSHIM_BROKER_USRSCTP_SOCKET_H
#define SCTPSHIM_BROKER_USRSCTP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <usrsctp.h>

#include "convention.h"
#include "stack.h"
#include "usrsctp_joins.h"
#include "wakes.h"

/* The peer's addresses. Those that this host has too lead here: nothing of theirs is the peer's. */
struct peer_addresses {
    struct addresses list; /* the ports mean nothing */
    bool usable[ADDRESSES_MAX];
};

struct sources;

struct association {
    struct socket *socket;
    struct wake wake; /* and its owner */
    struct listener *listener; /* of one that has come in and was not taken up yet */
    struct association *next_arrived, *next_of_ports;
    union address local, remote;
    in_port_t remote_udp;
    struct joins joins;
    uint32_t tag; /* own verification tag, as packets have it; 0: not known */
    struct convention convention;
    uint32_t chunk;
    uint32_t max_burst; /* packets, 0: no limit */
    uint32_t rto_initial, rto_min, rto_floor; /* ms; the last is the least towards a native peer */
    bool up, failed;
    struct options *options;     /* of who wants several paths; else NULL */
    struct peer_addresses *peer; /* of who does, or whose peer has several addresses; else NULL */
    struct sources *sources;
};

/* How many there are of them. */
extern unsigned usrsctp_associations;

/* usrsctp_stack.c */
/* Where the library sends by its public interface (AF_CONN); NULL where it uses our functions. */
extern int (*const usrsctp_public)(void *, void *, size_t, uint8_t, uint8_t);
/* Starts the library; `port` is the UDP port that its packets leave from. */
void usrsctp_begin(uint16_t port);

/* usrsctp_options.c: libusrsctp's sockets by the program's options */
/* A socket of that family; an AF_INET6 one takes IPv4 addresses too if it shall. NULL. */
struct socket *socket_make(int family, bool both, const struct options *o);
/* For associations to come: what is on the way to that host. */
void socket_set_path(struct socket *socket, const union address *to, const struct options *o);
void socket_set_buffers(struct socket *socket, const struct options *o);
/* What of the wanted bytes a buffer gets now. */
uint32_t socket_buffer_share(uint32_t wanted);
void socket_reset_on_close(struct socket *socket);
/* A socket that is bound to these addresses; NULL with errno. */
struct socket *socket_at(const struct addresses *list, const struct options *o);
/* Closes one that has come to nothing; errno stays. */
void socket_drop(struct socket *socket);
void socket_set(struct socket *socket, int name, const void *value, size_t len, const char *what);
/* How large the library may make an SCTP packet to this host, as its options count. */
uint32_t path_size(const union address *to, const struct options *o);

/* usrsctp_association.c: how they come and go */
/* An association that has no owner yet, on that socket; NULL. */
struct association *association_make(struct socket *socket, const struct options *o);
/* One that nobody has seen; the socket stays, and errno. */
void association_unmake(struct association *a);
/* The ends are known: from now on packets find it. */
void association_enter(struct association *a);
/* By the ports, as packets have them, and an address of the peer's; NULL. */
struct association *association_find(in_port_t local, in_port_t remote, const union address *peer);
void association_fail(struct association *a, int error);
/* The port that its socket was bound to in the end. */
void association_take_port(struct association *a);

/* usrsctp_events.c: notifications */
/* It has come up, and the peer is not known to be a shim yet. */
void association_up(struct association *a);
void association_notified(struct association *a, const union sctp_notification *event);
/* A packet came back, or its head, with that ICMP error. */
void association_unreachable(const unsigned char *bytes, size_t len, const union address *to,
                             int error);
/* False, with the errno that TCP would have for it. */
bool association_not_sent(int error);

/* usrsctp_transfer.c: messages */
/* For the self-test: does a socket that connects take a message in place, and has none? */
bool messages_are_known(struct socket *socket);

/* usrsctp_paths.c */
bool several_wanted(const struct options *o);
/*
 * Own addresses of these families for who has bound one, or any: the one that the kernel would
 * send from comes first if it is among them, and is the only one without LOCAL_ADDRS. All have its
 * port.
 */
void local_addresses(const union address *bound, const union address *first, bool four, bool six,
                     const struct options *o, struct addresses *list);
/* Binds all of them; false with errno. */
bool socket_bind(struct socket *socket, const struct addresses *list);
/* A socket that may be bound to them; NULL. */
struct socket *socket_for(const struct addresses *list, const struct options *o);
/* The library's name of a peer becomes what the others call it. */
void socket_peer(union address *name);
/* The association is up, or its peer's addresses have changed. */
void paths_up(struct association *a);
/* A path has been found to work. */
void paths_confirmed(struct association *a);

/* usrsctp_listen.c */
struct endpoint;
void listen_start(const struct stack_user *user);
/*
 * Somebody's first packets, by their first chunk: who is meant gets ready, if anybody is. `spot` is
 * what `to` is for the library.
 */
struct endpoint *listen_called(const union address *spot, const union address *to,
                               const union address *from, uint8_t chunk);
/* The packet with this tag was for an own address; what it may have brought is taken up. */
void listen_accept(struct endpoint *e, const union address *to, uint32_t tag);
/* Hands over what has come in since. */
void listen_take_arrivals(void);

/* usrsctp_port.c: raw where it is asked for and may be, else in UDP */
void settle_encapsulation(struct options *o);

/* usrsctp_input.c */
void input_start(void);
/* A packet that leaves begins so: with an acknowledgement, as far as join_acknowledged() reads. */
void input_acknowledged(const unsigned char *head, const union address *to);

#endif
