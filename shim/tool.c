/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sctpshim-tool: what scripts/sctpshim cannot do in shell, and the texts made from the option
 * table: the listing, the sample configuration, the manual's table.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "config.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

enum { TEXT = 300 };

static const char *initial(const struct option_info *option, char *buffer)
{
    return option_format(&options_default, option, buffer, TEXT);
}

static int list_options(void)
{
    char text[TEXT];

    printf("%-17s  %-26s  %-7s  %-7s  %s\n", "OPTION", "VARIABLE", "DEFAULT", "UNIT", "MEANING");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *o = &option_table[i];
        printf("%-17s  SCTPSHIM_%-17s  %-7s  %-7s  %s\n", o->key, o->name, initial(o, text),
               o->unit, o->help);
    }
    return TOOL_OK;
}

/* The words of an ENUM option with their meanings, each in this format. */
static void print_choices(enum option_id id, const char *format)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id)
            printf(format, option_choices[i].word, option_choices[i].help);
}

/* What must hold between this option and others, each in this format. */
static void print_relations(const char *name, const char *format)
{
#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                              \
    if (strcmp(name, #LEFT) == 0)                                                                  \
        printf(format, words, #right);                                                             \
    if (strcmp(name, #RIGHT) == 0)                                                                 \
        printf(format, converse, #left);
#include "options.def"
}

static int print_sample(void)
{
    char text[TEXT];

    puts("# SPDX-License-Identifier: BSD-3-Clause\n"
         "# Configuration of sctpshim: every option, commented out, with its default.\n"
         "# Read from /etc/sctpshim.conf, ~/.config/sctpshim/sctpshim.conf and the file that\n"
         "# SCTPSHIM_CONFIG names, then overridden by SCTPSHIM_<NAME> variables.\n"
         "# Check a file with: sctpshim check-config FILE\n"
         "\n"
         "[sctpshim]");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *o = &option_table[i];
        printf("\n# %s\n# %s", o->help, option_expected(o, text, TEXT));
        print_relations(o->name, ", %s %s");
        puts("");
        print_choices((enum option_id)i, "#   %s: %s\n");
        initial(o, text);
        printf("#%s =%s%s\n", o->key, text[0] ? " " : "", text);
    }
    return TOOL_OK;
}

/* The first letter in upper case, as the manual's sentences begin. */
static void print_sentence(const char *help)
{
    printf("%c%s.\n", help[0] >= 'a' && help[0] <= 'z' ? help[0] - 'a' + 'A' : help[0], help + 1);
}

/* In mdoc(7), one sentence a line. */
static int print_manual(void)
{
    char text[TEXT];

    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *o = &option_table[i];
        printf(".It Ic %s\n", o->key);
        print_sentence(o->help);
        printf("Takes %s", option_expected(o, text, TEXT));
        print_relations(o->name, ", %s %s");
        initial(o, text);
        printf(".\nThe default is %s.\n", text[0] ? text : "nothing");
        if (o->kind == OPTION_KIND_ENUM) {
            puts(".Bl -tag -width debug -compact");
            print_choices((enum option_id)i, ".It Cm %s\n%s\n");
            puts(".El");
        }
    }
    puts(".El");
    return TOOL_OK;
}

static int options_command(int argc, char **argv)
{
    if (argc == 2)
        return list_options();
    if (argc == 3 && strcmp(argv[2], "--conf") == 0)
        return print_sample();
    if (argc == 3 && strcmp(argv[2], "--man") == 0)
        return print_manual();
    fprintf(stderr, "sctpshim: options: expected nothing, --conf or --man\n");
    return TOOL_USAGE;
}

static void print_message(void *user, const char *message)
{
    (void)user;
    puts(message);
}

static unsigned load(struct options *into, config_report *report)
{
    struct config_layers layers;

    *into = options_default;
    config_find(&layers, environ, getauxval(AT_SECURE) != 0);
    return config_read_layers(&layers, into, report, NULL);
}

static int config_command(int argc, char **argv)
{
    struct options read = options_default;
    unsigned mistakes;

    if (argc > 3) {
        fprintf(stderr, "sctpshim: check-config: expected one file or nothing\n");
        return TOOL_USAGE;
    }
    if (argc == 3)
        mistakes = config_read_file(argv[2], &read, print_message, NULL);
    else
        mistakes = load(&read, print_message);
    return mistakes > 0 ? TOOL_BAD : TOOL_OK;
}

/*
 * Checks one flag of the launcher and prints the assignment that it stands for. A relative path
 * is one from here, wherever the program goes to.
 */
static int flag_command(const char *name, const char *value)
{
    const struct option_info *option = option_find(name);
    const struct option_info *nearest = option_nearest(name);
    struct options scratch = options_default;
    char path[PATH_MAX * 2];
    char text[TEXT];

    if (!option) {
        fprintf(stderr, "sctpshim: --%s: no such option", name);
        if (nearest)
            fprintf(stderr, " (did you mean --%s?)", nearest->key);
        fputs("\n", stderr);
        return TOOL_USAGE;
    }
    if (option->kind == OPTION_KIND_PATH && value[0] && value[0] != '/') {
        if (!getcwd(path, PATH_MAX))
            path[0] = '\0';
        strncat(path, "/", 2);
        strncat(path, value, PATH_MAX - 2);
        value = path;
    }
    if (!option_set(&scratch, option, value)) {
        fprintf(stderr, "sctpshim: --%s: expected %s, got '%s'\n", name,
                option_expected(option, text, TEXT), value);
        return TOOL_USAGE;
    }
    printf("SCTPSHIM_%s=%s\n", option->name, value);
    return TOOL_OK;
}

static int usage(void)
{
    fputs("usage: sctpshim-tool options [--conf | --man]\n"
          "       sctpshim-tool check-config [FILE]\n"
          "       sctpshim-tool check [LIBRARY]\n"
          "       sctpshim-tool usable\n"
          "       sctpshim-tool binary COMMAND\n"
          "       sctpshim-tool flag NAME VALUE\n"
          "       sctpshim-tool loaded\n"
          "       sctpshim-tool --version\n",
          stderr);
    return TOOL_USAGE;
}

/* A program that is left on TCP needs no SCTP. */
static int usable_command(void)
{
    struct options configured;

    load(&configured, NULL);
    return configured.action == ACTION_TCP ? TOOL_OK : check_usable();
}

static int check_command(const char *library)
{
    struct options configured;

    load(&configured, NULL);
    return check_machine(&configured, library);
}

static int run(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (strcmp(command, "options") == 0)
        return options_command(argc, argv);
    if (strcmp(command, "check-config") == 0)
        return config_command(argc, argv);
    if (strcmp(command, "check") == 0 && argc <= 3)
        return check_command(argv[2]);
    if (strcmp(command, "usable") == 0 && argc == 2)
        return usable_command();
    if (strcmp(command, "binary") == 0 && argc == 3)
        return check_binary(argv[2]);
    if (strcmp(command, "flag") == 0 && argc == 4)
        return flag_command(argv[2], argv[3]);
    if (strcmp(command, "loaded") == 0 && argc == 2)
        return check_loaded();
    if (strcmp(command, "--version") == 0 && argc == 2) {
        puts("sctpshim " VERSION);
        return TOOL_OK;
    }
    return usage();
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);

    /* A listing that did not reach its file must not look like one that did. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("sctpshim: standard output");
        return TOOL_BAD;
    }
    return status;
}
