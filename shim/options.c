/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of options at run time, and finding one by its name. */
#include "options.h"

#include <string.h>

const struct options options_default = {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) .field = (initial),
#include "options.def"
};

struct options options = {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) .field = (initial),
#include "options.def"
};

#define PLACE(field) offsetof(struct options, field), sizeof(((struct options *)0)->field)

const struct option_info option_table[OPTION_COUNT] = {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help)                            \
    {#NAME, #field, OPTION_SCOPE_##scope, OPTION_KIND_##kind, (initial), (min), (max), unit,       \
     help, PLACE(field)},
#define OPTION_PATH(NAME, field, scope, size, help)                                                \
    {#NAME, #field, OPTION_SCOPE_##scope, OPTION_KIND_PATH, 0, 0, (size)-1, "",                    \
     help, PLACE(field)},
#define OPTION_LIST(NAME, field, scope, kind, size, help)                                          \
    {#NAME, #field, OPTION_SCOPE_##scope, OPTION_KIND_##kind, 0, 0, (size)-1, "",                  \
     help, PLACE(field)},
#include "options.def"
};

/* A CHOICE row names its option by the field; this finds the option's number. */
enum {
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help)                            \
    CHOICE_OF_##field = OPTION_##NAME,
#include "options.def"
};

const struct option_choice option_choices[] = {
#define CHOICE(field, constant, value, word, help)                                                 \
    {(enum option_id)CHOICE_OF_##field, (constant), word, help},
#include "options.def"
};

const size_t option_choice_count = sizeof(option_choices) / sizeof(option_choices[0]);

enum { NAME_MAX_LENGTH = 40 };

static char key_char(char c)
{
    return c == '-' ? '_' : option_lower(c);
}

static bool same_name(const char *key, const char *name)
{
    while (*key && *key == key_char(*name)) {
        key++;
        name++;
    }
    return *key == '\0' && *name == '\0';
}

const struct option_info *option_find(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (same_name(option_table[i].key, name))
            return &option_table[i];
    return NULL;
}

/* Levenshtein's distance between two short names, one row of the matrix at a time. */
unsigned option_name_distance(const char *key, const char *name)
{
    unsigned row[NAME_MAX_LENGTH + 1];
    size_t columns = strlen(name);

    if (columns > NAME_MAX_LENGTH)
        return OPTION_NAME_FAR;
    for (size_t j = 0; j <= columns; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; key[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            unsigned best = diagonal + (key[i - 1] != key_char(name[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[columns];
}

/* Three letters are within two changes of any other three: ask for some likeness. */
bool option_name_closer(const char *key, const char *name, unsigned *best)
{
    unsigned d = option_name_distance(key, name);

    if (d >= *best || 2 * d >= strlen(name))
        return false;
    *best = d;
    return true;
}

const struct option_info *option_nearest(const char *name)
{
    const struct option_info *nearest = NULL;
    unsigned best = OPTION_NAME_FAR;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_name_closer(option_table[i].key, name, &best))
            nearest = &option_table[i];
    return nearest;
}
