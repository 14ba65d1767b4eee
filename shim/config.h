/* SPDX-License-Identifier: BSD-3-Clause */
/* Where option values come from: files and environment, in layers, with a message per mistake. */
#ifndef SCTPSHIM_CONFIG_H
#define SCTPSHIM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "options.h"

/*
 * Reads every layer into `options` and logs what is wrong with them. Never fails: a value that
 * cannot be used leaves the next lower layer's in force. Keeps errno, allocates no heap memory.
 * Not for two threads at once; call it before the first socket.
 */
void config_load(void);

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
 * The functions below return the number of mistakes that they reported. None of them changes
 * what is already in `into` but by a good value.
 */
unsigned config_read_layers(const struct config_layers *layers, struct options *into,
                            config_report *report, void *user);

/* Reads one file that must exist. */
unsigned config_read_file(const char *path, struct options *into, config_report *report,
                          void *user);

/* Parses a file's text; `file` is what the messages call it. No input or output. */
unsigned config_parse_text(const char *text, size_t length, const char *file,
                           struct options *into, config_report *report, void *user);

/* Parses SCTPSHIM_* variables. */
unsigned config_parse_environment(char *const *environment, struct options *into,
                                  config_report *report, void *user);

#endif
