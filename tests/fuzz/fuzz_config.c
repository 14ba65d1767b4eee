/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer: a configuration file's text, or after a zero byte an environment of strings that end
 * in zero bytes. Whatever it says: each mistake is reported in one line, what is stored is in
 * range, in rules too, options go together as the table's relations say, and a second reading
 * agrees.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "range.h"

enum { VARIABLES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void count(void *user, const char *message)
{
    require(strlen(message) > 0 && strchr(message, '\n') == NULL);
    ++*(unsigned *)user;
}

static void check_ranges(const struct options *set)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        require(in_range(set, &option_table[i]));
#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    require(set->left operator set->right);
#include "options.def"
}

/* The strings in the bytes, each ended by a zero byte that the caller has seen to. */
static void split(char *bytes, size_t size, char *environment[VARIABLES + 1])
{
    size_t count = 0;

    for (size_t at = 0; at < size && count < VARIABLES; at += strlen(bytes + at) + 1)
        environment[count++] = bytes + at;
    environment[count] = NULL;
}

static void check_environment(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size + 1), *environment[VARIABLES + 1];
    static struct config set;
    struct config_layers layers;
    unsigned reports = 0;

    require(bytes != NULL);
    memcpy(bytes, data, size);
    bytes[size] = '\0';
    split(bytes, size, environment);
    config_begin(&set);
    require(config_parse_environment(environment, &set, count, &reports) == reports);
    check_ranges(&set.options);
    config_find(&layers, environment, false);
    require(!layers.user_file || layers.user_file[0] == '/');
    config_find(&layers, environment, true);
    require(!layers.user_file && !layers.config_file && !layers.environment);
    free(bytes);
}

static unsigned read_text(const char *text, size_t size, struct config *set)
{
    unsigned reports = 0, mistakes;

    config_begin(set);
    mistakes = config_parse_text(text, size, PLACE_CONFIG, "file", set, count, &reports);
    mistakes += config_finish(set, count, &reports);
    require(mistakes == reports);
    return mistakes;
}

/* What it has is within bounds, and asking it whether it matches reads nothing else. */
static void check_rule(const struct rule *rule)
{
    static const struct rule_process process = {"/usr/bin/called", "/usr/bin/file", 1000};
    struct rule_use use = {.roles = ROLE_CONNECT | ROLE_LISTEN};

    require(rule->name[0] && memchr(rule->name, '\0', sizeof rule->name));
    require(rule->address_count <= RULE_ADDRESSES && rule->port_count <= RULE_RANGES &&
            rule->uid_count <= RULE_RANGES);
    for (unsigned i = 0; i < rule->address_count; i++)
        require(rule->addresses[i].network.bits <= 128);
    check_ranges(&rule->options);
    (void)rule_matches_process(rule, &process);
    (void)rule_matches_use(rule, &use);
}

static void check_text(const char *text, size_t size)
{
    static struct config set, again;
    unsigned mistakes = read_text(text, size, &set);

    check_ranges(&set.options);
    require(set.rules.count <= RULES_MAX);
    for (unsigned number = 1; number <= set.rules.count; number++)
        check_rule(rule_numbered(&set.rules, number));
    require(read_text(text, size, &again) == mistakes);
    require(memcmp(&set.options, &again.options, sizeof set.options) == 0);
    require(set.rules.count == again.rules.count);
    for (unsigned i = 0; i < set.rules.count; i++)
        require(memcmp(&set.rules.list[i].options, &again.rules.list[i].options,
                       sizeof set.options) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == '\0')
        check_environment(data + 1, size - 1);
    else
        check_text((const char *)data, size);
    return 0;
}
