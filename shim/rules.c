/* SPDX-License-Identifier: BSD-3-Clause */
/* Matches rules: against a process when it starts, against a socket when it is used. */
#define _GNU_SOURCE
#include "rules.h"

#include <fnmatch.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A pattern with a slash is one of whole paths. */
static bool program_matches(const char *pattern, const struct rule_process *process)
{
    if (!strchr(pattern, '/'))
        return fnmatch(pattern, base_name(process->called), 0) == 0 ||
               fnmatch(pattern, base_name(process->file), 0) == 0;
    return fnmatch(pattern, process->called, FNM_PATHNAME) == 0 ||
           fnmatch(pattern, process->file, FNM_PATHNAME) == 0;
}

/*
 * A list matches what one of its entries names, or anything when all of them are negated; and
 * nothing that a negated one names.
 */
struct verdict {
    bool any_positive, found, refused;
};

static void look(struct verdict *verdict, bool negated, bool matches)
{
    verdict->any_positive |= !negated;
    verdict->found |= !negated && matches;
    verdict->refused |= negated && matches;
}

static bool passes(const struct verdict *verdict)
{
    return !verdict->refused && (verdict->found || !verdict->any_positive);
}

static bool programs_match(const char *patterns, const struct rule_process *process)
{
    struct verdict verdict = {0};

    for (; *patterns; patterns += strlen(patterns) + 1) {
        bool negated = *patterns == '!';

        look(&verdict, negated, program_matches(patterns + negated, process));
    }
    return passes(&verdict);
}

static bool ranges_match(const struct rule_range *ranges, unsigned count, uint32_t value)
{
    struct verdict verdict = {0};

    for (unsigned i = 0; i < count; i++)
        look(&verdict, ranges[i].negated, value >= ranges[i].first && value <= ranges[i].last);
    return passes(&verdict);
}

static bool addresses_match(const struct rule *rule, const struct in6_addr *address)
{
    struct verdict verdict = {0};

    for (unsigned i = 0; i < rule->address_count; i++)
        look(&verdict, rule->addresses[i].negated,
             addrs_contains(&rule->addresses[i].network, address));
    return passes(&verdict);
}

static const char *other_end(const struct rule *rule, const struct sockaddr_in6 *end)
{
    if (!addresses_match(rule, &end->sin6_addr))
        return "address";
    return ranges_match(rule->ports, rule->port_count, ntohs(end->sin6_port)) ? NULL : "port";
}

bool rule_name(struct sockaddr_in6 *into, const struct sockaddr *name)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)name;

    memset(into, 0, sizeof(*into));
    into->sin6_family = AF_INET6;
    if (name->sa_family == AF_INET6) {
        memcpy(into, name, sizeof(*into));
        return true;
    }
    into->sin6_port = four->sin_port;
    into->sin6_addr.s6_addr[10] = into->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&into->sin6_addr.s6_addr[12], &four->sin_addr, sizeof(four->sin_addr));
    return name->sa_family == AF_INET;
}

const char *rule_other_process(const struct rule *rule, const struct rule_process *process)
{
    if (!programs_match(rule->programs, process))
        return "program";
    return ranges_match(rule->uids, rule->uid_count, process->uid) ? NULL : "uid";
}

const char *rule_other_use(const struct rule *rule, const struct rule_use *use)
{
    unsigned roles = rule->roles ? use->roles & rule->roles : use->roles;
    const char *other = "role";

    if (roles & ROLE_CONNECT)
        other = other_end(rule, &use->remote);
    if (other && roles & ROLE_LISTEN)
        other = other_end(rule, &use->local);
    return other;
}

bool rule_matches_any_use(const struct rule *rule)
{
    return !rule->roles && !rule->address_count && !rule->port_count;
}

/* ---- The rules in force ---- */

const struct options *rule_options[RULES_MAX + 1] = {[0] = &options};

struct rule_birth rule_birth = {.may_be = {[ACTION_SCTP] = true}};

static const struct rules *in_force;
static uint8_t numbers[RULES_MAX]; /* of the rules that match this process */
static unsigned number_count;

/* Without a rule for everything the last choice is to have none. */
static void consider_birth(void)
{
    struct rule_birth birth = {0};
    unsigned last = 0;

    for (unsigned i = 0; i < number_count && !last; i++) {
        birth.may_be[rule_options[numbers[i]]->action] = true;
        if (rule_matches_any_use(rule_numbered(in_force, numbers[i])))
            last = numbers[i];
        else
            birth.open = true;
    }
    birth.rule = (uint8_t)last;
    birth.may_be[rule_options[last]->action] = true;
    rule_birth = birth;
}

void rules_enforce(const struct rules *rules, const struct rule_process *process)
{
    in_force = rules;
    number_count = 0;
    for (unsigned number = 1; number <= rules->count; number++) {
        const struct rule *rule = rule_numbered(rules, number);

        rule_options[number] = &rule->options;
        if (rule_matches_process(rule, process))
            numbers[number_count++] = (uint8_t)number;
    }
    consider_birth();
}

unsigned rules_find(const struct rule_use *use)
{
    for (unsigned i = 0; i < number_count; i++)
        if (rule_matches_use(rule_numbered(in_force, numbers[i]), use))
            return numbers[i];
    return 0;
}

const char *rule_called(unsigned number)
{
    return number ? rule_numbered(in_force, number)->name : "none";
}

bool rules_exist(void)
{
    return in_force && in_force->count;
}

/* FNV-1a, its 32 bits folded. */
uint32_t rule_digest(const char *name)
{
    uint32_t hash = 0x811c9dc5;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x01000193;
    hash = (hash >> 23 ^ hash) & 0x7fffff;
    return hash ? hash : 1;
}
