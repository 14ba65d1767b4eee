/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a user's broker is found, for the library, the broker and the tool alike. */
#include "rendezvous.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol.h"

static const char *stack_of(uint32_t leg_net)
{
    return leg_net == LEG_NET_KERNEL ? "kernel" : "broker";
}

static const char *variable(char *const *environment, const char *name)
{
    size_t len = strlen(name);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    return NULL;
}

/* The thread's own network namespace: a process may have threads in several. */
static unsigned long network(void)
{
    struct stat ns;

    return stat("/proc/thread-self/ns/net", &ns) == 0 ? (unsigned long)ns.st_ino : 0;
}

char rendezvous_runtime[sizeof "XDG_RUNTIME_DIR=" + sizeof((struct rendezvous *)0)->directory];

void rendezvous_start(void)
{
    static const char name[] = "XDG_RUNTIME_DIR=";

    for (char **at = environ; at && *at; at++)
        if (strncmp(*at, name, sizeof name - 1) == 0 && strlen(*at) < sizeof rendezvous_runtime)
            strcpy(rendezvous_runtime, *at);
}

bool rendezvous_directory(struct rendezvous *where, char *const *environment)
{
    const char *runtime = variable(environment, "XDG_RUNTIME_DIR");
    uid_t uid = geteuid();
    struct stat dir;
    int n;

    memset(where, 0, sizeof *where);
    where->owner = uid;
    /* One that is not this user's is left over from before a change of user. */
    if (runtime && runtime[0] == '/' && stat(runtime, &dir) == 0 && dir.st_uid == uid)
        n = snprintf(where->directory, sizeof where->directory, "%s/sctpshim", runtime);
    else if (uid == 0)
        n = snprintf(where->directory, sizeof where->directory, "/run/sctpshim");
    else
        n = snprintf(where->directory, sizeof where->directory, "/tmp/sctpshim-%lu",
                     (unsigned long)uid);
    if (n <= 0 || (size_t)n >= sizeof where->directory) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

bool rendezvous_find(struct rendezvous *where, uint32_t leg_net, char *const *environment)
{
    int n;

    if (!rendezvous_directory(where, environment))
        return false;
    where->socket.sun_family = AF_UNIX;
    n = snprintf(where->socket.sun_path, sizeof where->socket.sun_path, "%s/%s-%lu.sock",
                 where->directory, stack_of(leg_net), network());
    if (n <= 0 || (size_t)n >= sizeof where->socket.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    snprintf(where->lock, sizeof where->lock, "%.*s.lock", n - 5, where->socket.sun_path);
    snprintf(where->registry, sizeof where->registry, "%.*s.listeners", n - 5,
             where->socket.sun_path);
    return true;
}

socklen_t rendezvous_abroad(struct sockaddr_un *name, uint32_t leg_net, uid_t uid)
{
    int n;

    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    n = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "sctpshim-%s-%lu",
                 stack_of(leg_net), (unsigned long)uid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

bool rendezvous_enter(const struct rendezvous *where, bool make)
{
    struct stat dir;

    if (make && mkdir(where->directory, 0700) != 0 && errno != EEXIST)
        return false;
    /* Not stat(): in /tmp anybody could have put a link there. */
    if (lstat(where->directory, &dir) != 0)
        return false;
    if (!S_ISDIR(dir.st_mode) || dir.st_uid != where->owner || dir.st_mode & 077) {
        errno = EPERM;
        return false;
    }
    return true;
}
