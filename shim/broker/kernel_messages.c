/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack interface over the kernel's SCTP: messages and notifications of an association. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <string.h>
#include <sys/socket.h>

#include "../wire.h"
#include "kernel_socket.h"

enum { NOTE = 512 /* more than any notification that we have asked for */ };

void messages_lost(struct association *a, int error)
{
    if (!a->error)
        a->error = error == ETIMEDOUT ? ETIMEDOUT : ECONNRESET;
    a->reset = true;
}

/* ---- Receiving ---- */

static void noted(struct association *a, const union sctp_notification *note, size_t len)
{
    if (len < sizeof note->sn_header)
        return;
    switch (note->sn_header.sn_type) {
    case SCTP_ADAPTATION_INDICATION:
        a->peer_is_shim = wire_announces(note->sn_adaptation_event.sai_adaptation_ind);
        break;
    case SCTP_SHUTDOWN_EVENT:
        a->peer_ended = true;
        break;
    case SCTP_ASSOC_CHANGE:
        if (note->sn_assoc_change.sac_state == SCTP_COMM_UP)
            a->up = true;
        /* A restart is a new connection with an old one's name. */
        if (note->sn_assoc_change.sac_state == SCTP_COMM_LOST ||
            note->sn_assoc_change.sac_state == SCTP_RESTART)
            messages_lost(a, ECONNRESET);
        break;
    }
}

static uint32_t ppid_of(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct sctp_rcvinfo info;

        if (c->cmsg_level != IPPROTO_SCTP || c->cmsg_type != SCTP_RCVINFO)
            continue;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        return ntohl(info.rcv_ppid);
    }
    return 0;
}

/* One message or part of one; 1: data, 0: something else that has been dealt with, -1: errno. */
static int receive_one(struct association *a, char *bytes, size_t size, int flags, size_t *got)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(struct sctp_rcvinfo))];
    } control;
    union {
        union sctp_notification note;
        char room[NOTE];
    } small;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t n = recvmsg(a->source.fd, &msg, MSG_DONTWAIT | flags);

    if (n < 0)
        return -1;
    if (n == 0) {
        a->peer_ended = a->gone = true;
        return 0;
    }
    if (msg.msg_flags & MSG_NOTIFICATION) {
        memset(&small, 0, sizeof small);
        memcpy(&small, bytes, (size_t)n < sizeof small ? (size_t)n : sizeof small);
        if (!(flags & MSG_PEEK))
            noted(a, &small.note, (size_t)n);
        return 0;
    }
    *got = (size_t)n;
    if (ppid_of(&msg) != WIRE_FIN_PPID || !a->peer_is_shim)
        return 1;
    if (!(flags & MSG_PEEK))
        a->peer_ended = true;
    return flags & MSG_PEEK ? 1 : 0;
}

int messages_take_notes(struct association *a)
{
    char note[NOTE];
    size_t got;
    int what;

    /* Data stays: it is only looked at, and a peek says of a notification that it is none. */
    while ((what = receive_one(a, note, sizeof note, MSG_PEEK, &got)) == 0 && !a->gone)
        if ((what = receive_one(a, note, sizeof note, 0, &got)) < 0)
            break;
    return what >= 0 || errno == EAGAIN || errno == EINTR ? 0 : errno;
}

ssize_t stack_receive(struct association *a, void *bytes, size_t size)
{
    enum { ROOM = 4096 }; /* a message's rest or a notification must find room */
    size_t done = 0;

    while (!a->peer_ended && !a->reset && size - done >= ROOM) {
        size_t got = 0;
        int what = receive_one(a, (char *)bytes + done, size - done, 0, &got);

        if (what < 0) {
            if (errno != EAGAIN && errno != EINTR)
                messages_lost(a, errno);
            break;
        }
        done += what ? got : 0;
    }
    if (done)
        return (ssize_t)done;
    if (a->reset) {
        errno = a->error;
        return -1;
    }
    if (a->peer_ended)
        return 0;
    errno = EAGAIN;
    return -1;
}

bool stack_alive(struct association *a)
{
    char rest[4096];
    size_t got;

    while (!a->gone && !a->reset) {
        if (receive_one(a, rest, sizeof rest, 0, &got) >= 0)
            continue;
        if (errno != EAGAIN && errno != EINTR)
            messages_lost(a, errno);
        break;
    }
    return !a->reset;
}

/* ---- Sending ---- */

static bool send_message(struct association *a, const void *bytes, size_t len, uint32_t ppid,
                         uint16_t flags)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct sctp_sndinfo))];
    } control = {0};
    struct sctp_sndinfo info = {.snd_sid = a->stream, .snd_ppid = ppid, .snd_flags = flags};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof control};

    control.head.cmsg_level = IPPROTO_SCTP;
    control.head.cmsg_type = SCTP_SNDINFO;
    control.head.cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(&control.head), &info, sizeof info);
    if (sendmsg(a->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return true;
    if (errno == ESHUTDOWN || errno == ENOTCONN)
        errno = EPIPE;
    return false;
}

bool stack_send(struct association *a, const void *bytes, size_t len)
{
    return send_message(a, bytes, len, a->ppid, 0);
}

bool stack_finish(struct association *a)
{
    if (a->finished)
        return true;
    /* With a peer that has ended its direction, or knows no half-close, it is SCTP's own end. */
    if (a->peer_ended || !a->peer_is_shim)
        shutdown(a->source.fd, SHUT_WR);
    else if (!send_message(a, "", 1, htonl(WIRE_FIN_PPID), SCTP_SACK_IMMEDIATELY) &&
             errno == EAGAIN)
        return false;
    a->finished = true;
    return true;
}
