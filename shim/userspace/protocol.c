/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and answers: made, and checked before anything in them is believed. */
#include "protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

uint32_t leg_network = LEG_NET;

void request_begin(struct request *request, enum request_kind kind)
{
    memset(request, 0, sizeof *request);
    request->magic = PROTOCOL_MAGIC;
    request->version = PROTOCOL_VERSION;
    request->kind = (uint16_t)kind;
}

/* Does something with each field of struct parameters: FIELD(NAME, field), or TEXT(NAME, field). */
#define IF_RULE(doing) doing
#define IF_PROCESS(doing)

enum plane plane_of_legs(void)
{
    return leg_network == LEG_NET ? PLANE_USERSPACE : PLANE_LEG;
}

void parameters_take(struct parameters *into, const struct options *options_of_rule)
{
    struct options honoured = *options_of_rule, *from = &honoured;

    plane_reset(plane_of_legs(), from);
#define TAKE(field) memcpy(&into->field, &from->field, sizeof into->field);
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) IF_##scope(TAKE(field))
#define OPTION_PATH(NAME, field, scope, size, help) IF_##scope(TAKE(field))
#define OPTION_LIST(NAME, field, scope, kind, size, help) IF_##scope(TAKE(field))
#include "../options.def"
#undef TAKE
    if (leg_network == LEG_NET && from->udp_encaps == UDP_ENCAPS_OFF)
        into->udp_encaps = udp_port(from);
}

void parameters_give(const struct parameters *from, struct options *into)
{
    *into = options_default;
#define GIVE(field) memcpy(&into->field, &from->field, sizeof into->field);
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help) IF_##scope(GIVE(field))
#define OPTION_PATH(NAME, field, scope, size, help) IF_##scope(GIVE(field))
#define OPTION_LIST(NAME, field, scope, kind, size, help) IF_##scope(GIVE(field))
#include "../options.def"
#undef GIVE
}

/* The IPv4 address in host order, where the name has one. */
static bool take_v4(const union address *name, uint32_t *host)
{
    if (name->any.sa_family == AF_INET) {
        *host = ntohl(name->in.sin_addr.s_addr);
        return true;
    }
    if (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&name->in6.sin6_addr)) {
        memcpy(host, &name->in6.sin6_addr.s6_addr[12], sizeof *host);
        *host = ntohl(*host);
        return true;
    }
    return false;
}

static bool is_name(const union address *name)
{
    return name->any.sa_family == AF_INET || name->any.sa_family == AF_INET6;
}

static bool addresses_valid(const struct addresses *list)
{
    if (list->count > ADDRESSES_MAX)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!is_name(&list->at[i]) || address_is_any(&list->at[i]))
            return false;
    return true;
}

/* A text must end within its field, and be one that option_set() takes. */
static bool text_valid(enum option_id id, const char *text, size_t size)
{
    static struct options scratch;

    return memchr(text, '\0', size) && option_set(&scratch, &option_table[id], text);
}

static bool parameters_valid(const struct parameters *p)
{
    struct options all;

#define NUMBER_VALID(NAME, field)                                                             \
    if (!option_takes(&option_table[OPTION_##NAME], p->field))                                \
        return false;
#define TEXT_VALID(NAME, field)                                                               \
    if (!text_valid(OPTION_##NAME, p->field, sizeof p->field))                                \
        return false;
#define OPTION(NAME, field, scope, kind, initial, min, max, unit, help)                       \
    IF_##scope(NUMBER_VALID(NAME, field))
#define OPTION_PATH(NAME, field, scope, size, help) IF_##scope(TEXT_VALID(NAME, field))
#define OPTION_LIST(NAME, field, scope, kind, size, help) IF_##scope(TEXT_VALID(NAME, field))
#include "../options.def"
    parameters_give(p, &all);
#define RELATION(LEFT, left, operator, RIGHT, right, words, converse)                         \
    if (!(all.left operator all.right))                                                       \
        return false;
#include "../options.def"
    return addresses_valid(&p->peers);
}

static bool is_unspecified(const union address *name)
{
    static const union address none;

    return memcmp(name, &none, sizeof none) == 0;
}

/* A program's end of a leg: in the network of legs, or where it has bound itself (both.c). */
static bool is_end(const union address *name)
{
    uint32_t host;

    return take_v4(name, &host) && host != INADDR_ANY && address_port(name);
}

bool request_valid(const void *bytes, size_t len)
{
    struct request r;

    if (len != sizeof r)
        return false;
    memcpy(&r, bytes, sizeof r);
    if (r.magic != PROTOCOL_MAGIC || r.version != PROTOCOL_VERSION)
        return false;
    switch (r.kind) {
    case REQUEST_CONNECT:
        return is_end(&r.leg) && is_unspecified(&r.other) &&
               (is_unspecified(&r.local) || is_name(&r.local)) && is_name(&r.remote) &&
               !address_is_any(&r.remote) && parameters_valid(&r.parameters);
    case REQUEST_LISTEN:
        return is_end(&r.leg) && is_unspecified(&r.other) && is_name(&r.local) &&
               address_port(&r.local) && is_unspecified(&r.remote) && r.v6only <= 1 && parameters_valid(&r.parameters);
    case REQUEST_NAMES:
        return (is_end(&r.leg) || address_is_leg(&r.other)) &&
               (is_unspecified(&r.other) || address_is_leg(&r.other)) &&
               is_unspecified(&r.local) && is_unspecified(&r.remote);
    case REQUEST_STATUS:
    case REQUEST_LIST:
        return is_unspecified(&r.leg) && is_unspecified(&r.other) && is_unspecified(&r.local) &&
               is_unspecified(&r.remote);
    default:
        return false;
    }
}

bool answer_valid(const void *bytes, size_t len, enum request_kind kind)
{
    struct answer a;

    if (len != sizeof a)
        return false;
    memcpy(&a, bytes, sizeof a);
    return a.magic == PROTOCOL_MAGIC && a.version == PROTOCOL_VERSION && a.kind == kind &&
           a.error >= 0 && a.error < 4096 && memchr(a.text, '\0', sizeof a.text) != NULL;
}

bool address_is_leg(const union address *name)
{
    uint32_t host;

    return take_v4(name, &host) &&
           ((host & LEG_MASK) == LEG_NET || (host & LEG_MASK) == LEG_NET_KERNEL);
}

uint32_t address_leg_network(const union address *name)
{
    uint32_t host = 0;

    return take_v4(name, &host) ? host & LEG_MASK : 0;
}

uint32_t address_leg_host(const union address *name)
{
    uint32_t host = 0;

    return take_v4(name, &host) ? host & ~(uint32_t)LEG_MASK : 0;
}

bool address_is_leg_out(const union address *name)
{
    uint32_t low = address_leg_host(name);

    return address_is_leg(name) && low >= LEG_OUT && low < LEG_BOUND;
}

bool address_equal(const union address *a, const union address *b)
{
    uint32_t left, right;

    if (address_port(a) != address_port(b))
        return false;
    if (take_v4(a, &left))
        return take_v4(b, &right) && left == right;
    return a->any.sa_family == AF_INET6 && b->any.sa_family == AF_INET6 &&
           memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

bool address_is_any(const union address *name)
{
    uint32_t host;

    if (take_v4(name, &host))
        return host == INADDR_ANY;
    return name->any.sa_family != AF_INET6 || IN6_IS_ADDR_UNSPECIFIED(&name->in6.sin6_addr);
}

in_port_t address_port(const union address *name)
{
    return name->in.sin_port; /* at the same place in both */
}

void address_set_port(union address *name, in_port_t port)
{
    name->in.sin_port = port;
}

void address_unmap(union address *name)
{
    uint32_t host;
    in_port_t port = address_port(name);

    if (name->any.sa_family != AF_INET6 || !take_v4(name, &host))
        return;
    memset(name, 0, sizeof *name);
    name->in.sin_family = AF_INET;
    name->in.sin_port = port;
    name->in.sin_addr.s_addr = htonl(host);
}

void address_fit(union address *name, int family)
{
    struct sockaddr_in in = name->in;

    if (family != AF_INET6 || name->any.sa_family != AF_INET)
        return;
    memset(name, 0, sizeof *name);
    name->in6.sin6_family = AF_INET6;
    name->in6.sin6_port = in.sin_port;
    name->in6.sin6_addr.s6_addr[10] = name->in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&name->in6.sin6_addr.s6_addr[12], &in.sin_addr, sizeof in.sin_addr);
}

char *address_format(const union address *name, char *buffer)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (name->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &name->in6.sin6_addr, host, sizeof host);
        snprintf(buffer, ADDRESS_TEXT, "[%s]:%u", host, ntohs(name->in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &name->in.sin_addr, host, sizeof host);
        snprintf(buffer, ADDRESS_TEXT, "%s:%u", host, ntohs(name->in.sin_port));
    }
    return buffer;
}

/* FNV-1a, folded to 16 bits. */
static uint16_t host_hash(const union address *name)
{
    const unsigned char *bytes = (const unsigned char *)&name->in.sin_addr;
    size_t len = sizeof name->in.sin_addr;
    uint32_t hash = 2166136261u;

    if (name->any.sa_family == AF_INET6) {
        bytes = name->in6.sin6_addr.s6_addr;
        len = sizeof name->in6.sin6_addr;
    }
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (uint16_t)(hash ^ hash >> 16);
}

void address_to_leg(const union address *name, bool v6only, union address *leg)
{
    union address plain = *name;
    uint32_t low;

    address_unmap(&plain);
    if (address_is_any(&plain))
        low = plain.any.sa_family == AF_INET6 && v6only ? LEG_ANY_V6 : LEG_ANY;
    else
        low = LEG_BOUND + host_hash(&plain) % (LEG_BROKER - LEG_BOUND);
    memset(leg, 0, sizeof *leg);
    leg->in.sin_family = AF_INET;
    leg->in.sin_port = address_port(name);
    leg->in.sin_addr.s_addr = htonl(leg_network | low);
}
