/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs whose every write is a message (MESSAGES): on which stream each goes, and an end of the
 * stream that none of them comes after.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "../log.h"
#include "internal.h"

/* A thread's place among those that have written. */
static unsigned thread_number(void)
{
    static atomic_uint threads;
    static __thread unsigned own;

    if (!own)
        own = atomic_fetch_add(&threads, 1) + 1;
    return own - 1;
}

/* As many as the peer has granted; a socket that came from another process has to be asked. */
static unsigned stream_count(int fd, struct fd_info *info)
{
    struct sctp_status status;

    if (!info->ostreams)
        info->ostreams = sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0
                             ? status.sstat_outstrms
                             : 1;
    return info->ostreams;
}

static struct sctp_prinfo prinfo_of(const struct options *o)
{
    struct sctp_prinfo info = {SCTP_PR_SCTP_NONE, 0};

    if (o->lifetime)
        info = (struct sctp_prinfo){SCTP_PR_SCTP_TTL, o->lifetime};
    else if (o->message_retrans != MESSAGE_RETRANS_UNLIMITED)
        info = (struct sctp_prinfo){SCTP_PR_SCTP_RTX, o->message_retrans};
    return info;
}

void sndinfo_put(struct msghdr *msg, union sndinfo_control *control,
                 const struct sctp_sndinfo *send, const struct sctp_prinfo *reliability)
{
    struct cmsghdr *cmsg = &control->align;

    memset(control, 0, sizeof *control);
    msg->msg_control = control;
    msg->msg_controllen = sizeof control->space;
    *cmsg = (struct cmsghdr){CMSG_LEN(sizeof *send), IPPROTO_SCTP, SCTP_SNDINFO};
    memcpy(CMSG_DATA(cmsg), send, sizeof *send);
    cmsg = (struct cmsghdr *)(control->space + CMSG_SPACE(sizeof *send));
    *cmsg = (struct cmsghdr){CMSG_LEN(sizeof *reliability), IPPROTO_SCTP, SCTP_PRINFO};
    memcpy(CMSG_DATA(cmsg), reliability, sizeof *reliability);
}

/* The stream of the next message, by SPREAD. The socket's defaults do not count beside it. */
static void put_on_stream(int fd, const struct options *o, struct msghdr *msg,
                          union sndinfo_control *control)
{
    struct fd_info *info = fd_info(fd);
    unsigned turn = o->spread == SPREAD_WRITES
                        ? atomic_fetch_add_explicit(&info->writes, 1, memory_order_relaxed)
                        : thread_number();
    struct sctp_sndinfo send = {
        .snd_sid = (uint16_t)(turn % stream_count(fd, info)),
        .snd_ppid = htonl(o->ppid),
        .snd_flags = o->unordered ? SCTP_UNORDERED : 0,
    };
    struct sctp_prinfo reliability = prinfo_of(o);

    sndinfo_put(msg, control, &send, &reliability);
}

ssize_t message_send(int fd, const struct iovec *iov, size_t count, int flags)
{
    const struct options *o = options_of(fd);
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    union sndinfo_control control;
    ssize_t n;

    if (o->spread) {
        /* The wall of send_fin() stands before the default stream only. */
        if (state_get(fd) & (STATE_FIN_SENT | STATE_MUTE)) {
            errno = EPIPE;
            return -1;
        }
        put_on_stream(fd, o, &msg, &control);
    }
    n = libc.sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
    if (n < 0 && errno == EMSGSIZE)
        log_warn_once("MESSAGES: a write is longer than SNDBUF (%d bytes), and refused",
                      int_option(fd, SOL_SOCKET, SO_SNDBUF, 0));
    return n;
}

bool is_acknowledged(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof memory;

    return libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) == 0 &&
           !memory[SK_MEMINFO_WMEM_QUEUED];
}

static bool is_lossy(const struct options *o)
{
    return o->lifetime || o->message_retrans != MESSAGE_RETRANS_UNLIMITED;
}

/*
 * A message may have arrived and yet wait for word that the one before it on its stream was given
 * up. Nothing says when that word has arrived, so no FIN message can be behind it.
 */
bool messages_end_as_one(int fd)
{
    const struct options *o = options_of(fd);

    if (!o->messages || !o->spread || o->unordered || !is_lossy(o))
        return false;
    log_warn_once("SPREAD of messages that may be given up: the end of one direction ends both");
    return true;
}

/*
 * The FIN message would overtake what is unordered or on other streams. So it waits until all has
 * been acknowledged or given up: the kernel says when, at once where that is so already.
 */
bool messages_hold_fin(int fd)
{
    return options_of(fd)->messages && !is_acknowledged(fd) && fin_hold(fd);
}

bool fin_hold(int fd)
{
    const struct sctp_event dry = {.se_type = SCTP_SENDER_DRY_EVENT, .se_on = 1};

    state_add(fd, STATE_FIN_DUE);
    if (sctp_set(fd, SCTP_EVENT, &dry, sizeof dry) == 0) {
        head_settle(fd);
        return true;
    }
    state_drop(fd, STATE_FIN_DUE);
    return false;
}
