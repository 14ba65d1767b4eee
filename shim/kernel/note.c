/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was decided about a socket, noted with it in the kernel: for `sctpshim status`, and for the
 * program that has it next. Accepted sockets have their listener's note from the kernel itself.
 */
#include <errno.h>

#include "internal.h"

uint32_t note_get(int fd)
{
    struct sctp_sndinfo send = {0};
    int saved = errno;

    if (!state_is_marked(fd) || sctp_get(fd, SCTP_DEFAULT_SNDINFO, &send, sizeof send) < 0)
        send.snd_context = 0;
    errno = saved;
    return send.snd_context;
}

void note_set(int fd, uint32_t note)
{
    struct sctp_sndinfo send = {0};
    int saved = errno;

    if (sctp_get(fd, SCTP_DEFAULT_SNDINFO, &send, sizeof send) == 0 && send.snd_context != note) {
        send.snd_context = note;
        sctp_set(fd, SCTP_DEFAULT_SNDINFO, &send, sizeof send);
    }
    errno = saved;
}

void note_rule(int fd, unsigned roles, unsigned rule)
{
    uint32_t digest = rule ? rule_digest(rule_called(rule)) : 0;

    note_set(fd, (note_get(fd) & NOTE_READ_SHUT) | digest | (uint32_t)roles << NOTE_USE_AT);
}

void note_name(int fd, size_t place)
{
    if (place < NOTE_NAME_MASK)
        note_set(fd, note_nameless(note_get(fd)) | (uint32_t)(place + 1) << NOTE_NAME_AT);
}
