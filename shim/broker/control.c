/* SPDX-License-Identifier: BSD-3-Clause */
/* Visitors: a connection each, one request, one answer. */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../log.h"
#include "calls.h"
#include "quota.h"
#include "services.h"

enum {
    MOST_VISITORS = 4096,
    MOST_OF_ONE = MOST_VISITORS / 4, /* process */
    MOST_DOORS = 8,
    AT_ONCE = 64,
    PATIENCE = 5000, /* ms for a request to come */
};

struct visitor {
    struct source source;
    struct alarm alarm;
    struct caller who;
};

static struct source doors[MOST_DOORS];
static size_t door_count;
static unsigned visitors, most_visitors = MOST_VISITORS;
static bool shared;

unsigned control_visitors(void)
{
    return visitors;
}

static void watch_doors(void)
{
    for (size_t i = 0; i < door_count; i++)
        loop_watch(&doors[i], visitors < most_visitors ? EPOLLIN : 0);
}

static void dismiss(struct visitor *visitor)
{
    loop_disarm(&visitor->alarm);
    loop_close(&visitor->source);
    quota_give(QUOTA_VISITS, (uint32_t)visitor->who.pid);
    loop_free(visitor);
    visitors--;
    watch_doors();
}

static void impatient(struct alarm *alarm)
{
    dismiss((struct visitor *)(void *)((char *)alarm - offsetof(struct visitor, alarm)));
}

static void answer_begin(struct answer *answer, enum request_kind kind)
{
    memset(answer, 0, sizeof *answer);
    answer->magic = PROTOCOL_MAGIC;
    answer->version = PROTOCOL_VERSION;
    answer->kind = (uint16_t)kind;
    answer->pid = (uint32_t)getpid();
}

static void describe(char *text, size_t size)
{
    int n = snprintf(text, size,
                     "sctpshimd " VERSION ", %s: %u associations, %u legs, %u listening; "
                     "%" PRIu64 " made, %" PRIu64 " came; ",
                     stack_version(), stack_count(), legs_count(), legs_listening(),
                     legs_counts.made, legs_counts.came);

    if (n > 0 && (size_t)n < size)
        stack_describe(text + n, size - (size_t)n);
}

static int list(uint32_t position, struct answer *answer)
{
    const struct leg *leg = legs_at(&position);

    if (!leg)
        return ENOENT;
    answer->position = position;
    answer->program = (uint32_t)leg->who.pid;
    answer->local = leg->local;
    answer->remote = leg->remote;
    snprintf(answer->text, sizeof answer->text, "%s", leg_state(leg));
    return 0;
}

static bool is_master(const struct caller *who)
{
    return who->uid == geteuid() || who->uid == 0;
}

static void serve(struct visitor *visitor, const struct request *request)
{
    struct answer answer;

    answer_begin(&answer, request->kind);
    switch (request->kind) {
    case REQUEST_CONNECT:
        answer.error = legs_connect(request, &visitor->who, &answer.hold, &answer.local);
        break;
    case REQUEST_LISTEN:
        answer.error = legs_listen(request, &visitor->who);
        break;
    case REQUEST_NAMES:
        answer.error = legs_names(&request->leg, &request->other, is_master(&visitor->who),
                                  &answer.local, &answer.remote);
        break;
    case REQUEST_LIST:
        answer.error = list(request->position, &answer);
        break;
    case REQUEST_STATUS:
        describe(answer.text, sizeof answer.text);
        break;
    }
    (void)!send(visitor->source.fd, &answer, sizeof answer, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Others than our user may ask for names, which anybody sees of TCP connections too: they may be
 * our user's programs, which have changed theirs. Connections we make for all if told so.
 */
static bool may_ask(const struct caller *who, const struct request *request)
{
    return is_master(who) || request->kind == REQUEST_NAMES || shared;
}

static void speaks(struct source *source, uint32_t events)
{
    struct visitor *visitor =
        (struct visitor *)(void *)((char *)source - offsetof(struct visitor, source));
    struct request request;
    ssize_t len = recv(source->fd, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);

    (void)events;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len > 0 && !request_valid(&request, (size_t)len))
        log_warn_once("a request on the control socket that is none");
    else if (len > 0 && may_ask(&visitor->who, &request))
        serve(visitor, &request);
    dismiss(visitor);
}

static bool ask_who(int fd, struct caller *who)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *who = (struct caller){.uid = peer.uid, .pid = peer.pid};
    return true;
}

/* NULL: not let in. */
static struct visitor *admit(int fd)
{
    struct visitor *visitor;
    struct caller who;

    if (!ask_who(fd, &who) || !quota_take(QUOTA_VISITS, (uint32_t)who.pid, MOST_OF_ONE))
        return NULL;
    visitor = calloc(1, sizeof *visitor);
    if (!visitor) {
        quota_give(QUOTA_VISITS, (uint32_t)who.pid);
        return NULL;
    }
    visitors++;
    visitor->who = who;
    visitor->source.fd = fd;
    visitor->source.ready = speaks;
    visitor->alarm.ring = impatient;
    return visitor;
}

static void comes(struct source *source, uint32_t events)
{
    (void)events;
    for (int i = 0; i < AT_ONCE && visitors < most_visitors; i++) {
        int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct visitor *visitor;

        if (fd < 0)
            return;
        visitor = admit(fd);
        if (!visitor) {
            close(fd);
            continue;
        }
        loop_alarm(&visitor->alarm, PATIENCE);
        loop_watch(&visitor->source, EPOLLIN);
        speaks(&visitor->source, EPOLLIN);
    }
    watch_doors();
}

bool control_knock(void)
{
    for (size_t i = 0; i < door_count; i++)
        comes(&doors[i], EPOLLIN);
    return visitors > 0;
}

void control_share(void)
{
    shared = true;
}

bool control_shared(void)
{
    return shared;
}

void control_limit(unsigned most)
{
    if (most < most_visitors)
        most_visitors = most;
}

bool control_open(int listener)
{
    if (door_count == MOST_DOORS)
        return false;
    doors[door_count] = (struct source){.fd = listener, .ready = comes};
    loop_watch(&doors[door_count++], EPOLLIN);
    return true;
}
