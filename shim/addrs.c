/* SPDX-License-Identifier: BSD-3-Clause */
/* The syntax of address lists and maps. No input or output, no memory of its own. */
#include "addrs.h"

#include <arpa/inet.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BITS = V6_BITS - V4_BITS };

bool addrs_is_v4(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address);
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

/* The length of the token that *text begins with, after separators; 0 at the end. */
static size_t token_at(const char **text)
{
    size_t length = 0;

    while (is_separator(**text))
        ++*text;
    while ((*text)[length] && !is_separator((*text)[length]))
        length++;
    return length;
}

static bool is_word(const char *token, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(token, word, length) == 0;
}

static bool parse_address(const char *token, size_t length, struct in6_addr *address)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;

    if (length >= sizeof text)
        return false;
    memcpy(text, token, length);
    text[length] = '\0';
    if (inet_pton(AF_INET6, text, address) == 1)
        return true;
    if (inet_pton(AF_INET, text, &four) != 1)
        return false;
    *address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&address->s6_addr[12], &four, sizeof four);
    return true;
}

static bool parse_bits(const char *token, size_t length, unsigned most, unsigned *bits)
{
    unsigned sum = 0;

    if (length < 1 || length > 3)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (token[i] < '0' || token[i] > '9')
            return false;
        sum = sum * 10 + (unsigned)(token[i] - '0');
    }
    *bits = sum;
    return sum <= most;
}

bool addrs_network(const char *text, size_t length, struct addrs_network *network)
{
    const char *slash = memchr(text, '/', length);
    size_t before = slash ? (size_t)(slash - text) : length;
    bool dotted = !memchr(text, ':', before);
    unsigned most = dotted ? V4_BITS : V6_BITS, bits = most;

    if (!parse_address(text, before, &network->prefix))
        return false;
    if (slash && !parse_bits(slash + 1, length - before - 1, most, &bits))
        return false;
    network->bits = bits + V6_BITS - most;
    return network->bits >= MAPPED_BITS || !addrs_is_v4(&network->prefix);
}

static bool parse_interface(const char *token, size_t length, struct addrs_entry *entry)
{
    if (length < 1 || length >= sizeof entry->interface)
        return false;
    memcpy(entry->interface, token, length);
    return true;
}

static bool parse_entry(const char *token, size_t length, struct addrs_entry *entry)
{
    static const char interface[] = "if:";
    size_t prefix = sizeof interface - 1;

    *entry = (struct addrs_entry){.except = *token == '!'};
    token += entry->except;
    length -= entry->except;
    entry->all = is_word(token, length, "all");
    if (entry->all)
        return !entry->except;
    if (length > prefix && memcmp(token, interface, prefix) == 0)
        return parse_interface(token + prefix, length - prefix, entry);
    return addrs_network(token, length, &entry->network);
}

bool addrs_next(const char **text, struct addrs_entry *entry)
{
    size_t length = token_at(text);

    if (!length || !parse_entry(*text, length, entry))
        return false;
    *text += length;
    return true;
}

/* An address that another host can have, and that needs no scope. */
static bool parse_peer(const char *token, size_t length, struct in6_addr *address)
{
    return parse_address(token, length, address) && !IN6_IS_ADDR_UNSPECIFIED(address) &&
           !IN6_IS_ADDR_MULTICAST(address) && !IN6_IS_ADDR_LINKLOCAL(address) &&
           !(addrs_is_v4(address) && (address->s6_addr[12] == 0 || address->s6_addr[12] >= 224));
}

bool addrs_next_pair(const char **text, struct addrs_pair *pair)
{
    size_t length = token_at(text), left;
    const char *equals = length ? memchr(*text, '=', length) : NULL;

    if (!length)
        return false;
    pair->dns = is_word(*text, length, "dns");
    left = equals ? (size_t)(equals - *text) + 1 : 0;
    if (equals && !parse_peer(*text, left - 1, &pair->key))
        return false;
    if (!pair->dns && (IN6_IS_ADDR_UNSPECIFIED(&pair->key) ||
                       !parse_peer(*text + left, length - left, &pair->address)))
        return false;
    *text += length;
    return true;
}

bool addrs_contains(const struct addrs_network *network, const struct in6_addr *address)
{
    unsigned bytes = network->bits / 8, rest = network->bits % 8;

    if (addrs_is_v4(&network->prefix) != addrs_is_v4(address) ||
        memcmp(&network->prefix, address, bytes) != 0)
        return false;
    return !rest ||
           (network->prefix.s6_addr[bytes] ^ address->s6_addr[bytes]) >> (8 - rest) == 0;
}

bool addrs_match(const struct addrs_entry *entry, const struct in6_addr *address)
{
    return entry->all || addrs_contains(&entry->network, address);
}
