/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack interface over the kernel's SCTP: messages and notifications of an association. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../wire.h"
#include "kernel_socket.h"

enum {
    NOTE = 512, /* more than any notification that we have asked for */
    ROOM = 4096, /* that is left for a message's rest, or a notification */
    BUFFER = (64 << 10) + ROOM,
};

void association_lost(struct association *a, int error)
{
    if (!a->convention.error)
        a->convention.error = error == ETIMEDOUT ? ETIMEDOUT : ECONNRESET;
    a->convention.lost = true;
}

/* ---- Receiving ---- */

static void noted(struct association *a, const union sctp_notification *note, size_t len)
{
    if (len < sizeof note->sn_header)
        return;
    switch (note->sn_header.sn_type) {
    case SCTP_ADAPTATION_INDICATION:
        a->convention.peer_is_shim = wire_announces(note->sn_adaptation_event.sai_adaptation_ind);
        break;
    case SCTP_SHUTDOWN_EVENT:
        a->convention.peer_ended = true;
        break;
    case SCTP_ASSOC_CHANGE:
        if (note->sn_assoc_change.sac_state == SCTP_COMM_UP)
            a->up = true;
        /* A restart is a new connection with an old one's name. */
        if (note->sn_assoc_change.sac_state == SCTP_COMM_LOST ||
            note->sn_assoc_change.sac_state == SCTP_RESTART)
            association_lost(a, ECONNRESET);
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

/* With `flags` MSG_PEEK it is only looked at. */
static enum received receive_one(struct association *a, char *bytes, size_t size, int flags,
                                 size_t *got)
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
        return RECEIVED_NOTHING;
    if (n == 0) {
        a->convention.peer_ended = a->convention.gone = true;
        return RECEIVED_OTHER;
    }
    if (msg.msg_flags & MSG_NOTIFICATION) {
        memset(&small, 0, sizeof small);
        memcpy(&small, bytes, (size_t)n < sizeof small ? (size_t)n : sizeof small);
        if (!(flags & MSG_PEEK))
            noted(a, &small.note, (size_t)n);
        return RECEIVED_OTHER;
    }
    *got = (size_t)n;
    if (!convention_is_end(&a->convention, ppid_of(&msg)))
        return RECEIVED_DATA;
    if (!(flags & MSG_PEEK))
        a->convention.peer_ended = true;
    return flags & MSG_PEEK ? RECEIVED_DATA : RECEIVED_OTHER;
}

/* All lie in one buffer, one behind the other, and so are one piece; a full one is as none there. */
enum received association_receive(struct association *a, struct pieces *pieces)
{
    static char buffer[BUFFER];
    enum received what;
    size_t got = 0;

    if (sizeof buffer - pieces->bytes < ROOM) {
        errno = EAGAIN;
        return RECEIVED_NOTHING;
    }
    what = receive_one(a, buffer + pieces->bytes, sizeof buffer - pieces->bytes, 0, &got);
    if (what != RECEIVED_DATA)
        return what;
    pieces->bytes += got;
    pieces->at[0] = (struct iovec){buffer, pieces->bytes};
    pieces->count = 1;
    return RECEIVED_DATA;
}

void pieces_release(struct pieces *pieces)
{
    (void)pieces;
}

int messages_take_notes(struct association *a)
{
    char note[NOTE];
    size_t got;
    enum received what;

    /* Data stays: it is only looked at, and a peek says of a notification that it is none. */
    do {
        what = receive_one(a, note, sizeof note, MSG_PEEK, &got);
        if (what == RECEIVED_OTHER && !a->convention.gone)
            what = receive_one(a, note, sizeof note, 0, &got);
    } while (what == RECEIVED_OTHER && !a->convention.gone);
    return what != RECEIVED_NOTHING || errno == EAGAIN || errno == EINTR ? 0 : errno;
}

/* ---- Sending ---- */

bool association_send(struct association *a, const void *bytes, size_t len, uint32_t ppid,
                      bool sack_at_once)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct sctp_sndinfo))];
    } control = {0};
    struct sctp_sndinfo info = {.snd_sid = a->convention.stream, .snd_ppid = ppid,
                                .snd_flags = sack_at_once ? SCTP_SACK_IMMEDIATELY : 0};
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

void *stack_block(size_t size)
{
    return malloc(size);
}

void stack_block_free(void *block)
{
    free(block);
}

bool stack_send(struct association *a, void *block, size_t len)
{
    if (!association_send(a, block, len, a->convention.ppid, false))
        return false;
    free(block);
    return true;
}

void association_shutdown(struct association *a)
{
    shutdown(a->source.fd, SHUT_WR);
}
