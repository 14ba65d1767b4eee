/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold between options, in the configuration as a whole and in each of its rules. */
#define _GNU_SOURCE
#include "layer.h"

#include <stdio.h>
#include <string.h>

enum { EXPECTED_SIZE = 120, SHORT_VALUE = 24 };

/* What must hold between two options, from the table's RELATION rows. */
struct relation {
    enum option_id left;
    enum option_id right;
    bool (*holds)(const struct options *);
    const char *words;
    const char *converse;
};

#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    static bool LEFT##_##RIGHT##_hold(const struct options *o)                                     \
    {                                                                                              \
        return o->left operator o->right;                                                          \
    }
#include "options.def"

static const struct relation relations[] = {
#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    {OPTION_##LEFT, OPTION_##RIGHT, LEFT##_##RIGHT##_hold, words, converse},
#include "options.def"
};

/* Takes one value back that does not go with another one; false if this layer set neither. */
static bool take_back(struct layer *layer, const struct relation *relation)
{
    bool left = layer->line[relation->left] != 0;
    enum option_id wrong = left ? relation->left : relation->right;
    const struct option_info *option = &option_table[wrong];
    const struct option_info *other = &option_table[left ? relation->right : relation->left];
    char expected[EXPECTED_SIZE], shown[64], spelled[64], limit[SHORT_VALUE], got[SHORT_VALUE];

    if (layer->line[wrong] == 0)
        return false;
    snprintf(expected, sizeof(expected), "%s %s (%s)",
             left ? relation->words : relation->converse,
             layer_spell(layer, other, spelled, sizeof(spelled)),
             option_format(layer->into, other, limit, sizeof(limit)));
    layer_mistake(layer, layer->line[wrong], layer_spell(layer, option, shown, sizeof(shown)),
                  expected, option_format(layer->into, option, got, sizeof(got)));
    memcpy((char *)layer->into + option->offset, (char *)&layer->below + option->offset,
           option->size);
    layer->line[wrong] = 0;
    return true;
}

/*
 * Checks what must hold between options when all of a layer is in, because the order of its lines
 * means nothing. Ends: each round takes a value back, and the layers below agree with themselves.
 */
void layer_relate(struct layer *layer)
{
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
            if (!relations[i].holds(layer->into) && take_back(layer, &relations[i]))
                again = true;
    }
}

/* Gives a rule the values that it does not have of its own: a variable is stronger than a rule. */
static void fill_in(struct rule *rule, const struct config *config, uint32_t *line)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *option = &option_table[i];

        if (config->origin[i].place == PLACE_ENVIRONMENT)
            rule->origin[i].line = 0;
        line[i] = rule->origin[i].line;
        if (line[i] == 0)
            memcpy((char *)&rule->options + option->offset,
                   (const char *)&config->options + option->offset, option->size);
    }
}

static unsigned finish_rule(struct rule *rule, struct config *config, config_report *report,
                            void *user)
{
    struct layer layer;

    layer_begin(&layer, rule->where.place, config->places[rule->where.place], config, report, user);
    layer.into = &rule->options;
    fill_in(rule, config, layer.line);
    layer_relate(&layer);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (layer.line[i] == 0)
            rule->origin[i] = config->origin[i];
    return layer.mistakes;
}

/* The rules of stronger places come first, in each place in the order of the file. */
static void put_in_order(struct rules *rules)
{
    unsigned next = 0;

    for (int place = PLACES - 1; place >= 0; place--)
        for (unsigned i = 0; i < rules->count; i++)
            if (rules->list[i].where.place == place)
                rules->order[next++] = (uint8_t)i;
}

unsigned config_finish(struct config *into, config_report *report, void *user)
{
    unsigned mistakes = 0;

    put_in_order(&into->rules);
    for (unsigned number = 1; number <= into->rules.count; number++)
        mistakes += finish_rule(&into->rules.list[into->rules.order[number - 1]], into, report,
                                user);
    return mistakes;
}
