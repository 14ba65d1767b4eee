/* SPDX-License-Identifier: BSD-3-Clause */
/* For the parsers' fuzzers: whether an option's stored value is one that it can have. */
#ifndef SCTPSHIM_FUZZ_RANGE_H
#define SCTPSHIM_FUZZ_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "options.h"

static bool is_text(const struct option_info *option)
{
    return option->kind == OPTION_KIND_PATH || option->kind == OPTION_KIND_ADDRS ||
           option->kind == OPTION_KIND_PAIRS || option->kind == OPTION_KIND_NUMBERS;
}

/* Is it what one of the option's words means? Those may lie beside its range. */
static bool is_choice(const struct option_info *option, uint32_t value)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (&option_table[option_choices[i].option] == option && option_choices[i].value == value)
            return true;
    return false;
}

static bool in_range(const struct options *set, const struct option_info *option)
{
    const char *field = (const char *)set + option->offset;
    uint32_t value;

    if (is_text(option))
        return memchr(field, '\0', option->size) &&
               (option->kind != OPTION_KIND_PATH || !field[0] || field[0] == '/');
    memcpy(&value, field, sizeof value);
    return (value >= option->min && value <= option->max) || is_choice(option, value);
}

#endif
