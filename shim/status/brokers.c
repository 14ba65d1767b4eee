/* SPDX-License-Identifier: BSD-3-Clause */
/* What this user's brokers carry: they say so themselves. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>

#include "../tool.h"
#include "status.h"

static bool show(const char *name)
{
    char path[PATH_MAX], command[PATH_MAX + 40], line[1024];
    FILE *answer;
    bool any = false;

    if (!find_broker(name, path, sizeof path))
        return false;
    snprintf(command, sizeof command, "'%s' --list 2>/dev/null", path);
    fflush(stdout);
    answer = popen(command, "re");
    if (!answer)
        return false;
    while (fgets(line, sizeof line, answer))
        any |= fputs(line, stdout) >= 0;
    pclose(answer);
    return any;
}

bool brokers_show(void)
{
    bool userspace = show("sctpshimd"), kernel = show("sctpshimd-kernel");

    return userspace || kernel;
}
