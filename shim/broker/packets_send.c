/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets on their way out: a queue of those that leave together, runs of one size to one broker in
 * one system call (UDP_SEGMENT). A kernel's SCTP is never sent a run: one of 6.1 has been seen to
 * panic over it.
 */
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>

#include "packets_internal.h"

enum {
    QUEUE = 132, /* packets that wait: three whole runs at MTU 1500 */
};

/* Copies of the packets' descriptions; their parts lie in `parts`, in order. */
static struct packet queue[QUEUE];
static struct iovec parts[QUEUE * PACKET_PARTS];
static size_t queued, parts_used;

/* By a hash of host and port; an older one makes room for a newer one. */
static union address brokers[KNOWN_HOSTS];

static union address *broker_slot(const union address *to)
{
    return &brokers[packets_slot(to)];
}

void packets_allow_runs(const union address *to)
{
    *broker_slot(to) = *to;
}

static bool runs_allowed(const union address *to)
{
    return address_equal(broker_slot(to), to);
}

union send_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
               CMSG_SPACE(sizeof(uint16_t))];
};

static struct cmsghdr *put_control(struct msghdr *msg, struct cmsghdr *at, int level, int type,
                                   const void *data, size_t len)
{
    at = at ? CMSG_NXTHDR(msg, at) : CMSG_FIRSTHDR(msg);
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(at), data, len);
    return at;
}

/* From the address that the association has, with its traffic class, and cut into segments. */
static void write_control(struct msghdr *msg, union send_control *control,
                          const struct packet *packet, uint16_t segment)
{
    struct cmsghdr *at;
    int tos = packet->tos;

    memset(control, 0, sizeof *control);
    msg->msg_control = control;
    msg->msg_controllen = sizeof *control;
    if (packet->to.any.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = packet->from.in.sin_addr};

        at = put_control(msg, NULL, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
        at = put_control(msg, at, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    } else {
        struct in6_pktinfo info = {.ipi6_addr = packet->from.in6.sin6_addr,
                                   .ipi6_ifindex = packet->to.in6.sin6_scope_id};

        at = put_control(msg, NULL, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
        at = put_control(msg, at, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    }
    if (segment)
        at = put_control(msg, at, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment);
    msg->msg_controllen = (size_t)((char *)at - (char *)control) + CMSG_SPACE(at->cmsg_len -
                                                                              CMSG_LEN(0));
}

/* How many packets from this one on can leave as one run? */
static size_t run_length(size_t first)
{
    const struct packet *head = &queue[first];
    size_t bytes = head->len, segments = head->count, count = 1;

    if (!runs_allowed(&head->to))
        return 1;
    while (first + count < queued) {
        const struct packet *next = &queue[first + count];

        if (next->len > head->len || next->tos != head->tos ||
            bytes + next->len > LARGEST_RUN || segments + next->count > 1024 ||
            !address_equal(&next->to, &head->to) || !address_equal(&next->from, &head->from))
            break;
        bytes += next->len;
        segments += next->count;
        count++;
        if (next->len < head->len)
            break; /* only the last one may be shorter */
    }
    return count;
}

static ssize_t send_run(const struct packet *head, const struct iovec *from, size_t segments,
                        size_t count)
{
    union send_control control;
    union address to = head->to;
    struct msghdr msg = {
        .msg_name = &to,
        .msg_namelen = address_len(&to),
        .msg_iov = (struct iovec *)from,
        .msg_iovlen = segments,
    };
    int fd = packets_socket_to(&head->to)->fd;
    ssize_t sent = -1;

    write_control(&msg, &control, head, count > 1 ? (uint16_t)head->len : 0);
    /* An ICMP error that is waiting is told to the next one who sends, and not sent. */
    for (int tries = 0; tries < 4; tries++) {
        sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0 || (errno != EINTR && errno != ECONNREFUSED && errno != EHOSTUNREACH &&
                          errno != ENETUNREACH))
            break;
    }
    return sent;
}

static void release(size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++)
        queue[i].release(queue[i].memory);
}

/* What could not leave moves to the front. */
static void keep_rest(size_t done, size_t parts_done)
{
    memmove(queue, queue + done, (queued - done) * sizeof *queue);
    memmove(parts, parts + parts_done, (parts_used - parts_done) * sizeof *parts);
    queued -= done;
    parts_used -= parts_done;
}

static void watch_room(bool wanted)
{
    uint32_t events = EPOLLIN | (wanted ? EPOLLOUT : 0);

    for (size_t i = 0; i < PACKETS_SOCKETS; i++)
        if (packets_sockets[i].fd >= 0)
            loop_watch(&packets_sockets[i], events);
}

void packets_flush(void)
{
    size_t done = 0, parts_done = 0;

    while (done < queued) {
        size_t count = run_length(done), segments = 0;

        for (size_t i = done; i < done + count; i++)
            segments += queue[i].count;
        if (send_run(&queue[done], parts + parts_done, segments, count) < 0) {
            if (errno == EAGAIN)
                break;
            /* ENOBUFS: the device has dropped it, as it does without a carrier: it is lost. */
            if (count > 1 && errno != ENOBUFS) { /* the device, or its MTU, does not take runs */
                memset(broker_slot(&queue[done].to), 0, sizeof(union address));
                continue;
            }
            packets_counted.dropped += count;
        } else if (count > 1) {
            packets_counted.runs++;
        }
        packets_counted.sent += count;
        packets_counted.sends++;
        release(done, count);
        done += count;
        parts_done += segments;
    }
    if (done)
        keep_rest(done, parts_done);
    watch_room(queued > 0);
}

bool packets_send(const struct packet *packet)
{
    if (packets_socket_to(&packet->to)->fd < 0)
        return false;
    if (queued == QUEUE)
        packets_flush();
    if (queued == QUEUE) {
        packets_counted.dropped++;
        return false;
    }
    queue[queued] = *packet;
    memcpy(parts + parts_used, packet->parts, packet->count * sizeof *packet->parts);
    parts_used += packet->count;
    queued++;
    return true;
}
