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

/* The values of a SWITCH. */
enum { SWITCH_NO, SWITCH_YES, SWITCH_SYSTEM };

struct options {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) uint32_t field;
#define OPTION_PATH(NAME, field, scope, size, help) char field[size];
#define OPTION_LIST(NAME, field, scope, kind, size, help) char field[size];
#include "options.def"
};

/*
 * The options in force where no rule matches, and those of the process. Defaults until
 * config_load() has run, read-only afterwards. What a socket has is options_of(fd)'s to say.
 */
extern struct options options;

/* The defaults, for whoever builds a structure of its own. */
extern const struct options options_default;

/* OPTION_ACTION, ..., OPTION_COUNT: position of an option in option_table. */
enum option_id {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) OPTION_##NAME,
#define OPTION_PATH(NAME, field, scope, size, help) OPTION_##NAME,
#define OPTION_LIST(NAME, field, scope, kind, size, help) OPTION_##NAME,
#include "options.def"
    OPTION_COUNT
};

enum option_scope {
    OPTION_SCOPE_RULE,    /* a socket's: rules may set it */
    OPTION_SCOPE_PROCESS, /* the whole process's */
};

enum option_kind {
    OPTION_KIND_BOOL,
    OPTION_KIND_ENUM,
    OPTION_KIND_COUNT,
    OPTION_KIND_MS,
    OPTION_KIND_BYTES,
    OPTION_KIND_HEX,
    OPTION_KIND_SWITCH,
    OPTION_KIND_SET,
    OPTION_KIND_PATH,
    OPTION_KIND_ADDRS,
    OPTION_KIND_PAIRS,
    OPTION_KIND_NUMBERS,
};

struct option_info {
    const char *name; /* CHUNK; the environment variable is SCTPSHIM_CHUNK */
    const char *key;  /* chunk */
    enum option_scope scope;
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

/* ASCII only: the host program's locale must not decide what a digit or a letter is. */
static inline char option_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The option of this name (case does not matter, '-' is '_'), or NULL. */
const struct option_info *option_find(const char *name);

/* The option that a mistyped name may have meant, or NULL. */
const struct option_info *option_nearest(const char *name);

/* How many letters must change, come or go to make this name that key; FAR: too many to count. */
enum { OPTION_NAME_FAR = 3 };
unsigned option_name_distance(const char *key, const char *name);

/* Is the key nearer to a mistyped name than the best so far? Then it is the best. */
bool option_name_closer(const char *key, const char *name, unsigned *best);

/* ---- values.c ---- */

/* Could option_set() have stored this number? Of options that are one. */
bool option_takes(const struct option_info *option, uint32_t value);

/* Parses and stores one value; false, and nothing stored, if it is not one. */
bool option_set(struct options *into, const struct option_info *option, const char *value);

/*
 * A list grows by the entries of another; false, and nothing stored, if there is no room or they
 * are none. Other options are as with option_set().
 */
bool option_append(struct options *into, const struct option_info *option, const char *value);

/* What of a refused value option_set() stumbled over: an entry of a list, else all of it. */
const char *option_stumble(const struct option_info *option, const char *value);

/*
 * Takes the next KEY=NUMBER of a list of NUMBERS; false at its end, and, with text left, where it
 * is none.
 */
bool option_next_number(const char **text, uint16_t *key, uint16_t *number);

/* What option_set() accepts, in words that follow "expected"; returns `buffer`. */
char *option_expected(const struct option_info *option, char *buffer, size_t size);

/* The option's value as a file would have it; returns `buffer`. */
char *option_format(const struct options *from, const struct option_info *option, char *buffer,
                    size_t size);

#endif
