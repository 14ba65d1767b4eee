/* SPDX-License-Identifier: BSD-3-Clause */
/* Socket addresses by TCP's rules: which are taken, and where they lead. */
#ifndef SCTPSHIM_KERNEL_ADDRESS_H
#define SCTPSHIM_KERNEL_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

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
