/* SPDX-License-Identifier: BSD-3-Clause */
/* Where option values come from: files and environment, in layers, with a message per mistake. */
#ifndef SCTPSHIM_CONFIG_H
#define SCTPSHIM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "rules.h"

/* Everything that the configuration says. Large: not for a stack. */
struct config {
    struct options options;             /* where no rule matches */
    struct origin origin[OPTION_COUNT]; /* of each of them */
    const char *places[PLACES];         /* what messages call them; NULL for what was not read */
    struct rules rules;
};

/*
 * Reads every layer into `options`, puts the rules into force and logs what is wrong. Never fails:
 * a value that cannot be used leaves the next lower layer's in force. Keeps errno, allocates no
 * heap memory.
 * Not for two threads at once; call it before the first socket.
 */
void config_load(void);

/* Which process this is, for rules; `buffer` is where its file's name goes to. */
void config_process(struct rule_process *process, char *buffer, size_t size);

/* Called with each mistake found: one line without its end. */
typedef void config_report(void *user, const char *message);

/* What there is to be read, lowest layer first; NULL for a layer that is not there. */
struct config_layers {
    const char *system_file;
    const char *user_file;
    const char *config_file; /* SCTPSHIM_CONFIG: must exist */
    char *const *environment;
    char user_path[1024]; /* where user_file points to */
};

/*
 * Finds out which layers apply to a process with this environment. In a secure one (set-uid,
 * AT_SECURE) only the system's file does, because whoever runs the program must not configure it.
 */
void config_find(struct config_layers *layers, char *const *environment, bool secure);

/*
 * The functions below return the number of mistakes that they reported. The places in `into` are
 * then called by the strings that were given.
 */

/* Reads all layers, from the defaults to the end. */
unsigned config_read_layers(const struct config_layers *layers, struct config *into,
                            config_report *report, void *user);

/* Reads one file, which must exist, as if it were the only layer. */
unsigned config_read_file(const char *path, struct config *into, config_report *report,
                          void *user);

/* The defaults and no rules: what the layers below are parsed into, the weaker first. */
void config_begin(struct config *into);

/*
 * Parses a file's text; `file` is what the messages call it. No input or output. Nothing of what
 * is there is changed but by a good value.
 */
unsigned config_parse_text(const char *text, size_t length, enum place place, const char *file,
                           struct config *into, config_report *report, void *user);

/* Parses SCTPSHIM_* variables. */
unsigned config_parse_environment(char *const *environment, struct config *into,
                                  config_report *report, void *user);

/* All is read: puts the rules in order, and fills in the options that they leave alone. */
unsigned config_finish(struct config *into, config_report *report, void *user);

#endif
