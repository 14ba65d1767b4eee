/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control data on a send: TCP reads that of SOL_SOCKET and ignores the rest; SCTP would take its
 * own level for orders. None is ever passed on: what TCP would take means nothing to SCTP.
 */
#include <errno.h>
#include <limits.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

enum { MOST = 1 << 17 }; /* net.core.optmem_max, which no program comes near */

/* Only who may set the mark may send one: setting the one that there is changes nothing. */
static bool may_mark(int fd)
{
    int mark = int_option(fd, SOL_SOCKET, SO_MARK, 0);

    return set_int_option(fd, SOL_SOCKET, SO_MARK, mark) == 0;
}

static bool asks_for_timestamps(const struct cmsghdr *cmsg)
{
    uint32_t flags;

    if (cmsg->cmsg_len != CMSG_LEN(sizeof flags))
        return false;
    memcpy(&flags, CMSG_DATA(cmsg), sizeof flags);
    return !(flags & ~(uint32_t)SOF_TIMESTAMPING_TX_RECORD_MASK);
}

static bool is_known(int fd, const struct cmsghdr *cmsg)
{
    switch (cmsg->cmsg_type) {
    case SCM_RIGHTS:
    case SCM_CREDENTIALS:
        return true; /* of local sockets, but TCP lets them pass */
    case SO_MARK:
        return cmsg->cmsg_len == CMSG_LEN(sizeof(uint32_t)) && may_mark(fd);
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW:
        return asks_for_timestamps(cmsg);
    default:
        return false;
    }
}

static int refused(int error)
{
    errno = error;
    return -1;
}

int control_copyable(int fd, const struct msghdr *msg)
{
    if (msg->msg_controllen > MOST)
        return refused(ENOBUFS);
    return array_readable(fd, msg->msg_control, msg->msg_controllen);
}

int control_check(int fd, const struct msghdr *msg)
{
    size_t at = 0, left = msg->msg_controllen;

    while (left >= sizeof(struct cmsghdr)) {
        const struct cmsghdr *cmsg =
            (const struct cmsghdr *)((const char *)msg->msg_control + at);
        size_t len = cmsg->cmsg_len;

        if (len < sizeof *cmsg || len > left)
            return refused(EINVAL);
        if (cmsg->cmsg_level == SOL_SOCKET && !is_known(fd, cmsg))
            return refused(EINVAL);
        if (CMSG_ALIGN(len) >= left)
            break;
        at += CMSG_ALIGN(len);
        left -= CMSG_ALIGN(len);
    }
    return 0;
}
