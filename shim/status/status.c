/* SPDX-License-Identifier: BSD-3-Clause */
/* sctpshim status: the command line, which sockets are shown, and watching them. */
#define _GNU_SOURCE
#include "status.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/sctp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tool.h"

/* What was asked for; zero and NULL ask for nothing. */
struct wish {
    bool json;
    double interval; /* seconds from one look to the next */
    pid_t pid;
    uint16_t port;
    const char *program;
    struct address_text address;
};

static const char usage[] =
    "usage: sctpshim status [--json] [--watch[=SECONDS]] [--pid=PID] [--program=NAME]\n"
    "                       [--port=PORT] [--address=ADDRESS]\n";

static int expected(const char *option, const char *what, const char *got)
{
    fprintf(stderr, "sctpshim: status: --%s: expected %s, got '%s'\n", option, what, got);
    return TOOL_USAGE;
}

/* A whole number from 1 to most; 0 for anything else. */
static long whole(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);

    return *text && !*end && value > 0 && value <= most ? value : 0;
}

static int take_option(int option, const char *value, struct wish *into)
{
    char *end = "";

    switch (option) {
    case 'j':
        into->json = true;
        return TOOL_OK;
    case 'w':
        into->interval = value ? strtod(value, &end) : 2;
        return into->interval >= 0.1 && into->interval <= 86400 && !*end
                   ? TOOL_OK
                   : expected("watch", "seconds from 0.1 to 86400", value);
    case 'p':
        into->pid = (pid_t)whole(value, INT32_MAX);
        return into->pid ? TOOL_OK : expected("pid", "a process number", value);
    case 'o':
        into->port = (uint16_t)whole(value, UINT16_MAX);
        return into->port ? TOOL_OK : expected("port", "a number from 1 to 65535", value);
    case 'a':
        return address_read(value, &into->address) ? TOOL_OK
                                                   : expected("address", "an IP address", value);
    case 'n':
        into->program = value;
        return *value ? TOOL_OK : expected("program", "a name", value);
    default: /* getopt_long() has said why */
        fputs(usage, stderr);
        return TOOL_USAGE;
    }
}

static int parse(int argc, char **argv, struct wish *into)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},          {"watch", optional_argument, NULL, 'w'},
        {"pid", required_argument, NULL, 'p'},     {"port", required_argument, NULL, 'o'},
        {"address", required_argument, NULL, 'a'}, {"program", required_argument, NULL, 'n'},
        {NULL, 0, NULL, 0}};
    int option, status = TOOL_OK;

    argv[0] = "sctpshim: status";
    while (!status && (option = getopt_long(argc, argv, "", known, NULL)) != -1)
        status = take_option(option, optarg, into);
    if (!status && optind < argc) {
        fprintf(stderr, "sctpshim: status: expected options only, got '%s'\n%s", argv[optind],
                usage);
        return TOOL_USAGE;
    }
    return status;
}

static bool held_by(const struct entry *entry, const struct wish *wish)
{
    for (size_t i = 0; i < entry->holder_count; i++)
        if ((!wish->pid || entry->holders[i].pid == wish->pid) &&
            (!wish->program || strcmp(entry->holders[i].program, wish->program) == 0))
            return true;
    return !wish->pid && !wish->program;
}

static bool at_address(const struct entry *entry, const struct wish *wish)
{
    for (size_t i = 0; i < entry->local_count; i++)
        if (strcmp(entry->locals[i].text, wish->address.text) == 0)
            return true;
    return !wish->address.text[0] || entry_path(entry, wish->address.text);
}

/* Leaves those that were asked for, in their order; the others go to the end. */
static void select_entries(struct snapshot *of, const struct wish *wish)
{
    size_t wanted = 0;

    for (size_t i = 0; i < of->count; i++) {
        struct entry entry = of->entries[i];

        if (!held_by(&entry, wish) || !at_address(&entry, wish) ||
            (wish->port && entry.local_port != wish->port && entry.peer_port != wish->port))
            continue;
        of->entries[i] = of->entries[wanted];
        of->entries[wanted++] = entry;
    }
    of->count = wanted;
}

/* ---- Watching ---- */

static const struct entry *same(const struct snapshot *in, const struct entry *entry)
{
    for (size_t i = 0; i < in->count; i++)
        if (entry->id && in->entries[i].id == entry->id)
            return &in->entries[i];
    return NULL;
}

/* How often a path went down, or another became the primary one, from one look to the next. */
static int64_t changes(const struct entry *before, const struct entry *now)
{
    int64_t count = 0;

    for (size_t i = 0; i < now->path_count; i++) {
        const struct path *path = &now->paths[i], *then = entry_path(before,
                                                                     path->address.text);

        if (then)
            count += (then->state == SCTP_ACTIVE &&
                      (path->state == SCTP_PF || path->state == SCTP_INACTIVE)) +
                     (path->primary && !then->primary);
    }
    return count;
}

/* Where nobody else counts failovers, whoever watches does. */
static void count_failovers(const struct snapshot *before, struct snapshot *now)
{
    for (size_t i = 0; i < now->count; i++) {
        struct entry *entry = &now->entries[i];
        const struct entry *then = same(before, entry);

        if (entry->listening || entry->failovers != UNKNOWN)
            continue;
        entry->failovers = !then                         ? 0
                           : then->failovers == UNKNOWN ? changes(then, entry)
                                                        : then->failovers + changes(then, entry);
    }
}

static void show(const struct snapshot *snapshot, const struct wish *wish)
{
    if (wish->json) {
        json_snapshot(snapshot);
        return;
    }
    if (wish->interval > 0) {
        char text[40];
        time_t now = time(NULL);

        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", localtime(&now));
        /* A terminal shows the newest look only, a file all of them. */
        printf("%s%s\n", isatty(STDOUT_FILENO) ? "\033[H\033[J" : "", text);
    }
    text_snapshot(snapshot);
}

static void wait_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        ;
}

int status_command(int argc, char **argv)
{
    struct wish wish = {0};
    struct snapshot before = {0}, now;
    int status = parse(argc, argv, &wish);

    if (status)
        return status;
    for (;;) {
        status = snapshot_take(&now);
        if (status)
            break;
        if (wish.interval > 0)
            count_failovers(&before, &now);
        snapshot_free(&before);
        before = now;
        select_entries(&now, &wish);
        show(&now, &wish);
        if (!(wish.interval > 0) || ferror(stdout))
            break;
        wait_for(wish.interval);
    }
    snapshot_free(&before);
    return status;
}
