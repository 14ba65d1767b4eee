/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSG_MORE and TCP_CORK: many small writes in few packets, and none kept longer than by TCP.
 *
 * SCTP's own MSG_MORE keeps data until the next send, for ever if there is none; TCP's ends after
 * 200 ms, and nothing in SCTP does that. Its Nagle algorithm does not even need a clock: what it
 * keeps leaves with the next acknowledgement. It is SCTP_NODELAY that switches it, in the kernel,
 * so that every process and duplicate agrees. A head and a body, all that most programs put
 * between cork and uncork, gain nothing by it: it starts with the third small write.
 */
#include <netinet/tcp.h>

#include "internal.h"

enum {
    PATIENCE = 2, /* small writes that leave at once */
    SMALL = 1024, /* a write that does not fill a packet by itself */
};

static bool is_holding(const struct fd_info *info)
{
    return info->small_writes > PATIENCE;
}

static void set_nodelay(int fd, int on)
{
    sctp_set(fd, SCTP_NODELAY, &on, sizeof on);
}

static void let_go(int fd, struct fd_info *info)
{
    if (is_holding(info))
        set_nodelay(fd, options_of(fd)->nodelay || tcpopts_nodelay(fd));
    info->small_writes = 0;
}

void cork_write(int fd, struct fd_info *info, size_t len, bool more)
{
    if (!more) { /* this write takes along what was held */
        let_go(fd, info);
        info->flags &= (uint16_t)~FDF_MORE;
        return;
    }
    info->flags |= FDF_MORE;
    if (len >= SMALL || is_holding(info))
        return;
    if (++info->small_writes > PATIENCE)
        set_nodelay(fd, 0);
}

/* A heartbeat that was asked for leaves at once, and what is waiting leaves in its packet. */
void cork_push(int fd)
{
    struct fd_info *info = fd_info(fd);
    struct sctp_paddrparams now = {.spp_flags = SPP_HB_DEMAND};

    if (!is_holding(info)) {
        info->small_writes = 0;
        return;
    }
    let_go(fd, info);
    sctp_set(fd, SCTP_PEER_ADDR_PARAMS, &now, sizeof now);
}

void cork_set(int fd, bool on)
{
    struct fd_info *info = fd_info(fd);

    if (on) {
        info->flags |= FDF_CORKED;
        return;
    }
    info->flags &= (uint16_t)~(FDF_CORKED | FDF_MORE);
    cork_push(fd);
}

void cork_recall(int fd, struct fd_info *info)
{
    if (options_of(fd)->nodelay && !int_option(fd, IPPROTO_SCTP, SCTP_NODELAY, 1)) {
        info->flags |= FDF_CORKED;
        info->small_writes = PATIENCE + 1;
    }
}
