/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must be known of a connection wherever its socket goes (dup, fork, exec, SCM_RIGHTS) is kept
 * with the socket, in the kernel: in the value of the adaptation layer indication, which has done
 * its work when the association is up (RFC 6458, 8.1.10: it is only sent while setting one up).
 */
#include "internal.h"

/* What each end has come to, in fd.h's bits. */
enum { STATE_ENDS = FDF_ENDS };

_Static_assert(!(STATE_ENDS & (STATE_PEER_IS_SHIM | STATE_FIN_SENT | STATE_CONNECT_DUE | STATE_MUTE |
                               STATE_FIN_DUE | STATE_DUE)),
               "each bit of the state has one meaning");

/* In a sandbox (fd_seal()) nothing is known but what was before, and the question would kill. */
static uint32_t kernels_indication(int fd)
{
    struct sctp_setadaptation own = {0};

    if (fd_sealed())
        return 0;
    return sctp_get(fd, SCTP_ADAPTATION_LAYER, &own, sizeof own) == 0 ? own.ssb_adaptation_ind : 0;
}

/* What nobody else can change is asked once. */
static uint32_t own_indication(int fd)
{
    struct fd_info *info = fd_info(fd);

    if (!fd_is_unshared(fd) || fd_sealed())
        return kernels_indication(fd);
    if (!info->indication)
        info->indication = kernels_indication(fd);
    return info->indication;
}

void state_begin(int fd)
{
    fd_info(fd)->indication = WIRE_PREFIX | WIRE_VERSION; /* params.c */
}

void state_inherit(int fd, int listener)
{
    if (fd_is_unshared(listener))
        fd_info(fd)->indication = fd_info(listener)->indication;
}

bool state_is_marked(int fd)
{
    return adaptation_is_ours(kernels_indication(fd));
}

unsigned state_get(int fd)
{
    return adaptation_state(own_indication(fd));
}

static void state_set(int fd, unsigned bits)
{
    struct sctp_setadaptation own = {.ssb_adaptation_ind = STATE_KEPT | bits};

    fd_info(fd)->indication = 0;
    if (!fd_sealed() && sctp_set(fd, SCTP_ADAPTATION_LAYER, &own, sizeof own) == 0)
        fd_info(fd)->indication = own.ssb_adaptation_ind;
}

void state_add(int fd, enum state bits)
{
    state_set(fd, state_get(fd) | bits);
}

unsigned state_take(int fd, enum state bits)
{
    unsigned now = state_get(fd);

    if (now & bits)
        state_set(fd, now & ~(unsigned)bits);
    return now & bits;
}

void error_owe(int fd, int error)
{
    if (!error)
        return;
    state_add(fd, error == EPIPE          ? STATE_PIPE_DUE
                  : error == ETIMEDOUT    ? STATE_TIMEOUT_DUE
                  : error == ECONNABORTED ? STATE_ABORT_DUE
                                          : STATE_RESET_DUE);
}

int error_due(int fd, bool reading)
{
    unsigned due = state_take(fd, reading ? STATE_DUE & ~STATE_PIPE_DUE : STATE_DUE);

    return due & STATE_TIMEOUT_DUE ? ETIMEDOUT
           : due & STATE_ABORT_DUE ? ECONNABORTED
           : due & STATE_RESET_DUE ? ECONNRESET
           : due                   ? EPIPE
                                   : 0;
}

void state_drop(int fd, enum state bits)
{
    (void)state_take(fd, bits);
}

void ends_note(int fd, unsigned flags)
{
    unsigned now = state_get(fd);

    fd_info(fd)->flags |= (uint16_t)flags;
    if (flags & ~now)
        state_set(fd, now | flags);
}

unsigned ends_recall(int fd)
{
    struct fd_info *info = fd_info(fd);
    unsigned kept = state_get(fd) & STATE_ENDS;

    if (kept & ~(unsigned)info->flags)
        info->flags |= (uint16_t)kept;
    return info->flags;
}
