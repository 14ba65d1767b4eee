/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts of what processes and users have, kept while they have something. */
#include "quota.h"

#include <stdlib.h>

enum { HASH = 256 };

static struct account {
    struct account *next;
    enum quota_kind kind;
    uint32_t id;
    unsigned used;
} *accounts[HASH];

/* Where it is, or where it would be. */
static struct account **find(enum quota_kind kind, uint32_t id)
{
    struct account **at = &accounts[(id * 2654435761u >> 16 ^ (unsigned)kind) % HASH];

    while (*at && ((*at)->kind != kind || (*at)->id != id))
        at = &(*at)->next;
    return at;
}

bool quota_take(enum quota_kind kind, uint32_t id, unsigned most)
{
    struct account **at = find(kind, id);

    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            return false;
        (*at)->kind = kind;
        (*at)->id = id;
    }
    if ((*at)->used >= most)
        return false;
    (*at)->used++;
    return true;
}

void quota_give(enum quota_kind kind, uint32_t id)
{
    struct account **at = find(kind, id), *account = *at;

    if (!account || --account->used > 0)
        return;
    *at = account->next;
    free(account);
}
