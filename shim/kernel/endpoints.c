/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's list of SCTP endpoints, for the one question that no socket call answers. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "internal.h"

/* "SST" in the list, for a listener: TCP_LISTEN of linux/tcp_states.h. */
enum { LISTENS = 10 };

/* " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS" */
static bool is_listener_at(const char *line, unsigned port)
{
    unsigned state, at;

    return sscanf(line, "%*s %*s %*d %u %*d %u", &state, &at) == 2 && state == LISTENS && at == port;
}

/* None of the library's own hooks, no cancellation point, no heap. */
bool endpoints_listen(unsigned port)
{
    int saved = errno;
    long file = raw_syscall(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/net/sctp/eps",
                            O_RDONLY | O_CLOEXEC, 0, 0, 0);
    char buffer[4096];
    size_t used = 0;
    bool found = false;
    long got;

    while (file >= 0 && !found &&
           (got = raw_syscall(SYS_read, file, (long)(buffer + used),
                              (long)(sizeof buffer - 1 - used), 0, 0, 0)) > 0) {
        char *line = buffer, *end;

        buffer[used + (size_t)got] = '\0';
        for (; (end = strchr(line, '\n')) && !found; line = end + 1) {
            *end = '\0';
            found = is_listener_at(line, port);
        }
        used = strlen(line);
        memmove(buffer, line, used + 1);
        if (used == sizeof buffer - 1)
            used = 0; /* of so long a line the rest is no use */
    }
    if (file >= 0)
        raw_syscall(SYS_close, file, 0, 0, 0, 0, 0);
    errno = saved;
    return found;
}
