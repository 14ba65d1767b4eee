/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said about a layer's mistakes; and the environment, which is one. */
#define _GNU_SOURCE
#include "layer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    VALUE_SHOWN = 100,   /* bytes of a wrong value that a message repeats */
    MESSAGE_SIZE = 1024, /* a line of message, with a long path in it */
    EXPECTED_SIZE = 160,
};

void layer_begin(struct layer *layer, enum place place, const char *name, struct config *config,
                 config_report *report, void *user)
{
    memset(layer, 0, sizeof(*layer));
    layer->place = place;
    layer->name = name;
    layer->into = &config->options;
    layer->below = config->options;
    layer->report = report;
    layer->user = user;
    config->places[place] = name;
}

/* A message is one line, whatever values from outside bring along. */
void layer_tell(struct layer *layer, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    layer->mistakes++;
    if (layer->report)
        layer->report(layer->user, message);
}

static bool is_environment(const struct layer *layer)
{
    return layer->place == PLACE_ENVIRONMENT;
}

void layer_mistake(struct layer *layer, unsigned line, const char *key, const char *expected,
                   const char *got)
{
    char number[16] = "";

    if (line > 0 && !is_environment(layer))
        snprintf(number, sizeof(number), "%u:", line);
    layer_tell(layer, "%s:%s%s%s%s expected %s, got '%.*s%s'", layer->name, number,
               key[0] ? " " : "", key, key[0] ? ":" : "", expected, VALUE_SHOWN, got,
               strlen(got) > VALUE_SHOWN ? "..." : "");
}

const char *layer_spell(const struct layer *layer, const struct option_info *option, char *buffer,
                        size_t size)
{
    snprintf(buffer, size, "%s%s", is_environment(layer) ? VARIABLE_PREFIX : "",
             is_environment(layer) ? option->name : option->key);
    return buffer;
}

void layer_unknown(struct layer *layer, unsigned line, const char *shown, const char *noun,
                   const char *nearest, const char *got)
{
    char expected[EXPECTED_SIZE];

    if (nearest)
        snprintf(expected, sizeof(expected), "%s (did you mean %s?)", noun, nearest);
    else
        snprintf(expected, sizeof(expected), "%s", noun);
    layer_mistake(layer, line, shown, expected, got);
}

void layer_assign(struct layer *layer, unsigned line, const char *shown,
                  const struct option_info *option, const char *value)
{
    char expected[EXPECTED_SIZE];
    bool again = layer->line[option - option_table] != 0;

    /* inih takes short lines only: a list goes on in the next one of the same name. */
    if (again ? option_append(layer->into, option, value) : option_set(layer->into, option, value))
        layer->line[option - option_table] = line;
    else
        layer_mistake(layer, line, shown, option_expected(option, expected, sizeof(expected)),
                      option_stumble(option, value));
}

void layer_record(const struct layer *layer, struct origin *origin)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (layer->line[i])
            origin[i] = (struct origin){.line = layer->line[i], .place = (uint8_t)layer->place};
}

static bool reserved(const char *name, size_t length)
{
    static const char *const names[] = {
#define RESERVED(NAME, help) #NAME,
#include "options.def"
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    return false;
}

static void unknown(struct layer *layer, const char *shown, const char *name, const char *got)
{
    const struct option_info *nearest = option_nearest(name);
    char spelled[64];

    layer_unknown(layer, 0, shown, "the name of a variable",
                  nearest ? layer_spell(layer, nearest, spelled, sizeof(spelled)) : NULL, got);
}

/* `entry` is NAME=value, what follows SCTPSHIM_; variables are in capitals and only there. */
static void parse_variable(struct layer *layer, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t length = equals ? (size_t)(equals - entry) : 0;
    const struct option_info *option;
    char shown[64];
    const char *name = shown + sizeof(VARIABLE_PREFIX) - 1;

    if (!equals || reserved(entry, length))
        return;
    snprintf(shown, sizeof(shown), VARIABLE_PREFIX "%.*s",
             (int)(length < sizeof(shown) ? length : sizeof(shown)), entry);
    option = option_find(name);
    if (!option || strcmp(option->name, name) != 0)
        unknown(layer, shown, name, equals + 1);
    else if (layer->line[option - option_table] == 0) /* as getenv(): the first one counts */
        layer_assign(layer, 1, shown, option, equals + 1);
}

unsigned config_parse_environment(char *const *environment, struct config *into,
                                  config_report *report, void *user)
{
    struct layer layer;

    layer_begin(&layer, PLACE_ENVIRONMENT, "environment", into, report, user);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, VARIABLE_PREFIX, sizeof(VARIABLE_PREFIX) - 1) == 0)
            parse_variable(&layer, *environment + sizeof(VARIABLE_PREFIX) - 1);
    layer_relate(&layer);
    layer_record(&layer, into->origin);
    return layer.mistakes;
}
