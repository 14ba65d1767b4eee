/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through an association, by libusrsctp's public functions: all is copied. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "pool.h"
#include "usrsctp_socket.h"

enum {
    ROOM = 4096, /* that is left for a message's rest, or a notification */
    BUFFER = (64 << 10) + ROOM,
};

/* All lie in one buffer, one behind the other, and so are one piece; a full one is as none there. */
enum received association_receive(struct association *a, struct pieces *pieces)
{
    static char buffer[BUFFER];
    char *to = buffer + pieces->bytes;
    struct sctp_rcvinfo info = {0};
    socklen_t none = 0, info_len = sizeof info;
    unsigned kind = 0;
    int flags = 0;
    ssize_t n;

    if (sizeof buffer - pieces->bytes < ROOM) {
        errno = EAGAIN;
        return RECEIVED_NOTHING;
    }
    n = usrsctp_recvv(a->socket, to, sizeof buffer - pieces->bytes, NULL, &none, &info, &info_len, &kind,
                      &flags);
    if (n < 0)
        return RECEIVED_NOTHING;
    if (n == 0) {
        a->convention.peer_ended = a->convention.gone = true;
        return RECEIVED_OTHER;
    }
    if (flags & MSG_NOTIFICATION) {
        union sctp_notification event = {0};

        memcpy(&event, to, (size_t)n < sizeof event ? (size_t)n : sizeof event);
        association_notified(a, &event);
        return RECEIVED_OTHER;
    }
    if (kind == SCTP_RECVV_RCVINFO && convention_is_end(&a->convention, ntohl(info.rcv_ppid))) {
        a->convention.peer_ended = true;
        return RECEIVED_OTHER;
    }
    pieces->bytes += (size_t)n;
    pieces->at[0] = (struct iovec){buffer, pieces->bytes};
    pieces->count = 1;
    return RECEIVED_DATA;
}

void pieces_release(struct pieces *pieces)
{
    (void)pieces;
}

void *stack_block(size_t size)
{
    return pool_malloc(size);
}

void stack_block_free(void *block)
{
    pool_free(block);
}

bool stack_send(struct association *a, void *block, size_t len)
{
    if (!association_send(a, block, len, a->convention.ppid, false))
        return false;
    pool_free(block);
    return true;
}
