/* SPDX-License-Identifier: BSD-3-Clause */
/* What this user's brokers carry: they say so themselves. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../userspace/inquiry.h"
#include "snapshot.h"

static struct address_text text_of(const union address *name)
{
    struct address_text text = {""};

    if (name->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &name->in6.sin6_addr, text.text, sizeof text.text);
    else
        inet_ntop(AF_INET, &name->in.sin_addr, text.text, sizeof text.text);
    return text;
}

/* Where a broker began to serve a program that listens, it knows no process. */
static void add_program(struct entry *entry, uint32_t pid)
{
    struct holder *holder;

    if (!pid)
        return;
    entry->holders = more(NULL, 0, sizeof *entry->holders);
    holder = &entry->holders[entry->holder_count++];
    holder->pid = (pid_t)pid;
    holder->library = true;
    holder_name(holder);
}

/* One connection; its paths beyond the first, and what they are like, a broker does not say. */
static void add(struct snapshot *into, const struct answer *answer)
{
    struct path peer = {.address = text_of(&answer->remote), .primary = true, .state = UNKNOWN,
                        .cwnd = UNKNOWN, .mtu = UNKNOWN, .srtt = UNKNOWN, .rto = UNKNOWN};
    struct entry *entry;

    into->entries = more(into->entries, into->count, sizeof *into->entries);
    entry = &into->entries[into->count++];
    snprintf(entry->leg, sizeof entry->leg, "%.*s", (int)sizeof entry->leg - 1,
             answer->text);
    entry->shim = true;
    entry->peer_shim = UNKNOWN;
    entry->uid = geteuid();
    entry->local_port = ntohs(address_port(&answer->local));
    entry->peer_port = ntohs(address_port(&answer->remote));
    entry->streams_in = entry->streams_out = entry->send_queue = entry->receive_queue = UNKNOWN;
    entry->retransmitted = entry->failovers = UNKNOWN;
    entry->locals = more(NULL, 0, sizeof *entry->locals);
    entry->locals[entry->local_count++] = text_of(&answer->local);
    entry->paths = more(NULL, 0, sizeof *entry->paths);
    entry->paths[entry->path_count++] = peer;
    add_program(entry, answer->program);
}

static void read_broker(struct snapshot *into, uint32_t network)
{
    struct rendezvous where;
    struct request request;
    struct answer answer;
    struct broker *broker;

    request_begin(&request, REQUEST_STATUS);
    if (!rendezvous_find(&where, network, environ) || !rendezvous_enter(&where, false) ||
        !inquire(&where, &request, &answer))
        return;
    into->brokers = more(into->brokers, into->broker_count, sizeof *into->brokers);
    broker = &into->brokers[into->broker_count++];
    broker->pid = (pid_t)answer.pid;
    snprintf(broker->text, sizeof broker->text, "%s", answer.text);
    request_begin(&request, REQUEST_LIST);
    while (inquire(&where, &request, &answer) && !answer.error) {
        add(into, &answer);
        request.position = answer.position;
    }
}

void brokers_read(struct snapshot *into)
{
    read_broker(into, LEG_NET);
    read_broker(into, LEG_NET_KERNEL);
}
