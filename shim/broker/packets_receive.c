/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets on their way in: many at a time, runs taken apart (UDP_GRO), and ICMP errors. */
#include <errno.h>
#include <time.h>
#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>

#include "packets_internal.h"
#include "pool.h"

enum { DATAGRAM = 65536 };
enum { AT_ONCE = 4 }; /* datagrams of one system call: more would not stay in a processor's cache */

static const struct packets_user *user;

void packets_tell(const struct packets_user *told)
{
    user = told;
}

union receive_control {
    struct cmsghdr align;
    char space[256];
};

/* What the kernel tells about a datagram. */
struct arrival {
    union address to;
    uint8_t tos;
    size_t segment; /* 0: it is one packet */
    const struct sock_extended_err *error;
};

static void read_control(struct msghdr *msg, struct arrival *about)
{
    memset(about, 0, sizeof *about);
    for (struct cmsghdr *at = CMSG_FIRSTHDR(msg); at; at = CMSG_NXTHDR(msg, at)) {
        const void *data = CMSG_DATA(at);

        if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
            about->to.in.sin_family = AF_INET;
            about->to.in.sin_addr = ((const struct in_pktinfo *)data)->ipi_addr;
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            about->to.in6.sin6_family = AF_INET6;
            about->to.in6.sin6_addr = ((const struct in6_pktinfo *)data)->ipi6_addr;
        } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
            about->tos = *(const uint8_t *)data;
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
            about->tos = (uint8_t) * (const int *)data;
        } else if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_GRO) {
            about->segment = (size_t) * (const int *)data;
        } else if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR) ||
                   (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR)) {
            about->error = data;
        }
    }
}

/* A raw socket of IPv4's shows the IP header. */
static size_t header_of(const struct source *source, const unsigned char *bytes, size_t len)
{
    size_t header = source == &packets_sockets[RAW_V4] && len > 0 ? (bytes[0] & 15u) * 4 : 0;

    return header < len ? header : len;
}

/* What is left of the block: itself, or NULL when it is kept. */
static void *take_datagram(const struct source *source, struct msghdr *msg, void *block, size_t len)
{
    size_t header = header_of(source, block, len);
    struct datagram datagram = {.bytes = (unsigned char *)block + header, .len = len - header,
                                .block = block};
    struct arrival about;

    read_control(msg, &about);
    if (msg->msg_flags & MSG_TRUNC || about.to.any.sa_family == AF_UNSPEC || !datagram.len)
        return block;
    memcpy(&datagram.from, msg->msg_name, sizeof datagram.from);
    if (source >= &packets_sockets[RAW_V4])
        address_set_port(&datagram.from, 0); /* there is the protocol's number */
    datagram.to = about.to;
    datagram.tos = about.tos;
    datagram.packet = about.segment && about.segment < datagram.len ? about.segment : datagram.len;
    packets_counted.received += (datagram.len + datagram.packet - 1) / datagram.packet;
    user->input(&datagram);
    return datagram.block;
}

/* A block for each of the datagrams to come, as far as there is memory. */
static int make_room(void *blocks[AT_ONCE])
{
    for (int i = 0; i < AT_ONCE; i++)
        if (!blocks[i] && !(blocks[i] = pool_malloc(DATAGRAM)))
            return i;
    return AT_ONCE;
}

/* The last look has not emptied it; else epoll tells. */
static bool more[PACKETS_SOCKETS];

static unsigned receive_from(const struct source *source, unsigned most)
{
    static void *blocks[AT_ONCE];
    static union receive_control controls[AT_ONCE];
    static union address names[AT_ONCE];
    struct mmsghdr msgs[AT_ONCE];
    struct iovec iov[AT_ONCE];
    unsigned done = 0;
    int count, room;

    do {
        memset(msgs, 0, sizeof msgs);
        memset(names, 0, sizeof names);
        room = make_room(blocks);
        for (int i = 0; i < room; i++) {
            iov[i] = (struct iovec){blocks[i], DATAGRAM};
            msgs[i].msg_hdr = (struct msghdr){
                .msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &iov[i],
                .msg_iovlen = 1, .msg_control = &controls[i], .msg_controllen = sizeof controls[i]};
        }
        count = recvmmsg(source->fd, msgs, (unsigned)room, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++)
            blocks[i] = take_datagram(source, &msgs[i].msg_hdr, blocks[i], msgs[i].msg_len);
        packets_counted.receives++;
        done += count > 0 ? (unsigned)count : 0;
    } while (count == AT_ONCE && done < most);
    more[source - packets_sockets] = count == AT_ONCE;
    return done;
}

/* A host that has no SCTP at all says that the protocol is unreachable. */
static int tcp_error(uint32_t error)
{
    return error == ENOPROTOOPT ? ECONNREFUSED : (int)error;
}

/* ICMP errors: the packet they are about comes back with them. */
static void receive_errors(int fd)
{
    enum { ENOUGH = 64 };

    for (int i = 0; i < ENOUGH; i++) {
        unsigned char bytes[64];
        union receive_control control;
        union address name = {0};
        struct iovec iov = {bytes, sizeof bytes};
        struct msghdr msg = {
            .msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = &control, .msg_controllen = sizeof control};
        struct arrival about;
        ssize_t len = recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);

        if (len < 0)
            return;
        read_control(&msg, &about);
        if (about.error && about.error->ee_errno != EMSGSIZE)
            user->unreachable(bytes, (size_t)len, &name, tcp_error(about.error->ee_errno));
    }
}

unsigned packets_receive(unsigned most)
{
    unsigned done = 0;

    for (size_t i = 0; i < PACKETS_SOCKETS; i++)
        if (more[i])
            done += receive_from(&packets_sockets[i], most);
    return done;
}

void packets_ready(struct source *source, uint32_t events)
{
    enum { AT_MOST = 256 };

    if (events & EPOLLERR)
        receive_errors(source->fd);
    if (events & EPOLLIN)
        receive_from(source, AT_MOST);
    if (events & EPOLLOUT)
        packets_flush();
}
