/* SPDX-License-Identifier: BSD-3-Clause */
/* One file, or the environment, on its way into the options: what config.c and layer.c share. */
#ifndef SCTPSHIM_LAYER_H
#define SCTPSHIM_LAYER_H

#include "config.h"

#define VARIABLE_PREFIX "SCTPSHIM_"

struct layer {
    const char *place; /* what messages call it */
    bool environment;
    struct options *into;
    struct options below;        /* as the lower layers left them */
    unsigned line[OPTION_COUNT]; /* where this layer set the option; 0: it did not */
    config_report *report;
    void *user;
    unsigned mistakes;
};

void layer_begin(struct layer *layer, const char *place, struct options *into,
                 config_report *report, void *user);

/*
 * Reports `place:line: key: expected ..., got 'value'`, or what there is of it: no line when it
 * is 0, no key when it is "".
 */
void layer_mistake(struct layer *layer, unsigned line, const char *key, const char *expected,
                   const char *got);

#endif
