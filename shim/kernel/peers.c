/* SPDX-License-Identifier: BSD-3-Clause */
/* PEER_ADDRS: what else the host that the program connects to is called. */
#include "../addrs.h"
#include "../names.h"
#include "address.h"
#include "internal.h"

static void add(struct addresses *list, const struct in6_addr *bare, bool four, bool six)
{
    union address more = address_of(bare, list->at[0].in.sin_port); /* as sin6_port */

    if (addrs_is_v4(bare) ? four : six)
        addresses_add(list, &more);
}

void peers_of(int fd, const union address *asked, struct addresses *list)
{
    const char *map = options_of(fd)->peer_addrs;
    bool six = asked->any.sa_family == AF_INET6;
    bool four = !six || !int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    struct in6_addr key = address_bare(asked), known[NAMES_SET];
    struct addrs_pair pair = {0};

    list->count = 1;
    list->at[0] = *asked;
    while (addrs_next_pair(&map, &pair)) {
        size_t count = pair.dns ? names_of(&key, known) : 0;

        for (size_t i = 0; i < count; i++)
            add(list, &known[i], four, six);
        if (!pair.dns && IN6_ARE_ADDR_EQUAL(&pair.key, &key))
            add(list, &pair.address, four, six);
    }
}
