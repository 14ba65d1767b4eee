/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses what a rule matches: lists of programs, roles, addresses, ports and users. */
#define _GNU_SOURCE
#include "matchers.h"

#include <string.h>

enum { ENTRY_SIZE = 160 };

/* ASCII only, whatever the host program's locale is. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
}

/* Digits up to *end: no sign, no blank, not more than 32 bits hold. */
static bool take_number(const char **text, uint32_t *number)
{
    const char *p = *text;
    uint64_t sum = 0;

    for (; is_digit(*p); p++) {
        sum = sum * 10 + (uint64_t)(*p - '0');
        if (sum > UINT32_MAX)
            return false;
    }
    *number = (uint32_t)sum;
    if (p == *text)
        return false;
    *text = p;
    return true;
}

static bool negation(const char **entry)
{
    bool negated = **entry == '!';

    *entry += negated;
    return negated;
}

/* Patterns keep their '!'. */
static bool add_program(struct rule *rule, const char *entry)
{
    const char *pattern = entry + (*entry == '!');
    char *end = rule->programs;

    while (*end)
        end += strlen(end) + 1;
    if (!*pattern || *pattern == '!' || (strchr(pattern, '/') && *pattern != '/') ||
        strlen(entry) + 2 > (size_t)(rule->programs + sizeof(rule->programs) - end))
        return false;
    strcpy(end, entry);
    return true;
}

static bool add_role(struct rule *rule, const char *entry)
{
    if (strcmp(entry, "connect") == 0)
        rule->roles |= ROLE_CONNECT;
    else if (strcmp(entry, "listen") == 0)
        rule->roles |= ROLE_LISTEN;
    else
        return false;
    return true;
}

/* A network's number has no bits beyond its prefix: 192.0.2.7/24 may mean one host or 256. */
static bool is_its_first(const struct addrs_network *network)
{
    for (unsigned bit = network->bits; bit < 8 * sizeof(network->prefix); bit++)
        if (network->prefix.s6_addr[bit / 8] & 0x80 >> bit % 8)
            return false;
    return true;
}

static bool add_address(struct rule *rule, const char *entry)
{
    struct rule_address address = {.negated = negation(&entry)};

    if (rule->address_count == RULE_ADDRESSES ||
        !addrs_network(entry, strlen(entry), &address.network) || !is_its_first(&address.network))
        return false;
    rule->addresses[rule->address_count++] = address;
    return true;
}

static bool add_range(struct rule_range *ranges, uint8_t *count, const char *entry, uint32_t min,
                      uint32_t max)
{
    struct rule_range range = {.negated = negation(&entry)};

    if (*count == RULE_RANGES || !take_number(&entry, &range.first))
        return false;
    range.last = range.first;
    if (*entry == '-') {
        entry++;
        if (!take_number(&entry, &range.last))
            return false;
    }
    if (*entry || range.first < min || range.last > max || range.first > range.last)
        return false;
    ranges[(*count)++] = range;
    return true;
}

static bool add_port(struct rule *rule, const char *entry)
{
    return add_range(rule->ports, &rule->port_count, entry, 1, UINT16_MAX);
}

static bool add_uid(struct rule *rule, const char *entry)
{
    return add_range(rule->uids, &rule->uid_count, entry, 0, UINT32_MAX - 1);
}

static const struct matcher matchers[] = {
    {"program", "names or absolute paths of programs, with * ? [] and !", add_program},
    {"role", "connect or listen", add_role},
    {"address", "IPv4 or IPv6 addresses, with /PREFIX (of a network's first address) and !",
     add_address},
    {"port", "ports and ranges from 1 to 65535, with !", add_port},
    {"uid", "numbers of users and ranges of them, with !", add_uid},
};

enum { MATCHERS = sizeof(matchers) / sizeof(matchers[0]) };

const struct matcher *matcher_find(const char *name)
{
    for (size_t i = 0; i < MATCHERS; i++)
        if (option_name_distance(matchers[i].key, name) == 0)
            return &matchers[i];
    return NULL;
}

const struct matcher *matcher_nearest(const char *name)
{
    const struct matcher *nearest = NULL;
    unsigned best = OPTION_NAME_FAR;

    for (size_t i = 0; i < MATCHERS; i++)
        if (option_name_closer(matchers[i].key, name, &best))
            nearest = &matchers[i];
    return nearest;
}

bool matcher_add(struct rule *rule, const struct matcher *matcher, const char *value)
{
    static const char separators[] = ", \t";
    unsigned entries = 0;

    for (value += strspn(value, separators); *value; value += strspn(value, separators)) {
        char entry[ENTRY_SIZE];
        size_t length = strcspn(value, separators);

        if (length >= sizeof(entry))
            return false;
        memcpy(entry, value, length);
        entry[length] = '\0';
        if (!matcher->add(rule, entry))
            return false;
        value += length;
        entries++;
    }
    return entries > 0;
}

bool rule_heading(struct rule *rule, const char *heading)
{
    static const char start[] = "[rule ";
    size_t length = 0;

    if (strncmp(heading, start, sizeof(start) - 1) != 0)
        return false;
    heading += sizeof(start) - 1;
    heading += strspn(heading, " \t");
    while (is_name_char(heading[length]))
        length++;
    if (length == 0 || length >= sizeof(rule->name))
        return false;
    memcpy(rule->name, heading, length);
    rule->name[length] = '\0';
    heading += length;
    heading += strspn(heading, " \t");
    if (*heading++ != ']')
        return false;
    heading += strspn(heading, " \t");
    return *heading == '\0' || *heading == ';' || *heading == '#';
}
