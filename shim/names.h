/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the resolver told the program: sets of addresses that one name has. A bounded memory for
 * PEER_ADDRS=dns, which forgets the oldest; nothing is kept when no configuration says "dns".
 */
#ifndef SCTPSHIM_NAMES_H
#define SCTPSHIM_NAMES_H

#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>

enum { NAMES_SET = 16 }; /* most addresses of one name */

/* A successful getaddrinfo(), a gethostbyname() or one of its kin. Keep errno. */
void names_learn(const struct addrinfo *found);
void names_learn_host(const struct hostent *found);

/* The latest set that this address is in, IPv4 as IPv4-mapped; how many, 0 when there is none. */
size_t names_of(const struct in6_addr *address, struct in6_addr set[NAMES_SET]);

#endif
