/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket addresses by TCP's rules: which are taken, and where they lead. */
#ifndef SCTPSHIM_KERNEL_ADDRESS_H
#define SCTPSHIM_KERNEL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* Several for one port. More than that many paths nobody has. */
enum { ADDRESSES_MAX = 32 };

struct addresses {
    size_t count;
    union address at[ADDRESSES_MAX];
};

/* What sockaddr_in or sockaddr_in6 takes. */
static inline socklen_t address_len(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in;
}

/* The address without its port; IPv4 as IPv4-mapped. */
struct in6_addr address_bare(const union address *address);

/* The opposite: what is IPv4-mapped becomes a sockaddr_in. port in network byte order. */
union address address_of(const struct in6_addr *bare, in_port_t port);

/* Appends one that is not there yet, as long as there is room. */
void addresses_add(struct addresses *list, const union address *address);

/*
 * One behind the other, as bindx and connectx take them (RFC 6458, 9.1); the number of bytes.
 */
enum { PACKED_MAX = ADDRESSES_MAX * sizeof(struct sockaddr_in6) };
size_t addresses_pack(const struct addresses *list, char packed[PACKED_MAX]);
void addresses_unpack(struct addresses *list, const char *packed, size_t count);

/*
 * Copies what the program passed to bind() or connect() on this socket, completed to the length
 * that SCTP wants. 0, or the errno of TCP's refusal: EINVAL, EAFNOSUPPORT. addr has been checked
 * to be readable, *len to be at least a family and at most a sockaddr_storage.
 */
int address_take(int fd, const struct sockaddr *addr, socklen_t *len, union address *to);

/*
 * The destination that TCP's connect() would go to: "any" becomes loopback. 0, or the errno that
 * TCP finds at once where SCTP would refuse otherwise or keep trying: ENETUNREACH, EHOSTUNREACH...
 */
int address_reach(union address *to, socklen_t len);

/* Is it one of 127/8 at which no SCTP socket but a wildcard listener can be meant? */
bool address_is_loopback_alias(const union address *to);

#endif
