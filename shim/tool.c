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
#include "ledger.h"
#include "planes.h"

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

static bool has_choices(enum option_id id)
{
    for (size_t i = 0; i < option_choice_count; i++)
        if (option_choices[i].option == id)
            return true;
    return false;
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

static const char *called(enum plane planes)
{
    switch (planes) {
    case PLANE_DIRECT:
        return "STACK=kernel with LEG=direct";
    case PLANE_KERNEL:
        return "STACK=kernel";
    case PLANE_USERSPACE:
        return "STACK=userspace";
    case PLANE_PATHS:
        return "all but STACK=kernel with LEG=tcp";
    default:
        return "?";
    }
}

/* Who honours it, where not all do, and perhaps why the others do not, in this format. */
static void print_plane(enum option_id id, const char *format)
{
    const struct option_plane *row = option_plane(id);

    if (row)
        printf(format, called(row->planes), row->why);
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
        print_plane((enum option_id)i, "; honoured by %s");
        puts(o->scope == OPTION_SCOPE_PROCESS ? "; not in rules" : "");
        print_choices((enum option_id)i, "#   %s: %s\n");
        initial(o, text);
        printf("#%s =%s%s\n", o->key, text[0] ? " " : "", text);
    }
    puts("\n"
         "# A rule's options are those of the sockets that it matches. The first rule that matches\n"
         "# counts. It may match by program, role, address, port and uid; see sctpshim.conf(5).\n"
         "# Rules\n"
         "#\n"
         "#  [rule dns]\n"
         "#  role = connect\n"
         "#  port = 53, 853\n"
         "#  action = tcp\n"
         "#\n"
         "#  [rule backup]\n"
         "#  program = rsync, /usr/local/bin/backup-*\n"
         "#  address = 192.0.2.0/24, 2001:db8::/32, !192.0.2.1\n"
         "#  sndbuf = 4m");
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
        if (o->scope == OPTION_SCOPE_PROCESS)
            puts("Not in rules: it holds for the whole process.");
        print_plane((enum option_id)i, "Honoured by %s; else it has no effect: %s.\n");
        if (has_choices((enum option_id)i)) {
            puts(".Bl -tag -width debug -compact");
            print_choices((enum option_id)i, ".It Cm %s\n%s\n");
            puts(".El");
        }
    }
    puts(".El");
    return TOOL_OK;
}

/* What not all planes honour, as a table for docs/userspace.md. */
static int print_planes(void)
{
    puts("| option | honoured by | the others go without: |\n|---|---|---|");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_plane *row = option_plane((enum option_id)i);

        if (row)
            printf("| `%s` | %s | %s |\n", option_table[i].name, called(row->planes), row->why);
    }
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
    if (argc == 3 && strcmp(argv[2], "--planes") == 0)
        return print_planes();
    fprintf(stderr, "sctpshim: options: expected nothing, --conf, --man or --planes\n");
    return TOOL_USAGE;
}

/* For docs/fallback.md. */
static int reasons_command(void)
{
    puts("| reason | what it says | decides for |\n|---|---|---|");
    for (int i = REASON_NONE + 1; i < REASONS; i++) {
        const struct reason_row *row = &reason_table[i];

        printf("| `%s` | %s | ", row->word, row->text);
        if (row->seconds)
            printf("%u s at most |\n", row->seconds);
        else
            puts("itself |");
    }
    return TOOL_OK;
}

static void print_message(void *user, const char *message)
{
    (void)user;
    puts(message);
}

static void print_error(void *user, const char *message)
{
    (void)user;
    fprintf(stderr, "sctpshim: %s\n", message);
}

static struct config config;

static unsigned load(config_report *report)
{
    static struct config_layers layers;

    config_find(&layers, environ, getauxval(AT_SECURE) != 0);
    return config_read_layers(&layers, &config, report, NULL);
}

static int config_command(int argc, char **argv)
{
    unsigned mistakes;

    if (argc > 3) {
        fprintf(stderr, "sctpshim: check-config: expected one file or nothing\n");
        return TOOL_USAGE;
    }
    if (argc == 3)
        mistakes = config_read_file(argv[2], &config, print_message, NULL);
    else
        mistakes = load(print_message);
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
    fputs("usage: sctpshim-tool options [--conf | --man | --planes]\n"
          "       sctpshim-tool check-config [FILE]\n"
          "       sctpshim-tool check [LIBRARY]\n"
          "       sctpshim-tool reach LIBRARY HOST PORT\n"
          "       sctpshim-tool knock ADDRESS PORT\n"
          "       sctpshim-tool explain [--connect ADDRESS:PORT | --listen ADDRESS:PORT] COMMAND\n"
          "       sctpshim-tool reasons\n"
          "       sctpshim-tool usable\n"
          "       sctpshim-tool status [OPTION ...]\n"
          "       sctpshim-tool primary [--peer] ASSOCIATION ADDRESS\n"
          "       sctpshim-tool probe ASSOCIATION [ADDRESS]\n"
          "       sctpshim-tool binary COMMAND\n"
          "       sctpshim-tool flag NAME VALUE\n"
          "       sctpshim-tool loaded\n"
          "       sctpshim-tool --version\n",
          stderr);
    return TOOL_USAGE;
}

/* A program that is left on TCP, or may be, needs no SCTP. */
static int usable_command(void)
{
    load(NULL);
    return config.options.action == ACTION_SCTP ? check_usable(&config.options) : TOOL_OK;
}

static int check_command(const char *library)
{
    load(NULL);
    return check_machine(&config.options, library);
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
    if (strcmp(command, "reasons") == 0 && argc == 2)
        return reasons_command();
    if (strcmp(command, "reach") == 0 && argc == 5) {
        load(print_error);
        return reach_command(&config, argv[2], argv[3], argv[4]);
    }
    if (strcmp(command, "knock") == 0 && argc == 4)
        return knock_command(argv[2], argv[3]);
    if (strcmp(command, "explain") == 0) {
        load(print_error);
        return explain_command(&config, argc - 1, argv + 1);
    }
    if (strcmp(command, "usable") == 0 && argc == 2)
        return usable_command();
    if (strcmp(command, "binary") == 0 && argc == 3)
        return check_binary(argv[2]);
    if (strcmp(command, "flag") == 0 && argc == 4)
        return flag_command(argv[2], argv[3]);
    if (strcmp(command, "loaded") == 0 && argc == 2)
        return check_loaded();
    if (strcmp(command, "status") == 0)
        return status_command(argc - 1, argv + 1);
    if (strcmp(command, "primary") == 0)
        return primary_command(argc - 1, argv + 1);
    if (strcmp(command, "probe") == 0)
        return probe_command(argc - 1, argv + 1);
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
