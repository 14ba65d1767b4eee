/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot as one line of JSON (RFC 8259); what is not known is null. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "status.h"

/* Does another value stand before, in the object or array that is open? */
static bool follows;

static void put_text(const char *text);

/* What comes before a value: a comma, and in objects a name (NULL in arrays). */
static void begin(const char *name)
{
    if (follows)
        putchar(',');
    follows = true;
    if (name) {
        put_text(name);
        putchar(':');
    }
}

static void open_with(const char *name, char bracket)
{
    begin(name);
    putchar(bracket);
    follows = false;
}

static void close_with(char bracket)
{
    putchar(bracket);
    follows = true;
}

/* How many bytes of well-formed UTF-8 (RFC 3629) begin there; 0 for none. */
static size_t utf8(const unsigned char *at)
{
    size_t length = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    unsigned char least = *at == 0xe0 ? 0xa0 : *at == 0xf0 ? 0x90 : 0x80;
    unsigned char most = *at == 0xed ? 0x9f : *at == 0xf4 ? 0x8f : 0xbf;

    if (*at > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++, least = 0x80, most = 0xbf)
        if (at[i] < least || at[i] > most)
            return 0;
    return length;
}

/* Names of programs may be any bytes; what is no UTF-8 becomes a replacement character. */
static void put_text(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putchar('"');
    while (*at) {
        size_t length = utf8(at);

        if (!length)
            fputs("\\ufffd", stdout);
        else if (*at < ' ' || *at == '"' || *at == '\\')
            printf("\\u%04x", *at);
        else
            fwrite(at, 1, length, stdout);
        at += length ? length : 1;
    }
    putchar('"');
}

static void put_string(const char *name, const char *text)
{
    begin(name);
    if (text)
        put_text(text);
    else
        fputs("null", stdout);
}

static void put_number(const char *name, int64_t value)
{
    begin(name);
    if (value == UNKNOWN)
        fputs("null", stdout);
    else
        printf("%" PRId64, value);
}

static void put_truth(const char *name, int value)
{
    begin(name);
    fputs(value == UNKNOWN ? "null" : value ? "true" : "false", stdout);
}

static void put_holder(const struct holder *holder)
{
    open_with(NULL, '{');
    put_number("pid", holder->pid);
    put_string("program", holder->program);
    open_with("fds", '[');
    for (size_t i = 0; i < holder->fd_count; i++)
        put_number(NULL, holder->fds[i]);
    close_with(']');
    put_truth("library", holder->library);
    close_with('}');
}

static void put_holders(const struct entry *entry)
{
    open_with("holders", '[');
    for (size_t i = 0; i < entry->holder_count; i++)
        put_holder(&entry->holders[i]);
    close_with(']');
}

/* What associations and listening sockets have in common. */
static void put_socket(const struct entry *entry)
{
    put_number("inode", entry->inode ? (int64_t)entry->inode : UNKNOWN);
    put_number("uid", entry->uid);
    put_string("style", entry->one_to_many ? "one-to-many" : "one-to-one");
    put_truth("shim", entry->shim);
    put_string("rule", entry->rule);
    put_number("local_port", entry->local_port);
    open_with("local_addresses", '[');
    for (size_t i = 0; i < entry->local_count; i++)
        put_string(NULL, entry->locals[i].text);
    close_with(']');
    put_holders(entry);
}

static void put_path(const struct path *path)
{
    open_with(NULL, '{');
    put_string("address", path->address.text);
    put_truth("primary", path->primary);
    put_string("state", path_state(path));
    put_number("cwnd", path->cwnd);
    put_number("srtt_ms", path->srtt);
    put_number("rto_ms", path->rto);
    put_number("mtu", path->mtu);
    close_with('}');
}

static void put_association(const struct entry *entry)
{
    open_with(NULL, '{');
    put_number("id", entry->id ? (int64_t)entry->id : UNKNOWN);
    put_string("state", entry_state(entry));
    put_truth("broker", entry->leg[0] != '\0');
    put_truth("accepted", !entry->waiting);
    put_socket(entry);
    put_number("peer_port", entry->peer_port);
    put_truth("peer_shim", entry->peer_shim);
    open_with("paths", '[');
    for (size_t i = 0; i < entry->path_count; i++)
        put_path(&entry->paths[i]);
    close_with(']');
    put_number("streams_in", entry->streams_in);
    put_number("streams_out", entry->streams_out);
    put_number("receive_queue", entry->receive_queue);
    put_number("send_queue", entry->send_queue);
    put_number("retransmitted", entry->retransmitted);
    put_number("failovers", entry->failovers);
    close_with('}');
}

static void put_listener(const struct entry *entry)
{
    open_with(NULL, '{');
    put_socket(entry);
    close_with('}');
}

static void put_left(const struct entry *entry)
{
    open_with(NULL, '{');
    put_number("inode", (int64_t)entry->inode);
    put_number("uid", entry->uid);
    put_string("state", left_state(entry));
    put_truth("accepted", entry->accepted);
    put_string("reason", reason_table[entry->reason].word);
    put_string("local_address", entry_local(entry));
    put_number("local_port", entry->local_port);
    if (!entry->listening) {
        put_string("peer_address", entry_peer(entry));
        put_number("peer_port", entry->peer_port);
    }
    put_holders(entry);
    close_with('}');
}

static void put_broker(const struct broker *broker)
{
    open_with(NULL, '{');
    put_number("pid", broker->pid);
    put_string("text", broker->text);
    close_with('}');
}

static bool is_association(const struct entry *entry)
{
    return !entry->reason && !entry->listening;
}

static bool is_listener(const struct entry *entry)
{
    return !entry->reason && entry->listening;
}

static bool is_left(const struct entry *entry)
{
    return entry->reason != REASON_NONE;
}

static void put_entries(const char *name, const struct snapshot *snapshot,
                        bool (*chosen)(const struct entry *), void (*put)(const struct entry *))
{
    open_with(name, '[');
    for (size_t i = 0; i < snapshot->count; i++)
        if (chosen(&snapshot->entries[i]))
            put(&snapshot->entries[i]);
    close_with(']');
}

/* How often each reason has been one. */
static void put_reasons(const struct snapshot *snapshot)
{
    open_with("reasons", '{');
    for (int i = REASON_NONE + 1; i < REASONS; i++)
        put_number(reason_table[i].word, (int64_t)snapshot->reasons[i]);
    close_with('}');
}

void json_snapshot(const struct snapshot *snapshot)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    follows = false;
    open_with(NULL, '{');
    put_number("version", 1);
    put_number("time_ms", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    put_entries("associations", snapshot, is_association, put_association);
    put_entries("listeners", snapshot, is_listener, put_listener);
    put_entries("tcp", snapshot, is_left, put_left);
    put_reasons(snapshot);
    open_with("brokers", '[');
    for (size_t i = 0; i < snapshot->broker_count; i++)
        put_broker(&snapshot->brokers[i]);
    close_with(']');
    open_with("missing", '[');
    for (size_t i = 0; i < snapshot->missing_count; i++)
        put_string(NULL, snapshot->missing[i]);
    close_with(']');
    close_with('}');
    puts("");
    fflush(stdout);
}
