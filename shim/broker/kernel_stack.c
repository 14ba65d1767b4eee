/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack interface over the kernel's SCTP: one-to-one sockets that the broker holds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../log.h"
#include "../params.h"
#include "../sizes.h"
#include "kernel_socket.h"

enum {
    REST = 1000, /* ms that nothing has to be done here */
    BACKLOG = 1024,
    AT_ONCE = 64, /* associations of one listener before others have their turn */
};

const uint32_t stack_leg_network = LEG_NET_KERNEL;

struct listener {
    struct source source;
    struct options options;
    void *owner;
};

static const struct stack_user *user;
static unsigned associations;

/* ---- Sockets ---- */

static void set_option(const struct param_sink *sink, int name, const char *what,
                       const void *value, size_t len)
{
    if (setsockopt(sink->fd, IPPROTO_SCTP, name, value, (socklen_t)len) != 0)
        log_warn_once("%s cannot be set: %s", what, strerrorname_np(errno));
}

static void cannot_set(const struct param_sink *sink, const char *what, const char *why)
{
    (void)sink;
    log_warn_once("%s: %s", what, why);
}

static struct param_sink sink_of(int fd)
{
    struct param_sink sink = {.set = set_option, .fail = cannot_set, .fd = fd};

    return sink;
}

static void set_int(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* Beyond the system's limit where this process may. */
static void set_size(int fd, int force, int name, uint32_t size)
{
    int value = (int)size;

    if (setsockopt(fd, SOL_SOCKET, force, &value, sizeof value) != 0)
        set_int(fd, SOL_SOCKET, name, value);
}

static uint32_t get_size(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof value;

    getsockopt(fd, SOL_SOCKET, name, &value, &len);
    return (uint32_t)value;
}

static void linger(int fd, bool reset)
{
    struct linger value = {reset, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

/* Whoever is connected to it sees a reset when this process dies. */
static int make_socket(int family, const struct options *o)
{
    struct param_sink sink = sink_of(-1);
    struct sctp_event_subscribe events = {.sctp_association_event = 1,
                                          .sctp_shutdown_event = 1,
                                          .sctp_adaptation_layer_event = 1};

    sink.fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
    if (sink.fd < 0)
        return -1;
    set_size(sink.fd, SO_SNDBUFFORCE, SO_SNDBUF, o->sndbuf);
    set_size(sink.fd, SO_RCVBUFFORCE, SO_RCVBUF, size_rcvbuf(o));
    params_mark(&sink);
    params_socket(&sink, o);
    setsockopt(sink.fd, IPPROTO_SCTP, SCTP_EVENTS, &events, sizeof events);
    linger(sink.fd, true);
    return sink.fd;
}

/* 127.0.0.1 is the one loopback address that the kernel's SCTP has: others are taken for it. */
static union address take_loopback(const union address *name)
{
    union address taken = *name;

    if (name->any.sa_family == AF_INET && ntohl(name->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
        taken.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return taken;
}

static int bind_at(int fd, const union address *local)
{
    union address name = take_loopback(local);

    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return bind(fd, &name.any, address_len(&name));
}

/* Where the kernel's routes send from: the peer is told of no other address. False with errno. */
static bool choose_source(const union address *remote, union address *source)
{
    int fd = socket(remote->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *source;
    bool found;

    if (fd < 0)
        return false;
    memset(source, 0, sizeof *source);
    found = connect(fd, &remote->any, address_len(remote)) == 0 &&
            getsockname(fd, &source->any, &len) == 0;
    address_set_port(source, 0);
    close(fd);
    return found;
}

static void ready(struct source *source, uint32_t events)
{
    struct association *a =
        (struct association *)(void *)((char *)source - offsetof(struct association, source));

    (void)events;
    wake(&a->wake);
}

/* ---- Associations ---- */

static void take_names(struct association *a)
{
    socklen_t len = sizeof a->local;

    getsockname(a->source.fd, &a->local.any, &len);
    address_unmap(&a->local);
    len = sizeof a->remote;
    if (getpeername(a->source.fd, &a->remote.any, &len) == 0)
        address_unmap(&a->remote);
}

/* What fits the peer's window, and the path to it. */
static void tune(struct association *a)
{
    struct sctp_status status;
    socklen_t len = sizeof status;
    struct param_sink sink = sink_of(a->source.fd);

    memset(&status, 0, sizeof status);
    if (getsockopt(a->source.fd, IPPROTO_SCTP, SCTP_STATUS, &status, &len) != 0)
        return;
    a->chunk = size_chunk(a->chunk, status.sstat_rwnd, get_size(a->source.fd, SO_SNDBUF));
    if (size_mtu_stalls(status.sstat_primary.spinfo_mtu) && !a->pathmtu_is_set)
        params_path_mtu(&sink, &status.sstat_primary,
                        size_mtu(a->chunk, get_size(a->source.fd, SO_RCVBUF) / 2), a->paths_differ);
}

/* Takes over the descriptor; NULL: it is closed. */
static struct association *make(int fd, const struct options *o)
{
    struct association *a = calloc(1, sizeof *a);

    if (!a) {
        close(fd);
        errno = ENOBUFS;
        return NULL;
    }
    a->source.fd = fd;
    a->source.ready = ready;
    a->convention.ppid = htonl(o->ppid);
    a->convention.stream = (uint16_t)o->stream;
    a->chunk = o->chunk;
    a->pathmtu_is_set = o->pathmtu != 0;
    a->paths_differ = paths_are_wanted(o);
    associations++;
    loop_watch(&a->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    return a;
}

struct association *stack_connect(const union address *local, const union address *remote,
                                  const struct parameters *parameters, void *owner)
{
    union address from = *local, to = take_loopback(remote);
    struct association *a;
    struct options o;
    int fd, error;

    parameters_give(parameters, &o);
    fd = make_socket(remote->any.sa_family, &o);
    if (fd < 0)
        return NULL;
    if (address_is_any(&from)) {
        if (!choose_source(&to, &from))
            goto failed;
        address_set_port(&from, address_port(local));
    }
    if (bind_at(fd, &from) != 0) {
        if (errno == EADDRINUSE && !address_port(local))
            errno = EADDRNOTAVAIL; /* the kernel has no port left */
        goto failed;
    }
    if (connect(fd, &to.any, address_len(&to)) != 0 && errno != EINPROGRESS)
        goto failed;
    a = make(fd, &o);
    if (!a)
        return NULL;
    a->wake.owner = owner;
    a->remote = *remote;
    take_names(a);
    return a;
failed:
    error = errno;
    close(fd);
    errno = error;
    return NULL;
}

struct convention *association_convention(struct association *a)
{
    return &a->convention;
}

void stack_adopt(struct association *a, void *owner)
{
    a->wake.owner = owner;
    wake(&a->wake);
}

void stack_names(struct association *a, union address *local, union address *remote)
{
    *local = a->local;
    *remote = a->remote;
}

size_t stack_chunk(const struct association *a)
{
    return a->chunk;
}

/* As messages_take_notes(). */
static int settle(struct association *a)
{
    int error = messages_take_notes(a);

    if (a->up)
        tune(a);
    return error;
}

enum link_state stack_link(struct association *a, int *error)
{
    socklen_t len = sizeof *error;

    *error = a->up ? 0 : settle(a);
    if (a->up) {
        take_names(a);
        return LINK_UP;
    }
    if (!*error || *error == ENOTCONN) /* which one that connects says to a reader */
        getsockopt(a->source.fd, SOL_SOCKET, SO_ERROR, error, &len);
    if (!*error && a->convention.gone)
        *error = ECONNREFUSED;
    return *error ? LINK_FAILED : LINK_CONNECTING;
}

static void discard(struct association *a)
{
    loop_close(&a->source);
    wake_forget(&a->wake);
    associations--;
    loop_free(a);
}

void stack_abort(struct association *a)
{
    linger(a->source.fd, true);
    discard(a);
}

void stack_release(struct association *a)
{
    /* What is not read when it closes would turn the good-bye into a reset. */
    (void)stack_alive(a);
    linger(a->source.fd, a->convention.lost);
    discard(a);
}

/* ---- Listeners ---- */

static void comes(struct source *source, uint32_t events)
{
    struct listener *l =
        (struct listener *)(void *)((char *)source - offsetof(struct listener, source));

    (void)events;
    for (int i = 0; i < AT_ONCE && l->source.fd >= 0; i++) {
        int fd = accept4(l->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct association *a;

        if (fd < 0)
            return;
        linger(fd, true);
        if (!user->present(l->owner)) {
            close(fd);
            stack_unlisten(l);
            return;
        }
        a = make(fd, &l->options);
        if (!a)
            continue;
        take_names(a);
        settle(a);
        user->arrived(l->owner, a);
    }
}

struct listener *stack_listen(const union address *local, bool v6only,
                              const struct parameters *parameters, void *owner)
{
    struct listener *l = calloc(1, sizeof *l);
    int error;

    if (!l) {
        errno = ENOBUFS;
        return NULL;
    }
    parameters_give(parameters, &l->options);
    l->owner = owner;
    l->source.ready = comes;
    l->source.fd = make_socket(local->any.sa_family, &l->options);
    if (l->source.fd >= 0 && local->any.sa_family == AF_INET6)
        set_int(l->source.fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
    if (l->source.fd >= 0 && bind_at(l->source.fd, local) == 0 &&
        listen(l->source.fd, BACKLOG) == 0) {
        loop_watch(&l->source, EPOLLIN);
        return l;
    }
    error = errno;
    loop_close(&l->source);
    free(l);
    errno = error;
    return NULL;
}

void stack_unlisten(struct listener *l)
{
    loop_close(&l->source);
    loop_free(l);
}

/* ---- Turns ---- */

unsigned stack_count(void)
{
    return associations;
}

int stack_patience(void)
{
    return wakes_due() ? 0 : REST;
}

void stack_turn(void)
{
    wakes_turn(user->woken);
}

/* Packets are the kernel's. */
void stack_take(void)
{
}

void stack_flush(void)
{
}

bool stack_reachable(const struct parameters *parameters)
{
    (void)parameters;
    return true;
}

/* ---- Start ---- */

const char *stack_version(void)
{
    static char text[sizeof "kernel SCTP, Linux " + sizeof((struct utsname *)0)->release];
    struct utsname system;

    uname(&system);
    snprintf(text, sizeof text, "kernel SCTP, Linux %s", system.release);
    return text;
}

void stack_describe(char *text, size_t size)
{
    snprintf(text, size, "the kernel's packets;");
}

bool stack_open(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

    if (fd < 0) {
        log_error("this kernel gives no SCTP socket: %s", strerrorname_np(errno));
        return false;
    }
    close(fd);
    return true;
}

bool stack_fits(void)
{
    return true;
}

void stack_start(const struct stack_user *told)
{
    user = told;
}
