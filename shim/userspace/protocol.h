/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library and the broker say to each other: one request and one answer on a
 * SOCK_SEQPACKET connection, each a structure of fixed size between processes of one machine and
 * one build. docs/userspace.md tells the story; names are socket addresses as the kernel has them.
 */
#ifndef SCTPSHIM_USERSPACE_PROTOCOL_H
#define SCTPSHIM_USERSPACE_PROTOCOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "../kernel/address.h"
#include "../options.h"
#include "../planes.h"

enum { PROTOCOL_MAGIC = 0x53435442, PROTOCOL_VERSION = 1 };

/*
 * The legs live in these /16s of the loopback network, one for each stack that they can lead to: who
 * holds a TCP socket whose own address lies there knows that it belongs to this plane, and which
 * broker to ask, after fork(), exec() and SCM_RIGHTS too.
 */
enum { LEG_NET = 0x7f530000, LEG_NET_KERNEL = 0x7f540000, LEG_MASK = 0xffff0000 };
/* Of both ends' sockets (congestion.c): every kernel has it, and everybody may set it (tcp(7)). */
#define LEG_CONGESTION "reno"
/* Where this process makes its legs: one of those; set at its start. */
extern uint32_t leg_network;
/* Whose the hosts of such a network are, by their last 16 bits. */
enum {
    LEG_ANY = 0x0001,    /* of who has bound no address */
    LEG_ANY_V6 = 0x0002, /* nor IPv4 */
    LEG_OUT = 0x0003,    /* of who connects without having bound */
    LEG_BOUND = 0x0100,  /* and on: of those who have */
    LEG_BROKER = 0xff00, /* and on: the broker's ends, */
    LEG_HOLD = 0xff01,   /* where it holds SYNs, */
    LEG_CALLS = 0xff20,  /* and where it calls programs from */
    LEG_CALL_HOSTS = 0xc0,
};

enum request_kind {
    REQUEST_CONNECT = 1, /* make an association for the leg that is about to connect */
    REQUEST_LISTEN,      /* bring inbound associations to this listening socket */
    REQUEST_NAMES,       /* whose leg is this, and how did its connect end? */
    REQUEST_STATUS,      /* who are you? */
    REQUEST_LIST,        /* which leg comes at or after this position? */
    REQUEST_KINDS
};

/* The UDP port for what UDP_ENCAPS says: RFC 6951's, unless another is named. */
static inline uint32_t encapsulation_port(uint32_t udp_encaps)
{
    enum { REGISTERED = 9899 };

    return udp_encaps && udp_encaps <= UINT16_MAX ? udp_encaps : REGISTERED;
}

static inline uint32_t udp_port(const struct options *o)
{
    return encapsulation_port(o->udp_encaps);
}

/* The options of the rule that the socket falls under, without those of the process. */
struct parameters {
#define FIELD_RULE(field) field;
#define FIELD_PROCESS(field)
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help)                       \
    FIELD_##scope(uint32_t field)
#define OPTION_PATH(NAME, field, scope, size, help) FIELD_##scope(char field[size])
#define OPTION_LIST(NAME, field, scope, kind, size, help) FIELD_##scope(char field[size])
#include "../options.def"
#undef FIELD_RULE
#undef FIELD_PROCESS
    struct addresses peers; /* CONNECT: what else PEER_ADDRS calls the peer; the ports mean nothing */
};

struct request {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    union address leg;    /* the program's end of the leg, an IPv4 name */
    union address other;  /* NAMES: the leg's other end; unspecified: a connect's outcome */
    union address local;  /* LISTEN, CONNECT: what the program bound; unspecified: see the leg */
    union address remote; /* CONNECT: where the program wants to go */
    uint32_t v6only;      /* LISTEN: [::] is not for IPv4; 0 or 1 */
    uint32_t position;    /* LIST: 0, then what the answer says */
    struct parameters parameters;
};

enum { ANSWER_TEXT = 512 };

struct answer {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;  /* the request's */
    int32_t error;  /* errno for the program; 0 */
    uint32_t pid;   /* the broker's */
    union address hold;   /* CONNECT: where the leg is to connect to */
    union address local;  /* CONNECT, NAMES, LIST: the association's own end */
    union address remote; /* and the peer's */
    uint32_t position;    /* LIST: of the next one; ENOENT: there is no more */
    uint32_t program;     /* LIST: the process that has connected or listened; 0: not known */
    char text[ANSWER_TEXT]; /* STATUS, LIST: words for people */
};

/* Fills in the heads. */
void request_begin(struct request *request, enum request_kind kind);
/* Without what the stack behind the legs cannot honour; the peer's other names are left alone. */
void parameters_take(struct parameters *into, const struct options *from);
enum plane plane_of_legs(void);
/* The other way round; those of the process become the defaults. */
void parameters_give(const struct parameters *from, struct options *into);

/*
 * Is what was received a request whose every field is within its limits? All others are answered
 * with nothing but the end of the connection.
 */
bool request_valid(const void *bytes, size_t len);
bool answer_valid(const void *bytes, size_t len, enum request_kind kind);

/* Does this name, of an IPv4 socket or mapped of an IPv6 one, lie in a network of legs? */
bool address_is_leg(const union address *name);
/* In which: LEG_NET, LEG_NET_KERNEL. And its last 16 bits. Of such names only. */
uint32_t address_leg_network(const union address *name);
uint32_t address_leg_host(const union address *name);
/* Is it the end of who connects, or has tried to, without having bound? */
bool address_is_leg_out(const union address *name);
/* The same host and port. A mapped address equals the plain one. */
bool address_equal(const union address *a, const union address *b);
bool address_is_any(const union address *name);
in_port_t address_port(const union address *name);
/* For tables of connections by their ports; take it modulo their size. */
static inline uint32_t address_ports_hash(in_port_t local, in_port_t remote)
{
    uint32_t hash = local * 40503u + remote * 2654435761u;

    return hash ^ hash >> 15;
}
void address_set_port(union address *name, in_port_t port);
/* An IPv4 address that hides in an IPv6 one comes out. */
void address_unmap(union address *name);
/* For a socket of that family: the other way round where it is AF_INET6. */
void address_fit(union address *name, int family);
/* "192.0.2.1:80", "[2001:db8::1]:80"; returns the buffer, of at least ADDRESS_TEXT bytes. */
enum { ADDRESS_TEXT = 64 };
char *address_format(const union address *name, char *buffer);

/*
 * The leg's address under which a program that binds `name` really binds: the port is the same,
 * the host one of leg_network that is made from it, so that who binds two addresses gets two; 0.0.0.0 and
 * [::] are one, and a [::] that is not for IPv4 is another.
 */
void address_to_leg(const union address *name, bool v6only, union address *leg);

#endif
