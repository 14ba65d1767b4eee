/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only the socket itself tells: each path's cwnd, srtt and MTU, and what the library keeps
 * with it. Its descriptor is borrowed from a holder, which takes the right to trace it
 * (pidfd_getfd(2), ptrace(2)).
 */
#define _GNU_SOURCE
#include "snapshot.h"

#include <errno.h>
#include <netinet/sctp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kernel/adaptation.h"

/* Numbers meanwhile given to something else do not count. */
static bool is_socket_of(int fd, const struct entry *entry)
{
    struct stat s;

    return fstat(fd, &s) == 0 && s.st_ino == entry->inode;
}

static int borrow_from(const struct holder *holder, const struct entry *entry)
{
    int process = (int)syscall(SYS_pidfd_open, holder->pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, holder->fds[0], 0);
    int error = errno;

    if (process >= 0)
        close(process);
    if (fd >= 0 && !is_socket_of(fd, entry)) {
        close(fd);
        fd = -1;
        error = ESRCH;
    }
    errno = error;
    return fd;
}

int entry_borrow(const struct entry *entry)
{
    int fd = -1;

    errno = ESRCH;
    for (size_t i = 0; i < entry->holder_count && fd < 0; i++)
        fd = borrow_from(&entry->holders[i], entry);
    return fd;
}

static int get(int fd, int name, void *value, size_t size)
{
    socklen_t len = (socklen_t)size;

    return getsockopt(fd, IPPROTO_SCTP, name, value, &len);
}

static void look_at_path(int fd, const struct entry *entry, struct path *path)
{
    struct sctp_paddrinfo info = {
        .spinfo_assoc_id = (sctp_assoc_t)entry->id,
        .spinfo_address = address_pack(path->address.text, entry->peer_port),
    };

    if (get(fd, SCTP_GET_PEER_ADDR_INFO, &info, sizeof info) < 0)
        return;
    path->state = info.spinfo_state;
    path->cwnd = info.spinfo_cwnd;
    path->srtt = ticks_to_ms(info.spinfo_srtt); /* unlike the RTO in ticks, RFC 6458 or not */
    path->rto = info.spinfo_rto;
    path->mtu = info.spinfo_mtu;
}

/* The library's own marks. */
static void look_at_marks(int fd, struct entry *entry)
{
    struct sctp_setadaptation own = {0};
    struct sctp_assoc_value context = {.assoc_id = (sctp_assoc_t)entry->id};
    struct sctp_sndinfo send = {.snd_assoc_id = (sctp_assoc_t)entry->id};

    if (entry->one_to_many || get(fd, SCTP_ADAPTATION_LAYER, &own, sizeof own) < 0)
        return;
    entry_judge(entry, own.ssb_adaptation_ind);
    if (entry->shim && get(fd, SCTP_DEFAULT_SNDINFO, &send, sizeof send) == 0)
        entry->note = send.snd_context;
    if (entry->shim && !entry->listening && !entry->waiting &&
        get(fd, SCTP_CONTEXT, &context, sizeof context) == 0 &&
        (context.assoc_value & CONTEXT_PREFIX_MASK) == CONTEXT_PREFIX)
        entry->failovers = context.assoc_value >> CONTEXT_COUNT_AT & CONTEXT_COUNT_MASK;
}

void inside_look(struct snapshot *into)
{
    size_t refused = 0;
    int error = 0;

    for (size_t i = 0; i < into->count; i++) {
        struct entry *entry = &into->entries[i];
        int fd = entry->reason ? -1 : entry_borrow(entry);

        if (entry->reason)
            continue;
        if (fd < 0) {
            if (errno != ESRCH) {
                error = errno;
                refused++;
            }
            continue;
        }
        look_at_marks(fd, entry);
        for (size_t n = 0; n < entry->path_count; n++)
            look_at_path(fd, entry, &entry->paths[n]);
        close(fd);
    }
    if (refused)
        snapshot_miss(into,
                      "rules, MTU, failovers, and cwnd and srtt of all but primary paths, of %zu "
                      "socket%s: pidfd_getfd fails (%s%s)",
                      refused, refused == 1 ? "" : "s", strerrorname_np(error),
                      error == EPERM ? "; run as root, or see kernel.yama.ptrace_scope" : "");
}
