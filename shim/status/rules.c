/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names of rules. With a socket the kernel has a digest of its rule's; the name is found in
 * this process's configuration, or in that of a process that holds the socket, as it is now.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../config.h"
#include "../kernel/adaptation.h"
#include "snapshot.h"

enum { ENVIRONMENT_SIZE = 1 << 17, VARIABLES = 4096 };

/* The one that was read last; most sockets are of a few programs. */
static struct config config;

static void read_config(char *const *environment)
{
    static struct config_layers layers;

    config_find(&layers, environment, false);
    config_read_layers(&layers, &config, NULL, NULL);
}

/* As it was started with. False when it cannot be read. */
static bool read_config_of(pid_t pid)
{
    static char text[ENVIRONMENT_SIZE], *variables[VARIABLES + 1], path[32];
    int count = 0, fd;
    ssize_t length;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    for (char *at = text; at < text + length && count < VARIABLES; at += strlen(at) + 1)
        variables[count++] = at;
    variables[count] = NULL;
    read_config(variables);
    return true;
}

static const char *find(uint32_t digest)
{
    for (size_t i = 0; i < config.rules.count; i++)
        if (rule_digest(config.rules.list[i].name) == digest)
            return config.rules.list[i].name;
    return NULL;
}

static const char *find_at_holders(const struct entry *entry, uint32_t digest)
{
    const char *name = find(digest);

    for (size_t i = 0; i < entry->holder_count && !name; i++)
        if (read_config_of(entry->holders[i].pid))
            name = find(digest);
    return name;
}

/* What is not to be found any more is known by its digest, which no name looks like. */
void rules_name(struct snapshot *into)
{
    read_config(environ);
    for (size_t i = 0; i < into->count; i++) {
        struct entry *entry = &into->entries[i];
        uint32_t digest = entry->note & NOTE_RULE_MASK;
        const char *name = digest ? find_at_holders(entry, digest) : "";

        if (!entry->note)
            continue;
        if (name)
            entry->rule = strdup(name);
        else if (asprintf(&entry->rule, "#%06x", digest) < 0)
            entry->rule = NULL;
    }
}
