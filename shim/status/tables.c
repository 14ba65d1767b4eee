/* SPDX-License-Identifier: BSD-3-Clause */
/* /proc/net/sctp: associations, their paths and the listening sockets, for every user to read. */
#define _GNU_SOURCE
#include "snapshot.h"

#include <netinet/sctp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES "/proc/net/sctp/"

/* The words of a line, which is cut into them. */
struct words {
    char *word[512];
    size_t count;
};

static void cut(char *line, struct words *into)
{
    char *rest = line, *word;

    into->count = 0;
    while ((word = strtok_r(rest, " \t\n", &rest)) &&
           into->count < sizeof into->word / sizeof into->word[0])
        into->word[into->count++] = word;
}

static int64_t number(const struct words *words, size_t at)
{
    return at < words->count ? strtoll(words->word[at], NULL, 10) : UNKNOWN;
}

/* The kernel marks primary ones with a star. */
static bool take_address(const char *word, struct address_text *into, bool *primary)
{
    *primary = *word == '*';
    return address_read(word + *primary, into);
}

/* The addresses from there on; returns where they end. */
static size_t take_locals(const struct words *words, size_t at, struct entry *entry)
{
    struct address_text address;
    bool primary;

    for (; at < words->count && take_address(words->word[at], &address, &primary); at++) {
        entry->locals = more(entry->locals, entry->local_count, sizeof *entry->locals);
        entry->locals[entry->local_count++] = address;
    }
    return at;
}

static size_t take_paths(const struct words *words, size_t at, struct entry *entry)
{
    struct path path = {.state = UNKNOWN,
                        .cwnd = UNKNOWN,
                        .mtu = UNKNOWN,
                        .srtt = UNKNOWN,
                        .rto = UNKNOWN};

    for (; at < words->count && take_address(words->word[at], &path.address, &path.primary); at++) {
        entry->paths = more(entry->paths, entry->path_count, sizeof *entry->paths);
        entry->paths[entry->path_count++] = path;
    }
    return at;
}

static struct entry *new_entry(struct snapshot *into)
{
    struct entry *entry;

    into->entries = more(into->entries, into->count, sizeof *into->entries);
    entry = &into->entries[into->count++];
    entry->failovers = entry->shim = entry->peer_shim = UNKNOWN;
    return entry;
}

/* Columns of a line, by their names in the first one. */
enum { STYLE = 2, ONE_TO_ONE = 2 };
enum { A_STATE = 4, A_ID = 6, A_SENT, A_RECEIVED, A_UID, A_INODE, A_LPORT, A_RPORT, A_LOCALS };
/* Counted from the end of the peer's addresses. */
enum { A_IN = 1, A_OUT, A_RETRANSMITTED = 6 };
enum { E_STATE = 3, E_LPORT = 5, E_UID, E_INODE, E_LOCALS, E_LISTENS = 10 };

static void take_association(struct snapshot *into, const struct words *words)
{
    struct entry *entry;
    size_t at;

    if (words->count <= A_LOCALS)
        return;
    entry = new_entry(into);
    entry->one_to_many = number(words, STYLE) != ONE_TO_ONE;
    entry->state = (int)number(words, A_STATE);
    entry->id = (uint32_t)number(words, A_ID);
    entry->send_queue = number(words, A_SENT);
    entry->receive_queue = number(words, A_RECEIVED);
    entry->uid = (unsigned)number(words, A_UID);
    entry->inode = (unsigned long)number(words, A_INODE);
    entry->local_port = (uint16_t)number(words, A_LPORT);
    entry->peer_port = (uint16_t)number(words, A_RPORT);
    at = take_locals(words, A_LOCALS, entry);
    at = take_paths(words, at + 1, entry); /* after the arrow */
    entry->streams_in = number(words, at + A_IN);
    entry->streams_out = number(words, at + A_OUT);
    entry->retransmitted = number(words, at + A_RETRANSMITTED);
}

static void take_endpoint(struct snapshot *into, const struct words *words)
{
    struct entry *entry;

    if (words->count <= E_LOCALS || number(words, E_STATE) != E_LISTENS)
        return;
    entry = new_entry(into);
    entry->listening = true;
    entry->one_to_many = number(words, STYLE) != ONE_TO_ONE;
    entry->uid = (unsigned)number(words, E_UID);
    entry->inode = (unsigned long)number(words, E_INODE);
    entry->local_port = (uint16_t)number(words, E_LPORT);
    take_locals(words, E_LOCALS, entry);
}

/* ADDR ASSOC_ID HB_ACT RTO MAX_PATH_RTX REM_ADDR_RTX START STATE; the RTO is in ticks. */
static void take_path(struct snapshot *into, const struct words *words)
{
    struct address_text address;
    bool primary;

    if (words->count < 4 || !take_address(words->word[0], &address, &primary))
        return;
    for (size_t i = 0; i < into->count; i++) {
        struct entry *entry = &into->entries[i];
        struct path *path;

        if (entry->listening || entry->id != (uint32_t)number(words, 1) ||
            !(path = entry_path(entry, address.text)))
            continue;
        path->rto = ticks_to_ms(number(words, 3));
        path->state = (int)number(words, 7);
    }
}

static bool read_table(struct snapshot *into, const char *name,
                       void (*take)(struct snapshot *, const struct words *))
{
    FILE *table = fopen(name, "re");
    struct words words;
    char *line = NULL;
    size_t room = 0;

    if (!table)
        return false;
    for (bool heading = true; getline(&line, &room, table) > 0; heading = false) {
        if (heading)
            continue;
        cut(line, &words);
        take(into, &words);
    }
    free(line);
    fclose(table);
    return true;
}

static void find_waiting(struct snapshot *of)
{
    for (size_t i = 0; i < of->count; i++)
        for (size_t n = 0; of->entries[i].listening && n < of->count; n++)
            of->entries[n].waiting |= !of->entries[n].listening && !of->entries[n].one_to_many &&
                                      of->entries[n].inode == of->entries[i].inode;
}

bool tables_read(struct snapshot *into)
{
    if (!read_table(into, TABLES "assocs", take_association))
        return false;
    if (!read_table(into, TABLES "remaddr", take_path))
        snapshot_miss(into, "the state of paths: this kernel has no " TABLES "remaddr");
    read_table(into, TABLES "eps", take_endpoint);
    find_waiting(into);
    return true;
}
