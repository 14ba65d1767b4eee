/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot's memory, its order of work, and the words for what is in it. */
#define _GNU_SOURCE
#include "snapshot.h"

#include <netinet/sctp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../kernel/adaptation.h"
#include "../tool.h"

void *more(void *array, size_t count, size_t size)
{
    /* Doubled at each power of two. */
    if ((count & (count - 1)) == 0) {
        array = realloc(array, (count ? 2 * count : 1) * size);
        if (!array) {
            fputs("sctpshim: out of memory\n", stderr);
            exit(EXIT_FAILURE);
        }
    }
    memset((char *)array + count * size, 0, size);
    return array;
}

void snapshot_miss(struct snapshot *snapshot, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    snapshot->missing = more(snapshot->missing, snapshot->missing_count, sizeof *snapshot->missing);
    snapshot->missing[snapshot->missing_count++] = text;
}

static bool any_reason(const struct snapshot *of)
{
    for (int i = 0; i < REASONS; i++)
        if (of->reasons[i])
            return true;
    return false;
}

/* False when there is nothing to be seen, and nowhere to look. */
static bool take(struct snapshot *into)
{
    bool kernel;

    memset(into, 0, sizeof *into);
    kernel = tables_read(into);
    if (kernel)
        diag_read(into);
    left_read(into);
    holders_find(into);
    if (kernel) {
        inside_look(into);
        rules_name(into);
    }
    brokers_read(into);
    return kernel || into->broker_count || into->count || any_reason(into);
}

/* SCTP may not have been needed since the machine was started, and its module not be loaded yet. */
int snapshot_take(struct snapshot *into)
{
    static const struct options kernel = {.stack = STACK_KERNEL};
    int status;

    if (take(into))
        return TOOL_OK;
    status = check_usable(&kernel);
    if (status || take(into))
        return status;
    fputs("sctpshim: /proc/net/sctp/assocs cannot be read\n", stderr);
    return TOOL_NO_SCTP;
}

void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        struct entry *entry = &snapshot->entries[i];

        for (size_t n = 0; n < entry->holder_count; n++)
            free(entry->holders[n].fds);
        free(entry->holders);
        free(entry->locals);
        free(entry->rule);
        free(entry->paths);
    }
    for (size_t i = 0; i < snapshot->missing_count; i++)
        free(snapshot->missing[i]);
    free(snapshot->entries);
    free(snapshot->brokers);
    free(snapshot->missing);
    memset(snapshot, 0, sizeof *snapshot);
}

void entry_judge(struct entry *entry, uint32_t indication)
{
    entry->shim = adaptation_is_ours(indication);
    if (!entry->shim || entry->listening || entry->waiting)
        return;
    /* The announcement comes with the handshake; before the first bit is kept there is none. */
    if (entry->state >= ESTABLISHED)
        entry->peer_shim = adaptation_state(indication) & STATE_PEER_IS_SHIM;
}

struct path *entry_path(const struct entry *entry, const char *address)
{
    for (size_t i = 0; i < entry->path_count; i++)
        if (strcmp(entry->paths[i].address.text, address) == 0)
            return &entry->paths[i];
    return NULL;
}

static const char *word(int value, const char *const *words, size_t count)
{
    return value >= 0 && (size_t)value < count ? words[value] : "UNKNOWN";
}

const char *entry_state(const struct entry *entry)
{
    static const char *const words[] = {
        "CLOSED",           "COOKIE-WAIT",   "COOKIE-ECHOED",     "ESTABLISHED",
        "SHUTDOWN-PENDING", "SHUTDOWN-SENT", "SHUTDOWN-RECEIVED", "SHUTDOWN-ACK-SENT"};

    return entry->leg[0]      ? entry->leg
           : entry->listening ? "LISTEN"
                              : word(entry->state, words, sizeof words / sizeof words[0]);
}

const char *path_state(const struct path *path)
{
    static const char *const words[] = {
        [SCTP_INACTIVE] = "INACTIVE",
        [SCTP_PF] = "PF",
        [SCTP_ACTIVE] = "ACTIVE",
        [SCTP_UNCONFIRMED] = "UNCONFIRMED",
    };

    return word(path->state, words, sizeof words / sizeof words[0]);
}

int64_t ticks_to_ms(int64_t ticks)
{
    struct timespec tick;

    /* The coarse clock steps once a tick. */
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0)
        return UNKNOWN;
    return ticks * tick.tv_nsec / 1000000;
}
