/* SPDX-License-Identifier: BSD-3-Clause */
/* One file, or the environment, on its way into the options: what its readers share. */
#ifndef SCTPSHIM_LAYER_H
#define SCTPSHIM_LAYER_H

#include "config.h"

#define VARIABLE_PREFIX "SCTPSHIM_"

struct layer {
    enum place place;
    const char *name; /* what messages call it */
    struct options *into;
    struct options below;        /* as the lower layers left them */
    uint32_t line[OPTION_COUNT]; /* where this layer set the option; 0: it did not */
    config_report *report;
    void *user;
    unsigned mistakes;
};

/* A layer of the configuration's options, which are what lies below. */
void layer_begin(struct layer *layer, enum place place, const char *name, struct config *config,
                 config_report *report, void *user);

/* Reports a line of these words. */
void layer_tell(struct layer *layer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Reports `place:line: key: expected ..., got 'value'`, or what there is of it: no line when it
 * is 0, no key when it is "".
 */
void layer_mistake(struct layer *layer, unsigned line, const char *key, const char *expected,
                   const char *got);

/* The same for a name that nobody knows, by what it should be and what it may have meant. */
void layer_unknown(struct layer *layer, unsigned line, const char *shown, const char *noun,
                   const char *nearest, const char *got);

/* Stores a value, or reports what is wrong with it. */
void layer_assign(struct layer *layer, unsigned line, const char *shown,
                  const struct option_info *option, const char *value);

/* Notes which options this layer has set. */
void layer_record(const struct layer *layer, struct origin *origin);

/* The option as this layer's user writes it: a key or a variable; returns `buffer`. */
const char *layer_spell(const struct layer *layer, const struct option_info *option, char *buffer,
                        size_t size);

/* relations.c: takes values back that this layer set and that do not go together. */
void layer_relate(struct layer *layer);

#endif
