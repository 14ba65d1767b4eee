/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and lists of them, bare, with a port, and packed. */
#include <string.h>

#include "address.h"

struct in6_addr address_bare(const union address *address)
{
    struct in6_addr bare = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (address->any.sa_family == AF_INET6)
        return address->in6.sin6_addr;
    memcpy(&bare.s6_addr[12], &address->in.sin_addr, sizeof address->in.sin_addr);
    return bare;
}

union address address_of(const struct in6_addr *bare, in_port_t port)
{
    union address address = {.in6 = {.sin6_family = AF_INET6, .sin6_port = port}};

    if (IN6_IS_ADDR_V4MAPPED(bare)) {
        address.in.sin_family = AF_INET;
        memcpy(&address.in.sin_addr, &bare->s6_addr[12], sizeof address.in.sin_addr);
    } else {
        address.in6.sin6_addr = *bare;
    }
    return address;
}

void addresses_add(struct addresses *list, const union address *address)
{
    struct in6_addr bare = address_bare(address);

    for (size_t i = 0; i < list->count; i++) {
        struct in6_addr other = address_bare(&list->at[i]);

        if (IN6_ARE_ADDR_EQUAL(&bare, &other))
            return;
    }
    if (list->count < ADDRESSES_MAX)
        list->at[list->count++] = *address;
}

size_t addresses_pack(const struct addresses *list, char packed[PACKED_MAX])
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->count; i++) {
        memcpy(packed + bytes, &list->at[i], address_len(&list->at[i]));
        bytes += address_len(&list->at[i]);
    }
    return bytes;
}

void addresses_unpack(struct addresses *list, const char *packed, size_t count)
{
    for (list->count = 0; list->count < count && list->count < ADDRESSES_MAX; list->count++) {
        union address *at = &list->at[list->count];

        memset(at, 0, sizeof *at);
        memcpy(at, packed, sizeof at->in);
        memcpy(at, packed, address_len(at));
        packed += address_len(at);
    }
}
