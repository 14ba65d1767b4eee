/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys by which a rule says what it matches, and their values. */
#ifndef SCTPSHIM_MATCHERS_H
#define SCTPSHIM_MATCHERS_H

#include "rules.h"

struct matcher {
    const char *key;
    const char *expected; /* what it accepts, in words that follow "expected" */
    bool (*add)(struct rule *rule, const char *entry);
};

/* The matcher of this name (case does not matter), or NULL. */
const struct matcher *matcher_find(const char *name);

/* The matcher that a mistyped name may have meant, or NULL. */
const struct matcher *matcher_nearest(const char *name);

/* Adds a list of entries to what the rule matches; false, and part of them added, on a mistake. */
bool matcher_add(struct rule *rule, const struct matcher *matcher, const char *value);

/* Takes a rule's name out of its heading; false when it is not one. */
bool rule_heading(struct rule *rule, const char *heading);

#endif
