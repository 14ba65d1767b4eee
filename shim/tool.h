/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of sctpshim-tool that have files of their own; each returns an exit status. */
#ifndef SCTPSHIM_TOOL_H
#define SCTPSHIM_TOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

/* Exit statuses that scripts/sctpshim passes on. */
enum {
    TOOL_OK = 0,
    TOOL_BAD = 1, /* what was looked at is not as it should be */
    TOOL_USAGE = 2,
    TOOL_NO_SCTP = 69,         /* EX_UNAVAILABLE of sysexits.h */
    TOOL_NOT_EXECUTABLE = 126, /* as the shell has it */
    TOOL_NOT_FOUND = 127,
};

/* What this machine can do, line by line; `library` may be NULL. */
int check_machine(const struct options *configured, const char *library);

/* Who answers at that host and port, by which protocol, and what the library would do. */
int reach_command(const struct config *config, const char *library, const char *host,
                  const char *port);
/* A connect to there, and its errno on standard output. */
int knock_command(const char *address, const char *port);

/*
 * Says nothing when the configured stack, or any, can be used, else why not in one line on stderr.
 */
int check_usable(const struct options *configured);

/* Where a broker's program is, "sctpshimd" or "sctpshimd-kernel"; false: there is none. */
bool find_broker(const char *name, char *path, size_t size);

/* Whether the library is loaded into this very process. */
int check_loaded(void);

/* Whether this command can be preloaded, and why not, in one line. */
int check_binary(const char *command);

/*
 * Looks for a command as execvp() does, and says on stderr when there is none: an exit status.
 * Called is where it is, file what then runs: itself, or the interpreter of a script.
 */
int command_files(const char *command, char *called, char *file, size_t size);

/* Which rules match a command, and what its sockets become. */
int explain_command(const struct config *config, int argc, char **argv);

/* status/left.c: the ledger of this user and this network. */
struct ledger;
bool ledger_open_here(struct ledger *ledger, bool make);

/* status/: the associations of this network namespace, and changes to one; with their arguments. */
int status_command(int argc, char **argv);
int primary_command(int argc, char **argv);
int probe_command(int argc, char **argv);

#endif
