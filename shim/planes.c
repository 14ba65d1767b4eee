/* SPDX-License-Identifier: BSD-3-Clause */
/* What not every plane can honour: the PLANE rows of options.def. */
#include "planes.h"

#include <stdatomic.h>
#include <string.h>

#include "log.h"

static const struct option_plane rows[] = {
#define PLANE(NAME, planes, why) {OPTION_##NAME, PLANE_##planes, why},
#include "options.def"
};

enum { ROWS = sizeof rows / sizeof rows[0] };

const struct option_plane *option_plane(enum option_id option)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].option == option)
            return &rows[i];
    return NULL;
}

static bool is_default(const struct options *o, const struct option_info *option)
{
    const char *value = (const char *)o + option->offset;
    const char *initial = (const char *)&options_default + option->offset;

    /* Texts end before the field does. */
    return option->kind < OPTION_KIND_PATH ? memcmp(value, initial, option->size) == 0
                                           : strcmp(value, initial) == 0;
}

void plane_reset(enum plane plane, struct options *o)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct option_info *option = &option_table[rows[i].option];

        if (!(rows[i].planes & plane))
            memcpy((char *)o + option->offset, (const char *)&options_default + option->offset,
                   option->size);
    }
}

void plane_warn(enum plane plane, const struct options *o)
{
    static atomic_flag said[ROWS];

    for (size_t i = 0; i < ROWS; i++) {
        const struct option_info *option = &option_table[rows[i].option];

        if (!(rows[i].planes & plane) && !is_default(o, option) && log_enabled(LOG_LEVEL_WARN) &&
            !atomic_flag_test_and_set(&said[i]))
            log_line(LOG_LEVEL_WARN, "%s has no effect here: %s", option->name, rows[i].why);
    }
}
