/* SPDX-License-Identifier: BSD-3-Clause */
/* struct tcp_info from SCTP_STATUS and the association statistics (RFC 6458 section 8.2). */
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <time.h>

#include "internal.h"

/* States as tcp_info reports them (linux/net/tcp_states.h). */
enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT,
       LAST_ACK, LISTEN };

static uint8_t tcp_state(int state)
{
    switch (state) {
    case SCTP_COOKIE_WAIT:
    case SCTP_COOKIE_ECHOED:
        return SYN_SENT;
    case SCTP_ESTABLISHED:
        return ESTABLISHED;
    case SCTP_SHUTDOWN_PENDING:
        return FIN_WAIT1;
    case SCTP_SHUTDOWN_SENT:
        return FIN_WAIT2;
    case SCTP_SHUTDOWN_RECEIVED:
        return CLOSE_WAIT;
    case SCTP_SHUTDOWN_ACK_SENT:
        return LAST_ACK;
    default:
        return CLOSE;
    }
}

/* Linux fills spinfo_srtt in ticks, not ms; the coarse clock steps once a tick. */
static uint32_t ticks_to_us(uint32_t ticks)
{
    struct timespec tick;

    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) < 0)
        return ticks * 1000;
    /* Below a tick is not nothing: zero would say "no sample yet". */
    return ticks ? (uint32_t)((uint64_t)ticks * (uint64_t)tick.tv_nsec / 1000) : 1;
}

static void from_status(struct tcp_info *info, const struct sctp_status *status)
{
    const struct sctp_paddrinfo *path = &status->sstat_primary;
    uint32_t mss = (uint32_t)status->sstat_fragmentation_point;

    info->tcpi_state = tcp_state(status->sstat_state);
    info->tcpi_rto = path->spinfo_rto * 1000;
    info->tcpi_rtt = ticks_to_us(path->spinfo_srtt);
    info->tcpi_rttvar = info->tcpi_rtt / 2;
    info->tcpi_min_rtt = info->tcpi_rtt;
    info->tcpi_snd_mss = info->tcpi_rcv_mss = info->tcpi_advmss = mss;
    info->tcpi_pmtu = path->spinfo_mtu;
    info->tcpi_snd_cwnd = path->spinfo_mtu ? path->spinfo_cwnd / path->spinfo_mtu : 0;
    info->tcpi_unacked = status->sstat_unackdata;
    info->tcpi_snd_ssthresh = 0x7fffffff; /* TCP's "not yet"; SCTP does not tell its own */
    info->tcpi_snd_wnd = status->sstat_rwnd;
}

static void from_statistics(int fd, struct tcp_info *info)
{
    struct sctp_assoc_stats stats;

    memset(&stats, 0, sizeof stats);
    if (sctp_get(fd, SCTP_GET_ASSOC_STATS, &stats, sizeof stats) < 0)
        return;
    info->tcpi_total_retrans = (uint32_t)stats.sas_rtxchunks;
    info->tcpi_segs_out = (uint32_t)stats.sas_opackets;
    info->tcpi_segs_in = (uint32_t)stats.sas_ipackets;
    info->tcpi_data_segs_out = (uint32_t)(stats.sas_ouodchunks + stats.sas_oodchunks);
    info->tcpi_data_segs_in = (uint32_t)(stats.sas_iuodchunks + stats.sas_iodchunks);
}

/*
 * SCTP counts messages, so bytes are this process's own count. Of those that wait for an
 * acknowledgement no more is known than that they take less than their memory.
 */
static void from_counts(const struct fd_info *own, uint32_t queued, struct tcp_info *info)
{
    info->tcpi_bytes_sent = own->sent;
    info->tcpi_bytes_acked = own->sent > queued ? own->sent - queued : 0;
    info->tcpi_bytes_received = own->received;
}

int tcpinfo_get(int fd, void *value, socklen_t *len)
{
    union {
        struct tcp_info info;
        char room[1024];
    } whole;
    struct tcp_info info;
    struct sctp_status status;
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof memory;

    memset(&info, 0, sizeof info);
    info.tcpi_state = CLOSE;
    if (sctp_get(fd, SCTP_STATUS, &status, sizeof status) == 0) {
        from_status(&info, &status);
        from_statistics(fd, &info);
        if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0)
            info.tcpi_notsent_bytes = memory[SK_MEMINFO_WMEM_QUEUED];
        from_counts(fd_info(fd), memory[SK_MEMINFO_WMEM_QUEUED], &info);
        info.tcpi_rcv_space = (uint32_t)int_option(fd, SOL_SOCKET, SO_RCVBUF, 0) / 2;
    } else if (fd_kind(fd) == FD_LISTENING) {
        info.tcpi_state = LISTEN;
    } else if (fd_kind(fd) == FD_CONNECTING) {
        info.tcpi_state = SYN_SENT;
    } else if (fd_kind(fd) == FD_OPEN && !(fd_info(fd)->flags & FDF_RESET)) {
        info.tcpi_state = CLOSE_WAIT; /* the association went with the peer's close */
    }
    /* As long as this kernel's own: programs tell by it what the kernel can count. */
    int length = tcpopts_info_size(fd);

    memset(&whole, 0, sizeof whole);
    whole.info = info;
    return answer(fd, &whole, length ? (size_t)length : sizeof info, value, len);
}
