/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking with plain blocking calls; the library's own way is client.c's. */
#include "inquiry.h"

#include <errno.h>
#include <sys/time.h>
#include <unistd.h>

bool inquire(const struct rendezvous *where, const struct request *request, struct answer *answer)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), error;
    struct timeval patience = {.tv_sec = 5};
    ssize_t len = -1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&where->socket, sizeof where->socket) == 0 &&
        send(fd, request, sizeof *request, MSG_NOSIGNAL) == sizeof *request)
        len = recv(fd, answer, sizeof *answer, MSG_TRUNC);
    error = len < 0 ? errno : EPROTO;
    close(fd);
    errno = error;
    return len >= 0 && answer_valid(answer, (size_t)len, request->kind);
}
