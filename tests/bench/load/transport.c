/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets: TCP's as every program makes them, or SCTP's with everything set that helps. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Of native SCTP: messages that any default buffer takes, two whole packets on loopback, and a window
 * that is no whole number of them.
 */
enum {
    MESSAGE = 65536,
    SEND_BUFFER = 3 << 19,
    RECEIVE_BUFFER = SEND_BUFFER + MESSAGE / 12 * 5,
    LOOPBACK_MTU = 32768 + 68,
    ORDINARY_MTU = 9000,
};

/*
 * How many calls the library makes more than this program does natively: connecting and closing 34
 * where it makes 10 (6 for the socket, 3, 1), accepting and closing 12 where it makes 4 (3, 1).
 * tests/build/syscalls.c counts the library's.
 */
enum { MORE_AT_CONNECT = 24, MORE_AT_ACCEPT = 8 };

bool native, more_calls;

static void set(int fd, int level, int name, const void *value, size_t len, const char *what)
{
    if (setsockopt(fd, level, name, value, (socklen_t)len) < 0)
        fail(what);
}

/* Beyond the system's limit where this process may. */
static void set_size(int fd, int force, int name, int size, const char *what)
{
    if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof size) < 0)
        set(fd, SOL_SOCKET, name, &size, sizeof size, what);
}

/* What an expert sets before connect() or listen(). */
static void tune(int fd)
{
    struct sctp_sack_info sack = {.sack_delay = 10, .sack_freq = 2};
    struct sctp_rtoinfo rto = {.srto_initial = 1000, .srto_min = 300, .srto_max = 60000};

    set_size(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER, "SO_SNDBUF");
    set_size(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER, "SO_RCVBUF");
    set(fd, IPPROTO_SCTP, SCTP_NODELAY, &(int){1}, sizeof(int), "SCTP_NODELAY");
    set(fd, IPPROTO_SCTP, SCTP_DELAYED_SACK, &sack, sizeof sack, "SCTP_DELAYED_SACK");
    set(fd, IPPROTO_SCTP, SCTP_RTOINFO, &rto, sizeof rto, "SCTP_RTOINFO");
}

/*
 * And what can only be known then: loopback's path MTU lets the window open too rarely. For the
 * association: of a path alone the kernel takes it back.
 */
static void tune_path(int fd)
{
    struct sctp_status status = {0};
    socklen_t len = sizeof status;
    struct sctp_paddrparams path = {.spp_pathmtu = LOOPBACK_MTU, .spp_flags = SPP_PMTUD_DISABLE};

    if (getsockopt(fd, IPPROTO_SCTP, SCTP_STATUS, &status, &len) < 0)
        fail("SCTP_STATUS");
    if (status.sstat_primary.spinfo_mtu <= ORDINARY_MTU)
        return;
    set(fd, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof path, "SCTP_PEER_ADDR_PARAMS");
}

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, native ? IPPROTO_SCTP : 0);

    if (fd < 0)
        fail("socket");
    if (native)
        tune(fd);
    return fd;
}

/* Cheap ones, of which nothing comes but that they are made. */
static void call(int fd, int times)
{
    for (int i = 0; more_calls && i < times; i++)
        set(fd, IPPROTO_SCTP, SCTP_NODELAY, &(int){1}, sizeof(int), "SCTP_NODELAY");
}

/* Programs that care about latency switch Nagle's algorithm off. */
static void settle(int fd)
{
    if (native)
        tune_path(fd);
    else
        set(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int), "TCP_NODELAY");
}

static struct sockaddr_in name_of(const char *address, const char *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)number(port, 1, 65535))};

    errno = EINVAL;
    if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
        fail(address);
    return name;
}

int listen_at(const char *address, const char *port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = open_socket();

    set(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int), "SO_REUSEADDR");
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
        fail("bind");
    if (listen(fd, 4096) < 0)
        fail("listen");
    return fd;
}

int accept_next(int listener)
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
        fail("accept");
    if (fd < 0)
        return -1;
    settle(fd);
    call(fd, MORE_AT_ACCEPT);
    return fd;
}

int connect_at(const char *address, const char *port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = open_socket();

    if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
        fail("connect");
    settle(fd);
    call(fd, MORE_AT_CONNECT);
    return fd;
}

void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("O_NONBLOCK");
}

int begin_connect_at(const char *address, const char *port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = open_socket();

    set_nonblocking(fd);
    settle(fd);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0 && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool send_some(int fd, const void *from, size_t len)
{
    const char *at = from;

    while (len) {
        ssize_t n = send(fd, at, native && len > MESSAGE ? MESSAGE : len, MSG_NOSIGNAL);

        if (n < 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

void send_all(int fd, const void *from, size_t len)
{
    if (!send_some(fd, from, len))
        fail("send");
}

bool receive_all(int fd, void *to, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = read(fd, (char *)to + have, len - have);

        if (n <= 0 && have == 0)
            return false;
        errno = n ? errno : EPIPE;
        if (n <= 0)
            fail("read");
        have += (size_t)n;
    }
    return true;
}

int open_for(const char *address, const char *port, struct header header)
{
    int fd = connect_at(address, port);

    send_all(fd, &header, sizeof header);
    return fd;
}
