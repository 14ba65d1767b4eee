/* SPDX-License-Identifier: BSD-3-Clause */
/* The sockets: UDP's from the start, raw ones when somebody asks for IP protocol 132. */
#include "packets_internal.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../log.h"

enum { RECEIVE_BUFFER = 64 << 20, SEND_BUFFER = 4 << 20 };

struct source packets_sockets[PACKETS_SOCKETS] = {
    {.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}};
struct packets_counts packets_counted;
static uint16_t own_port;

uint16_t packets_port(void)
{
    return own_port;
}

const struct packets_counts *packets_counts(void)
{
    return &packets_counted;
}

struct source *packets_socket_to(const union address *to)
{
    bool six = to->any.sa_family == AF_INET6;

    if (address_port(to))
        return &packets_sockets[six ? UDP_V6 : UDP_V4];
    return &packets_sockets[six ? RAW_V6 : RAW_V4];
}

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static void set_options(int fd, int family)
{
    if (family == AF_INET6) {
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    } else {
        set(fd, IPPROTO_IP, IP_PKTINFO, 1);
        set(fd, IPPROTO_IP, IP_RECVTOS, 1);
        set(fd, IPPROTO_IP, IP_RECVERR, 1);
    }
    /* Beyond the system's limit where we may; it holds what arrives for all associations. */
    set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER);
    set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER);
}

static void watch(struct source *source)
{
    source->ready = packets_ready;
    loop_watch(source, EPOLLIN);
}

/* ---- UDP ---- */

static int open_family(int family, uint16_t port)
{
    union address name = {.in6 = {.sin6_family = (sa_family_t)family, .sin6_port = htons(port)}};
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

    if (fd < 0)
        return -1;
    set_options(fd, family);
    set(fd, SOL_UDP, UDP_GRO, 1);
    if (bind(fd, &name.any, address_len(&name)) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool open_port(uint16_t port)
{
    struct source *four = &packets_sockets[UDP_V4], *six = &packets_sockets[UDP_V6];
    union address name;
    socklen_t len = sizeof name;

    four->fd = open_family(AF_INET, port);
    if (four->fd < 0)
        return false;
    getsockname(four->fd, &name.any, &len);
    own_port = ntohs(address_port(&name));
    six->fd = open_family(AF_INET6, own_port);
    if (six->fd < 0 && errno == EADDRINUSE) {
        close(four->fd);
        four->fd = -1;
        errno = EADDRINUSE;
        return false;
    }
    return true;
}

bool packets_open(uint16_t port)
{
    if (!open_port(port) && (errno != EADDRINUSE || !open_port(0)))
        return false;
    watch(&packets_sockets[UDP_V4]);
    watch(&packets_sockets[UDP_V6]);
    return true;
}

/* ---- IP protocol 132 ---- */

static void open_raw(struct source *source, int family)
{
    source->fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
    if (source->fd < 0)
        return;
    set_options(source->fd, family);
    watch(source);
}

bool packets_open_raw(void)
{
    if (packets_sockets[RAW_V4].fd >= 0)
        return true;
    open_raw(&packets_sockets[RAW_V4], AF_INET);
    if (packets_sockets[RAW_V4].fd < 0) {
        log_warn_once("UDP_ENCAPS=raw: no raw socket (%s, it takes CAP_NET_RAW): packets go in UDP",
                      strerrorname_np(errno));
        return false;
    }
    open_raw(&packets_sockets[RAW_V6], AF_INET6);
    log_info("packets of IP protocol 132 are taken too");
    return true;
}
