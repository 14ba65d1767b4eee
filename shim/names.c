/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of addresses, in a ring. No locks: each set has a version, odd while it is written (a
 * seqlock), and is given up to another writer rather than waited for.
 */
#include "names.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "addrs.h"
#include "rules.h"

enum { SETS = 64, WORDS = sizeof(struct in6_addr) / sizeof(uint32_t) };

struct set {
    _Atomic uint32_t version;
    _Atomic uint32_t count;
    _Atomic uint32_t words[NAMES_SET * WORDS];
};

static struct set sets[SETS];
static _Atomic uint32_t next_set;

static bool says_dns(const char *map)
{
    struct addrs_pair pair = {0};

    while (addrs_next_pair(&map, &pair))
        if (pair.dns)
            return true;
    return false;
}

static bool wanted(void)
{
    for (int rule = 0; rule <= RULES_MAX; rule++)
        if (rule_options[rule] && says_dns(rule_options[rule]->peer_addrs))
            return true;
    return false;
}

/* False when it was being written, or nothing was yet. */
static bool read_set(struct set *set, struct in6_addr *addresses, size_t *count)
{
    uint32_t words[NAMES_SET * WORDS];
    uint32_t version = atomic_load_explicit(&set->version, memory_order_acquire);

    *count = atomic_load_explicit(&set->count, memory_order_relaxed);
    for (size_t i = 0; i < *count * WORDS; i++)
        words[i] = atomic_load_explicit(&set->words[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (version & 1 || atomic_load_explicit(&set->version, memory_order_relaxed) != version)
        return false;
    memcpy(addresses, words, *count * sizeof *addresses);
    return *count > 0;
}

static void write_set(struct set *set, const struct in6_addr *addresses, size_t count)
{
    uint32_t words[NAMES_SET * WORDS];
    uint32_t version = atomic_load(&set->version);

    if (version & 1 || !atomic_compare_exchange_strong(&set->version, &version, version + 1))
        return;
    atomic_thread_fence(memory_order_release);
    memcpy(words, addresses, count * sizeof *addresses);
    atomic_store_explicit(&set->count, (uint32_t)count, memory_order_relaxed);
    for (size_t i = 0; i < count * WORDS; i++)
        atomic_store_explicit(&set->words[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&set->version, version + 2, memory_order_release);
}

size_t names_of(const struct in6_addr *address, struct in6_addr found[NAMES_SET])
{
    uint32_t latest = atomic_load_explicit(&next_set, memory_order_acquire);
    size_t count;

    for (uint32_t back = 1; back <= SETS; back++) {
        if (!read_set(&sets[(latest - back) % SETS], found, &count))
            continue;
        for (size_t i = 0; i < count; i++)
            if (IN6_ARE_ADDR_EQUAL(&found[i], address))
                return count;
    }
    return 0;
}

/* A name that is looked up again and again takes one place. */
static bool is_known(const struct in6_addr *addresses, size_t count)
{
    struct in6_addr known[NAMES_SET];

    return names_of(&addresses[0], known) == count &&
           memcmp(known, addresses, count * sizeof *addresses) == 0;
}

static void learn(const struct in6_addr *addresses, size_t count)
{
    if (count > 1 && !is_known(addresses, count))
        write_set(&sets[atomic_fetch_add(&next_set, 1) % SETS], addresses, count);
}

/* Appends it, as often as it is told. address is an in_addr or an in6_addr. */
static void append(struct in6_addr *set, size_t *count, int family, const void *address)
{
    struct in6_addr bare = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (family == AF_INET)
        memcpy(&bare.s6_addr[12], address, sizeof(struct in_addr));
    else if (family == AF_INET6)
        memcpy(&bare, address, sizeof bare);
    else
        return;
    for (size_t i = 0; i < *count; i++)
        if (IN6_ARE_ADDR_EQUAL(&set[i], &bare)) /* once for each socket type */
            return;
    if (*count < NAMES_SET)
        set[(*count)++] = bare;
}

void names_learn(const struct addrinfo *found)
{
    struct in6_addr set[NAMES_SET];
    size_t count = 0;

    if (!wanted())
        return;
    for (; found; found = found->ai_next) {
        const struct sockaddr_in *four = (const void *)found->ai_addr;
        const struct sockaddr_in6 *six = (const void *)found->ai_addr;

        append(set, &count, found->ai_family,
               found->ai_family == AF_INET ? (const void *)&four->sin_addr : &six->sin6_addr);
    }
    learn(set, count);
}

void names_learn_host(const struct hostent *found)
{
    struct in6_addr set[NAMES_SET];
    size_t count = 0;

    if (!wanted())
        return;
    for (char **address = found->h_addr_list; *address; address++)
        append(set, &count, found->h_addrtype, *address);
    learn(set, count);
}
