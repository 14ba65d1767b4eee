/* SPDX-License-Identifier: BSD-3-Clause */
/* sctpshim explain: which rules match a command's sockets, and what these become then. */
#define _GNU_SOURCE
#include "tool.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 1024 };

static int usage_error(void)
{
    fputs("sctpshim: explain: expected [--connect ADDRESS:PORT | --listen ADDRESS:PORT] COMMAND\n",
          stderr);
    return TOOL_USAGE;
}

/* 192.0.2.1:53 or [2001:db8::1]:53 */
static bool parse_end(const char *text, struct sockaddr_in6 *end)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name = {0};
    const char *colon = strrchr(text, ':');
    char address[INET6_ADDRSTRLEN + 1] = "", *rest;
    bool six = text[0] == '[';
    size_t length = colon ? (size_t)(colon - text) : 0;
    unsigned long port;

    if (!colon || length - 2 * six >= sizeof(address) || (six && colon[-1] != ']') ||
        colon[1] < '0' || colon[1] > '9')
        return false;
    memcpy(address, text + six, length - 2 * six);
    port = strtoul(colon + 1, &rest, 10);
    if (*rest || port > UINT16_MAX)
        return false;
    name.in.sin_family = six ? AF_INET6 : AF_INET;
    name.in.sin_port = htons((uint16_t)port);
    return inet_pton(name.any.sa_family, address,
                     six ? (void *)&name.in6.sin6_addr : (void *)&name.in.sin_addr) == 1 &&
           rule_name(end, &name.any);
}

static bool parse_use(const char *flag, const char *value, struct rule_use *use)
{
    bool connect = strcmp(flag, "--connect") == 0;

    if (use->roles || (!connect && strcmp(flag, "--listen") != 0))
        return false;
    use->roles = connect ? ROLE_CONNECT : ROLE_LISTEN;
    return value && parse_end(value, connect ? &use->remote : &use->local);
}

/* Takes the flags off; false when they are wrong. */
static bool parse_flags(int *argc, char ***argv, struct rule_use *use)
{
    for (; *argc > 0 && strncmp((*argv)[0], "--", 2) == 0; --*argc, ++*argv) {
        char *flag = (*argv)[0], *equals = strchr(flag, '=');

        if (strcmp(flag, "--") == 0) {
            --*argc, ++*argv;
            break;
        }
        if (equals)
            *equals = '\0';
        else
            --*argc, ++*argv;
        if (*argc <= 0 || !parse_use(flag, equals ? equals + 1 : (*argv)[0], use))
            return false;
    }
    return *argc > 0;
}

/* `file:line`, or the variable's name. */
static const char *place_of(const struct config *config, struct origin origin,
                            const struct option_info *option, char *text)
{
    if (origin.place == PLACE_DEFAULT)
        return "default";
    if (origin.place == PLACE_ENVIRONMENT)
        snprintf(text, TEXT, "SCTPSHIM_%s", option->name);
    else
        snprintf(text, TEXT, "%s:%u", config->places[origin.place], origin.line);
    return text;
}

/* The options of one scope that are not as they are by default, and where each comes from. */
static void print_options(const struct config *config, const struct options *o,
                          const struct origin *origin, enum option_scope scope)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *option = &option_table[i];
        char value[TEXT], initial[TEXT], place[TEXT];

        option_format(o, option, value, sizeof(value));
        option_format(&options_default, option, initial, sizeof(initial));
        if (option->scope == scope && i != OPTION_ACTION && strcmp(value, initial) != 0)
            printf("    %s = %s (%s)\n", option->key, value,
                   place_of(config, origin[i], option, place));
    }
}

static void print_outcome(const struct config *config, const struct options *o,
                          const struct origin *origin)
{
    const struct option_info *action = &option_table[OPTION_ACTION];
    char value[TEXT], place[TEXT];

    printf("action %s (%s)\n", option_format(o, action, value, sizeof(value)),
           place_of(config, origin[OPTION_ACTION], action, place));
    if (o->action != ACTION_TCP)
        print_options(config, o, origin, OPTION_SCOPE_RULE);
}

/* What decides about a rule whose socket is not known. */
static void print_conditions(const struct rule *rule)
{
    static const char *const words[] = {"role", "address", "port"};
    const bool has[] = {rule->roles != 0, rule->address_count != 0, rule->port_count != 0};
    const char *separator = " ";

    for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++)
        if (has[i]) {
            printf("%s%s", separator, words[i]);
            separator = ", ";
        }
}

/* True when no later rule, and not the lack of one, can decide. */
static bool print_rule(const struct config *config, const struct rule *rule,
                       const struct rule_process *process, const struct rule_use *use)
{
    const char *other = rule_other_process(rule, process);
    bool known = use->roles || rule_matches_any_use(rule);

    if (!other && use->roles)
        other = rule_other_use(rule, use);
    printf("rule %s (%s:%u): ", rule->name, config->places[rule->where.place], rule->where.line);
    if (other) {
        printf("does not match by its %s\n", other);
        return false;
    }
    if (known) {
        printf("matches: ");
    } else {
        printf("may match, by");
        print_conditions(rule);
        printf(": ");
    }
    print_outcome(config, &rule->options, rule->origin);
    return known;
}

static void print_rules(const struct config *config, const struct rule_process *process,
                        const struct rule_use *use)
{
    for (unsigned number = 1; number <= config->rules.count; number++)
        if (print_rule(config, rule_numbered(&config->rules, number), process, use))
            return;
    printf("no rule: ");
    print_outcome(config, &config->options, config->origin);
}

/* `env python3` and the like: the rules see the program that it becomes. */
static void warn_of_env(const char *file)
{
    const char *slash = strrchr(file, '/');

    if (slash && strcmp(slash + 1, "env") == 0)
        puts("it is started by env, which becomes another program: explain that one");
}

int explain_command(const struct config *config, int argc, char **argv)
{
    struct rule_use use = {0};
    struct rule_process process = {.uid = geteuid()};
    char called[PATH_MAX], file[PATH_MAX];
    int status;

    argc--;
    argv++;
    if (!parse_flags(&argc, &argv, &use))
        return usage_error();
    status = command_files(argv[0], called, file, sizeof(called));
    if (status != TOOL_OK)
        return status;
    process.called = called;
    process.file = file;
    printf("%s: program %s\n", argv[0], file);
    warn_of_env(file);
    print_rules(config, &process, &use);
    puts("the whole process:");
    print_options(config, &config->options, config->origin, OPTION_SCOPE_PROCESS);
    fflush(stdout);
    status = check_binary(argv[0]);
    if (status == TOOL_OK)
        puts("it can be preloaded");
    return status;
}
