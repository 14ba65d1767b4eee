/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that listen: the broker connects to the program for each association that comes in. */
#include "services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../log.h"
#include "calls.h"
#include "control.h"
#include "diag.h"
#include "ends.h"
#include "registry.h"

/* A program's listening socket, and what comes in for it. */
struct service {
    struct service *next;
    struct listener *listener;
    union address leg, local;
    uint64_t socket; /* the kernel's name of it */
    struct caller who;
    int place; /* in the registry */
};

/* What has come in for one of them and waits; see service_called(). */
struct arrival {
    struct arrival *next;
    struct service *service;
    struct association *association;
};

static struct service *services;
static struct arrival *arrivals, **arrivals_end = &arrivals;

/* Who waits for a program that is gone is reset, as by TCP. */
static void turn_away(const struct service *service)
{
    struct arrival **at = &arrivals;

    while (*at) {
        struct arrival *one = *at;

        if (one->service != service) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        stack_abort(one->association);
        free(one);
    }
    arrivals_end = at;
}

static void unlisten(struct service *service)
{
    struct service **at = &services;

    while (*at != service)
        at = &(*at)->next;
    *at = service->next;
    turn_away(service);
    registry_clear(service->place);
    loop_free(service);
}

bool service_bound(const union address *leg, union address *local)
{
    struct ifaddrs *list, *at;
    bool found = false;

    for (const struct service *service = services; service; service = service->next)
        if (address_equal(&service->leg, leg)) {
            *local = service->local;
            return true;
        }
    if (getifaddrs(&list) != 0)
        return false;
    for (at = list; at && !found; at = at->ifa_next) {
        union address name = {0}, its_leg;

        if (!at->ifa_addr ||
            (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
            continue;
        memcpy(&name, at->ifa_addr, at->ifa_addr->sa_family == AF_INET ? sizeof name.in
                                                                       : sizeof name.in6);
        address_set_port(&name, address_port(leg));
        address_to_leg(&name, false, &its_leg);
        found = address_equal(&its_leg, leg);
        if (found)
            *local = name;
    }
    freeifaddrs(list);
    return found;
}

/* Called by the stack, which closes the listener itself. */
bool service_present(void *owner)
{
    struct service *service = owner;

    if (diag_listener(&service->leg, service->who.uid))
        return true;
    unlisten(service);
    return false;
}

static void answered(struct source *source, uint32_t events)
{
    struct leg *leg = leg_of_source(source);

    (void)events;
    if (!leg_opened(leg))
        leg_end(leg, true); /* nobody listens any more */
}

/* A port for each pair of ends, not for each end: from many addresses there are enough. */
static bool call_program(struct leg *leg, const union address *service)
{
    static unsigned turn;
    socklen_t len = sizeof leg->broker;

    leg->program = *service;
    leg->broker.in.sin_family = AF_INET;
    leg->broker.in.sin_addr.s_addr = htonl(leg_network | (LEG_CALLS + turn++ % LEG_CALL_HOSTS));
    leg->source.fd = end_socket();
    if (leg->source.fd < 0)
        return false;
    end_set(leg->source.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bind(leg->source.fd, &leg->broker.any, sizeof leg->broker.in) == 0 &&
           (connect(leg->source.fd, &service->any, sizeof service->in) == 0 ||
            errno == EINPROGRESS) &&
           getsockname(leg->source.fd, &leg->broker.any, &len) == 0;
}

static void take_up(const struct service *service, struct association *association)
{
    struct leg *leg = leg_make(&service->who);

    if (!leg) {
        stack_abort(association);
        return;
    }
    legs_counts.came++;
    leg->inbound = true;
    leg->association = association;
    leg->state = LEG_DIALING;
    stack_names(association, &leg->local, &leg->remote);
    if (!call_program(leg, &service->leg)) {
        stack_abort(association);
        leg_discard(leg);
        return;
    }
    leg_enter(leg);
    leg->source.ready = answered;
    stack_adopt(association, leg);
    if (end_answered(leg->source.fd))
        answered(&leg->source, EPOLLOUT);
    else
        loop_watch(&leg->source, EPOLLOUT);
}

static bool other_end_is_pending(struct association *association)
{
    union address local, remote;

    stack_names(association, &local, &remote);
    return call_pending(&remote, &local);
}

/*
 * Nobody is accepted who is not connected: that is so over TCP, where the last packet of three is
 * the caller's, and programs on one host may rely on it. The last of SCTP's four is the listener's.
 */
void service_called(void *owner, struct association *association)
{
    struct arrival *one = other_end_is_pending(association) ? malloc(sizeof *one) : NULL;

    if (!one) {
        take_up(owner, association);
        return;
    }
    *one = (struct arrival){.service = owner, .association = association};
    *arrivals_end = one;
    arrivals_end = &one->next;
}

void services_turn(void)
{
    struct arrival **at = &arrivals;

    while (*at) {
        struct arrival *one = *at;

        if (other_end_is_pending(one->association)) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        take_up(one->service, one->association);
        free(one);
    }
    arrivals_end = at;
}

int legs_listen(const struct request *request, const struct caller *who)
{
    struct service *service, *old;
    union address local = request->local, leg = request->leg;
    uint64_t socket;

    address_unmap(&leg);
    socket = diag_listener(&leg, who->uid);
    if (!socket)
        return EINVAL;
    if (!stack_reachable(&request->parameters))
        return EADDRINUSE; /* peers look for us at a port that is somebody else's */
    for (old = services; old && !address_equal(&old->leg, &leg); old = old->next)
        ;
    if (old && old->socket == socket)
        return 0; /* listen() once more */
    if (old) {
        stack_unlisten(old->listener);
        unlisten(old);
    }
    service = calloc(1, sizeof *service);
    if (!service)
        return ENOBUFS;
    if (!request->v6only)
        address_unmap(&local);
    service->leg = leg;
    service->local = local;
    service->socket = socket;
    service->who = *who;
    service->place = registry_note(request, who, socket);
    service->next = services;
    services = service;
    service->listener = stack_listen(&local, request->v6only, &request->parameters, service);
    if (!service->listener) {
        int error = errno;

        unlisten(service);
        return error;
    }
    return 0;
}

/* By the broker before this one; if it is still that socket. */
static void recall(const struct request *request, const struct caller *who, uint64_t socket)
{
    union address leg = request->leg;
    int error;

    address_unmap(&leg);
    if ((who->uid != geteuid() && !control_shared()) || diag_listener(&leg, who->uid) != socket)
        return;
    error = legs_listen(request, who);
    log_info("a program that listens at %u was found again%s%s", ntohs(address_port(&leg)),
             error ? ": " : "", error ? strerrorname_np(error) : "");
}

void services_recall(const char *registry)
{
    registry_open(registry, recall);
}

unsigned legs_listening(void)
{
    unsigned listening = 0;
    struct service *next;

    for (struct service *service = services; service; service = next) {
        next = service->next;
        if (diag_listener(&service->leg, service->who.uid)) {
            listening++;
            continue;
        }
        stack_unlisten(service->listener);
        unlisten(service);
    }
    return listening;
}
