/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the broker; with plain system calls, for start.c's reasons. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../libc.h"
#include "../log.h"
#include "../planes.h"
#include "internal.h"
#include "rendezvous.h"
#include "userspace.h"

enum { PATIENCE = 10, TRIES = 3 }; /* seconds for an answer; starts of a broker */

/* Not by the function that is one of our own hooks: it would remember the descriptor. */
static uid_t peer_of(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return raw(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &len, 0) == 0 ? peer.uid
                                                                               : (uid_t)-1;
}

static int reach(const struct sockaddr_un *name, socklen_t len, uid_t user)
{
    int fd = (int)raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
    int error;

    if (fd < 0)
        return -1;
    if (raw(SYS_connect, fd, name, len, 0, 0, 0) == 0) {
        uid_t uid = peer_of(fd);

        if (uid == user || uid == 0)
            return fd;
        errno = EPERM;
    }
    error = errno;
    raw(SYS_close, fd, 0, 0, 0, 0, 0);
    errno = error;
    return -1;
}

static bool wait_for_answer(int fd)
{
    struct timespec limit = {.tv_sec = PATIENCE};
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    long ready;

    /* The kernel writes back what is left of the time. */
    do
        ready = raw(SYS_ppoll, &poll, 1, &limit, NULL, 0, 0);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0;
}

static bool exchange(int fd, const struct request *request, struct answer *answer)
{
    long len;

    if (raw(SYS_sendto, fd, request, sizeof *request, MSG_NOSIGNAL, NULL, 0) < 0 ||
        !wait_for_answer(fd))
        return false;
    len = raw(SYS_recvfrom, fd, answer, sizeof *answer, MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);
    if (len >= 0 && answer_valid(answer, (size_t)len, request->kind))
        return true;
    errno = len < 0 ? errno : len == 0 ? ECONNRESET : EPROTO;
    return false;
}

static bool ask_at(const struct sockaddr_un *name, socklen_t len, uid_t user,
                   const struct request *request, struct answer *answer)
{
    int fd = reach(name, len, user), error;
    bool answered;

    if (fd < 0)
        return false;
    answered = exchange(fd, request, answer);
    error = errno;
    raw(SYS_close, fd, 0, 0, 0, 0, 0);
    errno = error;
    return answered;
}

/* Errors that say that there is no broker, or that it has just gone. */
static bool is_absent(int error)
{
    return error == ENOENT || error == ECONNREFUSED || error == ECONNRESET || error == EPIPE ||
           error == ENOTDIR;
}

static bool ask_abroad(uint32_t network, uid_t user, const struct request *request,
                       struct answer *answer)
{
    struct sockaddr_un name;
    socklen_t len = rendezvous_abroad(&name, network, user);

    return ask_at(&name, len, user, request, answer);
}

/* In its directory, where nobody else can be; where that is out of reach, by its other name. */
static bool ask_own(uint32_t network, const struct request *request, struct answer *answer)
{
    char *const environment[] = {rendezvous_runtime, NULL};
    struct rendezvous where;
    int error;

    if (!rendezvous_find(&where, network, environment))
        return false;
    if (rendezvous_enter(&where, false) &&
        ask_at(&where.socket, sizeof where.socket, geteuid(), request, answer))
        return true;
    error = errno;
    if (is_absent(error) && ask_abroad(network, geteuid(), request, answer))
        return true;
    errno = error;
    return false;
}

/* Whose leg it is they know who made it: the user who made the listening socket, ourselves, root. */
static bool ask_all(uint32_t network, uid_t maker, const struct request *request,
                    struct answer *answer)
{
    bool names = request->kind == REQUEST_NAMES;
    int error;

    if (names && maker != geteuid() && ask_abroad(network, maker, request, answer) &&
        answer->error != ENOENT)
        return true;
    if (ask_own(network, request, answer) && !(names && answer->error == ENOENT))
        return true;
    error = errno;
    if (geteuid() != 0 && (is_absent(error) || names) && ask_abroad(network, 0, request, answer))
        return true;
    errno = error;
    return false;
}

/* Whose leg it is; one that neither end's address tells is this process's. */
static uint32_t network_of(const struct request *request)
{
    if (address_is_leg(&request->leg))
        return address_leg_network(&request->leg);
    return address_is_leg(&request->other) ? address_leg_network(&request->other) : leg_network;
}

bool broker_ask(int fd, const struct request *request, struct answer *answer, bool start)
{
    uint32_t network = network_of(request);
    struct stat socket;
    uid_t maker = fstat(fd, &socket) == 0 ? socket.st_uid : geteuid();

    memset(answer, 0, sizeof *answer);
    for (int i = 0; i < TRIES; i++) {
        if (ask_all(network, maker, request, answer))
            return true;
        if (!start || !is_absent(errno))
            break;
        if (!broker_start(network)) {
            errno = ENETDOWN;
            break;
        }
    }
    return false;
}

int broker_arrange(int fd, struct request *request, struct answer *answer,
                   const char *consequence)
{
    plane_warn(plane_of_legs(), options_of(fd));
    parameters_take(&request->parameters, options_of(fd));
    fallback_shorten(fd, &request->parameters);
    if (broker_ask(fd, request, answer, true))
        return answer->error;
    log_error_once("no broker (%s): %s", strerrorname_np(errno), consequence);
    return ENETDOWN;
}
