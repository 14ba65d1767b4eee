/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot for people to read. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "status.h"

enum { INDENT = 6 };

const char *entry_local(const struct entry *entry)
{
    return entry->local_count ? entry->locals[0].text : "?";
}

const char *entry_peer(const struct entry *entry)
{
    return entry->path_count ? entry->paths[0].address.text : "?";
}

/* "nginx 1200:5,7 1201:5" */
static void print_holders(const struct entry *entry)
{
    const char *program = "";

    for (size_t i = 0; i < entry->holder_count; i++) {
        const struct holder *holder = &entry->holders[i];

        if (strcmp(program, holder->program) != 0)
            printf("  %s", program = holder->program);
        printf(" %d", (int)holder->pid);
        for (size_t n = 0; n < holder->fd_count; n++)
            printf("%c%d", n ? ',' : ':', holder->fds[n]);
    }
    if (!entry->holder_count)
        printf(entry->inode || entry->leg[0] ? "  a program of user %u" : "  no program any more", entry->uid);
}

/* The kind of each end, as far as it is known, and the rule that made this one so. */
static void print_kinds(const struct entry *entry)
{
    static const char *const words[] = {"unknown", "native", "shim"};

    printf("  (%s", words[entry->shim + 1]);
    if (!entry->listening)
        printf(" to %s", words[entry->peer_shim + 1]);
    if (entry->rule)
        printf("%s%s", *entry->rule ? "; rule " : "; no rule", entry->rule);
    puts(")");
}

static void print_number(const char *name, int64_t value, const char *unit)
{
    if (value == UNKNOWN)
        printf("  %s -", name);
    else
        printf("  %s %" PRId64 "%s", name, value, unit);
}

static void print_path(const struct path *path, int width)
{
    printf("%*spath %-*s  %-11s  %-7s", INDENT, "", width, path->address.text, path_state(path),
           path->primary ? "primary" : "");
    print_number("cwnd", path->cwnd, "");
    print_number("srtt", path->srtt, " ms");
    print_number("rto", path->rto, " ms");
    print_number("mtu", path->mtu, "");
    puts("");
}

static void print_paths(const struct entry *entry)
{
    int width = 0;

    for (size_t i = 0; i < entry->path_count; i++) {
        int length = (int)strlen(entry->paths[i].address.text);

        width = length > width ? length : width;
    }
    for (size_t i = 0; i < entry->path_count; i++)
        print_path(&entry->paths[i], width);
}

static void print_locals(const struct entry *entry)
{
    if (entry->local_count < 2)
        return;
    printf("%*slocal", INDENT, "");
    for (size_t i = 0; i < entry->local_count; i++)
        printf(" %s", entry->locals[i].text);
    puts("");
}

static void print_counts(const struct entry *entry)
{
    printf("%*sstreams %" PRId64 " in %" PRId64 " out; queued %" PRId64 " in %" PRId64
           " out; retransmitted %" PRId64,
           INDENT, "", entry->streams_in, entry->streams_out, entry->receive_queue,
           entry->send_queue, entry->retransmitted);
    if (entry->failovers != UNKNOWN)
        printf("; failovers %" PRId64, entry->failovers);
    puts(entry->waiting ? "; waits for accept()" : "");
}

static void print_left(const struct entry *entry, const char *local, const char *peer)
{
    printf("%-*s%s %s%s%s", INDENT, "tcp", left_state(entry), local, entry->listening ? "" : "-",
           entry->listening ? "" : peer);
    print_holders(entry);
    printf("\n%*s%s: %s: %s\n", INDENT, "",
           entry->listening ? "listens" : entry->accepted ? "accepted" : "connected",
           reason_table[entry->reason].word, reason_table[entry->reason].text);
}

void text_entry(const struct entry *entry)
{
    struct endpoint_text local = endpoint_format(entry_local(entry), entry->local_port);
    struct endpoint_text peer = endpoint_format(entry_peer(entry), entry->peer_port);

    if (entry->reason) {
        print_left(entry, local.text, peer.text);
        return;
    }
    if (entry->listening) {
        printf("%-*s%s %s", INDENT, "-", "LISTEN", local.text);
        print_holders(entry);
        print_kinds(entry);
        print_locals(entry);
        return;
    }
    if (entry->id)
        printf("%-*" PRIu32, INDENT, entry->id);
    else
        printf("%-*s", INDENT, "-");
    printf("%s %s-%s", entry_state(entry), local.text, peer.text);
    print_holders(entry);
    if (entry->leg[0]) {
        puts("  (through the broker)");
        return;
    }
    print_kinds(entry);
    print_locals(entry);
    print_paths(entry);
    print_counts(entry);
}

/* "left to TCP so far: 3 refused, 12 cached" */
static void print_reasons(const struct snapshot *snapshot)
{
    const char *before = "left to TCP so far: ";

    for (int i = REASON_NONE + 1; i < REASONS; i++)
        if (snapshot->reasons[i]) {
            printf("%s%" PRIu64 " %s", before, snapshot->reasons[i], reason_table[i].word);
            before = ", ";
        }
    if (*before == ',')
        puts("");
}

void text_snapshot(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        text_entry(&snapshot->entries[i]);
    if (!snapshot->count)
        puts("no SCTP sockets");
    for (size_t i = 0; i < snapshot->broker_count; i++)
        printf("broker %d: %s\n", (int)snapshot->brokers[i].pid, snapshot->brokers[i].text);
    print_reasons(snapshot);
    fflush(stdout);
    for (size_t i = 0; i < snapshot->missing_count; i++)
        fprintf(stderr, "sctpshim: not shown: %s\n", snapshot->missing[i]);
}
