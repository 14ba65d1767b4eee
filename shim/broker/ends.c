/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's ends of legs: their sockets, and the places where programs' SYNs are held. */
#include "ends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

/*
 * Where SYNs are held. One is enough, but for programs that connect to several peers from one port
 * of their choice: there each connection needs another end.
 */
static struct hold {
    union address name;
    int listener, filler;
} holds[HOLDS];

/*
 * What a leg's end holds of what its program sends, bytes; the kernel doubles it, for its own use
 * (socket(7)). Left to itself it grows to tcp_rmem's most (32 MB here, of each connection whose peer
 * stopped after reading fast), and is a bit slower: what is read has left the processor's cache. The
 * most that Linux lets everybody have by default.
 */
enum { LEG_RECEIVE_BUFFER = 208 << 10 };

void end_linger(int fd, bool reset)
{
    struct linger value = {reset, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

void end_set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* A socket that resets what it is connected to when it is closed, and so when this process dies. */
int end_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    end_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    end_set(fd, SOL_SOCKET, SO_RCVBUF, LEG_RECEIVE_BUFFER);
    end_set(fd, SOL_SOCKET, SO_OOBINLINE, 1); /* SCTP has no urgent data: it goes with the other */
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, LEG_CONGESTION, sizeof LEG_CONGESTION - 1);
    end_linger(fd, true);
    return fd;
}

/* A SYN from where the program's own SYN went to. */
int hold_dial(const union address *hold, const union address *program)
{
    int fd = end_socket();

    if (fd < 0)
        return -1;
    end_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(fd, &hold->any, sizeof hold->in) == 0 &&
        (connect(fd, &program->any, sizeof program->in) == 0 || errno == EINPROGRESS))
        return fd;
    close(fd);
    return -1;
}

int end_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

bool end_answered(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLOUT};

    return poll(&end, 1, 0) == 1;
}

/*
 * Ending a connect whose SYN is held, first half: our SYN makes the program's socket answer, and
 * the answer is dropped for its time to live.
 */
void hold_refuse_begin(const union address *hold, const union address *program)
{
    enum { NEVER = 255 };
    int fd = end_socket();

    if (fd < 0)
        return;
    end_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    end_set(fd, IPPROTO_IP, IP_MINTTL, NEVER);
    if (bind(fd, &hold->any, sizeof hold->in) == 0)
        (void)!connect(fd, &program->any, sizeof program->in);
    close(fd);
}

/*
 * Second half: to a second SYN, which does not fit the first, the socket answers what it has seen
 * last (RFC 5961, 4.2), and TCP's reply to that resets it, without its having been connected for a
 * moment. The kernel makes one such answer a socket in half a second.
 */
void hold_refuse_end(const union address *hold, const union address *program)
{
    int fd = hold_dial(hold, program);

    if (fd >= 0)
        close(fd);
}

/* Backlog 0 and one connection in it: SYNs that come are dropped. */
static bool open_hold(struct hold *hold, uint32_t number)
{
    union address *name = &hold->name;
    socklen_t len = sizeof *name;

    name->in.sin_family = AF_INET;
    name->in.sin_addr.s_addr = htonl(leg_network | (LEG_HOLD + number));
    hold->listener = end_socket();
    hold->filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (hold->listener < 0 || hold->filler < 0)
        return false;
    end_set(hold->listener, SOL_SOCKET, SO_REUSEPORT, 1);
    return bind(hold->listener, &name->any, sizeof name->in) == 0 &&
           getsockname(hold->listener, &name->any, &len) == 0 && listen(hold->listener, 0) == 0 &&
           connect(hold->filler, &name->any, sizeof name->in) == 0;
}

bool holds_open(void)
{
    for (uint32_t i = 0; i < HOLDS; i++)
        if (!open_hold(&holds[i], i))
            return false;
    return true;
}

const union address *hold_name(size_t number)
{
    return &holds[number].name;
}
