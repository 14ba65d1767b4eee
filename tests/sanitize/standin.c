/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SCTP's socket calls, acted over TCP: a stand-in for a kernel with SCTP, for sanitizers.
 *
 * AddressSanitizer and ThreadSanitizer need an address space of 2^47 bytes. A User-Mode Linux
 * guest has 2^39, and machines without SCTP have no other kernel that has it. So there the library
 * is watched on the machine's own kernel, preloaded above this, which lets it see what it would
 * see of SCTP: protocol numbers, options, notifications, messages, the FIN message. It shows
 * whether the library's own memory and threads are in order, not whether it behaves like TCP.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/sctp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { FDS = 65536, SHIM = 0x53435401 };
enum { NOTICE_DUE = 1, END_DUE = 2 }; /* the peer's announcement; its FIN message */

static _Atomic uint8_t due[FDS];
static atomic_bool used[FDS]; /* it is, or was, or may get connected */
static _Atomic uint32_t indications[FDS]; /* SCTP_ADAPTATION_LAYER; 0: as a shim's socket has it */

#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static bool is_tcp(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;

    return (unsigned)fd < FDS &&
           NEXT(getsockopt)(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
           protocol == IPPROTO_TCP;
}

static void begin(int fd, uint8_t what)
{
    if ((unsigned)fd < FDS) {
        atomic_store(&due[fd], what);
        atomic_store(&used[fd], what != 0);
        atomic_store(&indications[fd], 0);
    }
}

static void begin_connect(int fd)
{
    atomic_store(&due[fd], NOTICE_DUE | END_DUE);
    atomic_store(&used[fd], true);
}

int socket(int domain, int type, int protocol)
{
    int fd = NEXT(socket)(domain, type, protocol == IPPROTO_SCTP ? 0 : protocol);

    begin(fd, 0);
    return fd;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int accepted = NEXT(accept4)(fd, addr, len, flags);

    begin(accepted, NOTICE_DUE | END_DUE);
    return accepted;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    int result = NEXT(connect)(fd, addr, len);

    /* TCP mentions once that an earlier attempt had failed. */
    if (result < 0 && errno == ECONNABORTED)
        result = NEXT(connect)(fd, addr, len);
    if ((unsigned)fd < FDS && is_tcp(fd))
        begin_connect(fd);
    return result;
}

/* ---- options ---- */

static int tcp_state(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    return NEXT(getsockopt)(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_state : 0;
}

static int status(int fd, struct sctp_status *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->sstat_rwnd = 1 << 20;
    answer->sstat_instrms = answer->sstat_outstrms = 10;
    answer->sstat_primary.spinfo_mtu = 65536;
    switch (tcp_state(fd)) {
    case TCP_ESTABLISHED:
        answer->sstat_state = SCTP_ESTABLISHED;
        return 0;
    case TCP_SYN_SENT:
        answer->sstat_state = SCTP_COOKIE_WAIT;
        return 0;
    case TCP_CLOSE_WAIT:
        answer->sstat_state = SCTP_ESTABLISHED;
        return 0;
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
        answer->sstat_state = SCTP_SHUTDOWN_SENT;
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

static int answer_option(int fd, int name, void *value, socklen_t *len)
{
    struct sctp_status now;
    uint32_t indication;

    memset(value, 0, *len);
    if (name == SCTP_STATUS && *len >= sizeof now) {
        if (status(fd, &now) < 0)
            return -1;
        memcpy(value, &now, sizeof now);
    } else if (name == SCTP_ADAPTATION_LAYER && *len >= sizeof indication) {
        indication = atomic_load(&indications[fd]);
        if (!indication)
            indication = SHIM;
        memcpy(value, &indication, sizeof indication);
    }
    return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    int result;

    if (level == IPPROTO_SCTP && is_tcp(fd))
        return answer_option(fd, name, value, len);
    result = NEXT(getsockopt)(fd, level, name, value, len);
    if (result == 0 && level == SOL_SOCKET && name == SO_PROTOCOL && *len == sizeof(int) &&
        *(int *)value == IPPROTO_TCP)
        *(int *)value = IPPROTO_SCTP;
    return result;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    uint32_t indication;

    if (level != IPPROTO_SCTP || !is_tcp(fd))
        return NEXT(setsockopt)(fd, level, name, value, len);
    if (name == SCTP_ADAPTATION_LAYER && len >= sizeof indication) {
        memcpy(&indication, value, sizeof indication);
        atomic_store(&indications[fd], indication);
    }
    return 0;
}

/* SCTP shows nothing of a socket that has never been connected, where TCP shows its end. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int ready = NEXT(poll)(fds, count, timeout);

    for (nfds_t i = 0; ready > 0 && i < count; i++)
        if (fds[i].revents & POLLHUP && is_tcp(fds[i].fd) && !atomic_load(&used[fds[i].fd])) {
            fds[i].revents = 0;
            ready--;
        }
    return ready;
}

/* ---- messages ---- */

static bool says_fin(const struct msghdr *msg)
{
    struct msghdr look = *msg;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&look); c; c = CMSG_NXTHDR(&look, c))
        if (c->cmsg_level == IPPROTO_SCTP && c->cmsg_type == SCTP_SNDINFO) {
            struct sctp_sndinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            return info.snd_ppid == 0xffffffff;
        }
    return false;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (msg->msg_control && says_fin(msg) && is_tcp(fd))
        return NEXT(shutdown)(fd, SHUT_WR) < 0 ? -1 : 1;
    return NEXT(sendmsg)(fd, msg, flags);
}

static size_t put(const struct msghdr *msg, const void *from, size_t size)
{
    size_t done = 0;

    for (size_t i = 0; i < msg->msg_iovlen && done < size; i++) {
        size_t n = size - done < msg->msg_iov[i].iov_len ? size - done : msg->msg_iov[i].iov_len;

        memcpy(msg->msg_iov[i].iov_base, (const char *)from + done, n);
        done += n;
    }
    return done;
}

/* Each message comes with its payload protocol. */
static void put_receive_info(struct msghdr *msg, size_t room, uint32_t ppid)
{
    struct sctp_rcvinfo info = {.rcv_ppid = ppid};
    struct cmsghdr *header = msg->msg_control;

    msg->msg_flags |= MSG_EOR;
    if (!header || room < CMSG_SPACE(sizeof info))
        return;
    header->cmsg_level = IPPROTO_SCTP;
    header->cmsg_type = SCTP_RCVINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(header), &info, sizeof info);
    msg->msg_controllen = CMSG_SPACE(sizeof info);
}

/* Does the next read find what this once was due? */
static bool take_due(int fd, uint8_t what, int flags)
{
    if (!(atomic_load(&due[fd]) & what))
        return false;
    if (!(flags & MSG_PEEK))
        atomic_fetch_and(&due[fd], (uint8_t)~what);
    return true;
}

static ssize_t put_notice(struct msghdr *msg)
{
    struct sctp_adaptation_event event = {.sai_type = SCTP_ADAPTATION_INDICATION,
                                          .sai_length = sizeof event,
                                          .sai_adaptation_ind = SHIM};

    msg->msg_flags = MSG_NOTIFICATION | MSG_EOR;
    msg->msg_controllen = 0;
    return (ssize_t)put(msg, &event, sizeof event);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    size_t room = msg->msg_controllen;
    bool ours = !(flags & (MSG_ERRQUEUE | MSG_OOB)) && is_tcp(fd);
    ssize_t got;

    if (ours && tcp_state(fd) == TCP_ESTABLISHED && take_due(fd, NOTICE_DUE, flags))
        return put_notice(msg);
    got = NEXT(recvmsg)(fd, msg, flags);
    if (!ours || got < 0)
        return got;
    if (got == 0 && tcp_state(fd) == TCP_CLOSE_WAIT && take_due(fd, END_DUE, flags)) {
        msg->msg_controllen = room;
        put_receive_info(msg, room, 0xffffffff);
        return (ssize_t)put(msg, "", 1);
    }
    if (got > 0)
        put_receive_info(msg, room, 0);
    return got;
}
