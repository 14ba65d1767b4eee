/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer: one option's name and value, "NAME=VALUE". Whatever they are, what is stored is in
 * the option's range, what is refused stores nothing, and what is printed can be read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void check_value(const struct option_info *option, const char *value)
{
    struct options set = options_default, again = options_default;
    char text[sizeof set], expected[200];

    if (!option_set(&set, option, value)) {
        require(memcmp(&set, &options_default, sizeof set) == 0);
        require(strlen(option_expected(option, expected, sizeof expected)) > 0);
        return;
    }
    require(in_range(&set, option));
    require(option_set(&again, option, option_format(&set, option, text, sizeof text)));
    require(memcmp((char *)&set + option->offset, (char *)&again + option->offset,
                   is_text(option) ? strlen((char *)&set + option->offset) + 1
                                   : option->size) == 0);
}

/* A buffer of any size holds a string afterwards, and nothing is written behind it. */
static void check_small_buffers(const struct option_info *option, size_t size)
{
    char *buffer = malloc(size);

    require(buffer && size > 0);
    require(strlen(option_expected(option, buffer, size)) < size);
    require(strlen(option_format(&options_default, option, buffer, size)) < size);
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1), *value;
    const struct option_info *option, *nearest;

    require(name != NULL);
    memcpy(name, data, size);
    name[size] = '\0';
    value = strchr(name, '=');
    if (value)
        *value++ = '\0';
    option = option_find(name);
    nearest = option_nearest(name);
    require(!option || nearest == option || strlen(name) < 3);
    if (option)
        check_value(option, value ? value : "");
    for (size_t i = 0; value && i < OPTION_COUNT; i++)
        check_value(&option_table[i], value);
    check_small_buffers(&option_table[size % OPTION_COUNT], 1 + size % 41);
    free(name);
    return 0;
}
