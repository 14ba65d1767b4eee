/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of sctpshim-tool that have files of their own; each returns an exit status. */
#ifndef SCTPSHIM_TOOL_H
#define SCTPSHIM_TOOL_H

#include "options.h"

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

/* Says nothing when SCTP sockets can be made, else why not in one line on stderr. */
int check_usable(void);

/* Whether the library is loaded into this very process. */
int check_loaded(void);

/* Whether this command can be preloaded, and why not, in one line. */
int check_binary(const char *command);

#endif
