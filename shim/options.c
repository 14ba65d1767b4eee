/* SPDX-License-Identifier: BSD-3-Clause */
/* The option table at run time: finding an option, parsing its value, printing it. */
#define _GNU_SOURCE
#include "options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct options options_default = {
#define OPTION(NAME, field, kind, initial, min, max, unit, help) .field = (initial),
#include "options.def"
};

struct options options = {
#define OPTION(NAME, field, kind, initial, min, max, unit, help) .field = (initial),
#include "options.def"
};

#define PLACE(field) offsetof(struct options, field), sizeof(((struct options *)0)->field)

const struct option_info option_table[OPTION_COUNT] = {
#define OPTION(NAME, field, kind, initial, min, max, unit, help)                                   \
    {#NAME, #field, OPTION_KIND_##kind, (initial), (min), (max), unit, help, PLACE(field)},
#define OPTION_PATH(NAME, field, size, help)                                                       \
    {#NAME, #field, OPTION_KIND_PATH, 0, 0, (size)-1, "", help, PLACE(field)},
#include "options.def"
};

/* A CHOICE row names its option by the field; this finds the option's number. */
enum {
#define OPTION(NAME, field, kind, initial, min, max, unit, help) CHOICE_OF_##field = OPTION_##NAME,
#include "options.def"
};

const struct option_choice option_choices[] = {
#define CHOICE(field, constant, value, word, help)                                                 \
    {(enum option_id)CHOICE_OF_##field, (constant), word, help},
#include "options.def"
};

const size_t option_choice_count = sizeof(option_choices) / sizeof(option_choices[0]);

/* The defaults obey the table's own rules; a row that does not is a mistake of ours. */
#define OPTION(NAME, field, kind, initial, min, max, unit, help)                                   \
    _Static_assert((int64_t)(initial) >= (min) && (initial) <= (max), #NAME ": default");
#include "options.def"

enum { NAME_MAX_LENGTH = 40 };

/* ASCII only: the host program's locale must not decide what a digit or a letter is. */
static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

static char key_char(char c)
{
    return c == '-' ? '_' : lower(c);
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
static unsigned distance(const char *key, const char *name)
{
    unsigned row[NAME_MAX_LENGTH + 1];
    size_t columns = strlen(name);

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

const struct option_info *option_nearest(const char *name)
{
    const struct option_info *nearest = NULL;
    size_t length = strlen(name);
    unsigned best = 3;

    if (length > NAME_MAX_LENGTH)
        return NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        unsigned d = distance(option_table[i].key, name);
        /* Three letters are within two changes of any other three: ask for some likeness. */
        if (d < best && 2 * d < length) {
            best = d;
            nearest = &option_table[i];
        }
    }
    return nearest;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Digits, at least one, up to *end. No sign, no blank, and nothing that 64 bits cannot hold. */
static bool parse_digits(const char *text, int base, uint64_t *value, const char **end)
{
    uint64_t sum = 0;
    const char *p = text;

    for (; digit(*p) < base; p++) {
        if (sum > UINT32_MAX)
            return false;
        sum = sum * (uint64_t)base + (uint64_t)digit(*p);
    }
    *value = sum;
    *end = p;
    return p != text;
}

static bool parse_number(enum option_kind kind, const char *text, uint64_t *value)
{
    static const char suffixes[] = "kmg";
    const char *end;
    const char *suffix;

    if (kind == OPTION_KIND_HEX && text[0] == '0' && lower(text[1]) == 'x')
        return parse_digits(text + 2, 16, value, &end) && *end == '\0';
    if (!parse_digits(text, 10, value, &end))
        return false;
    if (kind == OPTION_KIND_BYTES && *end && (suffix = strchr(suffixes, lower(*end)))) {
        /* Checked first, so that 2^30 times as much still fits into 64 bits. */
        if (*value > UINT32_MAX)
            return false;
        *value <<= 10 * (suffix - suffixes + 1);
        end++;
    }
    return *end == '\0';
}

static bool parse_bool(const char *text, uint32_t *value)
{
    static const char *const words[][2] = {
        {"no", "yes"}, {"0", "1"}, {"false", "true"}, {"off", "on"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (uint32_t j = 0; j < 2; j++)
            if (strcmp(text, words[i][j]) == 0) {
                *value = j;
                return true;
            }
    return false;
}

static bool parse_choice(enum option_id id, const char *text, uint32_t *value)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id && strcmp(text, option_choices[i].word) == 0) {
            *value = option_choices[i].value;
            return true;
        }
    return false;
}

static bool parse_uint32(const struct option_info *option, const char *text, uint32_t *value)
{
    uint64_t wide;

    if (option->kind == OPTION_KIND_BOOL)
        return parse_bool(text, value);
    if (option->kind == OPTION_KIND_ENUM)
        return parse_choice((enum option_id)(option - option_table), text, value);
    if (!parse_number(option->kind, text, &wide) || wide < option->min || wide > option->max)
        return false;
    *value = (uint32_t)wide;
    return true;
}

static void *field_of(struct options *of, const struct option_info *option)
{
    return (char *)of + option->offset;
}

bool option_set(struct options *into, const struct option_info *option, const char *value)
{
    size_t length = strlen(value);

    if (option->kind != OPTION_KIND_PATH)
        return parse_uint32(option, value, field_of(into, option));
    if (length >= option->size || (length > 0 && value[0] != '/'))
        return false;
    memcpy(field_of(into, option), value, length + 1);
    return true;
}

/* snprintf() that goes on where the last one stopped, and stays inside when there is no room. */
static void __attribute__((format(printf, 4, 5)))
append(char *buffer, size_t size, size_t *used, const char *format, ...)
{
    va_list arguments;
    int n;

    if (*used >= size)
        return;
    va_start(arguments, format);
    n = vsnprintf(buffer + *used, size - *used, format, arguments);
    va_end(arguments);
    if (n > 0)
        *used += (size_t)n;
}

static void append_bytes(char *buffer, size_t size, size_t *used, uint32_t value)
{
    static const char suffixes[] = {'g', 'm', 'k'};

    for (int i = 0; i < 3; i++) {
        uint32_t unit = UINT32_C(1) << (30 - 10 * i);
        if (value >= unit && value % unit == 0) {
            append(buffer, size, used, "%" PRIu32 "%c", value / unit, suffixes[i]);
            return;
        }
    }
    append(buffer, size, used, "%" PRIu32, value);
}

static void append_choices(char *buffer, size_t size, size_t *used, enum option_id id)
{
    uint32_t last = option_table[id].max;

    for (size_t i = 0; i < option_choice_count; i++) {
        const struct option_choice *choice = &option_choices[i];
        if (choice->option != id)
            continue;
        append(buffer, size, used, "%s%s", choice->word,
               choice->value == last ? "" : choice->value + 1 == last ? " or " : ", ");
    }
}

char *option_expected(const struct option_info *option, char *buffer, size_t size)
{
    size_t used = 0;

    switch (option->kind) {
    case OPTION_KIND_BOOL:
        append(buffer, size, &used, "yes or no");
        break;
    case OPTION_KIND_ENUM:
        append_choices(buffer, size, &used, (enum option_id)(option - option_table));
        break;
    case OPTION_KIND_COUNT:
        append(buffer, size, &used, "a number from %" PRIu32 " to %" PRIu32, option->min,
               option->max);
        break;
    case OPTION_KIND_MS:
        append(buffer, size, &used, "milliseconds from %" PRIu32 " to %" PRIu32, option->min,
               option->max);
        break;
    case OPTION_KIND_BYTES:
        append(buffer, size, &used, "a size from ");
        append_bytes(buffer, size, &used, option->min);
        append(buffer, size, &used, " to ");
        append_bytes(buffer, size, &used, option->max);
        break;
    case OPTION_KIND_HEX:
        append(buffer, size, &used, "a number from %" PRIu32 " to 0x%" PRIx32, option->min,
               option->max);
        break;
    case OPTION_KIND_PATH:
        append(buffer, size, &used, "an absolute path of at most %" PRIu32 " bytes, or nothing",
               option->max);
        break;
    }
    return buffer;
}

static void append_choice(char *buffer, size_t size, size_t *used, enum option_id id,
                          uint32_t value)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id && option_choices[i].value == value)
            append(buffer, size, used, "%s", option_choices[i].word);
}

char *option_format(const struct options *from, const struct option_info *option, char *buffer,
                    size_t size)
{
    const void *field = (const char *)from + option->offset;
    uint32_t value = 0;
    size_t used = 0;

    if (size > 0)
        buffer[0] = '\0';
    if (option->kind == OPTION_KIND_PATH) {
        append(buffer, size, &used, "%s", (const char *)field);
        return buffer;
    }
    memcpy(&value, field, sizeof(value));
    if (option->kind == OPTION_KIND_BOOL)
        append(buffer, size, &used, "%s", value ? "yes" : "no");
    else if (option->kind == OPTION_KIND_ENUM)
        append_choice(buffer, size, &used, (enum option_id)(option - option_table), value);
    else if (option->kind == OPTION_KIND_BYTES)
        append_bytes(buffer, size, &used, value);
    else
        append(buffer, size, &used, "%" PRIu32, value);
    return buffer;
}
