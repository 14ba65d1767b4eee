/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of the configuration: which sockets they match, and which options those have then. */
#ifndef SCTPSHIM_RULES_H
#define SCTPSHIM_RULES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "addrs.h"
#include "options.h"

enum {
    RULES_MAX = 64,
    RULE_NAME_SIZE = 32,
    RULE_ADDRESSES = 64, /* in one rule */
    RULE_RANGES = 32,
    RULE_PROGRAMS_SIZE = 512,
};

/* Where a value comes from, the weaker places first. */
enum place {
    PLACE_DEFAULT,
    PLACE_SYSTEM, /* the system's file */
    PLACE_USER,
    PLACE_CONFIG, /* the file that SCTPSHIM_CONFIG names */
    PLACE_ENVIRONMENT,
    PLACES,
};

struct origin {
    uint32_t line; /* 0: it was not set there, or the place has no lines */
    uint8_t place; /* enum place */
};

enum rule_role {
    ROLE_CONNECT = 1 << 0,
    ROLE_LISTEN = 1 << 1,
};

struct rule_address {
    struct addrs_network network;
    bool negated;
};

struct rule_range {
    uint32_t first;
    uint32_t last;
    bool negated;
};

struct rule {
    char name[RULE_NAME_SIZE];
    struct origin where; /* of its heading */
    uint8_t roles;       /* enum rule_role; 0: any */
    uint8_t address_count;
    uint8_t port_count;
    uint8_t uid_count;
    struct rule_address addresses[RULE_ADDRESSES];
    struct rule_range ports[RULE_RANGES];
    struct rule_range uids[RULE_RANGES];
    char programs[RULE_PROGRAMS_SIZE]; /* patterns, each ended by a zero byte; then an empty one */
    struct options options;
    struct origin origin[OPTION_COUNT]; /* of each of them */
};

/* A rule's number counts from 1 in the order in which rules are asked; 0 is the lack of a rule. */
struct rules {
    unsigned count;
    uint8_t order[RULES_MAX]; /* place in list of each number, less 1 */
    struct rule list[RULES_MAX];
};

static inline const struct rule *rule_numbered(const struct rules *rules, unsigned number)
{
    return &rules->list[rules->order[number - 1]];
}

/* A process, as rules see it. */
struct rule_process {
    const char *called; /* the file name it was started by: a script's, a link's */
    const char *file;   /* the program's own file, by its absolute path; "" when that is unknown */
    uint32_t uid;       /* effective, when it was started */
};

/* What a socket is about to do, or has done. */
struct rule_use {
    unsigned roles; /* enum rule_role; both: one of them, and nobody knows which */
    /* Of the destination for ROLE_CONNECT, else of its own end. */
    struct sockaddr_in6 remote, local; /* IPv4 mapped into IPv6; port 0: none yet */
};

/* Fills remote or local from a socket's name; false when it is neither IPv4 nor IPv6. */
bool rule_name(struct sockaddr_in6 *into, const struct sockaddr *name);

/* Why the rule does not match: the key of what differs first; NULL when it matches. */
const char *rule_other_process(const struct rule *rule, const struct rule_process *process);
const char *rule_other_use(const struct rule *rule, const struct rule_use *use);

static inline bool rule_matches_process(const struct rule *rule, const struct rule_process *process)
{
    return !rule_other_process(rule, process);
}

static inline bool rule_matches_use(const struct rule *rule, const struct rule_use *use)
{
    return !rule_other_use(rule, use);
}

/* Does only the process decide whether it matches? */
bool rule_matches_any_use(const struct rule *rule);

/* ---- The rules in force ---- */

/*
 * The options in force for each rule, by its number; at 0 those where no rule matches. Read-only
 * once config_load() has run.
 */
extern const struct options *rule_options[RULES_MAX + 1];

/* What is known of a socket's rule before its first use. */
struct rule_birth {
    uint8_t rule;   /* the one whose options it begins with; 0: none */
    bool open;      /* its use may still decide for another one */
    bool may_be[ACTION_PREFER + 1]; /* which actions this may come to */
};

extern struct rule_birth rule_birth;

/* From now on these, as far as they match this process. They stay where they are. */
void rules_enforce(const struct rules *rules, const struct rule_process *process);

/* The number of the first rule in force that matches this use; 0 for none. */
unsigned rules_find(const struct rule_use *use);

/* The rule's name, for the log. */
const char *rule_called(unsigned number);

/* Are there any, whether they match this process or not? */
bool rules_exist(void);

/* 23 bits that stand for a rule's name, never 0. */
uint32_t rule_digest(const char *name);

#endif
