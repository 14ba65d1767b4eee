/* SPDX-License-Identifier: BSD-3-Clause */
/* What an association is called on the command line, and what an address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

bool address_read(const char *text, struct address_text *into)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;

    return inet_pton(family, text, bytes) == 1 &&
           inet_ntop(family, bytes, into->text, sizeof into->text);
}

struct sockaddr_storage address_pack(const char *text, uint16_t port)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } into = {.any = {.ss_family = AF_UNSPEC}};

    if (inet_pton(AF_INET, text, &into.four.sin_addr) == 1) {
        into.four.sin_family = AF_INET;
        into.four.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &into.six.sin6_addr) == 1) {
        into.six.sin6_family = AF_INET6;
        into.six.sin6_port = htons(port);
    }
    return into.any;
}

struct endpoint_text endpoint_format(const char *address, unsigned port)
{
    struct endpoint_text into;

    snprintf(into.text, sizeof into.text, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
             port);
    return into;
}

/* Splits "10.1.0.1:80" or "[2001:db8::1]:80"; the address in the spelling of snapshots. */
static bool parse_endpoint(const char *text, size_t length, struct address_text *address,
                           unsigned *port)
{
    char copy[sizeof(struct endpoint_text)], *colon, *end;
    bool six = *text == '[';

    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    colon = strrchr(copy, ':');
    if (!colon || !colon[1] || (six && colon[-1] != ']'))
        return false;
    colon[six ? -1 : 0] = '\0';
    *port = (unsigned)strtoul(colon + 1, &end, 10);
    return !*end && !!strchr(copy, ':') == six && address_read(copy + six, address);
}

/* "LOCAL:PORT-PEER:PORT", with any of its addresses. */
static bool has_endpoints(const struct entry *entry, const char *name)
{
    const char *dash = strchr(name, '-');
    struct address_text local, peer;
    unsigned local_port, peer_port;

    if (!dash || !parse_endpoint(name, (size_t)(dash - name), &local, &local_port) ||
        !parse_endpoint(dash + 1, strlen(dash + 1), &peer, &peer_port))
        return false;
    if (local_port != entry->local_port || peer_port != entry->peer_port ||
        !entry_path(entry, peer.text))
        return false;
    for (size_t i = 0; i < entry->local_count; i++)
        if (strcmp(entry->locals[i].text, local.text) == 0)
            return true;
    return false;
}

/* "PID:FD" */
static bool has_holder(const struct entry *entry, const char *name)
{
    int pid, fd, end = 0;

    if (sscanf(name, "%d:%d%n", &pid, &fd, &end) != 2 || name[end])
        return false;
    for (size_t i = 0; i < entry->holder_count; i++)
        for (size_t n = 0; n < entry->holders[i].fd_count; n++)
            if (entry->holders[i].pid == pid && entry->holders[i].fds[n] == fd)
                return true;
    return false;
}

static bool is_named(const struct entry *entry, const char *name)
{
    char *end;
    unsigned long id = strtoul(name, &end, 10);

    if (entry->listening || entry->reason || entry->leg[0])
        return false;
    return (id && !*end && id == entry->id) || has_holder(entry, name) ||
           has_endpoints(entry, name);
}

struct entry *entry_find(const struct snapshot *in, const char *name)
{
    struct entry *found = NULL;

    for (size_t i = 0; i < in->count; i++) {
        if (!is_named(&in->entries[i], name))
            continue;
        if (found) {
            fprintf(stderr, "sctpshim: %s: a socket with several associations: name one by its "
                            "number\n", name);
            return NULL;
        }
        found = &in->entries[i];
    }
    if (!found)
        fprintf(stderr, "sctpshim: %s: no such association; expected its number, PID:FD or "
                        "LOCAL:PORT-PEER:PORT, as sctpshim status shows them\n", name);
    return found;
}
