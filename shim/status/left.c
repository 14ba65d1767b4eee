/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP sockets that the library left to TCP, and why: /proc/net/tcp, and this user's ledger. */
#define _GNU_SOURCE
#include "snapshot.h"

#include "../tool.h"
#include "../userspace/rendezvous.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* TCP_LISTEN of linux/tcp_states.h, in the table's state column. */
enum { STATE_LISTEN = 10 };

/* An address as the table has it: words of 32 bits in the machine's order. */
static bool read_address(const char *hex, struct address_text *into)
{
    bool six = strlen(hex) == 32;
    struct in6_addr address;

    for (int i = 0; i < (six ? 4 : 1); i++)
        if (sscanf(hex + 8 * i, "%8" SCNx32, &address.s6_addr32[i]) != 1)
            return false;
    if (six && IN6_IS_ADDR_V4MAPPED(&address)) {
        address.s6_addr32[0] = address.s6_addr32[3];
        six = false;
    }
    return inet_ntop(six ? AF_INET6 : AF_INET, &address, into->text, sizeof into->text);
}

static void add(struct snapshot *into, const struct ledger_connection *connection, int state,
                unsigned uid, const struct address_text names[2], const unsigned ports[2])
{
    struct path peer = {.address = names[1], .state = UNKNOWN, .cwnd = UNKNOWN, .mtu = UNKNOWN,
                        .srtt = UNKNOWN, .rto = UNKNOWN};
    struct entry *entry;

    into->entries = more(into->entries, into->count, sizeof *into->entries);
    entry = &into->entries[into->count++];
    entry->reason = connection->reason;
    entry->accepted = connection->accepted;
    entry->listening = state == STATE_LISTEN;
    entry->tcp_state = state;
    entry->inode = connection->inode;
    entry->uid = uid;
    entry->local_port = (uint16_t)ports[0];
    entry->peer_port = (uint16_t)ports[1];
    entry->failovers = UNKNOWN;
    entry->locals = more(NULL, 0, sizeof *entry->locals);
    entry->locals[entry->local_count++] = names[0];
    if (entry->listening)
        return;
    entry->paths = more(NULL, 0, sizeof *entry->paths);
    entry->paths[entry->path_count++] = peer;
}

static void take_line(struct snapshot *into, const struct ledger *ledger, const char *line)
{
    char local[33], peer[33];
    unsigned ports[2], state, uid;
    uint64_t inode;
    struct address_text names[2];
    struct ledger_connection connection;

    if (sscanf(line, " %*u: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%*x %*x:%*x %*x %u %*u %" SCNu64,
               local, &ports[0], peer, &ports[1], &state, &uid, &inode) == 7 &&
        inode && ledger_find(ledger, inode, &connection) && read_address(local, &names[0]) &&
        read_address(peer, &names[1]))
        add(into, &connection, (int)state, uid, names, ports);
}

static void read_table(struct snapshot *into, const struct ledger *ledger, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512];

    while (file && fgets(line, sizeof line, file))
        take_line(into, ledger, line);
    if (file)
        fclose(file);
}

bool ledger_open_here(struct ledger *ledger, bool make)
{
    int any = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t network = 0;
    socklen_t len = sizeof network;

    if (getsockopt(any, SOL_SOCKET, SO_NETNS_COOKIE, &network, &len) < 0)
        network = 0;
    close(any);
    rendezvous_start();
    return ledger_open(ledger, network, make);
}

void left_read(struct snapshot *into)
{
    struct ledger ledger;

    if (!ledger_open_here(&ledger, false))
        return;
    ledger_counts(&ledger, into->reasons);
    read_table(into, &ledger, "/proc/net/tcp");
    read_table(into, &ledger, "/proc/net/tcp6");
    ledger_close(&ledger);
}

const char *left_state(const struct entry *entry)
{
    static const char *const words[] = {
        "UNKNOWN",   "ESTABLISHED", "SYN-SENT",   "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
        "TIME-WAIT", "CLOSED",      "CLOSE-WAIT", "LAST-ACK",     "LISTEN",     "CLOSING"};

    return (size_t)entry->tcp_state < sizeof words / sizeof words[0] ? words[entry->tcp_state]
                                                                     : words[0];
}
