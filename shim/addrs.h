/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses as options have them, in text. IPv4 addresses are held as IPv4-mapped IPv6 ones
 * (RFC 4291, 2.5.5.2), so that everything is a prefix of 128 bits.
 */
#ifndef SCTPSHIM_ADDRS_H
#define SCTPSHIM_ADDRS_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* The addresses that begin with these bits; 128 of them are one address. */
struct addrs_network {
    struct in6_addr prefix;
    unsigned bits;
};

/* One entry of a list: which addresses it means, or which it takes out again. */
struct addrs_entry {
    bool except;              /* "!": these not */
    char interface[IFNAMSIZ]; /* "if:eth0": all of this interface's; "" in the other entries */
    struct addrs_network network;
    bool all;
};

/* One address of a map: a peer that is reached at key has address too. */
struct addrs_pair {
    struct in6_addr key;
    struct in6_addr address;
    bool dns; /* the word "dns" instead: what the resolver said of the peer */
};

/*
 * Entries of "10.0.0.1,if:eth1,!172.17.0.0/16,2001:db8::/32,all": separated by commas or blanks.
 * Moves *text behind the entry. False at the end, and at what is none: then *text is there.
 */
bool addrs_next(const char **text, struct addrs_entry *entry);

/*
 * Pairs of "192.0.2.7=198.51.100.7,203.0.113.7,192.0.2.8=198.51.100.8,dns": what has no '=' goes
 * on with the key before it, which the caller leaves in *pair, zeroed at first.
 */
bool addrs_next_pair(const char **text, struct addrs_pair *pair);

/*
 * ADDRESS or ADDRESS/BITS of so many bytes. False when it is none. IPv4-mapped addresses count
 * their bits as IPv6 does, and need those that say so.
 */
bool addrs_network(const char *text, size_t length, struct addrs_network *network);

/* Networks of one family have no addresses of the other: ::/0 is IPv6 only. */
bool addrs_contains(const struct addrs_network *network, const struct in6_addr *address);

/* Does the entry mean this address? Not for interfaces. */
bool addrs_match(const struct addrs_entry *entry, const struct in6_addr *address);

bool addrs_is_v4(const struct in6_addr *address);

#endif
