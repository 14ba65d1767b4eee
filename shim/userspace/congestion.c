/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control of legs. Nothing is lost on loopback and nobody shares it: what paces, as BBR
 * does, only holds a leg up (docs/performance.md). So a leg has LEG_CONGESTION in place of such a
 * default, and the program is shown the default. What it has set itself stays.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>

#include "../kernel/internal.h"
#include "../libc.h"
#include "internal.h"
#include "userspace.h"

static bool read_name(int fd, struct congestion *congestion)
{
    socklen_t len = sizeof congestion->name;

    memset(congestion, 0, sizeof *congestion);
    return libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion->name, &len) == 0;
}

static void write_name(int fd, const char *name)
{
    libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

static bool is(const struct congestion *congestion, const char *name)
{
    return strncmp(congestion->name, name, sizeof congestion->name) == 0;
}

/* What a socket has that nobody has touched; -1: there can be none. */
static int fresh_socket(void)
{
    return libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static void close_fresh(int fd)
{
    raw(SYS_close, fd, 0, 0, 0, 0, 0); /* no cancellation point, as the calls on options are none */
}

static bool read_default(struct congestion *congestion)
{
    int fd = fresh_socket();
    bool known = fd >= 0 && read_name(fd, congestion);

    if (fd >= 0)
        close_fresh(fd);
    return known;
}

/*
 * That it had the default is kept in the socket itself, which others may come to hold: by an option
 * that is about datagrams, stays with what is accepted, and does nothing to TCP.
 */
static bool is_replaced(int fd)
{
    return int_option(fd, IPPROTO_IP, IP_CHECKSUM, 0) == 1;
}

static bool mark(int fd, bool replaced)
{
    return set_int_option(fd, IPPROTO_IP, IP_CHECKSUM, replaced) == 0;
}

void congestion_of_leg(int fd)
{
    struct congestion own, usual;
    int saved = errno;

    if (!fd_sealed() && read_name(fd, &own) && !is(&own, LEG_CONGESTION) && !is(&own, "cubic") &&
        read_default(&usual) && is(&own, usual.name) && mark(fd, true))
        write_name(fd, LEG_CONGESTION);
    errno = saved;
}

void congestion_of_tcp(int fd)
{
    struct congestion usual;
    int saved = errno;

    if (is_replaced(fd) && read_default(&usual)) {
        mark(fd, false);
        write_name(fd, usual.name);
    }
    errno = saved;
}

void congestion_save(int fd, struct congestion *congestion)
{
    if (is_replaced(fd) || !read_name(fd, congestion))
        memset(congestion, 0, sizeof *congestion);
}

void congestion_restore(int fd, const struct congestion *congestion)
{
    struct congestion own;

    if (congestion->name[0] && read_name(fd, &own) && !is(&own, congestion->name))
        write_name(fd, congestion->name);
}

int congestion_get(int fd, int name, void *value, socklen_t *len)
{
    int fresh = !fd_sealed() && is_replaced(fd) ? fresh_socket() : -1, result, error;

    if (fresh < 0)
        return libc.getsockopt(fd, IPPROTO_TCP, name, value, len);
    result = libc.getsockopt(fresh, IPPROTO_TCP, name, value, len);
    error = errno;
    close_fresh(fresh);
    errno = error;
    return result;
}

int userspace_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    bool replaced = level == IPPROTO_TCP && name == TCP_CONGESTION && !fd_sealed() &&
                    is_replaced(fd);
    int result = libc.setsockopt(fd, level, name, value, len);

    /* It may have said LEG_CONGESTION. */
    if (result == 0 && replaced)
        mark(fd, false);
    return result;
}
