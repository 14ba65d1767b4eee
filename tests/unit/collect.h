/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects the mistakes that a parser reports, for tests to look at. */
#ifndef COLLECT_H
#define COLLECT_H

#include <stdio.h>
#include <string.h>

struct collected {
    unsigned count;
    char text[8192]; /* one line each */
};

static inline void collect(void *user, const char *message)
{
    struct collected *collected = user;
    size_t used = strlen(collected->text);

    collected->count++;
    snprintf(collected->text + used, sizeof(collected->text) - used, "%s\n", message);
}

#endif
