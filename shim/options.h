/* SPDX-License-Identifier: BSD-3-Clause */
/* The options as a structure, and the description of each, generated from options.def. */
#ifndef SCTPSHIM_OPTIONS_H
#define SCTPSHIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ACTION_SCTP, ACTION_TCP, STACK_AUTO, ..., LOG_LEVEL_DEBUG */
enum {
#define CHOICE(field, constant, value, word, help) constant = value,
#include "options.def"
};

struct options {
#define OPTION(NAME, field, kind, initial, min, max, unit, help) uint32_t field;
#define OPTION_PATH(NAME, field, size, help) char field[size];
#include "options.def"
};

/* The options in force. Defaults until config_load() has run, read-only afterwards. */
extern struct options options;

/* The defaults, for whoever builds a structure of its own. */
extern const struct options options_default;

/* OPTION_ACTION, ..., OPTION_COUNT: position of an option in option_table. */
enum option_id {
#define OPTION(NAME, field, kind, initial, min, max, unit, help) OPTION_##NAME,
#define OPTION_PATH(NAME, field, size, help) OPTION_##NAME,
#include "options.def"
    OPTION_COUNT
};

enum option_kind {
    OPTION_KIND_BOOL,
    OPTION_KIND_ENUM,
    OPTION_KIND_COUNT,
    OPTION_KIND_MS,
    OPTION_KIND_BYTES,
    OPTION_KIND_HEX,
    OPTION_KIND_PATH,
};

struct option_info {
    const char *name; /* CHUNK; the environment variable is SCTPSHIM_CHUNK */
    const char *key;  /* chunk */
    enum option_kind kind;
    uint32_t initial;
    uint32_t min;
    uint32_t max;
    const char *unit; /* "" when the number counts nothing */
    const char *help;
    size_t offset; /* of the field in struct options */
    size_t size;   /* of the field */
};

extern const struct option_info option_table[OPTION_COUNT];

struct option_choice {
    enum option_id option;
    uint32_t value;
    const char *word;
    const char *help;
};

extern const struct option_choice option_choices[];
extern const size_t option_choice_count;

/* The option of this name (case does not matter, '-' is '_'), or NULL. */
const struct option_info *option_find(const char *name);

/* The option that a mistyped name may have meant, or NULL. */
const struct option_info *option_nearest(const char *name);

/* Parses and stores one value; false, and nothing stored, if it is not one. */
bool option_set(struct options *into, const struct option_info *option, const char *value);

/* What option_set() accepts, in words that follow "expected"; returns `buffer`. */
char *option_expected(const struct option_info *option, char *buffer, size_t size);

/* The option's value as a file would have it; returns `buffer`. */
char *option_format(const struct options *from, const struct option_info *option, char *buffer,
                    size_t size);

#endif
